#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGINT, SIGTERM, SIGHUP in each phase: status 4, and the command on standard error ends the job.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"

requires flock

PATH=$(dirname "$VOLMIG"):$PATH
id=11111111-2222-4333-8444-555555555555

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	image a/v
	sum=$(sum_of a/v)
}

# start ARGUMENT...: slowly, and by itself; its number is in $child.  A shell has what
# it puts into the background ignore SIGINT.
start() {
	env --default-signal=INT VOLMIG_INJECT=slow:100000 "$VOLMIG_INJECT_BIN" "$@" >"$scratch/stdout" 2>"$scratch/stderr" &
	child=$!
}

state_is() {
	"$VOLMIG" status "$id" 2>/dev/null | grep -q "($1)"
}

phase_is() {
	grep -q "\"phase\":\"$1\"" progress
}

moved() {
	[ ! -e a/v ] || echo 'the source is still there'
	[ "$(sum_of b/v)" = "$sum" ] || echo 'the destination is not whole'
	nothing_left "$work"
}

undone() {
	[ "$(sum_of a/v)" = "$sum" ] || echo 'the source is not whole'
	[ ! -e b/v ] || echo 'there is a destination'
	nothing_left "$work"
}

# stopped STATUS: the child ends with it, and one line.
stopped() {
	status=0
	wait "$child" || status=$?
	[ "$status" = "$1" ] || echo "status $status: $(cat "$scratch/stderr")"
	one_line_of_error
}

# one SIGNAL PHASE COMMAND: stopped by the signal in the phase, ended by the command.
one() {
	fresh
	: >progress
	start migrate -q --job-id $id --wipe=zero --progress=json --progress-fd 7 ./a/v ./b/ 7>progress
	wait_until phase_is "$2" || { echo "no phase $2"; return; }
	kill "-$1" $child
	stopped 4
	command=$(sed -n 's/.*; go on with: //p' "$scratch/stderr")
	[ "$command" = "volmig resume $id" ] || { echo "it says: $command"; return; }
	"$VOLMIG" status $id >"$scratch/output"
	grep -q "^next  *volmig resume $id" "$scratch/output" || echo 'status does not tell what is next'
	! grep -q '^running' "$scratch/output" || echo 'it still runs'
	if [ "$3" = resume ]; then
		bash -c "$command -q" || echo "resume: status $?"
		moved
	elif [ "$2" = wipe ]; then
		run "$VOLMIG" abort $id
		[ "$status" = 3 ] && grep -q "point of no return.*volmig resume $id" "$scratch/stderr" ||
			echo "abort past the point of no return: status $status"
		"$VOLMIG" resume -q $id || echo "resume: status $?"
		moved
	else
		"$VOLMIG" abort -q $id || echo "abort: status $?"
		undone
	fi
}

for phase in copy verify wipe; do
	for signal in INT TERM HUP; do
		settles "SIG$signal in phase $phase, then resume" one $signal $phase resume
	done
	settles "SIGTERM in phase $phase, then abort" one TERM $phase abort
done

# Again and again, until it is through.
patience() {
	local times=0
	fresh
	start migrate -q --job-id $id ./a/v ./b/
	wait_until catches $child || echo 'it does not run'
	while :; do
		# On a machine that is very busy less than a leaf may come through in that time.
		[ $times -lt 30 ] && sleep 0.6 || sleep 4
		kill -INT $child 2>/dev/null
		status=0
		wait "$child" || status=$?
		[ "$status" = 4 ] || break
		times=$((times + 1))
		[ $times -lt 100 ] || break
		[ -n "$(jobs_of)" ] || { echo 'no job'; return; }
		start resume -q $id
		wait_until catches $child
	done
	[ "$status" = 0 ] || echo "status $status: $(cat "$scratch/stderr")"
	[ $times -gt 0 ] || echo 'it never was stopped'
	moved
}
settles 'stopped again and again' patience

twice() {
	fresh
	start migrate -q --job-id $id ./a/v ./b/
	wait_until state_is copying || echo 'it does not copy'
	kill -INT $child
	kill -INT $child
	kill -TERM $child
	stopped 4
	"$VOLMIG" resume -q $id || echo "resume: status $?"
	moved
}
settles 'three signals at once' twice

# Who starts it with SIGHUP ignored, as nohup does, means it.
ignored() {
	fresh
	(trap '' HUP; exec env VOLMIG_INJECT=slow:100000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id \
		./a/v ./b/) 2>"$scratch/stderr" &
	child=$!
	wait_until state_is copying || echo 'it does not copy'
	kill -HUP $child
	wait "$child" || echo "status $?: $(cat "$scratch/stderr")"
	moved
}
settles 'SIGHUP that is ignored' ignored

# Abort stops the process that works on it, and waits until that is gone.
from_outside() {
	fresh
	start migrate -q --job-id $id ./a/v ./b/
	wait_until state_is copying || echo 'it does not copy'
	"$VOLMIG" abort -q $id || echo "abort: status $?"
	! kill -0 $child 2>/dev/null || grep -q '^State:.*Z' /proc/$child/status || echo 'it still runs'
	stopped 4
	undone
	"$VOLMIG" abort -q $id || echo "abort again: status $?"
}
settles 'abort of a job that runs' from_outside

# Two that resume at once: one does it.
race() {
	local first second
	fresh
	faulty read-eio:4500000 migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
	env VOLMIG_INJECT=slow:50000 "$VOLMIG_INJECT_BIN" resume -q $id 2>first &
	first=$!
	env VOLMIG_INJECT=slow:50000 "$VOLMIG_INJECT_BIN" resume -q $id 2>second &
	second=$!
	wait $first
	first=$?
	wait $second
	second=$?
	case "$first$second" in
	00 | 03 | 30) ;;
	*) echo "they end with $first and $second" ;;
	esac
	moved
}
settles 'two that resume at once' race

opposed() {
	local resume abort
	fresh
	faulty read-eio:4500000 migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
	env VOLMIG_INJECT=slow:50000 "$VOLMIG_INJECT_BIN" resume -q $id 2>first &
	resume=$!
	"$VOLMIG" abort -q $id 2>second
	abort=$?
	wait $resume
	resume=$?
	case "$abort$resume" in
	04 | 03) undone ;;
	30) moved ;;
	*) echo "resume ends with $resume, abort with $abort: $(cat first second)" ;;
	esac
}
settles 'one that resumes and one that aborts' opposed

# Somebody has the lock of the queue, and has been stopped himself.
held_up() {
	fresh
	mkdir -p "$VOLMIG_STATE_DIR/limits"
	exec 8>"$VOLMIG_STATE_DIR/limits/lock"
	flock 8
	start migrate -q --job-id $id ./a/v ./b/
	wait_until state_is planned || echo 'it is not planned'
	sleep 0.2
	kill -TERM $child
	wait_until eval '! kill -0 $child' || kill -KILL $child
	wait $child
	status=$?
	exec 8>&-
	[ $status = 4 ] || { echo "status $status"; cat "$scratch/stderr"; }
	grep -q "has the lock of the queue; .*go on with: volmig resume $id" "$scratch/stderr" || cat "$scratch/stderr"
	"$VOLMIG" resume -q $id || echo "resume: status $?"
	moved
}
settles 'one that waits for the lock of the queue' held_up
done_testing
