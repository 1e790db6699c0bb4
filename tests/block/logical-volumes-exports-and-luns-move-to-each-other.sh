#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A logical volume moves onto an NBD export and back, an export to a LUN and back, and a device of an attached export is a volume too.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires nbdkit nbdinfo md5sum jq
work=$scratch
. "$TOP/tests/net.sh"

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -q vg0 "$1" >/dev/null 2>&1 &&
	lvcreate -q -y -L 32M -T vg0/pool >/dev/null 2>&1 &&
	lvcreate -q -y -n web -V 16M --thinpool vg0/pool >/dev/null 2>&1 || exit 99
head -c 3M /dev/urandom | dd of=/dev/vg0/web bs=1M seek=2 conv=notrunc,fsync status=none
sum=$(md5sum </dev/vg0/web)
cd "$scratch" || exit 99

volmig() {
	"$VOLMIG" --connect none "$@"
}

# The export is a file with old data all over it, a little larger than the volume.
head -c 20M /dev/urandom >disk.img
nbdkit_on disk file disk.img
uri=$(uri disk)

ok 'a dry run tells the plan' volmig migrate -n --into-existing vg0/web "$uri"
must_fail 3 'an export that exists is not written over by itself' volmig migrate -q vg0/web "$uri"
ok 'a logical volume moves onto an export' volmig migrate --json --into-existing vg0/web "$uri"
is 'proven' "$(jq -c '[.source.kind, .source.state, .destination.kind, .verify.result]' output)" '["lv","removed","nbd","equal"]'
is 'it is there' "$(head -c 16M disk.img | md5sum)" "$sum"
ok 'with zeroes behind it, and in its holes' cmp -n 4194304 -i 16777216:0 disk.img /dev/zero
is 'and no more room than its data' "$(($(du -k disk.img | cut -f1) < 5000))" 1
ok 'and the volume is gone' test ! -e /dev/vg0/web

# From the server into the group: thin, and the holes stay holes.
truncate -s 16M disk.img
end_server disk
nbdkit_on disk file disk.img
ok 'an export is copied into a group' volmig copy --json --create --thin=pool "$uri" vg0/back
is 'as a thin volume' "$(lvs --noheadings -o segtype vg0/back | tr -d ' ')" thin
is 'just as it is' "$(md5sum </dev/vg0/back)" "$sum"
is 'with no more in it than its data' "$(lvs --noheadings -o data_percent vg0/back | tr -d ' ' | cut -d. -f1)" 18
is 'and the export stays' "$(md5sum <disk.img)" "$sum"

# Killed on its way, to and fro.
ok 'a thick volume is made' lvcreate -q -y -n thick -L 8M vg0
head -c 8M /dev/urandom | dd of=/dev/vg0/thick bs=1M iflag=fullblock conv=fsync status=none
thick=$(md5sum </dev/vg0/thick)
truncate -s 8M other
# One thread: with more, nbdkit (1.32) may end by an assertion when a client is killed.
nbdkit_on other -t 1 file other
must_fail 137 'a move onto an export is killed' env VOLMIG_INJECT=kill-at-byte:4194304 "$VOLMIG_INJECT_BIN" \
	--connect none migrate -q --into-existing --job-id 11111111-2222-4333-8444-555555555551 vg0/thick "$(uri other)"
ok 'and resumed' volmig resume -q 11111111-2222-4333-8444-555555555551
is 'whole' "$(md5sum <other)" "$thick"
ok 'the volume is gone' test ! -e /dev/vg0/thick
must_fail 137 'a copy into a group is killed' env VOLMIG_INJECT=kill-at-byte:4194304 "$VOLMIG_INJECT_BIN" \
	--connect none copy -q --create --job-id 11111111-2222-4333-8444-555555555552 "$(uri other)" vg0/thick
ok 'and aborted' volmig abort -q 11111111-2222-4333-8444-555555555552
ok 'with no volume left' test ! -e /dev/vg0/thick

# An export and a LUN.
luns_up "$2"
initiator_up
ok 'an export is copied onto a LUN' volmig copy --json --into-existing "$uri" "$url/0"
is 'by a disk of this host' "$(jq -c '[.source.kind, .destination.kind, .verify.result]' output)" '["nbd","block","equal"]'
blockdev --flushbufs "$2"
is 'which has it' "$(head -c 16M "$2" | md5sum)" "$sum"
nothing_left 'after a copy onto a LUN'
truncate -s 0 disk.img
truncate -s 64M disk.img
end_server disk
nbdkit_on disk file disk.img
ok 'a LUN is copied onto an export' volmig copy -q --into-existing "$url/0" "$uri"
is 'which has it' "$(head -c 16M disk.img | md5sum)" "$sum"
nothing_left 'after a copy of a LUN'

# A device of the kernel's is a volume like others.
if modprobe -q nbd; then
	ok 'an export is attached' attach --readonly "$(uri other)"
	ok 'and its device copied into a group' volmig copy -q --create "$(cat output)" vg0/thick
	is 'just as it is' "$(md5sum </dev/vg0/thick)" "$thick"
	ok 'it is detached' detach "$(uri other)"
else
	skip 'and its device copied into a group' 'the kernel has no NBD client'
fi
done_testing
