#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Snapshots within an image, and images whose data is in other files: nothing that a copy lacks is removed.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
requires qemu-img qemu-io qemu-storage-daemon

mkdir a b
qemu-img create -q -f qcow2 a/web.qcow2 4M
qemu-io -f qcow2 -c 'write -P 7 0 1M' a/web.qcow2 >/dev/null
qemu-img snapshot -c before a/web.qcow2
qemu-io -f qcow2 -c 'write -P 9 0 1M' a/web.qcow2 >/dev/null
must_fail 3 'an image with snapshots is not removed' "$VOLMIG" migrate qcow2:a/web.qcow2 qcow2:b/
has 'with snapshots: why' 'has snapshots'
has 'with snapshots: what to do' 'qemu-img snapshot -d'
ok 'with snapshots: a copy is told of them' "$VOLMIG" copy --create qcow2:a/web.qcow2 qcow2:b/
has 'with snapshots: that it has none' 'the copy has none of them'
ok 'with snapshots: it holds what the image has now' qemu-img compare -q -f qcow2 -F qcow2 a/web.qcow2 b/web.qcow2
rm b/web.qcow2
ok 'with snapshots: kept, it is migrated' "$VOLMIG" migrate -q --keep-source qcow2:a/web.qcow2 qcow2:b/
qemu-img snapshot -d before a/web.qcow2
ok 'without them: migrated' "$VOLMIG" migrate -q qcow2:a/web.qcow2 qcow2:b/other.qcow2

for kind in monolithicFlat twoGbMaxExtentSparse; do
	qemu-img create -q -f vmdk -o subformat=$kind a/$kind.vmdk 4M
	qemu-io -f vmdk -c 'write -P 5 0 4M' a/$kind.vmdk >/dev/null
	sum=$(cat a/$kind* | md5sum)
	must_fail 3 "$kind: not moved" "$VOLMIG" migrate vmdk:a/$kind.vmdk ./b/
	has "$kind: where the data is" "$work/a/$kind-"
	must_fail 3 "$kind: nor overwritten" "$VOLMIG" copy --into-existing qcow2:b/other.qcow2 vmdk:a/$kind.vmdk
	must_fail 3 "$kind: nor by one of its files" \
		"$VOLMIG" copy --into-existing vmdk:a/$kind.vmdk "$(echo a/$kind-*)"
	is "$kind: untouched" "$(cat a/$kind* | md5sum)" "$sum"
done
for kind in monolithicSparse streamOptimized; do
	qemu-img convert -q -f qcow2 -O vmdk -o subformat=$kind b/other.qcow2 a/$kind.vmdk
	ok "$kind: all in one file, moved" "$VOLMIG" migrate -q vmdk:a/$kind.vmdk ./b/
	ok "$kind: the same" qemu-img compare -q -f raw -F qcow2 b/$kind.img b/other.qcow2
done
is 'nothing is left' "$(find a b -name '.volmig*')" ''
done_testing
