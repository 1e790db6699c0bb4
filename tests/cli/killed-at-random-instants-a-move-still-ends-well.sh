#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at random instants, from outside: resume and abort end with one whole volume and nothing of ours.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

work=$(mktemp -d "$TOP/build/killed.XXXXXX") || exit 99
at_exit "rm -rf '$work'"
cd "$work" || exit 99
bin=$VOLMIG_INJECT_BIN
export VOLMIG_STATE_DIR="$work/state"
times=${RANDOM_KILLS:-20}

# A mix of data, holes and zeroes, and an odd end.
head -c 9000001 /dev/urandom >original
truncate -s 14M original
head -c 5000000 /dev/urandom >>original
sum=$(sha256sum <original)

whole() {
	[ -e "$1" ] && [ "$(sha256sum <"$1")" = "$sum" ]
}

nothing_left() {
	local left
	for left in a/.volmig-* b/.volmig-* state/jobs/*/leaves; do
		[ ! -e "$left" ] || { echo "left: $left"; return 1; }
	done
}

# one END: kills a move at a random instant, again and again, until END has ended it.
one() {
	local status job delay killed=0
	rm -rf a b state
	mkdir a b
	cp --sparse=always original a/v
	VOLMIG_INJECT=slow:15000 "$bin" migrate -q ./a/v ./b/ 2>err &
	local pid=$!
	while :; do
		delay=$(printf '0.%03d' $((RANDOM % 500)))
		sleep "$delay"
		kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
		wait $pid 2>/dev/null
		status=$?
		job=$(find state/jobs -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null)
		if [ $status != 137 ]; then
			[ $status = 0 ] && break
			[ $status = 3 ] && [ "$1" = abort ] && grep -qE 'point of no return|is done' err &&
				{ "$bin" resume -q "$job"; break; }
			echo "status $status: $(cat err)"
			return 1
		fi
		if [ -z "$job" ] || [ "$(wc -l <"state/jobs/$job/journal.jsonl")" -lt 2 ]; then
			break
		fi
		VOLMIG_INJECT=slow:15000 "$bin" "$1" -q "$job" 2>err &
		pid=$!
		# Three in a row are enough: then it may come to its end.
		[ $killed -lt 3 ] || { wait $pid; pid=; "$bin" "$1" -q "$job" 2>err || [ "$1" = abort ]; break; }
	done
	[ -z "$job" ] || "$bin" resume -q "$job" 2>/dev/null
	if [ -e a/v ]; then
		whole a/v || { echo 'the source is not whole'; return 1; }
		[ ! -e b/v ] || { echo 'there are two owners'; return 1; }
	else
		whole b/v || { echo 'no whole copy is left'; return 1; }
	fi
	nothing_left
}

for i in $(seq "$times"); do
	ok "killed at random, $i, then resumed" one resume
done
for i in $(seq "$times"); do
	ok "killed at random, $i, then aborted" one abort
done
done_testing
