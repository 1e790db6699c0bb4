#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL while bytes are copied, zeroed, verified, wiped: resume and abort end with one whole volume.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555
image original
size=$(stat -c %s original)
sum=$(sum_of original)
tail=1500000

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	cp original a/v
	case $kind in
	into) head -c $((size + tail)) /dev/urandom >b/v ;;
	delta) head -c "$size" /dev/urandom >b/v ;;
	esac
}

# move FAULTS
move() {
	case $kind in
	new) run faulty "$1" migrate -q --job-id $id ./a/v ./b/ ;;
	wipe) run faulty "$1" migrate -q --wipe=zero --job-id $id ./a/v ./b/ ;;
	discard) run faulty "$1" migrate -q --wipe=discard --job-id $id ./a/v ./b/ ;;
	into) run faulty "$1" migrate -q --into-existing --job-id $id ./a/v ./b/v ;;
	delta) run faulty "$1" copy -q --delta --job-id $id ./a/v ./b/v ;;
	dense) run faulty "$1" copy -q --create --sparse=never --job-id $id ./a/v ./b/ ;;
	esac
}

is_whole() {
	[ -f "$1" ] && [ "$(sum_of "$1" "$size")" = "$sum" ]
}

done_well() {
	is_whole b/v || echo 'the destination is not whole'
	case $kind in
	delta | dense) is_whole a/v || echo 'the source is not whole' ;;
	*) [ ! -e a/v ] || echo 'there are two owners' ;;
	esac
	[ "$kind" != into ] || cmp -n "$tail" -i "$size:0" b/v /dev/zero
	nothing_left a b
}

undone() {
	is_whole a/v || echo 'the source is not whole'
	case $kind in
	into | delta) ;;
	*) [ ! -e b/v ] || echo 'there are two owners' ;;
	esac
	nothing_left a b
}

# Which record says that the step is begun?  In $record.
find_record() {
	local n
	record=
	for n in $(seq 40); do
		fresh
		move "kill-after-record:$n"
		[ "$status" = 137 ] || return
		if tail -n 1 "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl" 2>/dev/null |
			grep -q "\"rec\":\"begin\".*\"name\":\"$step\""; then
			record=$n
			return
		fi
	done
}

# one STEP BYTE END: the step is begun, and nothing more, so the byte at which the next
# run is killed is one of it.
one() {
	fresh
	move "kill-after-record:$record"
	run faulty "kill-at-byte:$2" resume -q $id
	[ "$status" = 137 ] || { echo "not killed at $2: status $status"; cat "$scratch/stderr"; return; }
	# And once more, nearby.
	run faulty "kill-at-byte:$(($2 + 1))" resume -q $id
	[ "$status" = 137 ] || [ "$status" = 0 ] || { echo "resume: status $status"; cat "$scratch/stderr"; }
	if [ "$3" = resume ]; then
		run "$VOLMIG" resume -q $id
		[ "$status" = 0 ] || { echo "resume: status $status"; cat "$scratch/stderr"; }
		done_well
		return
	fi
	run "$VOLMIG" abort -q $id
	case $status,$1 in
	0,wipe-source) echo 'undone past the point of no return' ;;
	0,*) undone ;;
	3,*)
		grep -qE 'point of no return|the job is done' "$scratch/stderr" || cat "$scratch/stderr"
		run "$VOLMIG" resume -q $id
		[ "$status" = 0 ] || { echo "resume: status $status"; cat "$scratch/stderr"; }
		done_well
		;;
	*) echo "abort: status $status" && cat "$scratch/stderr" ;;
	esac
}

# What the first run has written is taken back by the second, which dies while it does that.
emptied() {
	fresh
	move "kill-after-record:$record"
	run faulty kill-at-byte:1048577 resume -q $id
	[ "$status" = 137 ] || echo "not killed in the copy: status $status"
	run faulty kill-empty:1 resume -q $id
	[ "$status" = 137 ] || echo "not killed at the emptying: status $status"
	run "$VOLMIG" resume -q $id
	[ "$status" = 0 ] || { echo "resume: status $status"; cat "$scratch/stderr"; }
	done_well
}
kind=new step=copy
find_record
settles 'killed while the new file is emptied, resumed' emptied

for VOLMIG_IO in uring sync; do
	export VOLMIG_IO
	for at in 'new copy' 'new verify' 'into copy' 'into zero-tail' 'into verify' 'delta copy' \
		'dense copy' 'wipe wipe-source' 'discard wipe-source'; do
		kind=${at% *}
		step=${at#* }
		find_record
		bytes="1 1048577 $size"
		[ "$step" != zero-tail ] || bytes="1 $tail"
		for byte in $bytes; do
			settles "$VOLMIG_IO, $kind: killed in $step at $byte, resumed" one "$step" "$byte" resume
			settles "$VOLMIG_IO, $kind: killed in $step at $byte, aborted" one "$step" "$byte" abort
		done
	done
done
done_testing
