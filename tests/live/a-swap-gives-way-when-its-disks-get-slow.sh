#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where requests at a disk of either end take longer than --max-latency the mirror goes on slower; else it does not.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires jq
start_libvirtd

dd if=/dev/urandom of=one.raw bs=1M count=12 status=none
cp one.raw one.data
define one "$work/one.raw"
start_paused one

# swap LATENCY MICROSECONDS TO: it lasts for some looks; what is added counts where there were requests at all.
swap() {
	VOLMIG_INJECT=request-us:$2 "$VOLMIG_INJECT_BIN" -v swap --create --bwlimit=4M --max-latency="$1" one vda "./$3" >out 2>err
}

ok 'a swap on disks that get slow' swap 1s 2000000 slow
ok '... is told why it goes on slower' grep -q 'requests take [0-9]* us, going on at [0-9]* bytes/s' err
ok '... and so does the mirror' grep -q 'the mirror of vda goes on at [0-9]* bytes/s' err
ok '... and is whole' cmp one.data slow
ok 'one on disks that do not' swap 1m 0 quick
ok '... is never in the way' sh -c '! grep "requests take" err'
ok '... and is whole' cmp one.data quick
done_testing
