#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A raw file that an image beside it stands on is neither removed, wiped nor overwritten, by whatever name it is called.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
requires qemu-img

mkdir a b c
image a/base.img 5242880
image a/other.img 5242880
sum=$(sum_of a/base.img)

# stays DESCRIPTION WHO: the base is kept by WHO, in all ways in which it could go.
stays() {
	must_fail 3 "$1: not removed" "$VOLMIG" migrate ./a/base.img ./b/
	has "$1: who stands on it" "backing file of $work/a/$2" --keep-source
	must_fail 3 "$1: not wiped" "$VOLMIG" migrate --wipe=zero ./a/base.img ./b/
	must_fail 3 "$1: not overwritten" "$VOLMIG" copy --into-existing ./a/other.img ./a/base.img
	must_fail 3 "$1: not overwritten by a move" "$VOLMIG" migrate --into-existing ./a/other.img ./a/base.img
	is "$1: it is as it was" "$(sum_of a/base.img)" "$sum"
	ok "$1: but copied" "$VOLMIG" migrate -q --keep-source ./a/base.img ./b/
	rm -f b/base.img "a/$2"
}

qemu-img create -q -f qcow2 -F raw -b base.img a/top.qcow2
stays 'by its name' top.qcow2
qemu-img create -q -f qcow2 -F raw -b "$work/a/base.img" a/top.qcow2
stays 'by its path' top.qcow2
ln -s ../a/base.img c/link
qemu-img create -q -f qcow2 -F raw -b ../c/link a/top.qcow2
stays 'by a symbolic link' top.qcow2
ln a/base.img c/hard
qemu-img create -q -f qcow2 -F raw -b ../c/hard a/top.qcow2
must_fail 3 'by another of its names' "$VOLMIG" migrate ./a/base.img ./b/
rm c/hard a/top.qcow2
qemu-img create -q -f qcow2 -F raw -b 'json:{"driver":"raw","file":{"driver":"file","filename":"'"$work"'/a/base.img"}}' a/top.qcow2
stays 'by QEMU options' top.qcow2
qemu-img create -q -f qcow2 -F raw -b ../a/base.img c/middle.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b ../c/middle.qcow2 a/top.qcow2
stays 'by an image elsewhere' top.qcow2
rm c/middle.qcow2
qemu-img create -q -f qcow -b base.img -F raw a/top.qcow
stays 'an image of version 1' top.qcow
qemu-img create -q -f qed -F raw -b base.img a/top.qed
stays 'an image of QED' top.qed
# In the place of a file that was there, which does not change its directory.
image a/top.qcow2 100000
ok 'first it is a file like others' "$VOLMIG" migrate -n ./a/base.img ./b/
qemu-img create -q -u -f qcow2 -F raw -b base.img c/made 5M
cat c/made >a/top.qcow2
stays 'an image written into a file' top.qcow2

# A qcow2 image whose data is in a raw file.
cp a/base.img a/data.img
qemu-img create -q -f qcow2 -o data_file=data.img,data_file_raw=on a/head.qcow2 5M
cp a/base.img a/data.img
must_fail 3 'the data file of an image is not removed' "$VOLMIG" migrate ./a/data.img ./b/
has 'the data file: whose' "$work/a/head.qcow2"
rm a/head.qcow2 a/data.img

# VMDK images name their extents, most of which are in the file itself, and the image below them.
qemu-img create -q -f vmdk a/below.vmdk 5M
ok 'an image is not in its own way' "$VOLMIG" migrate -n vmdk:./a/below.vmdk vmdk:./b/
qemu-img create -q -f vmdk -F vmdk -b below.vmdk a/top.vmdk
must_fail 3 'the image below one is not removed' "$VOLMIG" migrate vmdk:./a/below.vmdk vmdk:./b/
has 'the image below: whose' "$work/a/top.vmdk"
rm a/below.vmdk a/top.vmdk
qemu-img create -q -f vmdk -o subformat=monolithicFlat a/head.vmdk 5M
cp a/base.img a/head-flat.vmdk
must_fail 3 'the extent of an image is not removed' "$VOLMIG" migrate ./a/head-flat.vmdk ./b/
has 'the extent: whose' "$work/a/head.vmdk"
rm a/head.vmdk a/head-flat.vmdk

# Made while it was copied: the source stays, and the job says why.
qemu-img create -q -u -f qcow2 -F raw -b base.img c/late 5M
job=00000000-0000-4000-8000-000000000001
run "$VOLMIG" migrate -q --job-id $job --hook "cp $work/c/late $work/a/late.qcow2" ./a/base.img ./b/
is 'made meanwhile: stopped' "$status" 4
has 'made meanwhile: who stands on it' "$work/a/late.qcow2 stands on it"
is 'made meanwhile: it is as it was' "$(sum_of a/base.img)" "$sum"
ok 'made meanwhile: undone' "$VOLMIG" abort -q $job
is 'made meanwhile: still as it was' "$(sum_of a/base.img)" "$sum"
rm a/late.qcow2

# Names in what a guest has written open nothing but files: a FIFO would be waited for.
mkfifo c/fifo
qemu-img create -q -u -f qcow2 -F raw -b ../c/fifo a/evil.img 1M
qemu-img create -q -u -f qcow2 -F raw -b evil2.img a/evil1.img 1M
qemu-img create -q -u -f qcow2 -F raw -b evil1.img a/evil2.img 1M
ok 'headers that lead nowhere or in a circle are in no way' timeout 60 "$VOLMIG" migrate -q ./a/base.img ./b/
is 'it is moved' "$(sum_of b/base.img)" "$sum"
done_testing
