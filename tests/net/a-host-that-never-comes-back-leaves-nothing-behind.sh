#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The near side is killed at every record of its journal and comes back only when the lease is over: there is always
# one whole copy, each side ends its part, and nothing is left.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
allow b --lease=1s
head -c 3M /dev/urandom >"$scratch/data"

unfinished() {
	on "$1" volmig status --all --json |
		jq -r '.jobs[] | select(.state != "cleaned" and .state != "aborted") | .job'
}

# Nobody works on a job there any more, and its lease is over.
all_ended() {
	[ -z "$(unfinished b)" ]
}

# killed WHERE NUMBER SOURCE PLACE: a move, killed there.  False: it came to its end before.
killed() {
	status=0
	on a env VOLMIG_INJECT="$1:$2" "$VOLMIG_INJECT_BIN" --connect none migrate -q "$3" "$4" \
		>"$scratch/output" 2>&1 || status=$?
	[ $status != 0 ]
}

# round WHAT SOURCE-FILE DESTINATION-FILE SOURCE PLACE
round() {
	number=1
	while :; do
		rm -f "$2" "$3"
		cp "$scratch/data" "$2"
		killed kill-after-record $number "$4" "$5" || break
		if ! wait_until all_ended; then
			fail "$1, killed at record $number: the other host does not end its part"
			diag "$(on b volmig status)"
		fi
		if cmp -s "$scratch/data" "$2" || cmp -s "$scratch/data" "$3"; then
			pass "$1, killed at record $number: there is a whole copy"
		else
			fail "$1, killed at record $number: there is a whole copy"
		fi
		for job in $(unfinished a); do
			on a volmig resume -q "$job" >"$scratch/output" 2>&1 ||
				on a volmig abort -q "$job" >>"$scratch/output" 2>&1 ||
				diag "$job: $(cat "$scratch/output")"
		done
		is '... the job here comes to its end' "$(unfinished a)" ''
		whole=
		if cmp -s "$scratch/data" "$2"; then
			whole=source
		fi
		if cmp -s "$scratch/data" "$3"; then
			whole=$whole.destination
		fi
		case $whole in
		source | .destination) pass '... and leaves one whole copy' ;;
		*)
			fail '... and leaves one whole copy'
			diag "whole: $whole"
			diag "$(on a volmig status; on b volmig status)" ;;
		esac
		ok '... nothing is left here' nothing_left a
		ok '... nothing is left there' nothing_left b
		number=$((number + 1))
	done
	ok "$1: there were records" test $number -gt 6
}

# shellcheck disable=SC2154
round 'to the other host' "$dir_a/x.img" "$dir_b/x.img" "$dir_a/x.img" "ssh://10.77.0.2/$dir_b/"
round 'from the other host' "$dir_b/y.img" "$dir_a/y.img" "ssh://10.77.0.2/$dir_b/y.img" "$dir_a/"

done_testing
