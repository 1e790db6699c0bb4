#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL before, in and after every record of the journal: resume and abort end with one whole volume and nothing of ours.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

# Direct I/O wants a disk below, not the RAM disk that the scratch directory may be on.
work=$(mktemp -d "$TOP/build/killed.XXXXXX") || exit 99
at_exit "rm -rf '$work'"
cd "$work" || exit 99
bin=$VOLMIG_INJECT_BIN
export VOLMIG_STATE_DIR="$work/state"

head -c 2500001 /dev/urandom >large
truncate -s 5M large
head -c 100001 /dev/urandom >>large
# Of one leaf, whose hash the journal keeps.
head -c 700001 /dev/urandom >small

# of FILE: what is moved from here on
of() {
	original=$1
	sum=$(sha256sum <"$original")
	size=$(stat -c %s "$original")
}

whole() {
	[ -e "$1" ] && [ "$(head -c "$size" "$1" | sha256sum)" = "$sum" ]
}

nothing_left() {
	for left in a/.volmig-* b/.volmig-*; do
		[ ! -e "$left" ] || { echo "left: $left"; return 1; }
	done
	for leaves in state/jobs/*/leaves; do
		[ ! -e "$leaves" ] || { echo "left: $leaves"; return 1; }
	done
	"$bin" status >list || return 1
	! grep -vE '^(JOB|no jobs)| (cleaned|aborted) ' list
}

prepare() {
	rm -rf a b state
	mkdir a b
	cp --sparse=always "$original" a/v
	[ "$kind" != into ] || { head -c 7000000 /dev/urandom >b/v; cp b/v was; }
}

move() {
	case $kind in
	new | small) "$bin" migrate -q ./a/v ./b/ ;;
	into) "$bin" migrate -q --into-existing ./a/v ./b/v ;;
	copy) "$bin" copy -q --create ./a/v ./b/ ;;
	wipe) "$bin" migrate -q --wipe=zero ./a/v ./b/ ;;
	none) "$bin" migrate -q --verify=none ./a/v ./b/ ;;
	esac
}

# What must be true in the end: of a job that was done ...
check_done() {
	whole b/v || { echo 'the destination is not whole'; return 1; }
	case $kind in
	copy | none) whole a/v || { echo 'the source is not whole'; return 1; } ;;
	*) [ ! -e a/v ] || { echo 'there are two owners'; return 1; } ;;
	esac
	[ "$kind" != into ] || cmp -s -i "$size:0" -n $((7000000 - size)) b/v /dev/zero ||
		{ echo 'the rest of the destination is not zero'; return 1; }
	nothing_left
}

# ... and of one that was undone, or never was.
check_undone() {
	whole a/v || { echo 'the source is not whole'; return 1; }
	[ "$kind" = into ] || [ ! -e b/v ] || { echo 'there are two owners'; return 1; }
	nothing_left
}

the_job() {
	find state/jobs -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null
}

# The end of the story after a kill: prints what went wrong, or nothing.
end_by_resume() {
	job=$(the_job)
	"$bin" resume -q "$job" || { echo "resume: status $?"; return; }
	"$bin" resume -q "$job" || { echo "resume again: status $?"; return; }
	check_done
}

end_by_abort() {
	job=$(the_job)
	status=0
	"$bin" abort -q "$job" 2>err || status=$?
	case $status in
	0)
		"$bin" abort -q "$job" || { echo "abort again: status $?"; return; }
		check_undone
		;;
	3)
		# Past the point of no return there is only forward.
		grep -qE 'point of no return|is done' err || { cat err; return; }
		end_by_resume
		;;
	*)
		echo "abort: status $status: $(cat err)"
		;;
	esac
}

# planned: does the journal hold a plan?  Before that there is no job.
planned() {
	[ -n "$(the_job)" ] && [ "$(wc -l <"state/jobs/$(the_job)/journal.jsonl")" -ge 2 ]
}

for kind in ${KINDS:-new small into copy wipe none}; do
	of large
	[ "$kind" != small ] || of small
	for where in before torn after; do
		for end in resume abort; do
			record=0
			wrong=
			while :; do
				record=$((record + 1))
				prepare
				status=0
				VOLMIG_INJECT="kill-$where-record:$record" move 2>err || status=$?
				[ $status = 137 ] || break
				if planned; then
					why=$("end_by_$end" 2>&1)
				else
					why=$(check_undone 2>&1)
					# Nothing of it may be in the way of the next.
					[ -n "$why" ] || why=$(move 2>&1 && check_done 2>&1)
				fi
				[ -z "$why" ] || wrong="$wrong
record $record: $why"
			done
			is "$kind: killed $where each record, then $end" "$wrong" ''
			is '... and when there is no such record any more it runs through' "$status" 0
			[ "$record" -gt 8 ] || fail "only $record records"
		done
	done
done

# A resume that is killed itself, at each of its records.
kind=new
of large
wrong=
record=0
while :; do
	record=$((record + 1))
	prepare
	VOLMIG_INJECT=kill-after-record:5 move 2>err
	job=$(the_job)
	status=0
	VOLMIG_INJECT="kill-after-record:$record" "$bin" resume -q "$job" 2>err || status=$?
	[ $status = 137 ] || break
	why=$(end_by_resume 2>&1)
	[ -z "$why" ] || wrong="$wrong
record $record: $why"
done
is 'a resume that is killed at each of its records can be resumed' "$wrong" ''
is '... and in the end runs through' "$status" 0

# An abort that is killed at each of its records.
wrong=
record=0
while :; do
	record=$((record + 1))
	prepare
	VOLMIG_INJECT=kill-after-record:9 move 2>err
	job=$(the_job)
	status=0
	VOLMIG_INJECT="kill-after-record:$record" "$bin" abort -q "$job" 2>err || status=$?
	[ $status = 137 ] || break
	why=$(end_by_abort 2>&1)
	[ -z "$why" ] || wrong="$wrong
record $record: $why"
done
is 'an abort that is killed at each of its records can be finished' "$wrong" ''
is '... and in the end runs through' "$status" 0

done_testing
