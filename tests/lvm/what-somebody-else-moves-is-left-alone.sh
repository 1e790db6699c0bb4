#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A pvmove or a conversion that somebody else has begun is named, goes on, and ends as if nobody had come by.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M -t 600
requires vgcreate dmsetup jq
. "$TOP/tests/online.sh"

group
sectors=$(blockdev --getsz "$c")
good="0 $sectors linear $raw 0"
moves() { lvs -a --noheadings -o lv_name vg | grep -q pvmove0; }
moves_no_more() { ! moves; }

# --- a pvmove

volume other 4M "$a"
others=$sum
volume web 16M "$a"
third "$(slow_by 2000)"
pvmove -qq -i1 -n web "$a" "$c" >"$scratch/theirs" 2>&1 &
theirs=$!
ok 'somebody moves a volume with pvmove' wait_until moves
for command in "migrate vg/web $b" "migrate --method=pvmove vg/web $b" "migrate --method=lvconvert vg/web $b"; do
	# shellcheck disable=SC2086 # a list of words
	must_fail 3 "$command is refused" "$VOLMIG" $command
	has '... it names the pvmove, and what to do' "a pvmove from $a is running that moves it" 'pvmove --abort'
done
must_fail 3 'a second pvmove from the same physical volume is, too' "$VOLMIG" migrate --method=pvmove vg/other "$b"
has '... and names the first' "another pvmove from $a is running"
ok 'another volume that lies there is moved in another way' "$VOLMIG" migrate -q vg/other "$b"
is '... whole' "$(sum_of_volume other) $(places other)" "$others $b"
must_fail 1 'doctor tells of it' "$VOLMIG" doctor --fix -q
has '... as what needs somebody to look at it' 'vg/pvmove0: a pvmove that has not come to its end'
ok 'all that time it has gone on' moves
third "$good"
status=0
wait $theirs || status=$?
is 'it ends well' "$status" 0
ok '... and is gone' wait_until moves_no_more
settled '... with the volume where it was to be' web "$c"

# --- a conversion

syncs() { [ "$(lvs --noheadings -o sync_percent vg/web | cut -d. -f1 | tr -d ' ')" != 100 ]; }
in_sync() { ! syncs; }
ok 'back again' "$VOLMIG" migrate -q vg/web "$a"
third "$(slow_by 2000)"
ok 'somebody makes a mirror of a volume' lvconvert -qq -y --type raid1 -m1 vg/web "$c"
ok '... which is not in sync yet' syncs
must_fail 3 'it is not moved' "$VOLMIG" migrate vg/web "$b"
has '... as its legs are not whole' 'its legs are not all whole' 'wait until it is in sync'
ok 'doctor finds nothing of ours in it' "$VOLMIG" doctor -q
ok 'nothing has changed' syncs
third "$good"
ok 'it comes in sync' wait_until in_sync
is '... on both, whole' "$(sum_of_volume web) $(places web)" "$sum $c $a"

done_testing
