#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at any journal record of a move onto an iSCSI LUN: one whole volume, and no session, disk or record stays.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 8M -t 590
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires cmp

luns_up "$LAB_DISKS"
initiator_up
cd "$scratch" || exit 99
head -c 3000001 /dev/urandom >original
zeroes=$((8388608 - 3000001))

left() {
	echo "$(sessions) sessions, disks '$(disks)', $(nodes) nodes, records '$(ls -A "$records" 2>/dev/null)'"
}
none="0 sessions, disks '', 0 nodes, records ''"

move() {
	"${1:-$VOLMIG}" migrate -q --into-existing ./v "$url/0"
}

the_job() {
	find state/jobs -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null
}

planned() {
	[ -n "$(the_job)" ] && [ "$(wc -l <"state/jobs/$(the_job)/journal.jsonl")" -ge 2 ]
}

moved() {
	# The target writes past what is kept here of its disk.
	blockdev --flushbufs "$LAB_DISKS"
	[ ! -e v ] || echo 'there are two owners'
	cmp -n 3000001 original "$LAB_DISKS" || echo 'the LUN is not whole'
	cmp -s -i 3000001:0 -n $zeroes "$LAB_DISKS" /dev/zero || echo 'the rest of the LUN is not zero'
}

undone() {
	cmp original v || echo 'the source is not whole'
}

resumed() {
	"$VOLMIG" resume -q "$(the_job)" || echo "resume: status $?"
	moved
}

aborted() {
	status=0
	"$VOLMIG" abort -q "$(the_job)" 2>err || status=$?
	case $status in
	0) undone ;;
	3)
		# Past the point of no return there is only forward.
		grep -qE 'point of no return|is done' err || cat err
		resumed
		;;
	*) echo "abort: status $status: $(cat err)" ;;
	esac
}

# kill_at WHERE RECORD END: prints what went wrong; status 1 when there is no such record any more.
kill_at() {
	rm -rf state
	cp original v
	# Nothing of an earlier move is taken for this one's.
	head -c 8M /dev/urandom | dd of="$LAB_DISKS" bs=1M iflag=fullblock oflag=direct status=none
	status=0
	VOLMIG_INJECT="kill-$1-record:$2" move "$VOLMIG_INJECT_BIN" 2>err || status=$?
	[ $status != 0 ] || { moved; return 1; }
	[ $status = 137 ] || { echo "status $status: $(cat err)"; return 1; }
	if planned; then
		"$3"
	else
		"$VOLMIG" doctor --fix -q >/dev/null 2>&1
		undone
	fi
	now=$(left)
	[ "$now" = "$none" ] || echo "left: $now"
	# Not to be found by the next one.
	iscsiadm -m session -u >/dev/null 2>&1
	iscsiadm -m node -o delete >/dev/null 2>&1
	return 0
}

# As a rule every other record, in one of the ways; with ALL=1 in the environment all of them, in each way.
where=before
end=resumed
step=2
[ -z "${ALL:-}" ] || step=1
for way in 1 2 3 4 5 6; do
	[ $way = 1 ] || [ -n "${ALL:-}" ] || break
	record=$((1 - step))
	wrong=
	more=1
	while [ $more = 1 ]; do
		record=$((record + step))
		why=$(kill_at $where $record $end 2>&1) || more=0
		[ -z "$why" ] || wrong="$wrong
$where record $record, $end: $why"
		[ -n "${ALL:-}" ] || case $where in
		before) where=torn ;;
		torn) where=after ;;
		after) where=before ;;
		esac
		[ -n "${ALL:-}" ] || case $end in
		resumed) end=aborted ;;
		aborted) end=resumed ;;
		esac
	done
	is "killed at each record, $where and $end the last" "$wrong" ''
	ok 'there were some records' test $record -gt 8
	nothing_left 'after a move that nothing stopped'
	[ $way != 3 ] || end=aborted
	case $where in
	before) where=torn ;;
	torn) where=after ;;
	after) where=before ;;
	esac
done
done_testing
