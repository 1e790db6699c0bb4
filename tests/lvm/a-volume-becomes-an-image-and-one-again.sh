#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A logical volume moves into a qcow2 image, exactly and sparse, and out of it into a group.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires qemu-img qemu-storage-daemon
in_lab -n 1 -s 64M

# shellcheck disable=SC2086	# a list of disks
vgcreate -q vg0 ${LAB_DISKS%% *} >/dev/null 2>&1 && lvcreate -q -y -n web -L 16M vg0 >/dev/null 2>&1 || exit 99
head -c 5M /dev/urandom | dd of=/dev/vg0/web bs=1M seek=2 conv=notrunc,fsync status=none
sum=$(md5sum </dev/vg0/web)
mkdir "$scratch/b"

ok 'into an image' "$VOLMIG" --connect none migrate -q vg0/web "qcow2:$scratch/b/"
ok 'the volume is gone' test ! -e /dev/vg0/web
qemu-img convert -f qcow2 -O raw "$scratch/b/web.qcow2" "$scratch/raw"
is 'the image holds the same' "$(md5sum <"$scratch/raw")" "$sum"
[ "$(du -k "$scratch/b/web.qcow2" | cut -f1)" -lt 8192 ]
ok 'and no zeroes' test $? = 0
ok 'out of it' "$VOLMIG" --connect none migrate -q "qcow2:$scratch/b/web.qcow2" vg0
is 'the volume holds the same' "$(md5sum </dev/vg0/web)" "$sum"
is 'the image is gone' "$(ls -A "$scratch/b")" ''
done_testing
