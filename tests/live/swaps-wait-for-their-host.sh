#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# With host=1 the disks of one host's domains are swapped one after another, in their order; without it at once.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires jq
start_libvirtd

for name in one two three; do
	dd if=/dev/urandom of=$name.raw bs=1M count=6 status=none
	cp $name.raw $name.data
	define $name "$work/$name.raw"
	start_paused "$name"
done

# swap_all TO OPTION...: the three of them at once.
swap_all() {
	to=$1
	shift
	children=
	for name in one two three; do
		"$VOLMIG" swap --create --bwlimit=2M "$@" $name vda "./$name.$to" >/dev/null 2>"$name.said" &
		children="$children $!"
	done
	failed=0
	for child in $children; do
		wait "$child" || failed=$((failed + 1))
	done
}
# TICKET BEGIN END of each swap onto a name that ends so.
jobs_onto() {
	for journal in "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl; do
		jq -rs --arg suffix ".$1" 'if .[1].plan.move.live.new_path | endswith($suffix) then
			[(map(select(.rec == "terms"))[0].ticket // 0), (map(select(.rec == "begin"))[0].time),
			 (map(select(.rec == "end"))[0].time)] | join(" ") else empty end' "$journal"
	done | sort -n
}
# Do any two of them overlap?
overlaps() {
	jobs_onto "$1" | sort -k 2 | awk '$2 < end { n++ } $3 > end { end = $3 } END { print n + 0 }'
}
whole() {
	for name in one two three; do
		truth $name vda && cmp $name.data $name.new || return 1
	done
}

swap_all new --limit host=1
is 'all swaps end well' $failed 0
ok '... and all disks are whole' whole
is '... none began before the one before it had ended' "$(jobs_onto new | wc -l) $(overlaps new)" '3 0'
is '... in the order of arrival' "$(jobs_onto new | sort -c -k 2,2 2>&1)" ''
ok '... and who waited was told what for' grep -q 'waiting for host localhost: 1 job at most' one.said two.said three.said

swap_all again
is 'without it they end well, too' $failed 0
is '... and met' "$(jobs_onto again | wc -l) $(test "$(overlaps again)" -gt 0 && echo met)" '3 met'
done_testing
