#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# To, from and between exports of every kind of NBD server: byte for byte, holes and odd ends too.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit jq cmp

image web.img 5300224

# there_and_back KIND SERVER...: onto an export that holds old data, and back into a file.
# The server serves disk.raw as the socket export.sock.
there_and_back() {
	kind=$1
	shift
	head -c 5300224 /dev/urandom >disk.raw
	if ! "$@"; then
		fail "$kind: the server starts"
		return
	fi
	ok "$kind: a file is copied onto an export" "$VOLMIG" copy web.img "$(uri export)" --json
	cp "$scratch/output" "$scratch/stdout"
	is "$kind: and the receipt says that it is proven" "$(receipt '.destination.kind + " " +
		.verify.result + " " + (.exit_status | tostring)')" 'nbd equal 0'
	ok "$kind: an export is copied into a new file" "$VOLMIG" copy --create "$(uri export)" ./back.img
	ok "$kind: which is the file it came from" cmp web.img back.img
	end_server export
	ok "$kind: as is what the server has" cmp web.img disk.raw
	rm -f back.img
}

there_and_back 'nbdkit file' nbdkit_on export file disk.raw
there_and_back 'nbdkit without zeroing' nbdkit_on export --filter=nozero file disk.raw
there_and_back 'nbdkit without a map' nbdkit_on export --filter=noextents file disk.raw
there_and_back 'nbdkit that zeroes by writing' nbdkit_on export --filter=nozero file disk.raw \
	zeromode=emulate
there_and_back 'nbdkit with one connection at a time' nbdkit_on export --filter=multi-conn \
	file disk.raw multi-conn-mode=disable
there_and_back 'nbdkit that wants blocks of 4 KiB, and 64 KiB at most' nbdkit_on export \
	--filter=blocksize-policy file disk.raw blocksize-minimum=4096 blocksize-preferred=4096 \
	blocksize-maximum=64K blocksize-error-policy=error
if command -v qemu-nbd >/dev/null; then
	there_and_back 'qemu-nbd' qemu_nbd_on export -e 8 -f raw --discard=unmap disk.raw
	there_and_back 'qemu-nbd for one client' qemu_nbd_on export -e 1 -f raw disk.raw
else
	skip 'qemu-nbd' 'needs qemu-utils'
fi
if command -v qemu-storage-daemon >/dev/null; then
	there_and_back 'qemu-storage-daemon' storage_daemon_on export "$work/disk.raw"
else
	skip 'qemu-storage-daemon' 'needs qemu-system-common or qemu-storage-daemon'
fi

# Images have a multiple of 512 bytes, as web.img has.
if command -v qemu-img >/dev/null && command -v qemu-storage-daemon >/dev/null; then
	head -c 5300224 /dev/urandom >disk.raw
	qemu-img convert -f raw -O qcow2 web.img web.qcow2
	nbdkit_on export file disk.raw
	ok 'qcow2 -> export' "$VOLMIG" copy -q qcow2:web.qcow2 "$(uri export)"
	ok 'qcow2 -> export: the same' cmp web.img disk.raw
	ok 'export -> qcow2' "$VOLMIG" copy -q --create "$(uri export)" qcow2:back.qcow2
	ok 'export -> qcow2: the same' qemu-img compare -q -f raw -F qcow2 web.img back.qcow2
	ok 'export -> qcow2: it is sparse' test "$(du -k back.qcow2 | cut -f1)" -lt 4096
	ok 'qcow2 -> export, moved' "$VOLMIG" migrate -q --into-existing qcow2:back.qcow2 "$(uri export)"
	ok 'qcow2 -> export, moved: the image is gone, and the same is there' cmp web.img disk.raw
	ok 'qcow2 -> export, moved: nothing is left of it' test ! -e back.qcow2
	end_server export
else
	skip 'images' 'needs qemu-utils and qemu-system-common'
fi
done_testing
