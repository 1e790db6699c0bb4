#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that writes all the time is swapped back and forth, and every record it flushed is whole and in its place.
#
# LIVE_SWAPS times (10; make check-live-long: 100).

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
needs_guest
start_libvirtd

swaps=${LIVE_SWAPS:-10}
truncate -s 64M a.raw b.raw c.img
loop_device "$work/c.img"
define writer -g 'test.blocks=4096' "$work/a.raw"
ok 'a guest boots and writes' boot writer
virsh dumpxml --inactive writer >before.xml
n=0
at=$work/a.raw
failed=0
damaged=0
: >gaps
while [ $n -lt "$swaps" ]; do
	n=$((n + 1))
	case $((n % 3)) in
	1) to=$work/b.raw ;;
	2) to=$loop ;;
	0) to=$work/a.raw ;;
	esac
	# Held in between, so that the gap is that of the pivot and not of the copying.
	"$VOLMIG" swap -q --cutover=manual --into-existing writer vda "$to" >out 2>&1
	job=$("$VOLMIG" status | awk '$3 == "synced" { print $1 }')
	answer writer g GAP >/dev/null
	if "$VOLMIG" resume -q "$job" >>out 2>&1; then
		at=$to
	else
		failed=$((failed + 1))
		diag "swap $n: $(cat out)"
	fi
	answer writer g GAP >>gaps
	intact writer "$at" >verified || {
		damaged=$((damaged + 1))
		diag "swap $n, $at: $(cat verified)"
	}
done
is "$swaps swaps: all succeed" "$failed" 0
is "$swaps swaps: after each every flushed record is there" "$damaged" 0
ok 'libvirt and QEMU agree' truth writer vda
ok 'the guest writes on' writes_on writer
ok 'it pauses' answer writer p PAUSED
ok 'and all it ever flushed is on its disk' intact writer "$at"
cp "$scratch/output" verified
diag "records: $(cat verified)"
diag "longest gap between two writes around the pivot, of $swaps swaps, in ms: $(awk '{ printf "%.1f\n", $2 / 1000 }' gaps | sort -n |
	awk '{ g[NR] = $1 } END { print "p50 " g[int((NR + 1) / 2)] ", max " g[NR] }')"
is 'no error was seen by the guest' "$(grep -ac '^ERR' "$virt/writer.log")" 0
virsh dumpxml --inactive writer >after.xml
perl -0pi -e 's/\s*<source [^>]*\/>//; s/\s*<backingStore\/>//; s/<disk type=.\w+./<disk/' before.xml after.xml
ok 'the definition is as it was but for the source' cmp before.xml after.xml

done_testing
