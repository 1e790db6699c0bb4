#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# When the power goes in the middle of a move inside a group, the job is found after the restart, and resumed or undone.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 4 -s 64M -t 900 -r 4
requires vgcreate dmsetup mkfs.ext4
. "$TOP/tests/online.sh"

# The disks of the guest; the journals are on one that is no physical volume.
# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
mkdir "$scratch/m"
at_exit umount "$scratch/m"
[ "$LAB_BOOT" != 1 ] || mkfs.ext4 -q -F "$4"
mount "$4" "$scratch/m"
export VOLMIG_STATE_DIR="$scratch/m/state"
group
slow="0 $sectors delay $raw 0 0 $raw 0 40"
fast="0 $sectors linear $raw 0"

# cut_when CONDITION... : start the move in $move, and cut the power in the middle of it.
cut_when() {
	third "$slow"
	# shellcheck disable=SC2086 # a list of words
	"$VOLMIG" migrate -q $move vg/web "$to" >"$scratch/output" 2>&1 &
	ok "the move is half-way$1" wait_until "$2"
	power_cut
}

syncing() {
	dmsetup status vg-web | grep -q ' raid1 2 Aa [1-9][0-9]*/'
}

mirroring() {
	dmsetup status vg-pvmove0 | grep -qE ' ([1-9][0-9]*)/'
}

sum=$(cat "$kept/sum" 2>/dev/null)
case $LAB_BOOT in
1)
	volume web 16M "$a"
	echo "$sum" >"$kept/sum"
	sync "$kept/sum" /dev/vg/web
	to=$c
	move=
	cut_when ' (lvconvert, resume)' syncing
	;;
2)
	vgchange -qq -ay vg >/dev/null
	ok 'status tells what there is' "$VOLMIG" status "$(job)"
	has '... two legs' '1 old and 1 new legs'
	ok 'lvconvert is resumed' "$VOLMIG" resume -q "$(job)"
	settled '... and is whole, and nothing is left' web "$c"
	ok '... and resumed again' "$VOLMIG" resume -q "$(job)"
	sync -f "$scratch/m"
	expect_power_cut
	VOLMIG_INJECT=kill-after-record:11 VOLMIG_INJECT_DIE=/proc/sysrq-trigger \
		"$VOLMIG" migrate -q vg/web "$a"
	fail 'volmig cuts the power'
	;;
3)
	vgchange -qq -ay vg >/dev/null
	must_fail 3 'after the point of no return there is no way back' "$VOLMIG" abort "$(job)"
	ok '... but forward' "$VOLMIG" resume -q "$(job)"
	settled '... to a whole volume, and nothing is left' web "$a"
	sync -f "$scratch/m"
	to=$c
	move=--method=pvmove
	cut_when ' (pvmove, abort)' mirroring
	;;
4)
	vgchange -qq -ay --poll n vg >/dev/null
	ok 'status tells what there is' "$VOLMIG" status "$(job)"
	has '... a pvmove' "a pvmove from $a runs"
	ok 'pvmove is undone' "$VOLMIG" abort -q "$(job)"
	settled '... and is whole, where it was, and nothing is left' web "$a"
	ok '... and undone again' "$VOLMIG" abort -q "$(job)"
	sync -f "$scratch/m"
	to=$c
	move=--method=pvmove
	cut_when ' (pvmove, resume)' mirroring
	;;
5)
	# LVM itself goes on with it, and may be faster.
	third "$fast"
	vgchange -qq -ay vg >/dev/null
	ok 'pvmove is resumed' "$VOLMIG" resume -q "$(job)"
	settled '... and is whole, and nothing is left' web "$c"
	;;
esac
done_testing
