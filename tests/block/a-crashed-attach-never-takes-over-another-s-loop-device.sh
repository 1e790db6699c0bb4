#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a crashed attach leaves behind adopts the loop device that it made, and no other.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 64M
requires losetup sfdisk mkfs.ext4 perl
[ "$VOLMIG_INJECT_BIN" != "$VOLMIG" ] || skip_all 'needs a build with INJECT=1'

mnt=$scratch/mnt
mkdir "$mnt"
mkfs.ext4 -q "$LAB_DISKS"
mount "$LAB_DISKS" "$mnt"
at_exit umount "$mnt"
at_exit losetup -D
file=$mnt/file
records=$VOLMIG_STATE_DIR/attached
truncate -s 8M "$file"

loops() {
	losetup -n -O NAME -j "$file" | sed 's/ *$//'
}

# crash POINT [OPTIONS]: 1 is between the record and the device, 2 after the device.
crash() {
	at=$1
	shift
	must_fail 137 "attach dies at $at" env VOLMIG_INJECT=kill-attach:"$at" \
		"$VOLMIG_INJECT_BIN" attach -q "$@" "$file"
}

for mode in '' --readonly; do
	option=$([ -z "$mode" ] || echo -r)
	# shellcheck disable=SC2086 # none or one
	crash 1 $mode
	# shellcheck disable=SC2086 # none or one
	device=$(losetup --show $option -f "$file")
	must_fail 3 "detach does not take somebody else's for ours ($mode)" \
		"$VOLMIG" detach -q "$file"
	has "but names it ($mode)" "attached to $device, which volmig did not make"
	must_fail 3 "nor by its own name ($mode)" "$VOLMIG" detach -q "$device"
	# shellcheck disable=SC2086 # none or one
	must_fail 3 "nor does attach ($mode)" "$VOLMIG" attach -q $mode "$file"
	is "it is still there ($mode)" "$(loops)" "$device"
	losetup -d "$device"
	ok "without it detach cleans up ($mode)" "$VOLMIG" detach -q "$file"
	is "and no record is left ($mode)" "$(ls -A "$records")" ''
done

crash 2
ours=$(loops)
other=$(losetup --show -f "$file")
ok 'beside another one, ours is released' "$VOLMIG" detach -q "$file"
is 'and the other stays' "$(loops)" "$other"
losetup -d "$other"
is 'no record is left' "$(ls -A "$records")" ''
is 'nor a device' "$(losetup -n -O NAME)" ''

crash 2
ok 'attach goes on with ours' "$VOLMIG" attach -q "$file"
is 'which is the same device' "$(cat "$scratch/output")" "$ours"

# A partition of a device is not the device.
echo ',,L' | sfdisk -q "$file" >/dev/null 2>&1
# LOOP_SET_STATUS64 with LO_FLAGS_PARTSCAN, for losetup can do that only when it makes one.
# shellcheck disable=SC2016 # perl's variables
perl -e 'open(F, "<", $ARGV[0]) or die; my $s = "\0" x 232; ioctl(F, 0x4C05, $s) or die;
	substr($s, 52, 4) = pack("L", unpack("L", substr($s, 52, 4)) | 8);
	ioctl(F, 0x4C04, $s) or die' "$ours"
wait_until test -e "${ours}p1"
ok 'detach of a partition finds nothing to do' "$VOLMIG" detach --json "${ours}p1"
has 'and says so' '"already":true'
is 'it is still attached' "$(loops)" "$ours"
ok 'detach of the device itself releases it' "$VOLMIG" detach -q "$ours"
is 'no loop device is left' "$(losetup -n -O NAME)" ''
is 'and no record' "$(ls -A "$records")" ''
done_testing
