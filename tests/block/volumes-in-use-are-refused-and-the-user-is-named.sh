#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever uses a volume, in whatever way, keeps it from being moved and is named.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 256M
requires mkfs.ext4 sfdisk mkswap swapon losetup dmsetup unshare perl

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
a=$1 b=$2 c=$3
mnt=$scratch/mnt
mkdir "$mnt" "$scratch/out"

# named DESCRIPTION VOLUME TEXT...
named() {
	what=$1
	volume=$2
	shift 2
	must_fail 3 "$what: refused" "$VOLMIG" migrate --dry-run "$volume" "$scratch/out/"
	has "$what: named" 'in use: ' "$@"
}

free() {
	ok "$1" "$VOLMIG" copy --dry-run --create "$2" "$scratch/out/new.img"
}

# Run a command line in the background and wait until it has made $scratch/ready.
background() {
	rm -f "$scratch/ready"
	"$@" &
	helper=$!
	at_exit "kill $helper"
	wait_until test -e "$scratch/ready"
}

stop_background() {
	kill "$helper"
	wait "$helper" 2>/dev/null
}

free 'a disk that nobody uses is accepted' "$a"

mkfs.ext4 -q "$a"
mount "$a" "$mnt"
named 'mounted' "$a" "mounted on $mnt"
must_fail 3 'mounted, as a destination: refused' "$VOLMIG" copy --into-existing "$b" "$a"
has 'mounted, as a destination: named' "in use: mounted on $mnt"
umount "$mnt"
free 'unmounted again it is accepted' "$a"

mkdir "$scratch/with space"
mount "$a" "$scratch/with space"
named 'mounted where there is a space in the name' "$a" "mounted on $scratch/with space"
umount "$scratch/with space"

background unshare -m sh -c "mount $a $mnt && touch $scratch/ready && exec sleep 1000"
named 'mounted in another mount namespace' "$a" \
	"mounted on $mnt (mount namespace of sleep, pid $helper)"
stop_background
free 'when that namespace is gone it is accepted' "$a"

mkswap -q "$a"
swapon "$a"
named 'swap' "$a" 'in use as swap'
swapoff "$a"

# Partitions.
printf 'label: gpt\nsize=20M\nsize=20M\n' | sfdisk -q "$b"
b1=${b}1
b2=${b}2
if [ -b "$b1" ]; then
	mkfs.ext4 -q "$b1"
	mount "$b1" "$mnt"
	named 'a disk whose partition is mounted' "$b" "partition $b1 mounted on $mnt"
	named 'the partition itself' "$b1" "in use: mounted on $mnt"
	free 'but not its neighbour' "$b2"
	umount "$mnt"
	wipefs -qa "$b1"
	background sh -c "exec 3<>$b && touch $scratch/ready && exec sleep 1000"
	named 'a partition whose disk is open for writing' "$b1" \
		"open for writing by sleep (pid $helper)"
	stop_background
else
	skip 'partitions' 'this kernel makes none on these disks'
fi

# Stacks of devices.  Without udev nobody else makes the nodes.
export DM_DISABLE_UDEV=1
echo "0 2048 linear $c 0" | dmsetup create top
at_exit dmsetup remove top
named 'a device-mapper device on top' "$c" 'held by dm device top'
mkfs.ext4 -q /dev/mapper/top
mount /dev/mapper/top "$mnt"
named 'and where that is mounted' "$c" "held by dm device top (mounted on $mnt)"
umount "$mnt"
dmsetup remove top

echo "0 2048 linear $c 0" |
	dmsetup create secret --uuid CRYPT-LUKS2-0123456789abcdef-secret
at_exit dmsetup remove secret
named 'a LUKS device on top' "$c" 'held by LUKS device secret'
dmsetup remove secret

echo "0 2048 linear $c 0" | dmsetup create mpatha --uuid mpath-0123456789
at_exit dmsetup remove mpatha
named 'a multipath map on top' "$c" 'held by multipath map mpatha'
dmsetup remove mpatha

if command -v vgcreate >/dev/null; then
	{
		pvcreate -qq -y "$c"
		vgcreate -qq -y vg-0 "$c"
		at_exit vgremove -qq -y -f vg-0
		lvcreate -qq -y -L 16M -n web vg-0
	} >/dev/null 2>&1
	named 'the physical volume of an active logical volume' "$c" \
		'held by LVM logical volume vg--0-web'
	vgremove -qq -y -f vg-0 >/dev/null 2>&1
	must_fail 3 'a physical volume as a destination: refused' "$VOLMIG" copy "$a" "$c"
	has 'and what it is is named' 'LVM2_member'
	wipefs -qa "$c"
