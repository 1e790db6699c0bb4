#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between two directories of one XFS or Btrfs a file is moved by sharing its extents, and proven.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 384M
requires mkfs.xfs mkfs.btrfs chattr

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
mkfs.xfs -q "$1"
mkfs.btrfs -q "$2"

for disk in "$1" "$2"; do
	mnt=$scratch/mnt
	mkdir -p "$mnt"
	mount "$disk" "$mnt"
	type=$(findmnt -no FSTYPE "$mnt")
	mkdir "$mnt/a" "$mnt/b"
	head -c 20000001 /dev/urandom >"$mnt/a/v.img"
	truncate -s 64M "$mnt/a/v.img"
	sum=$(sha256sum <"$mnt/a/v.img")
	sync
	used=$(df --output=used -B1 "$mnt" | tail -n 1)

	ok "$type: the plan says so" "$VOLMIG" migrate -n "$mnt/a/v.img" "$mnt/b/"
	has "$type: ... by name, with its step" 'method      reflink' '. reflink '
	ok "$type: --method=copy is planned as a copy" \
		"$VOLMIG" migrate -n --method=copy "$mnt/a/v.img" "$mnt/b/"
	has "$type: ... which says why not by reflink" 'reflink: --method=copy'
	ok "$type: so is --force-host-copy" "$VOLMIG" migrate -n --force-host-copy "$mnt/a/v.img" "$mnt/b/"
	has "$type: ... which says why not by reflink" 'reflink: --force-host-copy'

	ok "$type: it is moved, the source kept" "$VOLMIG" migrate --keep-source "$mnt/a/v.img" "$mnt/b/"
	has "$type: and proven" 'method      reflink' 'verified    equal' 'source      untouched'
	is "$type: the copy is equal" "$(sha256sum <"$mnt/b/v.img")" "$sum"
	sync
	now=$(df --output=used -B1 "$mnt" | tail -n 1)
	ok "$type: the extents are shared, not copied" test $((now - used)) -lt 8000000
	rm "$mnt/b/v.img"

	ok "$type: it is moved" "$VOLMIG" migrate "$mnt/a/v.img" "$mnt/b/"
	is "$type: equal" "$(sha256sum <"$mnt/b/v.img")" "$sum"
	ok "$type: the source is gone" test ! -e "$mnt/a/v.img"
	umount "$mnt"
done

# What the file system says at planning need not be so for these two files: Btrfs shares nothing between
# one with checksums and one without.
mount "$2" "$mnt"
mkdir "$mnt/plain"
chattr +C "$mnt/plain"
id=11111111-2222-4333-8444-555555555555
for how in as-a-whole killed; do
	head -c 20000001 /dev/urandom >"$mnt/plain/w.img"
	truncate -s 64M "$mnt/plain/w.img"
	sum=$(sha256sum <"$mnt/plain/w.img")
	if [ $how = killed ]; then
		must_fail 137 "what cannot be shared is copied: killed in the middle" \
			env VOLMIG_INJECT=kill-at-byte:9000000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id \
			"$mnt/plain/w.img" "$mnt/b/"
		ok '... with the source there' test "$(sha256sum <"$mnt/plain/w.img")" = "$sum"
		mount -o remount,ro "$mnt"
		must_fail 4 '... a file system that is read-only meanwhile stops it' "$VOLMIG" resume $id
		has '... and the way on is told' 'Read-only file system' "volmig resume $id"
		mount -o remount,rw "$mnt"
		ok '... it goes on' "$VOLMIG" resume $id
	else
		ok 'what cannot be shared is copied' "$VOLMIG" migrate "$mnt/plain/w.img" "$mnt/b/"
	fi
	has '... and proven, and that is said' 'extents could not be shared' 'verified    equal'
	is '... byte for byte' "$(sha256sum <"$mnt/b/w.img")" "$sum"
	ok '... with the holes that it had' test "$(stat -c %b "$mnt/b/w.img")" -lt 60000
	ok '... and the source is gone' test ! -e "$mnt/plain/w.img"
	rm "$mnt/b/w.img"
done
umount "$mnt"

# Two file systems: no way.
mkdir -p "$scratch/m1" "$scratch/m2"
mount "$1" "$scratch/m1"
mount "$2" "$scratch/m2"
ok 'between two file systems it is a copy' "$VOLMIG" migrate -n "$scratch/m1/b/v.img" "$scratch/m2/a/"
has 'which is explained' 'different file systems'
must_fail 3 'and a reflink that is asked for is refused' \
	"$VOLMIG" migrate -n --method=reflink "$scratch/m1/b/v.img" "$scratch/m2/a/"
umount "$scratch/m1" "$scratch/m2"

done_testing
