#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# copy --delta onto a volume of another host, and from one: only what differs goes over the cable; killed on
# either side, or without its link for a while, it goes on and the two are equal in the end.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
MIB=1048576

# The ends of a copy: onto the volume there, or from it.
push() {
	# shellcheck disable=SC2154
	from=$dir_a/web.img to=$dir_b/web.img source=$dir_a/web.img dest=ssh://10.77.0.2/$dir_b/web.img
}
pull() {
	from=$dir_b/web.img to=$dir_a/web.img source=ssh://10.77.0.2/$dir_b/web.img dest=$dir_a/web.img
}

# 32 MiB and a bit, with a hole of 8; both the same.
fresh() {
	rm -f "$from" "$to"
	head -c 24M /dev/urandom >"$from"
	truncate -s $((32 * MIB + 12345)) "$from"
	cp --sparse=always "$from" "$to"
}

# patch FILE MIB BYTES: other bytes there
patch() {
	head -c "$3" /dev/urandom | dd of="$1" bs=1M seek="$2" conv=notrunc status=none
}

# refresh OPTION...: what went over the cable is $carried, the receipt $scratch/json.
refresh() {
	before=$(over_the_cable b)
	status=0
	on a volmig copy --json --delta "$@" "$source" "$dest" >"$scratch/json" 2>"$scratch/output" || status=$?
	carried=$(($(over_the_cable b) - before))
}

# brought WHAT LEAST MOST: it is equal, and so much went over the cable.
brought() {
	is "$way: $1: status" "$status" 0
	ok '... the two are equal' cmp "$from" "$to"
	if [ "$carried" -ge "$2" ] && [ "$carried" -le "$3" ]; then
		pass "... and only what differs was carried"
	else
		fail "... and only what differs was carried"
		diag "$carried bytes, not $2 to $3; $(cat "$scratch/output")"
	fi
}

# meanwhile FILE MIB: that MiB of it is written to while the third is being copied.
meanwhile() {
	fresh
	patch "$from" 2 $MIB
	on a volmig copy --delta --bwlimit=8M "$source" "$dest" >"$scratch/output" 2>&1 &
	copy=$!
	wait_until cmp -s -n $MIB -i $((2 * MIB)) "$from" "$to" || diag "nothing arrives: $(cat "$scratch/output")"
	patch "$1" "$2" 10
	status=0
	wait $copy || status=$?
}

receipt() {
	jq -r "$1" "$scratch/json"
}

# What is written of three MiB that differ, and one in which a difference comes too late to be seen.
written=$((3 * MIB)) passed=20
for way in push pull; do
	$way
	[ $way = push ] || written=$((2 * MIB + 4096)) passed=0
	fresh
	refresh
	# What ssh and the protocol need is some 40 KiB.
	brought 'equal volumes' 0 150000
	is '... says the receipt' "$(receipt '"\(.copy.bytes_carried) \(.copy.bytes_written) \(.verify.result)"')" '0 0 equal'
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b

	# Three leaves that differ: two of data, and one that is a hole on one of the sides only.
	patch "$from" 3 $MIB
	patch "$from" 9 4096
	patch "$from" 30 $MIB
	refresh
	brought 'three MiB' $((3 * MIB)) $((3 * MIB + 200000))
	is '... says the receipt' "$(receipt .copy.bytes_carried)" $((3 * MIB))
	is '... and what was written' "$(receipt .copy.bytes_written)" "$written"

	# What is zero now needs not be carried, and the last, short MiB is one, too.
	fallocate -p -o $((10 * MIB)) -l $((4 * MIB)) "$from"
	patch "$to" 27 $((2 * MIB))
	patch "$from" 32 12345
	refresh
	brought 'new holes and a new end' 12345 250000

	# A larger one: beyond the end it is zero.
	fresh
	head -c 2M /dev/urandom >>"$to"
	truncate -s $((34 * MIB)) "$to"
	cp "$from" "$scratch/whole"
	truncate -s $((34 * MIB)) "$scratch/whole"
	refresh
	is "$way: onto a larger one: status" "$status" 0
	ok '... it is equal, and zero beyond' cmp "$scratch/whole" "$to"
	ok '... and nothing was carried' test "$carried" -lt 200000
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b

	# With a hash for each MiB on the way, and no other proof.
	fresh
	patch "$to" 5 100
	refresh --verify=none --compress
	brought 'compressed, and not verified' $MIB $((MIB + 200000))

	rm "$to"
	refresh
	is "$way: what is not there is not made" "$status" 3
	has '... and is asked for' 'no such volume'
	fresh
	cp "$to" "$scratch/whole"
	dd if=/dev/zero of="$to" bs=1M count=2 conv=notrunc status=none
	mkfs.ext4 -q "$to" 2>/dev/null
	cp "$to" "$scratch/whole"
	refresh
	is "$way: a file system is not overwritten" "$status" 3
	has '... and named' 'destination exists (32.0 MiB, ext4)'
	ok '... nor touched' cmp "$to" "$scratch/whole"
	refresh --into-existing
	brought 'but it is with --into-existing' $MIB $((33 * MIB))

	# Somebody else writes meanwhile, where the two were equal: it is read back.
	meanwhile "$to" "$passed"
	is "$way: a destination that is changed meanwhile is noticed" "$status" 1
	has '... by what was read back' 'differs from what was read'
	is '... it is not gone on with here' "$(unfinished a)" ''
	is '... nor there' "$(unfinished b)" ''
	meanwhile "$from" 20
	is "$way: so is a source" "$status" 4
	has '... which cannot be proven any more' 'changed'
	ok '... that is given up' on a volmig abort "$(unfinished a)"
	is '... there, too' "$(unfinished b)" ''
done

done_testing
