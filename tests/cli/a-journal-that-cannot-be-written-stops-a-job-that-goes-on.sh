#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each record of a journal fails to be written, by a move, by its resumption, by its abort: one whole volume is there.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555
image original 700001
sum=$(sum_of original)

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	cp original a/v
}

whole() {
	[ -f "$1" ] && [ "$(sum_of "$1")" = "$sum" ]
}

# Silent when it is so.
is_done() {
	whole b/v || echo 'the destination is not whole'
	[ ! -e a/v ] || echo 'the source is there'
	nothing_left a b
}

is_undone() {
	whole a/v || echo 'the source is not whole'
	[ ! -e b/v ] || echo 'there is a destination'
	nothing_left a b
}

# What a command that met the fault has to leave.
has_stopped() {
	[ "$status" = 4 ] || [ "$status" = 3 ] || echo "status $status"
	one_line_of_error
	whole a/v || whole b/v || echo 'no volume is whole'
	[ ! -e b/v ] || whole b/v || echo 'what has the name is not whole'
}

# By whatever it takes.
to_its_end() {
	if ! "$VOLMIG" status $id >/dev/null 2>&1; then
		is_undone
		"$VOLMIG" migrate -q --job-id $id ./a/v ./b/ 2>&1
	else
		"$VOLMIG" resume -q $id 2>&1
	fi
	is_done
}

undone() {
	"$VOLMIG" status $id >/dev/null 2>&1 || { is_undone; return; }
	if "$VOLMIG" abort -q $id 2>"$scratch/refused"; then
		is_undone
	else
		grep -q 'past its point of no return' "$scratch/refused" || cat "$scratch/refused"
		"$VOLMIG" resume -q $id 2>&1
		is_done
	fi
}

records() {
	wc -l <"$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
}

for fault in journal-short journal-lost; do
	for end in to_its_end undone; do
		n=1
		while :; do
			fresh
			run faulty $fault:$n migrate -q --job-id $id ./a/v ./b/
			[ $status != 0 ] || break
			settles "a move, $fault:$n" has_stopped
			settles "... and $end" $end
			n=$((n + 1))
		done
		is "$fault, $end: all its records were tried" $n $(($(records) + 1))
	done
	for command in resume abort; do
		n=1
		while :; do
			fresh
			faulty read-eio:5000 migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
			before=$(records)
			run faulty $fault:$n $command -q $id
			[ $status != 0 ] || break
			settles "$command, $fault:$n" has_stopped
			settles "... and again" "$(case $command in resume) echo to_its_end ;; *) echo undone ;; esac)"
			n=$((n + 1))
		done
		is "$fault, $command: all its records were tried" $n $(($(records) - before + 1))
	done
done

done_testing
