#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between devices of 512-byte and 4096-byte sectors and files of odd sizes every byte arrives, and no other.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 12M
requires losetup mkfs.ext4 cmp

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
small=$1
mkfs.ext4 -q -F "$2"
mkdir "$scratch/m"
mount "$2" "$scratch/m"
at_exit "umount $scratch/m"
losetup -b 4096 /dev/loop0 "$3" || skip_all 'no loop device with 4096-byte sectors'
large=/dev/loop0

garbage() {
	head -c $((12 * 1048576)) /dev/urandom | dd of="$1" bs=1M conv=fsync status=none
}

# first N FILE: the sum of its first N bytes; rest_is_zero N FILE
first() { head -c "$1" "$2" | sha256sum; }
rest_is_zero() { cmp -i "$1:0" -n $((12 * 1048576 - $1)) "$2" /dev/zero; }

file=$scratch/m/file
for io in uring sync; do
	export VOLMIG_IO=$io
	for device in "$small" "$large"; do
		sector=$(blockdev --getss "$device")
		for size in 1 511 512 4095 4097 1048575 1048577 5000001; do
			head -c $size /dev/urandom >"$file"
			garbage "$device"
			ok "$io: a file of $size bytes onto a device of $sector-byte sectors" \
				"$VOLMIG" copy -q --into-existing "$file" "$device"
			is '... arrives' "$(first $size "$device")" "$(first $size "$file")"
			ok '... and the rest of the device is zero' rest_is_zero $size "$device"
		done
		rm "$file"
		garbage "$device"
		# Zeroes in the middle of a device have no map.
		dd if=/dev/zero of="$device" bs=1M seek=2 count=6 conv=fsync status=none
		ok "$io: a device of $sector-byte sectors into a new file" \
			"$VOLMIG" copy -q --create "$device" "$file"
		is '... arrives' "$(sha256sum <"$file")" "$(sha256sum <"$device")"
		ok '... and its zeroes are holes' test "$(stat -c %b "$file")" -le $((7 * 2048))
		rm "$file"
	done
	garbage "$small"
	garbage "$large"
	ok "$io: from 512-byte to 4096-byte sectors" "$VOLMIG" copy -q "$small" "$large"
	is '... equal' "$(sha256sum <"$large")" "$(sha256sum <"$small")"
	garbage "$small"
	ok "$io: from 4096-byte to 512-byte sectors" "$VOLMIG" copy -q "$large" "$small"
	is '... equal' "$(sha256sum <"$large")" "$(sha256sum <"$small")"
done

truncate -s $((12 * 1048576 + 1)) "$file"
must_fail 3 'one byte more than the device has is refused' "$VOLMIG" copy --into-existing "$file" "$small"
has '... with both sizes' 12582912 12582913
done_testing
