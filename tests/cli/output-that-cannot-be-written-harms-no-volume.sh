#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Standard descriptors that are closed, full, broken pipes: the move is done, and nothing is written elsewhere.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"

id=11111111-2222-4333-8444-555555555555

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	image a/v
	sum=$(sum_of a/v)
}

# Moved, and both the journal and the volume hold what they should.
moved() {
	[ ! -e a/v ] || echo 'the source is still there'
	[ "$(sum_of b/v)" = "$sum" ] || echo 'the destination is not whole'
	"$VOLMIG" status $id >"$scratch/output" 2>&1 || cat "$scratch/output"
	nothing_left "$work"
}

# without WAY COMMAND...: with that redirection; what it still says goes to $scratch/output.
without() {
	local way=$1
	shift
	(
		exec >"$scratch/output" 2>&1
		eval '"$@" '"$way"
	)
}

# Without any of the descriptors; with all that can be said, and a fault on top.
closed() {
	fresh
	without "$1" "$VOLMIG" -v migrate --job-id $id ./a/v ./b/ || echo "status $?"
	moved

	fresh
	status=0
	without "$1" faulty read-eio:4500000 -v migrate --progress=json --progress-fd=7 --job-id $id \
		./a/v ./b/ 7>progress || status=$?
	[ $status = 4 ] || echo "with a fault: status $status"
	[ "$(sum_of a/v)" = "$sum" ] || echo 'with a fault: the source is not whole'
	[ -s progress ] || echo 'no progress'
	without "$1" "$VOLMIG" -v resume $id || echo "resumed: status $?"
	moved
}

# What is said to a full disk is lost; what is done is done.
full() {
	fresh
	run_full=0
	"$VOLMIG" migrate --job-id $id ./a/v ./b/ >/dev/full 2>"$scratch/stderr" || run_full=$?
	[ $run_full = 0 ] || echo "status $run_full"
	grep -q 'cannot write to standard output: No space left' "$scratch/stderr" || echo 'it is not said'
	one_line_of_error
	moved

	# Who reads the answer by a program must not take silence for it.
	fresh
	run_full=0
	"$VOLMIG" migrate --json --job-id $id ./a/v ./b/ >/dev/full 2>"$scratch/stderr" || run_full=$?
	[ $run_full = 5 ] || echo "--json: status $run_full"
	one_line_of_error
	moved
	"$VOLMIG" status --json >/dev/full 2>"$scratch/stderr" && echo 'status --json: status 0'
	"$VOLMIG" status >/dev/full 2>"$scratch/stderr"
	one_line_of_error

	fresh
	"$VOLMIG" -v migrate --job-id $id ./a/v ./b/ 2>/dev/full >/dev/null || echo "stderr: status $?"
	moved
	fresh
	"$VOLMIG" migrate --progress=json --job-id $id ./a/v ./b/ 2>/dev/full >/dev/null ||
		echo "progress: status $?"
	moved
}

# Nobody reads any more.
broken() {
	fresh
	mkfifo pipe
	: <pipe &
	"$VOLMIG" migrate --job-id $id ./a/v ./b/ 2>"$scratch/stderr" >pipe
	status=$?
	wait
	rm pipe
	[ $status = 0 ] || echo "status $status"
	one_line_of_error
	moved

	fresh
	{ sleep 0.2; "$VOLMIG" -v migrate --progress=json --job-id $id ./a/v ./b/; echo $? >status; } 2>&1 | true
	[ "$(cat status)" = 0 ] || echo "all of it: status $(cat status)"
	moved
}

for way in '<&-' '>&-' '2>&-' '<&- >&-' '>&- 2>&-' '<&- 2>&-' '<&- >&- 2>&-'; do
	settles "descriptors that are closed: $way" closed "$way"
done
settles 'a full disk' full
settles 'a pipe that nobody reads' broken
# --- no room for a journal

mkdir room
image room/v
(
	# The smallest file that no write fits into.
	ulimit -f 0
	"$VOLMIG" migrate ./room/v ./room/none 2>&1
	echo "status $?"
) | cat >"$scratch/output"
has "a state directory that takes no journal refuses the move" 'status 3' \
	'cannot write to the journal' 'choose another place with --state-dir'
is "and nothing was touched" "$(ls -A room) $("$VOLMIG" status | grep -c ' planned ')" 'v 0'

done_testing
