#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# copy --delta between hosts, in both directions: either side is killed at its records, while that host reads its end and
# while bytes are carried; the link goes and comes.  It goes on by itself or is resumed, and the two are equal in the end.
#
# HOSTS_KILLS=full does so at every record; else at a few.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
MIB=1048576
head -c 12M /dev/urandom >"$scratch/data"

# patch FILE MIB...: other bytes there
patch() {
	file=$1
	shift
	for at in "$@"; do
		head -c 5000 /dev/urandom | dd of="$file" bs=1M seek="$at" conv=notrunc status=none
	done
}
cp "$scratch/data" "$scratch/old"
patch "$scratch/old" 1 4 7 10

push() {
	# shellcheck disable=SC2154
	from=$dir_a/x.img to=$dir_b/x.img source=$dir_a/x.img dest=ssh://10.77.0.2/$dir_b/x.img
}
pull() {
	from=$dir_b/x.img to=$dir_a/x.img source=ssh://10.77.0.2/$dir_b/x.img dest=$dir_a/x.img
}

fresh() {
	cp "$scratch/data" "$from"
	cp "$scratch/old" "$to"
}

# A fault for the volmig serve that comes first, and for no other.
faulty() {
	far_volmig=$VOLMIG_INJECT_BIN far_inject="\$(cat $scratch/fault 2>&-; rm -f $scratch/fault)" allow b
}

# ended WHAT: one line of TAP for all that has to be so in the end.
ended() {
	why=
	cmp -s "$from" "$scratch/data" || why='the source is not whole'
	cmp -s "$to" "$scratch/data" || why="$why; the destination is not equal"
	[ -z "$(unfinished a)" ] || why="$why; the job here is unfinished"
	[ -z "$(unfinished b)" ] || why="$why; the job there is unfinished"
	# A process that was killed cannot give its place in the queue back.
	on a volmig doctor --fix >"$scratch/output" 2>&1
	on b volmig doctor --fix >"$scratch/output" 2>&1
	nothing_left a || why="$why; something is left here: $(cat "$scratch/output")"
	nothing_left b || why="$why; something is left there: $(cat "$scratch/output")"
	is "$1" "$why" ''
	[ -z "$why" ] || diag "$(cat "$scratch/said")"
}

# go_on WHAT: resume what is left of it, if anything is.
go_on() {
	for job in $(unfinished a); do
		on a volmig resume -q "$job" >>"$scratch/said" 2>&1
	done
	# Where nothing is, it had not begun.
	for job in $(unfinished b); do
		on b volmig abort -q "$job" >>"$scratch/said" 2>&1
	done
	cmp -s "$to" "$scratch/data" || on a volmig copy -q --delta "$source" "$dest" >>"$scratch/said" 2>&1
	ended "$1"
}

# near_killed FAULT NUMBER OPTION...: false when it came to its end before.
near_killed() {
	fault=$1:$2
	shift 2
	fresh
	status=0
	on a env VOLMIG_INJECT="$fault" "$VOLMIG_INJECT_BIN" --connect none copy -q --delta "$@" "$source" "$dest" \
		>"$scratch/said" 2>&1 || status=$?
	[ $status = 137 ]
}

far_killed() {
	fresh
	echo "$1:$2" >"$scratch/fault"
	status=0
	on a volmig copy -q --delta "$source" "$dest" >"$scratch/said" 2>&1 || status=$?
	is "$way: the far side is killed by $1:$2: it goes on by itself" "$status $(ls "$scratch/fault" 2>&-)" '0 '
	ended '... and ends well'
}

# begin OPTION...: in the background
begin() {
	fresh
	on a volmig copy -q --delta "$@" "$source" "$dest" >"$scratch/said" 2>&1 &
	copy=$!
}

survey_begun() {
	[ -n "$(find "$scratch/b/state/jobs" -name leaves -newer "$to")" ]
}

goes_on() {
	status=0
	wait $copy || status=$?
	is "$1" "$status" 0
	ended '... and ends well'
}

# kill_workers HOST PATTERN [SIGNAL]: the processes of a job there.
kill_workers() {
	ip netns pids "$hosts_net-$1" | while read -r pid; do
		! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -Eq "$2" || kill "-${3:-KILL}" "$pid"
	done
}

faulty
for way in push pull; do
	$way
	if [ "${HOSTS_KILLS:-}" = full ]; then
		number=1
		while near_killed kill-after-record $number; do
			go_on "$way: killed here at record $number"
			near_killed kill-torn-record $number
			go_on "$way: killed here in record $number"
			number=$((number + 1))
		done
		ok "$way: there were records" test $number -gt 8
		for number in 1 2 3 4 5 6; do
			far_killed kill-after-record $number
			far_killed kill-torn-record $number
		done
	else
		for number in 4 6; do
			near_killed kill-after-record $number
			is "$way: killed here at record $number" $status 137
			go_on '... and resumed'
		done
		far_killed kill-torn-record 4
	fi

	# While that host reads its end, and while bytes are carried.
	far_killed kill-at-byte 5000000
	near_killed kill-at-byte 5000000
	is "$way: killed here in the copy" $status 137
	go_on '... and resumed'

	far_volmig=$VOLMIG_INJECT_BIN far_inject=slow:120000 allow b
	begin
	ok "$way: that host reads its end" wait_until survey_begun
	kill_workers a 'none copy'
	wait $copy
	go_on '... killed here, and resumed'
	begin
	ok "$way: that host reads its end" wait_until survey_begun
	kill_workers a 'none copy' TERM
	status=0
	wait $copy || status=$?
	is '... interrupted here, it stops' "$status" 4
	go_on '... and is resumed'
	begin
	ok "$way: that host reads its end" wait_until survey_begun
	kill_workers b 'serve --stdio'
	goes_on '... killed there, it goes on by itself'
	begin
	ok "$way: that host reads its end" wait_until survey_begun
	link b down
	sleep 5
	link b up
	goes_on '... the link is down for 5 s: it goes on by itself'
	faulty

	for what in nbdkit 'serve --stdio|nbdkit' link; do
		begin --bwlimit=4M
		ok "$way: the first difference is gone" wait_until cmp -s -n $((2 * MIB)) "$from" "$to"
		case $what in
		link) link b down; sleep 5; link b up ;;
		*) kill_workers b "$what" ;;
		esac
		goes_on "... and so is the $what: it goes on by itself"
	done

	# Some of it is durable, and the rest is not what it was when its hashes were asked for.
	near_killed kill-at-byte 7500000 --bwlimit=1M "$([ $way = push ] && echo --verify=full || echo --verify=none)"
	is "$way: killed here when some is durable" $status 137
	patch "$to" 11
	job=$(unfinished a)
	is '... resumed' "$(on a volmig resume --json "$job" 2>"$scratch/said" | jq '.copy.resumed_at > 0')" true
	ended '... and what was written to it meanwhile is not taken for equal'
done

done_testing
