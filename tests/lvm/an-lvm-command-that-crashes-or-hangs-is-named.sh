#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An LVM command that crashes is tried again where it only looks; one that changes something, or hangs, is named.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M -t 300
requires vgcreate flock jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq -s 1M vg0 "$1" >/dev/null
vgcreate -qq -s 1M vg1 "$2" >/dev/null
lvcreate -qq -y -Wn -Zn -L 4M -n web vg0 >/dev/null
dd if=/dev/urandom of=/dev/vg0/web bs=1M count=4 conv=fsync status=none
was=$(md5sum </dev/vg0/web)

# volmig FAULT ARGUMENT...
volmig() {
	fault=$1
	shift
	VOLMIG_INJECT=$fault "$VOLMIG_INJECT_BIN" "$@"
}
as_it_was() {
	is "$1" "$(lvs --noheadings -o vg_name,lv_name,lv_tags | tr -s ' ') $(md5sum </dev/vg0/web)" " vg0 web  $was"
}
# Processes that LVM runs in, of volmig processes that are no more.
children() {
	pgrep -f "^$VOLMIG_INJECT_BIN " | wc -l
}

must_fail 3 'a look that crashes each time is given up' volmig kill-lvm-from:1 migrate -n vg0/web vg1
has '... and is named' 'fullreport crashed in liblvm2cmd (signal 9)'
ok 'a look that crashes once is done again' volmig kill-lvm:1 migrate -q --keep-source vg0/web vg1
is '... and the copy is right' "$(md5sum </dev/vg1/web)" "$was"
lvremove -qq -y vg1/web
# By number, whatever it is by then: a look goes on, a change is undone.
for n in 3 4 5 6 7 8; do
	status=0
	volmig "kill-lvm:$n" migrate --json --keep-source vg0/web vg1 >"$scratch/output" 2>&1 || status=$?
	case $status in
	0)
		pass "the LVM command number $n of a process crashes, and it goes on"
		;;
	1)
		has "the LVM command number $n of a process crashes, and is named" 'crashed in liblvm2cmd'
		;;
	4)
		has "the LVM command number $n of a process crashes, and is named" 'crashed in liblvm2cmd'
		ok '... and the job is resumed' "$VOLMIG" resume -q "$(grep -o 'resume [-0-9a-f]*' "$scratch/output" |
			head -n 1 | cut -d ' ' -f 2)"
		;;
	*)
		fail "the LVM command number $n of a process crashes (status $status)"
		diag "$(cat "$scratch/output")"
		;;
	esac
	[ ! -e /dev/vg1/web ] || lvremove -qq -y vg1/web
	as_it_was '... the source is as it was, and nothing is left'
done
is 'no process of LVM is left' "$(children)" 0

# Somebody else holds the group's lock, and does not let go of it.
mkdir -p /run/lock/lvm
flock -x /run/lock/lvm/V_vg1 sleep 1000 &
holder=$!
until ! flock -n /run/lock/lvm/V_vg1 true; do
	sleep 0.1
done
must_fail 3 'a lock that is held makes a look time out' volmig lvm-timeout:1000 migrate -n vg0/web vg1
has '... and the command is named, and what to look at' 'fullreport got nowhere' 'lock'
kill "$(pgrep -P $holder)" $holder
wait $holder 2>/dev/null
as_it_was 'the source is as it was'

ok 'with the lock free it is done' "$VOLMIG" migrate -q vg0/web vg1
is '... and right' "$(md5sum </dev/vg1/web)" "$was"
done_testing