else
	skip 'the physical volume of an active logical volume' 'needs lvm2'
fi

if command -v mdadm >/dev/null && modprobe raid1; then
	mdadm -q --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 "$b" "$c" \
		>/dev/null 2>&1
	at_exit mdadm -q --stop /dev/md0
	named 'a member of a RAID array' "$c" 'held by md array md0'
	mdadm -q --stop /dev/md0
	wipefs -qa "$b" "$c"
else
	skip 'a member of a RAID array' 'needs mdadm'
fi

if command -v mkfs.btrfs >/dev/null; then
	mkfs.btrfs -q -f "$b" "$c"
	mount "$b" "$mnt"
	named 'the device a btrfs was mounted from' "$b" "in use: mounted on $mnt"
	named 'its other device' "$c" "in use: mounted on $mnt"
	umount "$mnt"
	wipefs -qa "$b" "$c"
else
	skip 'the devices of a btrfs' 'needs mkfs.btrfs'
fi

# shellcheck disable=SC2016 # perl's variables
background perl -MFcntl -e 'sysopen(F, $ARGV[0], O_RDONLY | O_EXCL) or die;
	open(R, ">", $ARGV[1]); sleep 1000' "$c" "$scratch/ready"
named 'claimed by a process that has it open for reading only' "$c" 'claimed exclusively'
stop_background

# And we claim what we work on.
claimed() {
	# shellcheck disable=SC2016 # perl's variables
	! perl -MFcntl -e 'sysopen(F, $ARGV[0], O_RDONLY | O_EXCL) or exit 1' "$1"
}

dd if=/dev/urandom of="$c" bs=1M count=16 status=none
"$VOLMIG" --state-dir "$scratch/slow-state" copy -q --bwlimit=1M --create "$c" \
	"$scratch/out/slow" 2>/dev/null &
copy=$!
wait_until claimed "$c"
ok 'while it is copied nobody else can claim it' claimed "$c"
kill -TERM $copy
wait $copy
is 'the copy was interrupted' $? 4
wipefs -qa "$c"

loop=$(losetup --show -f "$c")
at_exit losetup -d "$loop"
named 'a loop device over a disk' "$c" "attached to $loop"
losetup -d "$loop"

background sh -c "exec 3<>$c && touch $scratch/ready && exec sleep 1000"
named 'open for writing by a process' "$c" "open for writing by sleep (pid $helper)"
stop_background
background sh -c "exec 3<$c && touch $scratch/ready && exec sleep 1000"
free 'who only reads is not in the way' "$c"
stop_background

# Files.
truncate -s 16M "$scratch/file"
free 'a file that nobody uses is accepted' "$scratch/file"
loop=$(losetup --show -f "$scratch/file")
at_exit losetup -d "$loop"
named 'a file behind a loop device' "$scratch/file" "attached to $loop"
mkfs.ext4 -q "$loop"
mount "$loop" "$mnt"
named 'and where that is mounted' "$scratch/file" "attached to $loop (mounted on $mnt)"
umount "$mnt"
losetup -d "$loop"

loop=$(losetup --show -r -f "$scratch/file")
at_exit losetup -d "$loop"
named 'a file behind a read-only loop device' "$scratch/file" "attached to $loop"
losetup -d "$loop"

background sh -c "exec 3>>$scratch/file && touch $scratch/ready && exec sleep 1000"
named 'a file open for writing' "$scratch/file" "open for writing by sleep (pid $helper)"
ln "$scratch/file" "$scratch/other-name"
named 'by whatever name' "$scratch/other-name" "open for writing by sleep (pid $helper)"
stop_background

# A swap file cannot be on the overlay.
mkfs.ext4 -q "$a"
mount "$a" "$mnt"
at_exit umount "$mnt"
dd if=/dev/zero of="$mnt/swap file" bs=1M count=8 status=none
chmod 600 "$mnt/swap file"
mkswap -q "$mnt/swap file"
if swapon "$mnt/swap file"; then
	named 'a swap file' "$mnt/swap file" 'in use as swap'
	swapoff "$mnt/swap file"
else
	skip 'a swap file' 'swapon does not take it here'
fi
done_testing
