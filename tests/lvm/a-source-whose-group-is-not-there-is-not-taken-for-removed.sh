#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The disks of the source's group are not there when a committed job is gone on with, as after a restart.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 100M -t 100
requires vgcreate

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
disk=$1
vgcreate -qq g0 "$1"
vgcreate -qq g1 "$2"
cd "$scratch" || exit 99
dd if=/dev/urandom of=original bs=1M count=8 status=none

take_away() {
	vgchange -qq -an g0 && dd if="$disk" of=label bs=1M count=1 status=none && wipefs -qaf "$disk"
}

bring_back() {
	dd if=label of="$disk" bs=1M conv=fsync status=none
	# LVM remembers where no physical volume was.
	rm -f /run/lvm/hints
	vgchange -qq -ay g0
}

# committed ID: a job that has stopped before its source is removed.
committed() {
	lvcreate -qq -y -Wn -Zn -L 8M -n v g0 >/dev/null 2>&1
	cp original /dev/g0/v
	sync /dev/g0/v
	must_fail 4 "$1: stopped" "$VOLMIG" migrate -q --job-id "$1" \
		--hook "[ \"\$VOLMIG_HOOK\" != pre-remove-source ]" g0/v g1
}

id=00000000-0000-4000-8000-000000000001
committed $id
take_away
must_fail 4 'without its disks it is not removed' "$VOLMIG" resume -q --no-hook $id
has 'which is said' "the source's volume group is not there" "volmig resume $id --keep-source"
ok 'it can be kept all the same' "$VOLMIG" resume -q --no-hook --keep-source $id
bring_back
ok 'and is' cmp -n 8388608 /dev/g0/v original
lvremove -qq -y g0/v g1/v

id=00000000-0000-4000-8000-000000000002
committed $id
lvremove -qq -y g0/v
ok 'where the group is there it has been removed' "$VOLMIG" resume -q --no-hook $id
ok 'and the copy is whole' cmp -n 8388608 /dev/g1/v original
done_testing
