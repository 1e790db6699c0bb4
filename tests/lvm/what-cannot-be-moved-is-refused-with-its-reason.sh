#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each logical volume that cannot be moved, or place that cannot take it, is refused with the reason and what to do, and not touched.
#
# What is in use, has thin snapshots, has no room for its name or is meant for
# its own group is in what-others-only-mock-is-replayed-with-real-volumes.sh.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 7 -s 64M -t 300
requires vgcreate dmsetup jq
export DM_DISABLE_UDEV=1

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
a=$1 b=$2 other=$3 new=$7 gone=/dev/mapper/gone
echo "0 $(blockdev --getsz "$5") linear $5 0" | dmsetup create gone
printf 'devices { global_filter = [ "r|^%s$|" ] }\n' "$5" >>/etc/lvm/lvmlocal.conf
{
	vgcreate -s 1M ra "$a" "$b" "$new"
	vgcreate -s 1M rb "$other"
	vgcreate -s 1M partial "$4" "$gone"
	vgcreate -s 1M exported "$6"

	lvcreate -y -Wn -L 2M -n plain ra "$a"
	lvcreate -y -Wn -L 2M -n below ra "$a"
	lvcreate -y -Wn -L 2M -n origin ra "$a"
	lvcreate -y -s -L 2M -n snap ra/origin "$a"
	lvcreate -y -Wn -L 2M -n off ra "$a"
	lvchange -an ra/off
	lvcreate -y -Wn -L 2M -n paused ra "$a"
	lvcreate -y -Wn -L 2M -n marked ra "$a"
	lvchange --addtag volmig.job.12345678-1234-1234-1234-123456789abc ra/marked
	lvcreate -y -Wn -L 2M -n begun ra "$a"
	lvcreate -y --type thin-pool -L 4M -n pool ra "$a"
	lvcreate -y -V 8M --thinpool ra/pool -n thin
	lvcreate -y -Wn -L 2M -n cached ra "$a"
	lvcreate -y -Wn -L 8M -n fast ra "$b"
	lvconvert -y --type cache --cachevol fast ra/cached
	lvcreate -y -Wn -L 2M -n buffered ra "$a"
	lvcreate -y -Wn -L 4M -n buffer ra "$b"
	lvchange -an ra/buffered ra/buffer
	lvconvert -y --type writecache --cachevol buffer ra/buffered
	lvchange -ay ra/buffered
	lvcreate -y --type raid1 -m 1 --raidintegrity y -L 2M -n checked ra "$a" "$b"
	lvcreate -y -Wn -L 16M -n large ra "$a"
	lvcreate -y -Wn -l 100%FREE -n rest ra "$b"
	lvresize -y -f -L -4M ra/rest
	lvcreate -y --type thin-pool -L 4M -n pool rb
	lvcreate -y -Wn -L 48M -n rest rb
	lvcreate -y -Wn -L 2M -n half partial "$4"
	lvcreate -y -Wn -L 2M -n web exported
	vgchange -an exported
	vgexport exported
} >"$scratch/output" 2>&1 || diag "$(cat "$scratch/output")"
echo "0 2048 linear /dev/ra/below 0" | dmsetup create above
dmsetup remove gone
dmsetup suspend ra-paused
# A job of ours has begun with it.
VOLMIG_INJECT=kill-after-record:3 "$VOLMIG_INJECT_BIN" migrate -q ra/begun rb >/dev/null 2>&1
job=$(ls "$VOLMIG_STATE_DIR/jobs")

# Everything that LVM knows; what a suspended volume has cannot be read.
everything() {
	vgs --noheadings -o vg_name,vg_seqno 2>/dev/null
	lvs -a --noheadings -o vg_name,lv_name,lv_attr,lv_tags,devices 2>/dev/null
	for lv in plain below origin thin cached buffered checked large marked; do
		sha256sum </dev/ra/$lv
	done
	ls "$VOLMIG_STATE_DIR/jobs"
}
everything >"$scratch/before"

# WHAT | ARGUMENTS | THE REASON | WHAT TO DO
while IFS='|' read -r what words reason next; do
	# shellcheck disable=SC2086 # a list of words
	must_fail 3 "$what" timeout 60 "$VOLMIG" migrate -q $words </dev/null
	has "$what: why, and what to do" "$reason" "$next"
done <<END
a device stands on it|ra/below rb|in use: held by dm device above|end that use first
an ordinary snapshot|ra/origin rb|has snapshots, which would go with it: snap|remove or merge them first
a pool|ra/pool rb|is a thin pool|name one of its volumes
a part of a pool|ra/pool_tdata rb|is a part of ra/pool|name that volume
an internal volume|ra/lvol0_pmspare rb|is an internal part of ra, no volume by itself|name a volume that lvs shows
a cached one|ra/cached rb|is a cached volume (cache, by fast_cvol)|lvconvert --splitcache ra/cached first
... inside its group|ra/cached $b|is a cached volume|lvconvert --splitcache ra/cached first
one with a writecache|ra/buffered rb|is a cached volume (writecache|lvconvert --splitcache ra/buffered first
one with integrity|ra/checked $new|it is a volume with dm-integrity, which cannot be moved while it is in use|--raidintegrity n
a thin one, inside its group|ra/thin $b|they are those of its pool ra/pool|to move the pool with all its volumes name ra/pool
one that is not active, inside its group|ra/off $b|it is not active|lvchange -ay ra/off
one that is suspended|ra/paused rb|is suspended|dmsetup resume ra-paused
one with another job's mark|ra/marked $b|unfinished job 12345678-1234-1234-1234-123456789abc|lvchange --deltag
one that a job has begun with|ra/begun rb|job $job (planned, not running) holds a volume of this move|volmig abort $job
... inside its group|ra/begun $b|job $job (planned, not running) holds a volume of this move|volmig abort $job
a group with too little space|ra/large rb|7 MiB (7340032 bytes) are free, 16 MiB (16777216 bytes) are needed|extend the group
a physical volume that is too small|ra/large $b|16 extents (16777216 bytes) are to be moved, and 4 (4194304 bytes) are free|name another physical volume
a physical volume of another group|ra/plain $other|in use: held by LVM logical volume|end that use first
one of a partial group|partial/half rb|volume group partial is partial: 1 of its physical volumes|vgreduce(8)
... to a partial group|ra/plain partial|volume group partial is partial: 1 of its physical volumes|vgreduce(8)
one of an exported group|exported/web rb|volume group exported is exported|vgimport exported
... to an exported group|ra/plain exported|volume group exported is exported|vgimport exported
a pool that is not there|--thin=nopool ra/plain rb|there is no such thin pool in rb|lvs rb
END
ok 'what is lost with a copy is told' "$VOLMIG" migrate -n ra/checked rb
has '... it is integrity' 'has dm-integrity, and its copy has none'
is 'nothing of all this has changed anything' "$(everything | diff "$scratch/before" - 2>&1)" ''
done_testing
