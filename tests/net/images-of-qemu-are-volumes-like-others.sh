#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Images of QEMU's formats are moved and copied, sparse and exactly, from and to all other volumes.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
requires qemu-img qemu-storage-daemon qemu-io jq

mkdir a b
size=20971520
image a/web.img "$size"
sum=$(sum_of a/web.img)

# raw_sum FORMAT IMAGE [BYTES]: the sum of what is in it
raw_sum() {
	qemu-img convert -f "$1" -O raw "$2" raw && sum_of raw "${3:-$size}"
}

for format in qcow2 vmdk vhdx vdi; do
	ok "raw -> $format: copied into a directory" \
		"$VOLMIG" copy -q --create ./a/web.img "$format:b/"
	is "raw -> $format: the new image holds the same" "$(raw_sum $format "b/web.$format")" "$sum"
	is "raw -> $format: exactly as many bytes" \
		"$(qemu-img info --output=json -f $format "b/web.$format" | jq '."virtual-size"')" "$size"
	[ "$(allocated "b/web.$format")" -lt 16384 ]
	ok "raw -> $format: it is sparse" test $? = 0
	ok "$format -> raw: migrated to a given name" "$VOLMIG" migrate -q "$format:b/web.$format" ./b/back.img
	is "$format -> raw: the same again" "$(sum_of b/back.img)" "$sum"
	ok "$format -> raw: the source is gone" test ! -e "b/web.$format"
	[ "$(allocated b/back.img)" -lt 16384 ]
	ok "$format -> raw: it is sparse" test $? = 0
	rm b/back.img
done

# One format into another; what it is called.
qemu-img convert -f raw -O qcow2 a/web.img a/web.qcow2
chmod 640 a/web.qcow2
touch -d '2020-02-02 02:02:02' a/web.qcow2
ok 'qcow2 -> qcow2: migrated' "$VOLMIG" migrate --json qcow2:a/web.qcow2 qcow2:b/
is 'qcow2 -> qcow2: the same name' "$(raw_sum qcow2 b/web.qcow2)" "$sum"
is 'qcow2 -> qcow2: the same mode and time' "$(stat -c '%a %y' b/web.qcow2 | cut -c 1-23)" '640 2020-02-02 02:02:02'
is 'qcow2 -> qcow2: the result calls it so' \
	"$(jq -r '.source.kind, .destination.kind, .destination.bytes, .verify.result' "$scratch/output" | tr '\n' ' ')" \
	"qcow2 qcow2 $size equal "
ok 'qcow2 -> qcow2: nothing wrong with it' qemu-img check -q -f qcow2 b/web.qcow2
ok 'qcow2 -> vmdk: copied' "$VOLMIG" copy -q --create qcow2:b/web.qcow2 vmdk:b/x.vmdk
is 'qcow2 -> vmdk: the same' "$(raw_sum vmdk b/x.vmdk)" "$sum"
ok 'qcow2 -> raw: into a directory' "$VOLMIG" copy -q --create qcow2:b/web.qcow2 ./b/
is 'qcow2 -> raw: it is called .img' "$(sum_of b/web.img)" "$sum"

# Large, and hardly anything in it.
qemu-img create -q -f qcow2 -o cluster_size=1M a/large.qcow2 4T
qemu-io -f qcow2 -c 'write -P 7 3T 1M' a/large.qcow2 >/dev/null
ok '4 TiB with 1 MiB of data' "$VOLMIG" migrate -q qcow2:a/large.qcow2 qcow2:b/
ok '4 TiB: what was in it is there' qemu-io -f qcow2 -r -c 'read -P 7 3T 1M' b/large.qcow2
[ "$(allocated b/large.qcow2)" -lt 8192 ]
ok '4 TiB: nothing else is' test $? = 0
is '4 TiB: clusters of the same size' \
	"$(qemu-img info --output=json b/large.qcow2 | jq '."cluster-size"')" 1048576

# A size that no such image has.
image a/odd.img 5300001
ok 'an odd size: the plan' "$VOLMIG" migrate -n ./a/odd.img qcow2:b/
has 'an odd size: it says what becomes of it' '5300224 in place of the source'"'"'s 5300001'
ok 'an odd size: migrated' "$VOLMIG" migrate -q --keep-source ./a/odd.img qcow2:b/
is 'an odd size: all of it is there' "$(raw_sum qcow2 b/odd.qcow2 5300001)" "$(sum_of a/odd.img)"
tail -c 223 raw | cmp -s -n 223 - /dev/zero
ok 'an odd size: the rest is zero' test $? = 0

# Onto an image that exists, larger, full of something else.
qemu-img create -q -f qcow2 b/old.qcow2 24M
qemu-io -f qcow2 -c 'write -P 85 0 24M' b/old.qcow2 >/dev/null
must_fail 3 'onto an existing image: not without being told' "$VOLMIG" migrate ./a/web.img qcow2:b/old.qcow2
has 'onto an existing image: how to be told' --into-existing
ok 'onto an existing image' "$VOLMIG" migrate -q --keep-source --into-existing ./a/web.img qcow2:b/old.qcow2
is 'onto an existing image: the same' "$(raw_sum qcow2 b/old.qcow2)" "$sum"
cmp -s -i "$size":0 -n $((25165824 - size)) raw /dev/zero
ok 'onto an existing image: the rest is zero' test $? = 0
ok 'delta: the same once more' "$VOLMIG" copy --json --delta --into-existing ./a/web.img qcow2:b/old.qcow2
is 'delta: nothing was written' "$(jq '.copy.bytes_written' "$scratch/output")" 0
mkfs.ext4 -q b/fs.img 8M 2>/dev/null
qemu-img convert -f raw -O qcow2 b/fs.img b/fs.qcow2
must_fail 3 'copy: onto an image with a file system in it' "$VOLMIG" copy ./a/odd.img qcow2:b/fs.qcow2
has 'copy: what is in it is named' ext4

