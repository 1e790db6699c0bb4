#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig is killed at any record, while the guest stands still, and around each pivot: the disks of a domain end all moved or all back.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
start_libvirtd

"$VOLMIG_INJECT_BIN" --version >/dev/null || skip_all 'needs a build with INJECT=1'
mkdir a b
for name in root data; do
	dd if=/dev/urandom of=a/$name.img bs=1M count=1 status=none
	truncate -s 4M a/$name.img
	cp --sparse=always a/$name.img $name.was
done
define web "$work/a/root.img" "$work/a/data.img"
start_paused web
virsh -q resume web
from=a to=b

# ends_on DIR: both disks use the files there alone, all say so, they are whole, there are no others, and the guest goes on.
ends_on() {
	for disk in vda:root vdb:data; do
		[ "$(disk_source web ${disk%:*} --inactive)" = "$work/$1/${disk#*:}.img" ] &&
			cmp "${disk#*:}.was" "$1/${disk#*:}.img" || return 1
		is_state web 'shut off' || truth web ${disk%:*} || return 1
	done
	[ "$(find a b -type f | sort | tr '\n' ' ')" = "$1/data.img $1/root.img " ] && is_state web "$runs"
}

have_moved() {
	swap=$from from=$to to=$swap
}

unfinished() {
	"$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ && $1 ~ /-/ { print $1 }'
}

# killed FAULT HOW: 1 when the job came to its end in spite of it.
killed() {
	was=0
	VOLMIG_INJECT="$1" "$VOLMIG_INJECT_BIN" migrate -q --domain web "$work/$to/" >killed 2>&1 || was=$?
	if [ $was = 0 ]; then
		ok "without a kill ($1): moved" ends_on $to
		have_moved
		return 1
	fi
	if [ $was != 137 ]; then
		fail "killed by $1: status $was"
		diag "$(cat killed)"
		return 1
	fi
	[ "$runs" != running ] || wait_until is_state web running || fail "$1: the guest stands still"
	job=$(unfinished)
	if [ -z "$job" ]; then
		if [ -e "$from/root.img" ]; then
			ok "$1, before there was a job: nothing has happened" ends_on $from
		else
			ok "$1, when it was done: all have moved" ends_on $to
			have_moved
		fi
		return 0
	fi
	status=0
	"$VOLMIG" "$2" -q "$job" >"$scratch/output" 2>&1 || status=$?
	if [ $status = 0 ] && [ "$2" = abort ]; then
		ok "$1, aborted: all are where they were" ends_on $from
	elif [ $status = 0 ]; then
		ok "$1, resumed: all have moved" ends_on $to
		have_moved
	elif [ $status = 3 ] && [ "$2" = abort ] && grep -q 'point of no return' "$scratch/output"; then
		ok "$1, abort refused: then it goes forward" "$VOLMIG" resume -q "$job"
		ok "$1: all have moved" ends_on $to
		have_moved
	else
		fail "$1, $2: status $status"
		diag "$(cat "$scratch/output")"
		return 1
	fi
}

# each_record HOW OTHER: before one record and that, after the next one and the other; with ALL=1 of the environment both at all.
each_record() {
	record=1
	while [ $record -lt 80 ]; do
		# Before one and after the one that precedes it is the same instant but for the record itself.
		[ $((record % 2)) = 0 ] && when=kill-after how=$2 || when=kill-before how=$1
		killed "$when-record:$record" "$how" || break
		record=$((record + 1))
	done
	ok "$1: those were the records of a whole move" test $record -ge 28
	if [ -n "${ALL:-}" ] && [ "$1" = resume ]; then
		each_record abort resume
	fi
}

runs=running
each_record resume abort
for how in resume abort; do
	for point in suspend:1 suspend:2 suspend:3 pivot:1 pivot:2 pivot:3 pivot:4; do
		killed kill-$point $how
	done
done

# Between two pivots: the guest goes on though nobody comes, and status says whose doing it was that it did not.
VOLMIG_INJECT=kill-pivot:2 "$VOLMIG_INJECT_BIN" migrate -q --domain web "$work/$to/" >killed 2>&1
job=$(unfinished)
ok 'the guest had stood still, and goes on' wait_until grep -q \
	'web: volmig was killed while it had suspended the domain, which goes on now' killed
ok 'it runs' is_state web running
ok 'status of it' "$VOLMIG" status "$job"
has 'says so, and which disk is where' 'when volmig was stopped' "$to/root.img, 4 MiB: the guest uses the destination" \
	"$to/data.img, 4 MiB: the guest uses the source, and the mirror is ready"
# The second mirror is lost, and cannot be begun again.
virsh -q blockjob web vdb --abort
mv $to/data.img aside
must_fail 5 'half of it cannot be mended' "$VOLMIG" resume -q "$job"
has 'what is where is told' "only some of its disks have moved: vda is on $work/$to/root.img; vdb is not: the guest uses the source" \
	'keep all volumes'
ok 'the guest goes on' is_state web running
ok 'both old volumes are kept' test -e $from/root.img -a -e $from/data.img
must_fail 3 'there is no way back' "$VOLMIG" abort -q "$job"
mv aside $to/data.img
ok 'resume mirrors the rest again' "$VOLMIG" resume -q "$job"
ok 'all have moved' ends_on $to
have_moved

# One that stands still to be compared goes on as well.
VOLMIG_INJECT=kill-suspend:2 "$VOLMIG_INJECT_BIN" swap -q --max-pause=10s --create web vda ./compared.img >killed 2>&1
is 'killed while the guest stands still to be compared' $? 137
ok 'it goes on' wait_until grep -q 'web: volmig was killed while it had suspended the domain' killed
ok 'it runs' is_state web running
ok 'the job is aborted' "$VOLMIG" abort -q "$(unfinished)"
ok 'all are where they were' ends_on $from

# Shut off: the definition changes for all at once.
virsh -q destroy web
runs='shut off'
each_record resume abort

done_testing
