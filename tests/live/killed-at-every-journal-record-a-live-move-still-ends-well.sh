#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig is killed before and after each journal record of a live move; then resume, or abort, ends it with one whole disk that the guest uses.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
start_libvirtd

"$VOLMIG_INJECT_BIN" --version >/dev/null || skip_all 'needs a build with INJECT=1'
mkdir a b
dd if=/dev/urandom of=a/web.img bs=1M count=2 status=none
truncate -s 8M a/web.img
cp --sparse=always a/web.img data
define web "$work/a/web.img"
start_paused web
from=a to=b

# The guest uses that file alone, all say so, it is whole, and there is no other.
ends_on() {
	[ "$(disk_source web vda)" = "$work/$1/web.img" ] && truth web vda &&
		cmp data "$1/web.img" && [ "$(find a b -type f)" = "$1/web.img" ]
}

# killed WHEN RECORD HOW: 1 when the job came to its end before that record.
killed() {
	VOLMIG_INJECT="$1-record:$2" "$VOLMIG_INJECT_BIN" migrate -q "$work/$from/web.img" "$work/$to/" \
		>killed 2>&1
	was=$?
	if [ $was = 0 ]; then
		ok "without a kill ($1 $2): moved" ends_on $to
		swap=$from from=$to to=$swap
		return 1
	fi
	if [ $was != 137 ] || [ "$2" -gt 40 ]; then
		fail "killed $1 $2: status $was"
		diag "$(cat killed)"
		return 1
	fi
	job=$("$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ { print $1 }')
	# Killed before there was anything to kill.
	if [ -z "$job" ] || [ "$job" = "no" ]; then
		if [ -e "$from/web.img" ]; then
			ok "killed $1 $2, before there was a job: nothing has happened" ends_on $from
		else
			ok "killed $1 $2, when it was done: it has moved" ends_on $to
			swap=$from from=$to to=$swap
		fi
		return 0
	fi
	ok "killed $1 $2: status tells" "$VOLMIG" status "$job"
	status=0
	"$VOLMIG" "$3" -q "$job" >"$scratch/output" 2>&1 || status=$?
	if [ $status = 0 ] && [ "$3" = abort ]; then
		ok "killed $1 $2, aborted: the disk is where it was" ends_on $from
	elif [ $status = 0 ]; then
		ok "killed $1 $2, resumed: the disk has moved" ends_on $to
		swap=$from from=$to to=$swap
	elif [ $status = 3 ] && [ "$3" = abort ]; then
		# Past the point of no return.
		has "killed $1 $2, abort is refused" 'point of no return'
		ok "killed $1 $2: then it goes forward" "$VOLMIG" resume -q "$job"
		ok "killed $1 $2: the disk has moved" ends_on $to
		swap=$from from=$to to=$swap
	else
		fail "killed $1 $2, $3: status $status"
		diag "$(cat "$scratch/output")"
		return 1
	fi
	return 0
}

for how in resume abort; do
	for when in kill-before kill-after; do
		record=1
		while killed $when $record $how; do
			record=$((record + 1))
		done
		ok "$how, $when: those were the records of a whole move" test $record -ge 15
	done
done

done_testing