# A chain is read whole, and what others stand on stays.
qemu-img create -q -f qcow2 -F qcow2 -b "$work/b/web.qcow2" a/top.qcow2
qemu-io -f qcow2 -c 'write -P 9 1M 64k' a/top.qcow2 >/dev/null
top=$(raw_sum qcow2 a/top.qcow2)
ok 'a backing chain: the plan' "$VOLMIG" migrate -n qcow2:a/top.qcow2 qcow2:b/
has 'a backing chain: it says so' "stands on $work/b/web.qcow2"
ok 'a backing chain: copied' "$VOLMIG" copy -q --create qcow2:a/top.qcow2 qcow2:b/
is 'a backing chain: all of it' "$(raw_sum qcow2 b/top.qcow2)" "$top"
is 'a backing chain: the copy stands alone' \
	"$(qemu-img info --output=json b/top.qcow2 | jq '."backing-filename"')" null
must_fail 3 'a backing chain: nothing is copied onto it' "$VOLMIG" copy --into-existing ./a/odd.img qcow2:a/top.qcow2
must_fail 3 'nor onto what it stands on' "$VOLMIG" copy --into-existing qcow2:a/top.qcow2 qcow2:b/web.qcow2
run "$VOLMIG" migrate -n qcow2:a/top.qcow2 ./b/
has 'an image that will be removed: others may stand on it elsewhere' "only in $work/a was it looked for"
mv a/top.qcow2 b/above.qcow2
must_fail 3 'a backing file is not removed' "$VOLMIG" migrate qcow2:b/web.qcow2 qcow2:a/
has 'and who stands on it is named' "backing file of $work/b/above.qcow2"
must_fail 3 'nor overwritten' "$VOLMIG" copy --into-existing ./a/odd.img qcow2:b/web.qcow2
ok 'but copied' "$VOLMIG" copy -q --create qcow2:b/web.qcow2 qcow2:a/
rm b/above.qcow2 a/web.qcow2
# What older programs made: the format of the backing file, in a header extension, is not said.
qemu-img create -q -f qcow2 -F raw -u -b web.img a/guess.qcow2 20M
at=$(LC_ALL=C grep -aboP '\xe2\x79\x2a\xca' a/guess.qcow2 | head -n 1 | cut -d: -f1)
printf '\001\001\001\001' | dd of=a/guess.qcow2 bs=1 seek="$at" conv=notrunc status=none
must_fail 3 'a backing file of no known format' "$VOLMIG" migrate qcow2:a/guess.qcow2 qcow2:b/
has 'a backing file of no known format: what to do' 'qemu-img rebase'

# What cannot be used.
qemu-img create -q --object secret,id=s,data=x -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s a/locked.qcow2 1M
must_fail 3 'an encrypted image' "$VOLMIG" migrate qcow2:a/locked.qcow2 qcow2:b/
has 'an encrypted image: said so' encrypted
qemu-img create -q -f qcow2 a/corrupt.qcow2 1M
printf '\002' | dd of=a/corrupt.qcow2 bs=1 seek=79 conv=notrunc status=none
must_fail 3 'a corrupt image' "$VOLMIG" migrate qcow2:a/corrupt.qcow2 qcow2:b/
has 'a corrupt image: said so' 'marked as corrupt'
must_fail 3 'a raw file is no image' "$VOLMIG" migrate qcow2:a/odd.img qcow2:b/
has 'a raw file is no image: what to write' file:
must_fail 3 'one format is not another' "$VOLMIG" migrate vdi:b/web.qcow2 qcow2:a/
has 'one format is not another: which it is' "qcow2:$work/b/web.qcow2"
must_fail 3 'an image that is not there' "$VOLMIG" migrate qcow2:a/none.qcow2 qcow2:b/
must_fail 3 'an image is no raw file' "$VOLMIG" migrate ./b/web.qcow2 ./a/
must_fail 2 'no name' "$VOLMIG" migrate qcow2: ./a/
must_fail 3 'no wiping' "$VOLMIG" migrate --wipe=zero qcow2:b/web.qcow2 ./a/

# In use by another QEMU, for writing, and as what an overlay stands on.
qemu-storage-daemon --blockdev "driver=file,node-name=f,filename=$work/b/web.qcow2" \
	--blockdev driver=qcow2,node-name=q,file=f --pidfile "$scratch/qemu.pid" &
daemon=$!
at_exit "kill $daemon"
# It writes that when it has the image; who looks at that before could keep it from it.
wait_until test -s "$scratch/qemu.pid"
ok 'another QEMU has an image open' sh -c "! qemu-img info b/web.qcow2"
must_fail 3 'in use by QEMU, as a source' "$VOLMIG" migrate qcow2:b/web.qcow2 qcow2:a/
has 'in use by QEMU: by which process' "qemu-storage" "$daemon"
must_fail 3 'in use by QEMU, as a destination' "$VOLMIG" copy --into-existing ./a/odd.img qcow2:b/web.qcow2
has 'in use by QEMU: by which process' "$daemon"
kill $daemon
wait $daemon 2>/dev/null

is 'nothing was made by all that was refused' "$(find a b -name '.volmig*')" ''
is 'no server is left' "$(servers)" ''
is 'no socket is left' "$(find "$VOLMIG_STATE_DIR" "${TMPDIR:-/tmp}" -maxdepth 3 -name 'qemu-*.sock' 2>/dev/null)" ''
done_testing
