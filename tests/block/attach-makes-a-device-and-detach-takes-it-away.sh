#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# attach and detach: idempotent, of one mind with their records, never touching others' devices.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M
requires losetup mkfs.ext4 cmp

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
a=$1 b=$2
mnt=$scratch/mnt
file=$mnt/file
records=$VOLMIG_STATE_DIR/attached
mkdir "$mnt"

# Direct I/O wants a real file system below.
mkfs.ext4 -q "$a"
mount "$a" "$mnt"
at_exit umount "$mnt"
at_exit losetup -D
dd if=/dev/urandom of="$file" bs=1M count=8 status=none
mkdir "$scratch/top"

attach() {
	"$VOLMIG" attach -q "$@"
}

detach() {
	"$VOLMIG" detach -q "$@"
}

# The loop devices over the file, one a line.
loops() {
	losetup -n -O NAME -j "${1:-$file}" | sed 's/ *$//'
}

nothing_left() {
	is "$1: no loop device is left" "$(losetup -n -O NAME)" ''
	is "$1: no record is left" "$(ls -A "$records")" ''
}

ok 'a dry run of attach succeeds' "$VOLMIG" attach --dry-run "$file"
is 'and makes nothing' "$(losetup -n -O NAME)" ''

# A file.
ok 'a file is attached' attach "$file"
device=$(cat "$scratch/output")
is 'its device is printed' "$device" "$(loops)"
ok 'and holds the same bytes' cmp "$file" "$device"
is 'I/O is direct' "$(cat "/sys/block/${device#/dev/}/loop/dio")" 1
is 'it can be written to' "$(cat "/sys/block/${device#/dev/}/ro")" 0
is 'there is one record' "$(find "$records" -type f | wc -l)" 1
is 'that others cannot read' "$(stat -c %a "$records" "$records"/* | tr '\n' ' ')" '700 600 '
ok 'attaching it again succeeds' attach "$file"
is 'with the same device' "$(cat "$scratch/output")" "$device"
is 'and makes no second one' "$(loops)" "$device"
ln "$file" "$mnt/other"
ok 'by another name too' attach "$mnt/other"
is 'it is the same device' "$(cat "$scratch/output")" "$device"
must_fail 3 'read-only is refused now' attach --readonly "$file"
has 'and why' 'attached already, but for reading and writing'
must_fail 3 'it cannot be moved while it is attached' \
	"$VOLMIG" migrate "$file" "$scratch/top/"
has 'and the device is named' "attached to $device"

ok 'the device can be used' mkfs.ext4 -q "$device"
mount "$device" "$scratch/top"
must_fail 3 'detach while it is mounted is refused' detach "$file"
has 'and where it is mounted is named' "$device: in use: mounted on $scratch/top"
must_fail 3 'and a dry run says so' "$VOLMIG" detach --dry-run "$file"
is 'it is still attached' "$(loops)" "$device"
umount "$scratch/top"
(exec 3<>"$device" && touch "$scratch/ready" && exec sleep 1000) &
helper=$!
wait_until test -e "$scratch/ready"
must_fail 3 'detach while it is open is refused' detach "$file"
has 'and who has it open is named' "open for writing by sleep (pid $helper)"
kill $helper
wait $helper 2>/dev/null
(exec 3<"$device" && touch "$scratch/reading" && exec sleep 1000) &
helper=$!
wait_until test -e "$scratch/reading"
must_fail 3 'detach while somebody reads it is refused' detach "$file"
has 'and who reads is named' "$device: in use: open by sleep (pid $helper)"
kill $helper
wait $helper 2>/dev/null
is 'it does not go away later' "$(loops)" "$device"
ok 'a dry run of detach succeeds' "$VOLMIG" detach --dry-run "$file"
is 'and releases nothing' "$(loops)" "$device"
ok 'detach releases it' detach "$file"
nothing_left 'after detach'
ok 'detach again succeeds' detach "$file"

# By the device's own name.
ok 'a file is attached' attach "$file"
device=$(cat "$scratch/output")
ok 'and detached by the name of its device' detach "$device"
nothing_left 'after that'

# Read-only.
ok 'a file is attached read-only' attach --readonly "$file"
device=$(cat "$scratch/output")
is 'it cannot be written to' "$(cat "/sys/block/${device#/dev/}/ro")" 1
must_fail 1 'not by anybody' dd if=/dev/zero of="$device" bs=4096 count=1 oflag=direct
must_fail 3 'writable is refused now' attach "$file"
ok 'attaching it read-only again succeeds' attach --readonly "$file"
ok 'detach releases it' detach "$file"
nothing_left 'after read-only'
chattr +i "$file"
must_fail 3 'an immutable file cannot be attached for writing' attach "$file"
has 'and what can be done is said' '--readonly'
chattr -i "$file"

# Others' loop devices.
device=$(losetup --show -f "$file")
must_fail 3 'a file that somebody else attached is refused' attach "$file"
has 'and the device is named' "attached to $device, which volmig did not make"
must_fail 3 'detach does not touch it' detach "$file"
has 'but names it' "$device"
must_fail 3 'nor by its own name' detach "$device"
is 'it is still there' "$(loops)" "$device"
losetup -d "$device"

# A device that went without us, and its number taken by somebody else.
ok 'a file is attached' attach "$file"
device=$(cat "$scratch/output")
losetup -d "$device"
truncate -s 1M "$mnt/stranger"
is 'a stranger takes its number' "$(losetup --show -f "$mnt/stranger")" "$device"
ok 'detach finds nothing to do' detach "$file"
is 'and leaves the stranger alone' "$(loops "$mnt/stranger")" "$device"
losetup -d "$device"
nothing_left 'after the stranger'

# The same file on the same number, but it was somebody else.
ok 'a file is attached' attach "$file"
device=$(cat "$scratch/output")
losetup -d "$device"
is 'somebody else attaches it there' "$(losetup --show -f "$file")" "$device"
must_fail 3 'detach does not take it for ours' detach "$file"
must_fail 3 'nor does attach' attach "$file"
is 'it is still there' "$(loops)" "$device"
losetup -d "$device"
ok 'detach cleans up' detach "$file"
nothing_left 'after that'

# A record of another boot.
ok 'a file is attached' attach "$file"
device=$(cat "$scratch/output")
sed -i 's/"boot": "[^"]*"/"boot": "00000000-0000-4000-8000-000000000000"/' "$records"/*
must_fail 3 'with a record of an earlier boot the device is not ours' detach "$file"
losetup -d "$device"
ok 'and without the device detach is done' detach "$file"
nothing_left 'after a restart'

# Crashes.  1: between the record and the device, 2: after the device.
if [ "$VOLMIG_INJECT_BIN" != "$VOLMIG" ]; then
	for at in 1 2; do
		must_fail 137 "attach dies at $at" env VOLMIG_INJECT=kill-attach:$at \
			"$VOLMIG_INJECT_BIN" attach -q "$file"
		is "there is a record ($at)" "$(find "$records" -type f | wc -l)" 1
		ok "attach again succeeds ($at)" attach "$file"
		is "with one device ($at)" "$(cat "$scratch/output")" "$(loops)"
		ok "detach releases it ($at)" detach "$file"
		nothing_left "after a crash at $at"

		must_fail 137 "attach dies at $at" env VOLMIG_INJECT=kill-attach:$at \
			"$VOLMIG_INJECT_BIN" attach -q "$file"
		ok "detach cleans up ($at)" detach "$file"
		nothing_left "after a crash at $at and detach"
	done
	ok 'a file is attached' attach "$file"
	must_fail 137 'detach dies when the device is gone' env VOLMIG_INJECT=kill-detach:1 \
		"$VOLMIG_INJECT_BIN" detach -q "$file"
	ok 'detach again succeeds' detach "$file"
	nothing_left 'after a crash of detach'
else
	skip 'crashes' 'needs a build with INJECT=1'
fi

# Sizes that are no whole number of sectors.
truncate -s 1000100 "$mnt/odd"
ok 'a file with a part of a sector at its end is attached' "$VOLMIG" attach --json "$mnt/odd"
has 'and that is said' 'the last 164 bytes are no whole sector'
is 'the device ends before' "$(blockdev --getsize64 "$(loops "$mnt/odd")")" 999936
ok 'it is detached' detach "$mnt/odd"
truncate -s 100 "$mnt/odd"
must_fail 3 'a file smaller than a sector is refused' attach "$mnt/odd"

# No direct I/O on this file system: told, and attached nevertheless.
truncate -s 1M /dev/shm/file
ok 'a file on a tmpfs is attached' "$VOLMIG" attach --json /dev/shm/file
has 'and that I/O is not direct is said' 'no direct I/O'
ok 'it is detached' detach /dev/shm/file

# A disk with sectors of 4096 bytes below: images keep theirs of 512, so not direct either.
large=$(losetup --show -b 4096 -f "$b")
at_exit losetup -d "$large"
mkfs.ext4 -q "$large"
mkdir "$scratch/large"
mount "$large" "$scratch/large"
at_exit umount "$scratch/large"
cp "$file" "$scratch/large/file"
ok 'a file on a disk with large sectors is attached' "$VOLMIG" attach --json "$scratch/large/file"
has 'and that I/O is not direct is said' 'no direct I/O'
device=$(loops "$scratch/large/file")
is 'its sectors are those of the image' "$(blockdev --getss "$device")" 512
ok 'a single one can be written' dd if="$file" of="$device" bs=512 count=1 seek=3 oflag=direct \
	conv=fsync
ok 'it is detached' detach "$scratch/large/file"
ok 'and what was written is there' cmp -n 512 "$file" "$scratch/large/file" 0 1536
umount "$scratch/large"
losetup -d "$large"
wipefs -qa "$b"

# Block devices.
ok 'a block device is attached as it is' attach "$b"
is 'its own path is printed' "$(cat "$scratch/output")" "$b"
is 'no loop device is made' "$(losetup -n -O NAME)" ''
must_fail 3 'the other mode is refused' attach --readonly "$b"
ok 'detach succeeds' detach "$b"
nothing_left 'after a block device'
ok 'a block device is attached read-only' attach --readonly "$b"
device=$(cat "$scratch/output")
is 'by a loop device over it' "$(cat "/sys/block/${device#/dev/}/ro")" 1
ok 'which holds the same bytes' cmp "$b" "$device"
ok 'attaching it again succeeds' attach --readonly "$b"
is 'with the same device' "$(cat "$scratch/output")" "$device"
ok 'detach succeeds' detach "$b"
nothing_left 'after a read-only block device'

# Another device by the same number: what is recorded of the one is not true of it.
cp "$file" "$mnt/second"
losetup /dev/loop5 "$file"
ok 'a block device of somebody is attached as it is' attach /dev/loop5
losetup -d /dev/loop5
losetup /dev/loop5 "$mnt/second"
ok 'what is there by its number later is another one' "$VOLMIG" attach --json /dev/loop5
has 'and was not attached' '"already":false'
ok 'until now' "$VOLMIG" attach --json /dev/loop5
has 'as is recorded' '"already":true'
ok 'it is detached' detach /dev/loop5
losetup -d /dev/loop5
rm "$mnt/second"
nothing_left 'after two devices of one number'
must_fail 3 'a mounted device is refused' attach "$a"
has 'and where it is mounted is named' "mounted on $mnt"
done_testing
