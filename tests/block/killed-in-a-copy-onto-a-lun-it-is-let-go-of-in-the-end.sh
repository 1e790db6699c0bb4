#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL in a copy onto an iSCSI LUN: resume and abort let go of it in the end, and never touch another volume.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires cmp jq md5sum

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
luns_up -c "$1" "$2"
back_up 2 "$3"
initiator_up
lun1="$url/1?chap-file=$chap"
cd "$scratch" || exit 99
head -c 64M /dev/urandom >data

# Killed, and then either way.
interrupted() {
	must_fail 137 "$1" env VOLMIG_INJECT=kill-at-byte:8388608 "$VOLMIG_INJECT_BIN" copy -q --into-existing \
		--job-id=11111111-2222-4333-8444-55555555555"$2" ./data "$lun1"
}
interrupted 'a copy is killed' 1
is 'the LUN stays attached for it' "$(sessions) $(disks | wc -w)" '1 1'
"$VOLMIG" doctor --json 2>/dev/null >found
is 'which is as it should be' "$(jq -c '[.findings[] | select(.check == "attachments")] | length' found)" 0
ok 'it is resumed' "$VOLMIG" resume -q 11111111-2222-4333-8444-555555555551
ok 'to a whole copy' cmp data "$2"
nothing_left 'after a resume'
interrupted 'another one is killed' 2
ok 'it is aborted' "$VOLMIG" abort -q 11111111-2222-4333-8444-555555555552
nothing_left 'after an abort'
interrupted 'a third one' 3
ok 'the LUN may be detached by hand meanwhile' detach "$url/1"
nothing_left 'by hand'
ok 'and is attached again to go on' "$VOLMIG" resume -q 11111111-2222-4333-8444-555555555553
ok 'to a whole copy' cmp data "$2"
nothing_left 'after that'
interrupted 'a fourth one' 4
ok 'the LUN is detached' detach "$url/1"
unmap_lun 1
map_lun 1 2
sum=$(md5sum <"$3")
must_fail 3 'its number leads to another volume: the job does not go on' \
	"$VOLMIG" resume -q 11111111-2222-4333-8444-555555555554
has 'and says why' 'another volume'
is 'nothing was written to that' "$(md5sum <"$3")" "$sum"
ok 'the job can be aborted' "$VOLMIG" abort -q 11111111-2222-4333-8444-555555555554
nothing_left 'after the other volume'
unmap_lun 1
map_lun 1 1

for at in 4 7; do
	must_fail 137 "killed at $at while it is attached" env VOLMIG_INJECT=kill-attach:$at \
		"$VOLMIG_INJECT_BIN" copy -q --into-existing ./data "$lun1"
	"$VOLMIG" doctor --fix -q >/dev/null 2>&1
	nothing_left "doctor after kill $at"
done
done_testing
