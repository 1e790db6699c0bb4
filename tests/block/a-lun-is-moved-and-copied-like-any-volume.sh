#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# migrate and copy take an iSCSI LUN: attached for the job by the kernel, and let go of in the end, however it ends.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires cmp jq mkfs.ext4

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
luns_up -c "$1" "$2"
back_up 2 "$3"
initiator_up
lun0="$url/0?chap-file=$chap" lun1="$url/1?chap-file=$chap"
cd "$scratch" || exit 99
mkdir dir
head -c 64M /dev/urandom >data

ok 'a file is copied onto a LUN' "$VOLMIG" copy --json ./data "$lun1"
is 'by a disk of this host' "$(jq -c '[.destination.kind, .destination.spec, .verify.result]' output)" \
	"[\"block\",\"$lun1\",\"equal\"]"
ok 'the target has it' cmp data "$2"
nothing_left 'after a copy onto a LUN'
ok 'a LUN is copied to a file' "$VOLMIG" copy -q --create "$lun1" ./dir/
ok 'of the name of target and LUN' cmp data dir/disks-lun1
nothing_left 'after a copy of a LUN'
ok 'a LUN is copied onto another of its target' "$VOLMIG" copy -q "$lun1" "$lun0"
ok 'just as it is' cmp data "$1"
nothing_left 'after a copy from one to another'
ok 'a file is migrated onto a LUN' "$VOLMIG" migrate -q --into-existing ./dir/disks-lun1 "$lun0"
is 'and is gone' "$(ls dir)" ''
nothing_left 'after a migration'

# The plan.
ok 'a LUN that is attached has a plan' attach "$lun1"
device=$(cat "$scratch/output")
ok 'to be copied' "$VOLMIG" copy -n --create "$lun1" ./dir/
has 'with its steps' 'attach-lun' 'detach-lun'
ok 'it is copied' "$VOLMIG" copy -q --create "$lun1" ./dir/
is 'and what was attached before stays' "$(sessions) $(disks)" "1 ${device#/dev/} "
mkdir mnt
mkfs.ext4 -q "$device"
mount "$device" mnt
must_fail 3 'one that is in use is refused' "$VOLMIG" copy -q --create "$lun1" ./dir/x
has 'and named' 'in use: mounted on'
umount mnt
ok 'it is detached' detach "$url/1"
nothing_left 'after that'

# Refusals leave nothing.
must_fail 3 'a destination that is too small is refused' sh -c "truncate -s 100M big && $VOLMIG copy -q --into-existing ./big '$lun1'"
nothing_left 'after a refusal'
must_fail 1 'a LUN that is not there fails' "$VOLMIG" copy -q ./data "$url/7?chap-file=$chap"
nothing_left 'after no LUN'

# A dry run does not log in; QEMU looks, where there is one.
if command -v qemu-storage-daemon >/dev/null && qemu-img --help | grep -q 'iscsi'; then
	# Its name is another one than the host's.
	echo 0 >"$tpg/attrib/authentication"
	echo 1 >"$tpg/attrib/generate_node_acls"
	echo 1 >"$tpg/attrib/cache_dynamic_acls"
	ok 'a dry run tells the plan' "$VOLMIG" copy -n --into-existing ./data "$url/1"
	has 'and that the LUN will be attached' 'becomes a disk of this host for the time of the job'
	nothing_left 'after a dry run'
else
	skip 'a dry run tells the plan' 'needs qemu-storage-daemon with iSCSI (qemu-block-extra)'
fi
done_testing
