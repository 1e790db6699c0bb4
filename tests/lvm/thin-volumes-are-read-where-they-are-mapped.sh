#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Of a thin volume only what is mapped is read, through a metadata snapshot that is always released and never another's.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 512M
requires vgcreate thin_dump jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
pvcreate -qq "$1" "$2"
vgcreate -qq thin_a "$1"
vgcreate -qq thin_b "$2"
for vg in thin_a thin_b; do
	lvcreate -qq -y --type thin-pool -L 300M -c 64k -n pool $vg >/dev/null 2>&1
	lvcreate -qq -y -V 160M --thinpool $vg/pool -n v >/dev/null 2>&1
done
a=/dev/mapper/thin_a-v
b=/dev/mapper/thin_b-v
pool=thin_a-pool-tpool

# Some here, some there, one byte at the very end, and something that was taken back.
head -c 9000000 /dev/urandom >"$scratch/data"
dd if="$scratch/data" of=$a bs=1M conv=notrunc status=none
dd if="$scratch/data" of=$a bs=64k count=20 seek=2001 conv=notrunc status=none
printf x | dd of=$a bs=1 seek=$((167772160 - 1)) conv=notrunc status=none
sync
blkdiscard -o 1048576 -l 1048576 $a
sum=$(sha256sum <$a)

# What the kernel counts: bytes of a thin volume that are mapped, bytes that were read of it.
mapped() {
	dmsetup status "$(basename "$1")" | awk '{ printf "%d\n", $4 * 512 }'
}
was_read() {
	awk '{ printf "%d\n", $3 * 512 }' "/sys/dev/block/$(lsblk -dno MAJ:MIN "$1" | tr -d ' ')/stat"
}
root() {
	dmsetup status "$1" | awk '{ print $7 }'
}
same() {
	is "$1" "$(sha256sum <$b)" "$sum"
}
newest() {
	find "$VOLMIG_STATE_DIR/jobs" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -n |
		tail -n 1 | cut -d' ' -f2
}

before=$(was_read $a)
ok 'a thin volume is copied onto another' "$VOLMIG" copy --json --into-existing $a $b
now=$(was_read $a)
is '... whose receipt says what was mapped' \
	"$(jq .source.allocated_before "$scratch/output")" "$(mapped $a)"
is '... and what is mapped now' "$(jq .destination.allocated_after "$scratch/output")" "$(mapped $b)"
ok '... no more is mapped than was' test $((20 * $(mapped $b))) -le $((21 * $(mapped $a)))
ok '... and little more than that was read' test $((now - before)) -le $(($(mapped $a) + 8388608))
is '... no metadata snapshot is left there' "$(root $pool)" -
is '... nor of the destination'"'"'s pool' "$(root thin_b-pool-tpool)" -
same '... and both are equal'

# The destination held something where the source is empty.
dd if="$scratch/data" of=$b bs=1M seek=80 conv=notrunc,fsync status=none
dd if="$scratch/data" of=$b bs=64k count=1 seek=1999 conv=notrunc,fsync status=none
ok 'onto a thin volume that holds something' "$VOLMIG" copy --into-existing $a $b
same '... both are equal'
ok '... and what it held was given back' test $((20 * $(mapped $b))) -le $((21 * $(mapped $a)))
dd if="$scratch/data" of=$b bs=1M seek=100 conv=notrunc,fsync status=none
ok 'the same with --delta' "$VOLMIG" copy --delta --into-existing $a $b
same '... both are equal'

dmsetup message $pool 0 reserve_metadata_snap
before=$(root $pool)
ok "with somebody else's metadata snapshot there it is copied too" "$VOLMIG" copy --into-existing $a $b
has '... the receipt says that all was read, and why' 'all of' "somebody else's"
same '... both are equal'
is '... and the snapshot is still there' "$(root $pool)" "$before"
dmsetup message $pool 0 release_metadata_snap

tool=$(command -v thin_dump)
# It knows by its name what it is to do.
mkdir "$scratch/real"
ln -s "$(readlink -f "$tool")" "$scratch/real/thin_dump"
real=$scratch/real/thin_dump
mv "$tool" "$tool.aside"
ok 'without thin_dump it is copied too' "$VOLMIG" copy --into-existing $a $b
has '... and the receipt says why all was read' 'no thin_dump'
same '... both are equal'

fake() {
	printf '#!/bin/sh\n%s\n' "$*" >"$tool"
	chmod +x "$tool"
}
# One mapping is missing; the XML is fine otherwise.
fake "$real" '"$@" | sed "/single_mapping/d"'
ok 'a map that is not all is not trusted' "$VOLMIG" copy --into-existing $a $b
has '... and the receipt says why' 'cannot be trusted: the kernel counts another number'
same '... both are equal'
fake "$real" '"$@" | head -n 4'
ok 'nor is one that ends too soon' "$VOLMIG" copy --into-existing $a $b
has '... and the receipt says why' 'cannot be trusted: it ends too soon'
same '... both are equal'
fake 'exit 1'
ok 'nor is there one when thin_dump fails' "$VOLMIG" copy --into-existing $a $b
same '... both are equal'
is '... no metadata snapshot is left' "$(root $pool)" -

