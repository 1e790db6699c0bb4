#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Killed at any record of a move inside a group, by lvconvert or by pvmove, resume or abort ends it well.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M -t 900
requires vgcreate dmsetup
. "$TOP/tests/online.sh"

group
volume web 8M "$a"
from=$a
to=$b

# The point of no return is the record that says "$1 is done".
crash() {
	method=$1
	end=$2
	record=2
	while :; do
		record=$((record + 1))
		status=0
		VOLMIG_INJECT="kill-before-record:$record" "$VOLMIG" migrate -q --method="$method" \
			vg/web "$to" >"$scratch/output" 2>&1 || status=$?
		if [ $status != 137 ]; then
			is "$method, $end: in the end the move ran through" $status 0
			settled '... and the volume is where it should be' web "$to"
			swap
			return
		fi
		what="$method, $end after a kill before record $record"
		job=$(job)
		status=0
		"$VOLMIG" "$end" -q "$job" >"$scratch/output" 2>&1 || status=$?
		if [ "$end" = abort ] && [ $status = 3 ]; then
			has "$what: past the point of no return" 'point of no return'
			status=0
			"$VOLMIG" resume -q "$job" >"$scratch/output" 2>&1 || status=$?
			where=$to
		elif [ "$end" = abort ]; then
			where=$from
		else
			where=$to
		fi
		[ $status = 0 ] || diag "$(cat "$scratch/output")"
		is "$what" $status 0
		settled '... it is whole, at one place, and nothing is left' web "$where"
		if [ "$where" = "$to" ]; then
			ok '... and to resume it again is no error' "$VOLMIG" resume -q "$job"
			swap
		else
			ok '... and to abort it again is no error' "$VOLMIG" abort -q "$job"
		fi
	done
}

swap() {
	was=$from
	from=$to
	to=$was
}

for way in lvconvert pvmove; do
	crash $way resume
	crash $way abort
done
done_testing
