#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Any size, any options, from one export to another: what holds for files holds for exports,
# but that they can be neither made nor removed.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit jq cmp nbdcopy

image web.img 5300001
cp web.img web.orig
nbdkit_on odd file web.img || exit 99

run "$VOLMIG" copy --create --json "$(uri odd web)" ./back.img
is 'an odd size is exact' "$status $(receipt .source.bytes) $(stat -c %s back.img)" '0 5300001 5300001'
ok 'and so is what it holds' cmp web.img back.img
is 'sparse stays sparse' "$(receipt '.copy.bytes_zero > 1500000')" true

run "$VOLMIG" migrate --json "$(uri odd some/Web)" ./
has 'that an export is known by its address only is said' 'who else uses it cannot be seen from here'
is 'a place that is a directory gets a file of the name of the export' "$status" 0
ok 'with all of it' cmp web.img Web
is 'the export stays' "$(receipt '.warnings | map(select(test("is an NBD export and stays as it is"))) | length')" 1
ok 'nothing was written to it' cmp web.img web.orig

# A file that can only be called as its socket, or as its host.
run "$VOLMIG" migrate --dry-run --json "$(uri odd)" ./
has 'without a name it is called as its socket' "$work/odd.sock\""

# ---- from one export to another, larger one ----
head -c 6000128 /dev/urandom >big.raw
nbdkit_on big file big.raw || exit 99
must_fail 3 'migrate onto an export says that it exists' "$VOLMIG" migrate web.img "$(uri big)"
has 'and how to overwrite it' '--into-existing'
run "$VOLMIG" copy --json "$(uri odd)" "$(uri big)"
is 'an export is copied onto a larger one' "$status" 0
ok 'as it is' cmp -n 5300001 web.img big.raw
is 'and the rest is zero' "$(tail -c +5300002 big.raw | tr -d '\0' | wc -c)" 0
is 'two places, one volume: the same address' \
	"$("$VOLMIG" copy "$(uri odd)" "$(uri odd)" 2>&1 | grep -c 'same volume')" 1
must_fail 3 'a destination that is too small is refused' "$VOLMIG" copy --into-existing "$(uri big)" "$(uri odd)"
has 'with both sizes' 5300001 6000128
must_fail 3 'a volume that moves onto an export is not wiped: they may be one' \
	"$VOLMIG" migrate --wipe=zero --into-existing ./web.orig "$(uri big)"
must_fail 3 'an export is not wiped onto an export' \
	"$VOLMIG" migrate --wipe=zero --into-existing "$(uri odd)" "$(uri big)"

# ---- delta, and without sparse ----
printf changed | dd of=web.img bs=1 seek=3000 conv=notrunc status=none
run "$VOLMIG" copy --delta --json "$(uri odd)" "$(uri big)"
is 'with --delta only what differs is written' "$status $(receipt '.copy.bytes_written < 1100000')" '0 true'
ok 'and it is the same again' cmp -n 5300001 web.img big.raw
run "$VOLMIG" copy --sparse=never --json web.img "$(uri big)"
is 'with --sparse=never all is written' "$status $(receipt '.copy.bytes_zero')" '0 0'
ok 'and is the same' cmp -n 5300001 web.img big.raw
is 'and takes its space' "$(($(stat -c %b big.raw) * 512 >= 5300001))" 1

# ---- the source is removed once the export holds it ----
ok 'a file moves onto an export' "$VOLMIG" migrate --into-existing Web "$(uri big)"
ok 'and is gone' test ! -e Web
ok 'but the export has it' cmp -n 5300001 web.orig big.raw
end_server big

# ---- the server serves the very file ----
must_fail 3 'a file is not moved onto the export of itself' \
	"$VOLMIG" migrate --into-existing web.img "$(uri odd)"
has 'for its server has it' 'in use' nbdkit
ok 'nor lost' test -s web.img
end_server odd

# ---- read-only ----
nbdkit_on ro -r file web.orig || exit 99
must_fail 3 'a read-only export is no destination' "$VOLMIG" copy --into-existing back.img "$(uri ro)"
has 'and is called so' read-only
ok 'but a source' "$VOLMIG" copy --create "$(uri ro)" ./ro.img
ok 'like others' cmp web.orig ro.img
must_fail 3 'which is not wiped' "$VOLMIG" migrate --wipe=discard "$(uri ro)" ./ro2.img
end_server ro

# ---- wiped, once it was moved away ----
cp web.orig wipe.raw
nbdkit_on wipe file wipe.raw || exit 99
ok 'an export is emptied when its volume has moved' "$VOLMIG" migrate --wipe=zero "$(uri wipe)" ./moved.img
ok 'the file has it' cmp web.orig moved.img
is 'and the export nothing more' "$(tr -d '\0' <wipe.raw | wc -c)" 0
end_server wipe

# ---- what is in it ----
truncate -s 8M fs.raw
mkfs.ext4 -q -F -L inside fs.raw 2>/dev/null || mke2fs -q -F -L inside fs.raw
nbdkit_on fs file fs.raw || exit 99
must_fail 3 'what lies in an export is seen' "$VOLMIG" copy web.orig "$(uri fs)"
has 'and named' ext4 inside --into-existing
end_server fs
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 disk.qcow2 8M
	nbdkit_on container file disk.qcow2 || exit 99
	must_fail 3 'an image in an export is not taken for raw' "$VOLMIG" copy --create "$(uri container)" ./x.img
	has 'unless it is said to be' 'qcow2' '--format=raw'
	end_server container
else
	skip 'an image in an export' 'needs qemu-utils'
fi

is 'nothing is left behind' "$(nothing_left .)" ''
# A server that keeps what it was told for itself.
# shellcheck disable=SC2016	# the server's shell has these
nbdkit_on careless eval get_size='echo 4194304' pread='head -c "$3" /dev/zero' pwrite='cat >/dev/null'
head -c 4194304 /dev/urandom >disk.img
ok 'a server that cannot flush: the plan' "$VOLMIG" copy --into-existing -n ./disk.img "$(uri careless)"
has 'a server that cannot flush: it says so' 'cannot be told to make durable'
run "$VOLMIG" copy --into-existing -q ./disk.img "$(uri careless)"
is 'and what it lost is seen when it is read back' "$status" 1
ok 'a move there' "$VOLMIG" migrate --into-existing -n ./disk.img "$(uri careless)"
has 'would keep its source' 'the source is kept, for the server'
must_fail 2 'and not wipe it' "$VOLMIG" migrate --wipe=zero --into-existing ./disk.img "$(uri careless)"
end_server careless

done_testing
