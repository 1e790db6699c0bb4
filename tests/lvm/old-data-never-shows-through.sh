#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# On disks full of something else a new volume holds just the source, and zeroes behind it; resumed, too.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 400M
requires vgcreate jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
head -c 8388608 /dev/urandom >"$scratch/garbage"
for i in $(seq 0 49); do
	dd if="$scratch/garbage" of="$2" bs=8M seek="$i" conv=notrunc status=none
	dd if="$scratch/garbage" of="$3" bs=8M seek="$i" conv=notrunc status=none
done
sync
pvcreate -qq "$1" "$2" "$3"
vgcreate -qq -s 1M old_a "$1"
vgcreate -qq -s 8M old_b "$2" "$3"
lvcreate -qq -y --type thin-pool -L 104M -c 128k -Z n -n raw old_b "$2" >/dev/null 2>&1
lvcreate -qq -y --type thin-pool -L 104M -c 192k -Z y -n clean old_b "$3" >/dev/null 2>&1
lvcreate -qq -y --type thin-pool -L 104M -c 64k -n pool old_a >/dev/null 2>&1
lvcreate -qq -y -L 37M -n thick old_a >/dev/null 2>&1
lvcreate -qq -y -V 37M --thinpool old_a/pool -n thin >/dev/null 2>&1
for lv in thick thin; do
	[ $lv = thin ] || dd if=/dev/zero of=/dev/old_a/$lv bs=1M count=37 status=none
	dd if="$scratch/garbage" of=/dev/old_a/$lv bs=1M count=5 conv=notrunc status=none
	for at in 7 99 163 164 255 500 591; do
		dd if="$scratch/garbage" of=/dev/old_a/$lv bs=4k count=3 seek=$((at * 16)) conv=notrunc status=none
	done
	sync
done
dd if=/dev/old_a/thick of="$scratch/image.img" bs=1000003 count=30 conv=sparse status=none

# whole SOURCE COPY: the bytes of the one, then zeroes.
whole() {
	cmp -n "$(bytes "$1")" "$1" "$2" &&
		[ "$(tail -c +$(($(bytes "$1") + 1)) "$2" | tr -d '\0' | wc -c)" = 0 ]
}
bytes() {
	if [ -b "$1" ]; then blockdev --getsize64 "$1"; else stat -c %s "$1"; fi
}
newest() {
	find "$VOLMIG_STATE_DIR/jobs" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -n |
		tail -n 1 | cut -d' ' -f2
}
ours() {
	lvs --noheadings -o lv_name,lv_tags old_b | grep volmig
}
mapped() {
	dmsetup status "$1" | awk '{ printf "%d\n", $4 * 512 }'
}

# killed SOURCE PLACE: in the middle.
killed() {
	VOLMIG_INJECT=kill-at-byte:25000000 "$VOLMIG_INJECT_BIN" migrate --keep-source "$@" \
		>"$scratch/output" 2>&1
}

for source in old_a/thick old_a/thin "$scratch/image.img"; do
	path=/dev/$source
	[ -e "$path" ] || path=$source
	name=$(basename "$source")
	for place in old_b old_b/raw old_b/clean; do
		new=/dev/old_b/$name
		set -- "$source" $place
		# Without it a thin volume looks for a pool.
		[ "$name $place" != 'thin old_b' ] || set -- --thick "$@"
		ok "$name to $place" "$VOLMIG" migrate --keep-source "$@"
		ok '... is the source, and zeroes behind it' whole "$path" "$new"
		if [ "$name $place" = 'thin old_b/clean' ]; then
			ok '... and thin' test "$(mapped old_b-thin)" -lt $((9 * 1048576))
		fi
		lvremove -qq -y "old_b/$name"
		case "$name $place" in
		'thick old_b' | 'thin old_b/raw' | 'image.img old_b/clean')
			killed "$@"
			ok "$name to $place, killed in the middle and resumed" "$VOLMIG" resume "$(newest)"
			ok '... is the source, and zeroes behind it' whole "$path" "$new"
			lvremove -qq -y "old_b/$name" ;;
		'thin old_b/clean' | 'image.img old_b')
			killed "$@"
			ok "$name to $place, killed in the middle and aborted" "$VOLMIG" abort "$(newest)"
			must_fail 1 '... leaves nothing of ours' ours
			ok '... nor under its name' test ! -e "$new" ;;
		esac
	done
done

# Onto volumes that exist and hold something else.
lvcreate -qq -y -L 40M -n thick old_b >/dev/null 2>&1
lvcreate -qq -y -V 40M --thinpool old_b/raw -n reused old_b >/dev/null 2>&1
for new in thick reused; do
	for source in old_a/thin "$scratch/image.img"; do
		path=/dev/$source
		[ -e "$path" ] || path=$source
		for i in 0 1 2 3 4; do
			dd if="$scratch/garbage" of=/dev/old_b/$new bs=8M seek=$i conv=notrunc status=none
		done
		ok "$(basename "$source") onto a $new volume that holds something" \
			"$VOLMIG" copy --into-existing "$source" old_b/$new
		ok '... is the source, and zeroes behind it' whole "$path" /dev/old_b/$new
	done
done
ok 'and what was there was given back' test "$(mapped old_b-reused)" -lt $((9 * 1048576))
done_testing
