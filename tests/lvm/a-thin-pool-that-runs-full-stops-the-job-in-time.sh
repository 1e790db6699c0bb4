#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A thin pool whose data or metadata runs full stops the job before it is full; with more room the job goes on.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 512M
requires vgcreate dmsetup jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
export DM_DISABLE_UDEV=1
pvcreate -qq "$1" "$2"
vgcreate -qq full_a "$1"
vgcreate -qq full_b "$2"
lvcreate -qq -y -L 120M -n v full_a >/dev/null 2>&1
lvcreate -qq -y --type thin-pool -L 100M -c 64k -n pool full_b >/dev/null 2>&1
lvcreate -qq -y -V 120M --thinpool full_b/pool -n v >/dev/null 2>&1
a=/dev/mapper/full_a-v
b=/dev/mapper/full_b-v
pool=full_b-pool-tpool
head -c $((100 * 1048576)) /dev/urandom | dd of=$a bs=1M conv=notrunc,fsync status=none
sum=$(sha256sum <$a)

used() {
	dmsetup status "$1" | awk '{ split($6, n, "/"); printf "%d\n", n[1] * 65536 }'
}
mode() {
	dmsetup status "$1" | grep -o ' rw \| ro \|out_of_data_space\|Fail' | tr -d ' '
}
job() {
	sed -n 's/.* resume \([0-9a-f-]*\).*/\1/p' "$scratch/output" | tail -n 1
}

must_fail 4 'a pool that is too small stops the job' "$VOLMIG" copy --into-existing $a $b
has '... which says how much is free and how much is left alone' \
	'nearly full' 'are free for data' '32 MiB are left alone' 'lvextend' 'source untouched'
job=$(job)
is '... while the pool takes writes' "$(mode $pool)" rw
ok '... and has room for others' test "$(used $pool)" -le $((90 * 1048576))
ok '... but most of it was used' test "$(used $pool)" -ge $((60 * 1048576))
is '... the source is whole' "$(sha256sum <$a)" "$sum"
must_fail 4 'resumed without more room it stops again' "$VOLMIG" resume "$job"
lvextend -qq -L 200M full_b/pool >/dev/null 2>&1
ok 'with more room it goes on' "$VOLMIG" resume "$job"
is '... to an equal copy' "$(sha256sum <$b)" "$sum"

# Somebody else fills the pool, to the brim, while the job is stopped.
blkdiscard $b
VOLMIG_INJECT=kill-at-byte:20000000 "$VOLMIG_INJECT_BIN" copy --into-existing $a $b >"$scratch/output" 2>&1
job=$(find "$VOLMIG_STATE_DIR/jobs" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -n |
	tail -n 1 | cut -d' ' -f2)
lvchange -qq --errorwhenfull y full_b/pool
lvcreate -qq -y -V 300M --thinpool full_b/pool -n filler >/dev/null 2>&1
dd if=/dev/zero of=/dev/mapper/full_b-filler bs=1M oflag=direct status=none 2>/dev/null
is 'a pool that is full' "$(mode $pool)" out_of_data_space
must_fail 4 '... stops the job too' "$VOLMIG" resume "$job"
has '... and the message says so' 'takes no writes' 'out_of_data_space'
lvremove -qq -y full_b/filler
writes_again() {
	[ "$(mode $pool)" = rw ]
}
ok 'with room again it takes writes' wait_until writes_again
ok 'mended, the job goes on' "$VOLMIG" resume "$job"
is '... to an equal copy' "$(sha256sum <$b)" "$sum"
vgchange -qq -an full_b

# A pool by hand, whose metadata has 80 blocks of 4 KiB.
dd if=/dev/zero of="$3" bs=1M count=1 conv=fsync status=none
size=$(blockdev --getsz "$3")
echo "0 640 linear $3 0" | dmsetup create meta
echo "0 $((size - 8192)) linear $3 8192" | dmsetup create data
echo "0 $((size - 8192)) thin-pool /dev/mapper/meta /dev/mapper/data 128 0" | dmsetup create pool
dmsetup message pool 0 'create_thin 0'
echo '0 245760 thin /dev/mapper/pool 0' | dmsetup create thin
must_fail 4 'a pool whose metadata is nearly full stops the job' \
	"$VOLMIG" copy --into-existing $a /dev/mapper/thin
has '... and the message says so' 'are free for metadata' '256 KiB are left alone' '--poolmetadatasize'
is '... while the pool takes writes' "$(mode pool)" rw
job=$(job)
dmsetup suspend pool
{
	echo "0 8192 linear $3 0" | dmsetup reload meta
	dmsetup suspend meta && dmsetup resume meta
	dmsetup table pool | dmsetup reload pool
} 2>&1
dmsetup resume pool
ok 'with more metadata it goes on' "$VOLMIG" resume "$job"
is '... to an equal copy' "$(sha256sum </dev/mapper/thin)" "$sum"
done_testing
