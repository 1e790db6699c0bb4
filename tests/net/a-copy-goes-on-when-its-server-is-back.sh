#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# NBD servers that are killed or ended in the middle of a copy, onto them or from them, and are
# started again: it goes on by itself.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit jq cmp
new_source

# ---- gone, and back again ----
# comes_back WHAT SIGNAL SERVER...: the server of the destination, and then that of the source.
comes_back() {
	kind=$1
	signal=$2
	shift 2
	new_target
	"$@" dst.raw || { fail "$kind: starts"; return; }
	begin_copy web.img "$(uri export)" --stall-timeout 20s
	end_server export "$signal"
	sleep 0.5
	"$@" dst.raw
	is "$kind, back: the copy onto it goes on by itself" "$(ended)" 0
	ok "$kind: and both are whole" both_whole
	ok "$kind: and the time is counted once" time_adds_up
	end_server export

	new_target
	"$@" src.raw
	begin_copy "$(uri export)" ./dst.raw --stall-timeout 20s
	end_server export "$signal"
	sleep 0.5
	"$@" src.raw
	is "$kind, back: the copy from it goes on by itself" "$(ended)" 0
	ok "$kind: and both are whole" both_whole
	end_server export
}

# What is journalled as time spent copying has passed since the copy began: none of it counts twice.
time_adds_up() {
	jq -s -e 'def at: (.time[0:19] + "Z" | fromdate) + (.time[20:23] | tonumber) / 1000;
		([.[] | select(.rec == "begin" and .name == "copy") | at][0]) as $begin |
		[.[] | select(.rec == "durable")] | length > 0 and all(.copy_ns / 1e9 <= at - $begin + 0.01)' \
		"$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
}

nbdkit_file() {
	nbdkit_on export file "$1"
}
qemu_nbd_file() {
	qemu_nbd_on export -e 8 -f raw "$1"
}

comes_back 'nbdkit, killed' KILL nbdkit_file
comes_back 'nbdkit, ended' TERM nbdkit_file
if command -v qemu-nbd >/dev/null; then
	comes_back 'qemu-nbd, killed' KILL qemu_nbd_file
	comes_back 'qemu-nbd, ended' TERM qemu_nbd_file
else
	skip 'qemu-nbd, killed or ended' 'needs qemu-utils'
fi

# ---- while it is proven, each time further on ----
proven_to() {
	[ -e "$scratch/ended" ] && return
	"$VOLMIG" status --json $id 2>/dev/null |
		jq -e --argjson bytes "$1" '.. | select(.phase? == "verify" and .bytes_done >= $bytes)'
}
new_target
nbdkit_file dst.raw
begin_copy web.img "$(uri export)" --stall-timeout 1s --bwlimit 1M
for bytes_proven in 1048576 3145728; do
	wait_until proven_to $bytes_proven
	end_server export
	nbdkit_file dst.raw
done
is 'lost twice while it is proven, and each time further on: it goes on' "$(ended)" 0
ok 'and both are whole' both_whole
end_server export

is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
