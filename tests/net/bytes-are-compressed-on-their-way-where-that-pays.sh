#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Over ssh with --compress: fewer bytes go over the line, as the receipt says and the network counts; what gets no
# smaller goes as it is; a host that cannot is named; and what is no compressed data ends the copy, not the volume.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

VOLMIG_SSH=false "$VOLMIG" copy --dry-run --create --compress "$0" ssh://nowhere/b 2>&1 | grep -q 'without libzstd' &&
	skip_all 'needs a volmig that was built with libzstd'
hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/web.img dst=$dir_b/web.img there=ssh://10.77.0.2/$dir_b/
size=$((12 << 20))
yes 'a line of a log, as they come again and again, with a number' | nl | head -c $size >"$scratch/words"
head -c $size /dev/urandom >"$scratch/noise"

# What has gone over a's cable, both ways, without the hour's other traffic, of which there is none.
cable() {
	on a cat /sys/class/net/eth0/statistics/rx_bytes /sys/class/net/eth0/statistics/tx_bytes |
		awk '{ sum += $1 } END { print sum }'
}

# moves DATA FROM FILE PLACE TO OPTIONS...: moved whole, $counted bytes on the cable, the receipt in $scratch/json.
moves() {
	data=$scratch/$1 from=$2 place=$3 to=$4
	shift 4
	before=$(cable)
	ok "$* $from" on a volmig migrate --json "$@" "$from" "$place"
	cp "$scratch/output" "$scratch/json"
	counted=$(($(cable) - before))
	ok '... byte for byte' cmp "$data" "$to"
}

receipt() {
	jq -r "$1" "$scratch/json"
}

# The receipt's bytes and the cable's differ by what ssh and TCP put around them.
agree() {
	bytes=$(receipt .wire.bytes)
	ok "... $bytes bytes says the receipt, $counted the cable" \
		test "$bytes" -gt 0 -a "$counted" -ge "$bytes" -a "$counted" -lt $((bytes + bytes / 4 + 400000))
	ok '... of all that was moved' test "$(receipt .wire.bytes_uncompressed)" -ge $size
}

cp "$scratch/words" "$src"
moves words "$src" "$there" "$dst"
ok 'without it all bytes are on the cable' test $counted -gt $size
is '... and the receipt has no count' "$(receipt .wire)" null

moves words "ssh://10.77.0.2/$dst" "$dir_a/" "$src" --compress
agree
ok '... less than a fourth of it' test $counted -lt $((size / 4))
moves words "$src" "$there" "$dst" --compress
agree
ok '... less than a fourth of it' test $counted -lt $((size / 4))
on a volmig status "$(receipt .job)" >"$scratch/output"
has '... as status says' 'on the wire'

cp "$scratch/noise" "$src"
rm "$dst"
moves noise "$src" "$there" "$dst" --compress
agree
ok '... noise becomes no longer' test "$(receipt .wire.bytes)" -lt $((size + size / 256))

# The other host's volmig has no zstd, as one of before --compress.
far_volmig=$VOLMIG_INJECT_BIN far_inject=without-zstd:1 allow b
mv "$dst" "$src"
ok 'a plan with a host that cannot' on a volmig migrate -n --compress "$src" "$there"
has '... says so' 'nothing is compressed: volmig on 10.77.0.2 cannot'
moves noise "$src" "$there" "$dst" --compress
is '... and the receipt does' "$(receipt '.warnings[]' | grep -c 'nothing is compressed')" 1
must_fail 3 'one that cannot itself refuses' \
	on a env VOLMIG_INJECT=without-zstd:1 "$VOLMIG_INJECT_BIN" --connect none migrate --compress "$dst" "$there"
has '... and says what to do' 'leave --compress out'

# It says something that is no frame.
far_volmig=$VOLMIG_INJECT_BIN far_inject=damage-frame:1 allow b
rm -f "$src"
must_fail 3 'a damaged greeting is no volume' on a volmig copy -q --create --compress "ssh://10.77.0.2/$dst" "$src"
has '... and that is the reason' 'what came over the compressed line is nothing that can be uncompressed'
far_volmig=$VOLMIG_INJECT_BIN far_inject=damage-frame:60 allow b
must_fail 4 'damaged frames stop the copy' on a volmig migrate -q --compress "ssh://10.77.0.2/$dst" "$dir_a/"
has '... with the reason' 'what came over the compressed line is nothing that can be uncompressed'
ok '... the source is whole' cmp "$dst" "$scratch/noise"
allow b
ok '... it is resumed when they are not' on a volmig resume -q "$(unfinished a)"
ok '... byte for byte' cmp "$src" "$scratch/noise"
ok '... and the source is gone' test ! -e "$dst"
ok '... nothing is left here' nothing_left a
ok '... nothing is left there' nothing_left b

# The processes that compress are killed, here and there: it goes on by itself.  What they say goes to the null
# device, 1:3, which has another name in a chroot: the hosts have mounts of their own.
compressors() {
	ip netns pids "$hosts_net-$1" | while read -r pid; do
		! [ "$(stat -Lc %t:%T "/proc/$pid/fd/2" 2>/dev/null)" = 1:3 ] ||
			! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -Eq 'none (migrate|serve)' || echo "$pid"
	done
}
for host in a b; do
	on a volmig migrate -q --compress --bwlimit=6M "$src" "$there" 2>"$scratch/said" &
	move=$!
	arrived() {
		set -- "$dir_b"/.volmig-*
		[ -e "$1" ] && [ "$(stat -c %b "$1")" -gt 4000 ]
	}
	ok 'a move has begun' wait_until arrived
	victims=$(compressors $host)
	ok "... what compresses on $host is killed" test -n "$victims"
	# shellcheck disable=SC2086 # a list of numbers
	kill -9 $victims
	status=0
	wait $move || status=$?
	is '... and it goes on by itself' "$status" 0
	ok '... byte for byte' cmp "$dst" "$scratch/noise"
	mv "$dst" "$src"
done
ok 'nothing is left here' nothing_left a
ok 'nothing is left there' nothing_left b

done_testing
