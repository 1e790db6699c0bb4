#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that takes two clients lets the third wait without a word: no copy waits for more connections than it gets.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/net.sh"
requires qemu-storage-daemon timeout

# Of a size that several connections are used for.
size=70000128
head -c $size /dev/urandom >web.img
truncate -s $size disk.raw
serve export qemu-storage-daemon --blockdev driver=file,node-name=f,filename=disk.raw,discard=unmap \
	--blockdev driver=raw,node-name=r,file=f,discard=unmap \
	--nbd-server "addr.type=unix,addr.path=$work/export.sock,max-connections=2" \
	--export type=nbd,id=e,node-name=r,writable=on,name=
ok 'a copy onto it' timeout 40 "$VOLMIG" copy -q --stall-timeout=1h ./web.img "$(uri export)"
ok 'the same is there' cmp web.img disk.raw
ok 'a copy of it' timeout 40 "$VOLMIG" copy -q --create --stall-timeout=0 "$(uri export)" ./back.img
ok 'the same again' cmp web.img back.img
done_testing
