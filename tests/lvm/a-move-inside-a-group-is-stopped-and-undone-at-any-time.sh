#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A move inside a group that is interrupted, aborted, slowed down or stalled ends well, by lvconvert and by pvmove.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M -t 900
requires vgcreate dmsetup jq
. "$TOP/tests/online.sh"

group
sectors=$(blockdev --getsz "$c")
good="0 $sectors linear $raw 0"
volume web 16M "$a"
was_copying() {
	"$VOLMIG" status --json | jq -e --arg j "$(job)" '.jobs[] | select(.job == $j and .state == "copying")' >/dev/null
}
moves_by_lvm() {
	lvs -a --noheadings -o lv_name,move_pv vg | grep -q 'rimage_1\|pvmove0'
}

for method in lvconvert pvmove; do
	for end in resume abort; do
		third "$(slow_by 200)"
		env --default-signal=INT "$VOLMIG" migrate -q --method=$method vg/web "$c" >"$scratch/output" 2>&1 &
		pid=$!
		ok "$method is under way" wait_until moves_by_lvm
		wait_until was_copying
		kill -INT $pid
		status=0
		wait $pid || status=$?
		is '... an interrupt stops it, to be gone on with' $status 4
		has '... as the message says' "volmig resume $(job)"
		third "$good"
		ok "... $end ends it" "$VOLMIG" $end -q "$(job)"
		[ $end = resume ] && where=$c || where=$a
		settled '... whole, and nothing is left' web "$where"
		[ $end = abort ] || "$VOLMIG" migrate -q --method=$method vg/web "$a" >/dev/null
	done
	third "$(slow_by 200)"
	"$VOLMIG" migrate -q --method=$method vg/web "$c" >"$scratch/output" 2>&1 &
	pid=$!
	ok "$method is under way" wait_until moves_by_lvm
	wait_until was_copying
	job=$(job)
	ok '... abort stops the process that works on it, and undoes it' "$VOLMIG" abort -q "$job"
	status=0
	wait $pid || status=$?
	is '... which says that it was stopped' $status 4
	third "$good"
	settled '... where it was, whole, and nothing is left' web "$a"
done

must_fail 3 'pvmove knows no rate' "$VOLMIG" migrate -q --method=pvmove --bwlimit=1M vg/web "$c"
has '... as the message says' 'LVM has no way to limit its rate'
"$VOLMIG" migrate -q --bwlimit=3M vg/web "$c" >"$scratch/output" 2>&1 &
pid=$!
rate() {
	[ "$(lvs --noheadings --units k --nosuffix -o raid_max_recovery_rate vg/web | tr -d ' ')" = 3072 ]
}
ok 'lvconvert has the rate that was asked for' wait_until rate
status=0
wait $pid || status=$?
is '... and is done' $status 0
settled '... whole, and nothing is left' web "$c"
ok 'back again' "$VOLMIG" migrate -q vg/web "$a"

third "$(slow_by 20000)"
must_fail 4 'a pvmove that gets no further stops' "$VOLMIG" migrate -q --method=pvmove --stall-timeout=3s vg/web "$c"
has '... as the message says' 'pvmove got nowhere' "volmig resume $(job)"
third "$good"
ok '... and goes on once the disk answers' "$VOLMIG" resume -q "$(job)"
settled '... whole, and nothing is left' web "$c"
done_testing
