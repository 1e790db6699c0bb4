#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An LVM command that is stuck in the middle of a change is named and left alone, nothing is deleted, and resume or abort ends well.
#
# In some steps, unless STUCK=full (make check-lvm-crash).
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# The guest has an environment of its own.
[ -n "${VOLMIG_IN_LAB:-}" ] || echo "STUCK=${STUCK:-short}" >"$scratch/settings"
in_lab -n 3 -s 64M -t 500
requires vgcreate dmsetup flock
. "$TOP/tests/online.sh"
# shellcheck source=/dev/null
. "$kept/settings"

# Disks that can be suspended: what LVM wants of them then waits, and LVM cannot be interrupted meanwhile.
n=0
for disk in $LAB_DISKS; do
	n=$((n + 1))
	echo "0 $(blockdev --getsz "$disk") linear $disk 0" | dmsetup create d$n
done
echo 'devices { global_filter = [ "a|^/dev/mapper/d|", "r|.*|" ] }' >>/etc/lvm/lvmlocal.conf
vgcreate -qq -s 1M g0 /dev/mapper/d1 /dev/mapper/d2 >/dev/null
vgcreate -qq -s 1M g1 /dev/mapper/d3 >/dev/null
lvcreate -qq -y -Wn -Zn -L 4M -n web g0 /dev/mapper/d1 >/dev/null 2>&1
dd if=/dev/urandom of=/dev/g0/web bs=1M count=4 conv=fsync status=none
was=$(sha256sum </dev/g0/web)

# The group's lock is held from before the step on, so that others may look, and nobody may change.
# A job keeps its hooks when it is resumed, so this is done once.
cat >"$scratch/hook" <<END
[ "\$VOLMIG_HOOK" = "pre-\$1" ] && mkdir "$scratch/once" || exit 0
setsid flock -s "/run/lock/lvm/V_\$2" sh -c 'echo \$\$ >$scratch/holder; exec sleep 600' >/dev/null 2>&1 &
until [ -s "$scratch/holder" ]; do sleep 0.05; done
END
waits() {
	[ -s "$scratch/holder" ] && grep -q -e '-> FLOCK' /proc/locks
}
let_go() {
	kill "$(cat "$scratch/holder")"
	rm "$scratch/holder"
}
volmig() {
	VOLMIG_INJECT=lvm-timeout:4000,lvm-grace:$grace "$VOLMIG" "$@"
}
grace=500
# begin STEP GROUP MIGRATE-ARGUMENT...: until the first change of that step waits for the lock; $pid.
begin() {
	step=$1
	group=$2
	shift 2
	rm -rf "$scratch/once"
	VOLMIG_INJECT=lvm-timeout:4000,lvm-grace:$grace "$VOLMIG" migrate -q --hook "sh $scratch/hook $step $group" "$@" \
		>"$scratch/output" 2>&1 &
	pid=$!
	ok "$step waits for a lock" wait_until waits
	job=$(job)
}
# ends STATUS DESCRIPTION
ends() {
	status=0
	wait $pid || status=$?
	[ $status = "$1" ] || diag "$(cat "$scratch/output")"
	is "$2" $status "$1"
}
# stuck DISK COMMAND: it gets the lock, and then no further.
stuck() {
	dmsetup suspend "$1"
	let_go
	ends 5 "... a $2 that is stuck leaves it unsure"
	has "... and is named" "$2 is stuck, and still running (pid " 'dmsetup info' 'volmig status'
}
# The command that was stuck comes to its end, of whatever kind, once it can.
goes_on() {
	dmsetup resume "$1"
	wait_until sh -c "! pgrep -f '^$VOLMIG migrate '"
}
# settled DESCRIPTION PATH: whole, there and nowhere else, and nothing is left.
settled() {
	is "$1" "$(ls /dev/g?/web) $(sha256sum <"$2") $(lvs -a --noheadings -o lv_name,lv_tags | grep -e volmig -e rimage)" \
		"$2 $was "
}

begin create-lv g1 g0/web g1
ends 1 '... a change that never got it ends the move'
has '... and is named' 'lvcreate got nowhere and was ended' 'lock' 'source untouched'
let_go
settled '... the source is as it was' /dev/g0/web

begin create-lv g1 g0/web g1
stuck d3 lvcreate
must_fail 4 '... nor can an abort tell what there is' volmig abort -q "$job"
has '... which names that as well' 'fullreport is stuck, and does not end though it was killed'
goes_on d3
ok '... abort, once it goes on' volmig abort -q "$job"
settled '... the source is as it was' /dev/g0/web

# Asked to end, it does what it was told to after all.
grace=60000
begin create-lv g1 --keep-source g0/web g1
dmsetup suspend d3
let_go
asked() {
	grep -q '^ShdPnd:.*[2367abef]$' "/proc/$(pgrep -P $pid)/status"
}
ok '... a change that takes too long is asked to end' wait_until asked
dmsetup resume d3
ends 0 '... and is taken for done when it was'
is '... as it is' "$(sha256sum </dev/g1/web)" "$was"
lvremove -qq -y g1/web
grace=500

# Forth, and back.
if [ "$STUCK" = full ]; then
	begin publish g1 g0/web g1
	stuck d3 lvrename
	goes_on d3
	is '... source and copy are there' "$(lvs --noheadings -o lv_tags g0 g1 | grep -c .) $(sha256sum </dev/g0/web)" "2 $was"
	ok '... resume, once it goes on' volmig resume -q "$job"
	settled '... it is moved' /dev/g1/web
else
	ok 'it is moved' "$VOLMIG" migrate -q g0/web g1
fi

begin remove-source g1 g1/web g0
stuck d3 lvremove
is '... the copy is there' "$(sha256sum </dev/g0/web)" "$was"
goes_on d3
ok '... resume, once it goes on' volmig resume -q "$job"
settled '... it is moved' /dev/g0/web

from=$(lvs --noheadings -o devices g0/web | sed 's/^ *//; s/(.*//')
to=/dev/mapper/d1
[ "$from" != "$to" ] || to=/dev/mapper/d2
if [ "$STUCK" = full ]; then
	begin add-leg g0 g0/web $to
	stuck d2 lvchange
	goes_on d2
	ok '... abort, once it goes on' volmig abort -q "$job"
	settled '... it is where it was' /dev/g0/web
fi

begin drop-leg g0 g0/web $to
stuck d2 lvconvert
goes_on d2
ok '... resume, once it goes on' volmig resume -q "$job"
settled '... it is moved' /dev/g0/web
is '... to where it should be' "$(lvs --noheadings -o devices g0/web | sed 's/^ *//; s/(.*//')" "$to"
done_testing
