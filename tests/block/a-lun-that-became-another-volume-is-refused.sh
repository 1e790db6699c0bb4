#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A LUN is what its WWN says, not what its number or its device is called; and a target may go away.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires sha256sum

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
luns_up "$1" "$2"
back_up 2 "$3"
initiator_up
sum() {
	dd if="$1" bs=1M iflag=direct status=none | sha256sum
}
precious=$(sum "$3")

# What is behind LUN 1 is exchanged while it is attached; the kernel does not notice.
ok 'a LUN is attached' attach "$url/1"
device=$(cat "$scratch/output")
# What is not written yet would go to the wrong volume.
dd if=/dev/urandom of="$device" bs=1M count=1 conv=notrunc status=none &&
	unmap_lun 1
map_lun 1 2
must_fail 3 'attaching it again is refused' attach "$url/1"
has 'and why' 'the LUN was given to another volume' "/dev/${device#/dev/}"
must_fail 3 'detach is refused' detach "$url/1"
has 'and why' 'the LUN was given to another volume'
has 'and how to get rid of it is said' "echo offline >/sys/block/${device#/dev/}/device/state"
is 'nothing was written to the other volume' "$(sum "$3")" "$precious"
echo offline >"/sys/block/${device#/dev/}/device/state"
echo 1 >"/sys/block/${device#/dev/}/device/delete"
is 'still nothing' "$(sum "$3")" "$precious"

# The disk is gone, but not what is known of it.
must_fail 3 'the other volume under the same number is refused' attach "$url/1"
has 'with both names' 'it is naa.60014050000000211112222333344444, was naa.60014050000000111112222333344444'
must_fail 3 'and again' attach "$url/1"
is 'no disk of it is left' "$(disks)" ''
ok 'detach forgets it' detach "$url/1"
nothing_left 'after that'
ok 'then it is attached' attach "$url/1"
ok 'and detached' detach "$url/1"
nothing_left 'after the other volume'

# A disk that somebody else's session has from before.
iscsiadm -m node -o new -T $iqn -p $portal >/dev/null
iscsiadm -m node -T $iqn -p $portal --login >/dev/null
wait_until test "$(disks | wc -w)" = 2
unmap_lun 1
map_lun 1 1
must_fail 3 'a stale disk of a shared session is refused' attach "$url/1"
has 'and why' 'the LUN was given to another volume'
is 'session and disks stay' "$(sessions) $(disks | wc -w)" '1 2'
iscsiadm -m session -u >/dev/null
iscsiadm -m node -T $iqn -p $portal -o delete
nothing_left 'after the shared session'

# The target goes away in the middle.
ok 'a LUN is attached' attach "$url/1"
device=$(cat "$scratch/output")
dd if=/dev/urandom of="$device" bs=1M count=1 oflag=direct status=none
head -c 64M /dev/urandom >"$scratch/data"
copying() {
	"$VOLMIG" status --json | grep -q '"state":"copying"'
}
(wait_until copying && echo 0 >"$tpg/enable") &
must_fail 4 'a copy onto it stops' "$VOLMIG" copy -q --bwlimit=16M --into-existing "$scratch/data" "$device"
has 'and says that the device fails' "$device" 'volmig resume'
wait
must_fail 1 'detach fails' detach "$url/1"
has 'and both ways out are said' 'bring the target back; or, if what was not written yet may be lost'
is 'it is still attached' "$(sessions) $(disks | wc -w)" '1 1'
echo 1 >"$tpg/enable"
wait_until dd if="$device" of=/dev/null bs=4k count=1 iflag=direct
ok 'it comes back' dd if="$device" of=/dev/null bs=4k count=1 iflag=direct
job=$("$VOLMIG" status | awk '$1 ~ /-.*-/ { print $1 }')
ok 'the copy goes on' "$VOLMIG" resume -q "$job"
ok 'to its end' cmp "$scratch/data" "$2"
ok 'detach succeeds' detach "$url/1"
nothing_left 'after the target was away'

# It never comes back.
ok 'a LUN is attached' attach "$url/0"
device=$(cat "$scratch/output")
echo 0 >"$tpg/enable"
sleep 6
must_fail 1 'its disk does not answer' detach "$url/0"
echo 1 >"/sys/block/${device#/dev/}/device/delete"
ok 'without the disk it is detached' detach "$url/0"
nothing_left 'after a target that stayed away'
done_testing
