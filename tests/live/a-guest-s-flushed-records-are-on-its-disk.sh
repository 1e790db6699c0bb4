#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The ground the other tests stand on: a guest boots from a libvirtd of its own, writes, and its records verify.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
needs_guest
start_libvirtd

truncate -s 64M disk.img
define writer -g 'test.blocks=2048' "$work/disk.img"
ok 'a guest boots and writes' boot writer
ok 'libvirt and QEMU agree on its disk' truth writer vda
ok 'it goes on writing' writes_on writer
ok 'every record it said to be flushed is on its disk' intact writer disk.img
ok 'it pauses' answer writer p PAUSED
number=$(acked writer)
ok 'paused, every record is there' intact writer disk.img

cp disk.img damaged.img
blocks=$(blocks_of writer)
block=$(perl -e 'use integer; print((($ARGV[0] * 2654435761) & ($ARGV[1] - 1)))' "$number" "$blocks")
ok 'a damaged image is seen: one byte differs' sh -c "
	printf X | dd of=damaged.img bs=1 seek=$((block * 4096 + 2000)) conv=notrunc status=none"
must_fail 1 'and its record is torn' intact writer damaged.img
has 'just that one' 'torn=1' 'lost=0' 'stale=0'
truncate -s 0 damaged.img
truncate -s 64M damaged.img
must_fail 1 'records on an empty image are lost' intact writer damaged.img
cp disk.img damaged.img
ok 'the guest continues' answer writer c RUNNING
ok 'and writes on' writes_on writer
ok 'it tells the longest gap between two writes' answer writer g GAP
# So many records later at least one block of the old copy was written again.
ok 'it walks all its blocks' patiently has_acked writer $((number + blocks))
must_fail 1 'records on an old copy are stale or lost' intact writer damaged.img

kill_libvirtd
ok 'a guest goes on without libvirtd' writes_on writer
start_libvirtd
ok 'libvirtd comes back and finds it' is_state writer running
ok 'and agrees with QEMU' truth writer vda

press writer q
ok 'the guest powers off' patiently is_state writer 'shut off'
ok 'and its disk has all that it flushed' intact writer disk.img

truncate -s 1M small.img
define bare "$work/small.img"
ok 'a domain without a guest is started' start_paused bare
qemu_io bare 0 'write -P 0xa1 0 4k'
is 'what is written through its device is on the image' \
	"$(od -A n -t x1 -N 2 small.img | tr -d ' ')" a1a1
ok 'libvirt and QEMU agree on its disk too' truth bare vda

done_testing
