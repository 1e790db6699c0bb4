#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An image that comes to stand on a file is seen at once, however coarsely the file system counts time.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 400M
requires mkfs.ext4 mkfs.xfs mkfs.btrfs

# Its kernel may be one that gives two changes of a file in one tick the same time.
units=${VOLMIG_INJECT_BIN%/*}
mkdir "$scratch/at"
at_exit umount "$scratch/at"

# seen_on FILE-SYSTEM [OPTION...]
seen_on() {
	type=$1
	shift
	case $type in
	tmpfs) mount -t tmpfs none "$scratch/at" ;;
	*) wipefs -qa "$LAB_DISKS" && mkfs."$type" "$@" "$LAB_DISKS" >"$scratch/mkfs" 2>&1 && mount -t "$type" "$LAB_DISKS" "$scratch/at" ;;
	esac || { cat "$scratch/mkfs"; return 1; }
	TMPDIR=$scratch/at "$units/test_backing" >"$scratch/said" 2>&1
	seen=$?
	[ $seen = 0 ] || cat "$scratch/said"
	umount "$scratch/at"
	return $seen
}

ok 'ext4' seen_on ext4
ok 'ext4 that counts seconds' seen_on ext4 -I 128
ok 'xfs' seen_on xfs
ok 'btrfs' seen_on btrfs
ok 'tmpfs' seen_on tmpfs
done_testing
