#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Images as qemu-img makes them: refused and named, unless --format=raw says what is meant.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires qemu-img

mkdir "$scratch/out"
dd if=/dev/urandom of="$scratch/raw" bs=1M count=2 status=none

# refused NAME FORMAT [OPTIONS]
refused() {
	image="$scratch/image.$1"
	if ! qemu-img convert -q -O "$2" ${3:+-o "$3"} "$scratch/raw" "$image" 2>/dev/null; then
		skip "$1 ${3:-}" 'this qemu-img does not make it'
		return
	fi
	must_fail 3 "$1 ${3:-} is refused" "$VOLMIG" migrate --dry-run "$image" "$scratch/out/"
	has "and named" "looks like a $1 image" '--format=raw'
	rm -f "$scratch"/image.*
}

refused qcow qcow
refused qcow2 qcow2 compat=0.10
refused qcow2 qcow2 compat=1.1
refused qed qed
refused vdi vdi
refused vdi vdi static=on
refused vhd vpc subformat=dynamic
refused vhd vpc subformat=fixed
refused vhdx vhdx
refused vmdk vmdk subformat=monolithicSparse
refused vmdk vmdk subformat=streamOptimized
refused vmdk vmdk subformat=twoGbMaxExtentFlat
refused parallels parallels

qemu-img convert -q -O qcow2 "$scratch/raw" "$scratch/image"
ok 'with --format=raw it is just bytes' \
	"$VOLMIG" copy --create --format=raw "$scratch/image" "$scratch/out/copy"
ok 'and they are all there' cmp "$scratch/image" "$scratch/out/copy"
must_fail 3 'as a destination it is something to be overwritten' \
	"$VOLMIG" copy "$scratch/raw" "$scratch/out/copy"
has 'and what it is is said' qcow2
ok 'a raw image is not mistaken for anything' \
	"$VOLMIG" migrate --dry-run "$scratch/raw" "$scratch/out/"
done_testing
