#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL before and after every record of the journal, and in the middle, of moves onto an
# export and from one: resume and abort end with one whole volume.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit cmp
requires_faults
image original 2500096
size=2500096

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	case $kind in
	onto) cp original a/v ;;
	*) cat original >served.raw ;;
	esac
}

# move FAULTS
move() {
	case $kind in
	onto) run faulty "$1" migrate -q --into-existing --job-id $id ./a/v "$(uri export)" ;;
	from) run faulty "$1" migrate -q --job-id $id "$(uri export v)" ./b/ ;;
	esac
}

# The destination, which is onto what the server has and from b/v; and the source.
is_done() {
	case $kind in
	onto) cmp original served.raw && test ! -e a/v ;;
	from) cmp original b/v && cmp original served.raw ;;
	esac
	nothing_left a b
}
is_undone() {
	case $kind in
	onto) cmp original a/v ;;
	from) cmp original served.raw && test ! -e b/v ;;
	esac
	nothing_left a b
}

resumed() {
	"$VOLMIG" resume -q $id || echo "resume: status $?"
	"$VOLMIG" resume -q $id || echo "resume again: status $?"
	is_done
}

aborted() {
	result=0
	"$VOLMIG" abort -q $id 2>/dev/null || result=$?
	case $result in
	0) is_undone ;;
	# Past the point of no return.
	3) resumed ;;
	*) echo "abort: status $result" ;;
	esac
}

# Of kills that leave a job the end, and of others that there is nothing.
after_kill() {
	if "$VOLMIG" status $id >/dev/null 2>&1; then
		"$1"
	else
		is_undone
	fi
}

head -c $size /dev/urandom >served.raw
# One thread: with more, nbdkit (1.32) may end by an assertion when a client is killed.
nbdkit_on export -t 1 file served.raw
for kind in onto from; do
	for how in before-record after-record; do
		n=1
		while :; do
			fresh
			move "kill-$how:$n"
			[ "$status" = 137 ] || break
			# By turns: all of both would be long.
			[ $((n % 2)) = 0 ] && end=resumed || end=aborted
			settles "$kind an export: killed $how $n, $end" after_kill "$end"
			n=$((n + 1))
		done
		is "$kind an export: without a kill it ends well" "$status" 0
		ok "$kind an export: with some records" test $n -gt 6
	done
	for at in 1 1200000 2500000; do
		fresh
		move "kill-at-byte:$at"
		is "$kind an export: killed at byte $at" "$status" 137
		settles "$kind an export: and resumed" resumed
	done
done

done_testing
