#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A device that fails, hangs or fills up stops the job at a named byte; mended, the job goes on.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M
requires dmsetup mkfs.ext4

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
sectors=131072

# There is no udev here: dmsetup is to make the nodes itself.
export DM_DISABLE_UDEV=1

# table DISK [BAD_SECTOR COUNT]: all of DISK, with a stretch of it failing.
table() {
	if [ $# = 1 ]; then
		echo "0 $sectors linear $1 0"
	else
		printf '%s\n' "0 $2 linear $1 0" "$2 $3 error" \
			"$(($2 + $3)) $((sectors - $2 - $3)) linear $1 $(($2 + $3))"
	fi
}

load() {
	name=$1
	shift
	table "$@" | dmsetup reload "$name"
	dmsetup resume "$name"
}

job() {
	sed -n 's/.* resume \([0-9a-f-]*\).*/\1/p' "$scratch/output" | tail -n 1
}

head -c $((64 * 1048576)) /dev/urandom | dd of="$1" bs=1M conv=fsync status=none
sum=$(sha256sum <"$1")
table "$1" | dmsetup create source
table "$2" | dmsetup create target
source=/dev/mapper/source
target=/dev/mapper/target

for io in uring sync; do
	export VOLMIG_IO=$io
	load source "$1" 81920 8
	must_fail 4 "$io: a read error" "$VOLMIG" copy --into-existing "$source" "$target"
	has '... names the volume and the byte, and says what to do' \
		'cannot read at byte 4' 'Input/output error' 'source untouched' ' resume '
	job=$(job)
	must_fail 4 "$io: resumed too early it stops again" "$VOLMIG" resume "$job"
	load source "$1"
	ok "$io: mended, it goes on" "$VOLMIG" resume "$job"
	is '... to an equal copy' "$(sha256sum <"$target")" "$sum"

	load target "$2" 65536 8
	must_fail 4 "$io: a write error" "$VOLMIG" copy --into-existing "$source" "$target"
	has '... names the volume and the byte' 'cannot write at byte 3' 'Input/output error'
	job=$(job)
	load target "$2"
	dd if=/dev/zero of="$target" bs=1M count=20 seek=40 conv=fsync status=none
	ok "$io: mended, it goes on" "$VOLMIG" resume "$job"
	is '... to an equal copy' "$(sha256sum <"$target")" "$sum"
	is '... and the source is whole' "$(sha256sum <"$source")" "$sum"
done
unset VOLMIG_IO

# A device that hangs in the middle.  Only io_uring can be left alone with it.
"$VOLMIG" copy --into-existing --bwlimit=8M --stall-timeout=2s --progress=json \
	"$source" "$target" >"$scratch/output" 2>&1 &
pid=$!
wait_until grep -q '"bytes_done":[1-9]' "$scratch/output"
dmsetup suspend --noflush target
status=0
wait $pid || status=$?
is 'a device that hangs is given up after the stall time-out' $status 4
has '... and the message says so' 'nothing moved'
job=$(job)
dmsetup resume target
wait_until sh -c "exec 3<>$target"
ok 'when it comes back, the job goes on' "$VOLMIG" resume "$job"
is '... to an equal copy' "$(sha256sum <"$target")" "$sum"

# A file system that fills up behind our back.
mkfs.ext4 -q -F "$3"
mkdir "$scratch/m"
mount "$3" "$scratch/m"
size=$(($(df --output=avail -B1M "$scratch/m" | tail -n 1) * 1048576 - 4194304))
dd if="$source" of="$scratch/img" bs=1M count=$size iflag=count_bytes status=none
sum=$(sha256sum <"$scratch/img")
VOLMIG_INJECT=slow:20000 "$VOLMIG_INJECT_BIN" migrate "$scratch/img" "$scratch/m/" >"$scratch/output" 2>&1 &
pid=$!
wait_until sh -c "ls '$scratch/m'/.volmig-*"
dd if=/dev/zero of="$scratch/m/filler" bs=1M count=30 conv=fsync status=none 2>/dev/null
status=0
wait $pid || status=$?
is 'a full file system stops the job' $status 4
has '... with the reason' 'No space left on device' 'source untouched'
job=$(job)
rm "$scratch/m/filler"
ok 'with room again it goes on' "$VOLMIG" resume "$job"
is '... to an equal copy' "$(sha256sum <"$scratch/m/img")" "$sum"
ok '... and the source is gone' test ! -e "$scratch/img"

# One that turns read-only under a job, before any of the copy was durable.
mv "$scratch/m/img" "$scratch/img"
id=11111111-2222-4333-8444-555555555555
must_fail 137 'a move that is killed early' env VOLMIG_INJECT=kill-at-byte:3000000 \
	"$VOLMIG_INJECT_BIN" migrate -q --job-id $id "$scratch/img" "$scratch/m/"
# Not before the kernel has closed what the killed one had open.
ok 'a file system turns read-only' wait_until mount -o remount,ro "$scratch/m"
must_fail 4 'it stops where the file system is read-only by now' "$VOLMIG" resume $id
has '... with the reason' 'Read-only file system' "resume $id"
mount -o remount,rw "$scratch/m"
ok '... and goes on when it can be written to' "$VOLMIG" resume $id
is '... to an equal copy' "$(sha256sum <"$scratch/m/img")" "$sum"
umount "$scratch/m"

done_testing
