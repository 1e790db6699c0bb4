#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between the copy and the commit a volume is deactivated, activated, and written to, as by a guest's start and end.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 100M -t 200
requires vgcreate

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$1"
vgcreate -qq g1 "$2"
cd "$scratch" || exit 99
cat >hook <<-'SH'
	#!/bin/sh
	[ "$VOLMIG_HOOK" = pre-verify ] || exit 0
	lvchange -qq -an "$VOLUME" && lvchange -qq -ay "$VOLUME" &&
		echo precious | dd of="/dev/$VOLUME" bs=4k conv=sync oflag=direct status=none
SH
chmod +x hook
# written_anew NAME: what the hook wrote is there.
written_anew() {
	[ "$(head -c 8 "/dev/g0/$1")" = precious ]
}
unfinished() {
	"$VOLMIG" status | awk '/verified/ { print $1 }'
}
stays() {
	! "$VOLMIG" resume "$(unfinished)"
}
for name in active inactive; do
	lvcreate -qq -y -Wn -Zn -L 8M -n $name g0 >/dev/null 2>&1
	dd if=/dev/urandom of=/dev/g0/$name bs=1M count=8 status=none
	sync /dev/g0/$name
done
lvchange -qq -an g0/inactive
for name in active inactive; do
	export VOLUME=g0/$name
	must_fail 4 "what was written to a volume that was $name is noticed" \
		"$VOLMIG" migrate -q g0/$name g1 --hook "$scratch/hook"
	has 'and that is said' 'it was deactivated and activated again'
	ok 'it is there' written_anew $name
	ok 'it does not go on' stays
	ok 'but is undone' "$VOLMIG" abort -q "$(unfinished)"
	lvchange -qq -ay g0/$name
	ok 'and what was written is there' written_anew $name
done

# The new volume has its name, and somebody takes it up before the job has ended: abort would take it away.
lvcreate -qq -y -Wn -Zn -L 8M -n early g0 >/dev/null 2>&1
cat >hook <<-'SH'
	#!/bin/sh
	[ "$VOLMIG_HOOK" = pre-commit ] || exit 0
	echo precious | dd of=/dev/g1/early bs=4k conv=sync oflag=direct status=none
SH
must_fail 4 'a new volume that is written to before the commit' "$VOLMIG" migrate -q g0/early g1 --hook "$scratch/hook"
has 'is noticed' 'written to since it was verified'
must_fail 3 'abort does not take it away' "$VOLMIG" abort -q "$(unfinished)"
has 'and says why' 'may hold what the source does not'
lvchange -qq -an g1/early
lvchange -qq -ay g1/early
must_fail 3 'nor once it was activated anew' "$VOLMIG" abort -q "$(unfinished)"
is 'what was written is there' "$(head -c 8 /dev/g1/early)" precious
ok 'and so is the source' test -e /dev/g0/early

# Just as it is removed it becomes the origin of a snapshot, which LVM does not remove then, and is deactivated.
is_stopped() {
	grep -q '^State:.T' "/proc/$1/status"
}
lvcreate -qq -y -Wn -Zn -L 8M -n late g0 >/dev/null 2>&1
VOLMIG_INJECT=stop-lvremove:1 "$VOLMIG_INJECT_BIN" migrate -q g0/late g1 >"$scratch/output" 2>&1 &
mover=$!
ok 'a volume is about to be removed' wait_until is_stopped $mover
lvcreate -qq -y -s -L 8M -n snap g0/late >/dev/null 2>&1
lvchange -qq -y -an g0/late
ok "... and is an origin, without a device" test "$(lvs --noheadings -o lv_attr g0/late | cut -c 3-7)" = owi--
kill -CONT $mover
status=0
wait $mover || status=$?
is '... it is not taken for removed' "$status" 4
has '... and the reason is told' 'has become the origin of a snapshot'
is '... nor is it' "$(lvs --noheadings -o lv_name g0/late | tr -d ' ')" late
lvremove -qq -y g0/snap >/dev/null 2>&1
must_fail 4 'it was deactivated, and may have been written to: it stays' "$VOLMIG" resume -q "$("$VOLMIG" status | awk '/committed/ { print $1 }')"
ok '... until that is what is wanted' "$VOLMIG" resume -q --keep-source "$("$VOLMIG" status | awk '/committed/ { print $1 }')"
is '... it is there, and so is its copy' "$(lvs --noheadings -o lv_name g0/late g1/late | tr -d ' \n')" latelate
is '... which is nobody'"'"'s any more' "$(lvs --noheadings -o lv_tags g1/late | tr -d ' ')" ''
done_testing
