#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Links, other nodes, partitions and loop devices: all are the one volume they stand for.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M
requires sfdisk losetup cmp

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
a=$1 b=$2
cd "$scratch" || exit 99
mkdir links

# same DESCRIPTION SOURCE DEST
same() {
	must_fail 3 "$1: refused" "$VOLMIG" copy --into-existing --dry-run "$2" "$3"
	has "$1: because it is the same" 'same volume'
}

same 'a device and itself' "$a" "$a"
ln -s "$a" links/by-id
same 'a device and a link to it' "$a" ./links/by-id
same 'the other way round' ./links/by-id "$a"
ln -s by-id ./links/by-path
same 'a link to a link' ./links/by-path ./links/by-id
mknod other-node b $((0x$(stat -c %t "$a"))) $((0x$(stat -c %T "$a")))
same 'another node' "$a" ./other-node
ok 'two disks are two' "$VOLMIG" copy --into-existing --dry-run "$a" "$b"

printf 'label: dos\nsize=20M\nsize=20M\n' | sfdisk -q "$b" >/dev/null
same 'a disk and its partition' "$b" "${b}1"
same 'a partition and its disk' "${b}1" "$b"
ok 'two partitions are two' "$VOLMIG" copy --into-existing --dry-run "${b}1" "${b}2"
must_fail 3 'a disk with partitions as a destination' "$VOLMIG" copy "$a" "$b"
has 'what it holds is named' 'dos partition table'

truncate -s 16M file
ln file ./links/hard
ln -s "$scratch/file" ./links/soft
same 'a file and itself' "file:$scratch/file" ./file
same 'a file and its hard link' ./file ./links/hard
same 'a file and a symbolic link to it' ./links/soft ./file
same 'a file by a way round' ./file links/../links/hard

first=$(losetup --show -f file)
at_exit losetup -d "$first"
second=$(losetup --show -f ./links/hard)
at_exit losetup -d "$second"
same 'two loop devices over one file' "$first" "$second"
must_fail 3 'a loop device onto the file behind it' \
	"$VOLMIG" copy --into-existing --dry-run "$first" ./file
has 'is refused as the same too' 'same volume'
losetup -d "$first"
losetup -d "$second"

loop=$(losetup --show -f "$a")
at_exit losetup -d "$loop"
same 'a loop device and the device behind it' "$loop" "$a"
losetup -d "$loop"

# What is no volume.
mkfifo links/fifo
for thing in links/fifo /dev/null links; do
	must_fail 3 "$thing as a volume" "$VOLMIG" migrate --dry-run "./$thing" links/
done
must_fail 3 'a device that is not there' "$VOLMIG" copy --create ./file /dev/no-such-disk
must_fail 3 'a loop device with nothing behind it' "$VOLMIG" copy "$a" /dev/loop0
has 'says so' 'nothing is attached'
must_fail 3 'file: is never a device' "$VOLMIG" copy --create "file:$a" ./new
has 'and says what it is' 'a block device'

# Sectors of 4096 bytes: read whole, and written with a source that ends in one.
dd if=/dev/urandom of=data bs=1M count=8 status=none
large=$(losetup --show -b 4096 -f data)
at_exit losetup -d "$large"
is 'the loop device has sectors of 4096 bytes' "$(blockdev --getss "$large")" 4096
ok 'it is copied to a file' "$VOLMIG" copy --create "$large" ./copy
ok 'and the bytes are equal' cmp data copy
truncate -s 5000500 copy
dd if=/dev/urandom of=copy bs=500 seek=10000 count=1 conv=notrunc status=none
ok 'a file that is no multiple of a sector is copied onto it' \
	"$VOLMIG" copy --into-existing ./copy "$large"
ok 'and the bytes are equal' cmp -n 5000500 copy "$large"
losetup -d "$large"
done_testing