# What is written is proven by the kernel's count of its chunks: then the source's map is the only one that is read.
fake "echo >>$scratch/calls; exec $real" '"$@"'
maps_read() {
	was=$(wc -l <"$scratch/calls")
	: >"$scratch/calls"
	is "$1" "$was" "$2"
}
: >"$scratch/calls"
ok 'a copy whose chunks all hold something is read back without a map' "$VOLMIG" copy --into-existing $a $b
maps_read '... one map was read' 1
# Zeroes that were written are chunks as well, so that the count proves nothing; but all is mapped.
ok 'where the zeroes are written as well' "$VOLMIG" copy --sparse=never --into-existing $a $b
maps_read '... one map was read' 1
same '... both are equal'
# A chunk of zeroes at the source gives a MiB that is known as zeroes, where a wrong byte is written.
dd if=/dev/zero of=$a bs=1M count=1 seek=40 conv=notrunc,fsync status=none
must_fail 1 'a byte that is wrong where the source has zeroes is found' \
	env VOLMIG_INJECT=flip-write:$((40 * 1048576 + 5)) "$VOLMIG_INJECT_BIN" copy --into-existing $a $b
has '... and named' 'differs from what was read from the source at byte 41943040 (1 of 160 MiB differ)'
maps_read '... the other map was read, too' 2
blkdiscard -o $((40 * 1048576)) -l 1048576 $a
must_fail 1 'and one where it has something' \
	env VOLMIG_INJECT=flip-write:5 "$VOLMIG_INJECT_BIN" copy --into-existing $a $b
ok 'after that it is copied again' "$VOLMIG" copy --into-existing $a $b
same '... both are equal'
maps_read '... each time by the map of one' 2

# Nor is there one to be read of what is wholly mapped, and of what is not at all.
for vg in thin_a thin_b; do
	lvcreate -qq -y -V 16M --thinpool $vg/pool -n w >/dev/null 2>&1
done
whole() {
	ok "$1" "$VOLMIG" copy --into-existing /dev/mapper/thin_a-w /dev/mapper/thin_b-w
	maps_read '... no map was read' 0
	ok '... both are equal' cmp /dev/mapper/thin_a-w /dev/mapper/thin_b-w
	is '... and as much is mapped' "$(mapped /dev/mapper/thin_b-w)" "$2"
}
whole 'a thin volume of which nothing is mapped is copied' 0
head -c 16M /dev/urandom | dd of=/dev/mapper/thin_a-w bs=1M iflag=fullblock conv=fsync status=none
whole 'one that is wholly mapped' 16777216
blkdiscard -o 8388608 -l 65536 /dev/mapper/thin_a-w
ok 'where one chunk is missing' "$VOLMIG" copy --into-existing /dev/mapper/thin_a-w /dev/mapper/thin_b-w
maps_read '... a map was read' 1
ok '... both are equal' cmp /dev/mapper/thin_a-w /dev/mapper/thin_b-w
lvremove -qq -y thin_a/w thin_b/w

# Killed while the map is read: the keeper outlives it, and cleans up.
is_reserved() {
	[ "$(root $pool)" != - ]
}
is_released() {
	[ "$(root $pool)" = - ]
}
fake "while [ ! -e $scratch/go ]; do sleep 0.05; done; exec $real" '"$@"'
for signal in KILL TERM; do
	rm -f "$scratch/go"
	"$VOLMIG" copy --into-existing $a $b >"$scratch/output" 2>&1 &
	pid=$!
	wait_until is_reserved
	ok "SIG$signal while the map is read" kill -$signal $pid
	[ $signal = TERM ] || wait $pid 2>/dev/null
	touch "$scratch/go"
	wait $pid 2>/dev/null
	ok '... the metadata snapshot is released' wait_until is_released
	job=$(newest)
	ok '... and the job goes on' "$VOLMIG" resume "$job"
	same '... both are equal'
done

# Two jobs want the map of volumes of one pool: they take turns.
lvcreate -qq -y -V 160M --thinpool thin_a/pool -n w >/dev/null 2>&1
lvcreate -qq -y -V 160M --thinpool thin_b/pool -n w >/dev/null 2>&1
rm -f "$scratch/go"
"$VOLMIG" copy --into-existing $a $b >"$scratch/first" 2>&1 &
first=$!
wait_until is_reserved
"$VOLMIG" copy --into-existing /dev/mapper/thin_a-w /dev/mapper/thin_b-w >"$scratch/second" 2>&1 &
second=$!
wait_until grep -q 'point of no return' "$scratch/second"
touch "$scratch/go"
ok 'two at a time: the one is done' wait $first
ok '... and the other' wait $second
ok '... without taking the one'"'"'s snapshot for a stranger'"'"'s' \
	sh -c "! grep 'is read, used or not' '$scratch/first' '$scratch/second'"
mv "$tool.aside" "$tool"

# A record that a crash of the machine has left: ours is released, another is not.
for whose in ours another; do
	VOLMIG_INJECT=kill-after-record:3 "$VOLMIG_INJECT_BIN" copy --into-existing $a $b >"$scratch/output" 2>&1
	job=$(newest)
	dmsetup message $pool 0 reserve_metadata_snap
	now=$(root $pool)
	[ $whose = ours ] || now=$((now + 1))
	printf '%s %s\n%s\n' $pool "$(dmsetup info -c --noheadings -o uuid $pool)" "$now" \
		>"$VOLMIG_STATE_DIR/jobs/$job/source.thin-map"
	ok "abort with a record of a metadata snapshot of $whose" "$VOLMIG" abort "$job"
	if [ $whose = ours ]; then
		ok '... releases it' is_released
	else
		ok '... leaves it' is_reserved
		dmsetup message $pool 0 release_metadata_snap
	fi
done
done_testing
