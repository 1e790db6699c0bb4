#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A mounted ext4 that is written to all the time is moved by lvconvert and by pvmove, and nobody notices.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 128M -t 600
requires vgcreate dmsetup mkfs.ext4 jq
. "$TOP/tests/online.sh"

group
volume web 48M "$a"
mkfs.ext4 -q -F /dev/vg/web
mkdir "$scratch/m"
mount /dev/vg/web "$scratch/m"
at_exit umount "$scratch/m"

# Records of 4 KiB, each synced before it is counted, that tell their own number
# and sum; a ring of files, so that blocks are written over and freed as well.
cat >"$scratch/writer" <<'END'
n=0
while [ ! -e "$1/stop" ]; do
	n=$((n + 1))
	file=$1/ring.$((n % 40))
	body=$(printf '%s:' "$n"; head -c 3000 /dev/urandom | base64 -w0 | head -c 3500)
	{ printf '%s\n' "$body"; printf '%s' "$body" | md5sum; } >"$file.new" &&
		sync "$file.new" && mv "$file.new" "$file" || { echo "$n" >"$2.failed"; exit 1; }
	echo $n >"$2"
done
END

written() {
	cat "$scratch/count" 2>/dev/null || echo 0
}

# Every record on the file system is whole, and the newest is the last that was counted.
records() {
	newest=0
	for file in "$scratch"/m/ring.?*; do
		case $file in *.new) continue ;; esac
		body=$(head -n 1 "$file")
		[ "$(printf '%s' "$body" | md5sum)" = "$(tail -n 1 "$file")" ] || echo "damaged: $file"
		number=${body%%:*}
		[ "$number" -le "$newest" ] || newest=$number
	done
	[ "$newest" = "$(written)" ] || echo "the newest is $newest, not $(written)"
}

more_than() {
	[ "$(written)" -gt "$1" ]
}

to=$b
for way in lvconvert pvmove; do
	rm -f "$scratch/m/stop"
	sh "$scratch/writer" "$scratch/m" "$scratch/count" &
	pid=$!
	ok "$way: it is written to" wait_until more_than "$(written)"
	before=$(written)
	ok "$way: the volume is moved" "$VOLMIG" migrate --json --method=$way vg/web "$to"
	is '... and the receipt says what was proven' "$(jq -c '[.verify.mode, .verify.result]' "$scratch/output")" \
		"$([ $way = lvconvert ] && echo '["full","equal"]' || echo '["none",null]')"
	is '... what was copied was written' "$(jq '.copy | .bytes_data > 0 and .bytes_written == .bytes_data' "$scratch/output")" true
	ok '... while records were written' more_than "$before"
	is '... the volume is where it should be, and nothing is left' \
		"$(places web) $(nothing_left)" "$to "
	: >"$scratch/m/stop"
	ok '... no error in the writer' wait $pid
	umount "$scratch/m"
	ok '... fsck finds nothing' e2fsck -fn /dev/vg/web
	mount /dev/vg/web "$scratch/m"
	is '... and every record is whole' "$(records)" ''
	to=$a
done
done_testing
