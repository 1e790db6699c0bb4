#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Reads and writes that fail, bytes that change on their way, no room: named, and nothing lost; then it goes on.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555
image original
size=$(stat -c %s original)
sum=$(sum_of original)
random=$((size + 700000))

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	cp original a/v
	case $kind in
	into) head -c $random /dev/urandom >b/v ;;
	delta) cp original b/v && printf 'x' | dd of=b/v bs=1 seek=4500000 conv=notrunc status=none ;;
	esac
}

# move FAULT [OPTION...]
move() {
	local fault=$1
	shift
	case $kind in
	new) run faulty "$fault" migrate --job-id $id "$@" ./a/v ./b/ ;;
	into) run faulty "$fault" migrate --into-existing --job-id $id "$@" ./a/v ./b/v ;;
	copy) run faulty "$fault" copy --create --job-id $id "$@" ./a/v ./b/ ;;
	delta) run faulty "$fault" copy --delta --job-id $id "$@" ./a/v ./b/v ;;
	esac
}

is_whole() {
	[ -f "$1" ] && [ "$(sum_of "$1" "$size")" = "$sum" ] || { echo "$1 is not whole"; return 1; }
}

ended_well() {
	is_whole b/v
	case $kind in
	copy | delta) is_whole a/v ;;
	*) [ ! -e a/v ] || echo 'the source is still there' ;;
	esac
	[ "$kind" != into ] || cmp -n 700000 -i "$size:0" b/v /dev/zero
	nothing_left a b
}

# fault KIND FAULT:OFFSET OBJECT VERB: it stops there, and says so; resumed, it ends well;
# aborted, nothing has been.
fault() {
	local at=${1#*:}
	fresh
	move "$1"
	[ "$status" = 4 ] || { echo "status $status"; cat "$scratch/stderr"; }
	one_line_of_error
	grep -qE "^volmig: (migrate|copy): $work/$2: cannot $3 at byte [0-9]+: " "$scratch/stderr" ||
		cat "$scratch/stderr"
	named=$(sed -n 's/.* at byte \([0-9]*\): .*/\1/p' "$scratch/stderr")
	[ "${named:-0}" -le "$at" ] && [ "$at" -lt $((${named:-0} + 1048576)) ] ||
		echo "byte $named is named, it was $at"
	grep -q "source untouched; go on with: volmig resume $id\$" "$scratch/stderr" ||
		cat "$scratch/stderr"
	is_whole a/v
	[ "$kind" = new ] && [ -e b/v ] && echo 'there is a destination'
	"$VOLMIG" status $id >"$scratch/output"
	grep -q '^stopped .*cannot' "$scratch/output" || echo 'status does not tell why'

	# The fault is still there, or again.  (With --delta all of it was written after all.)
	if [ "$kind" != delta ] || [ "$2" = a/v ]; then
		run faulty "$1" resume $id
		[ "$status" = 4 ] || echo "the second time, status $status"
	fi
	is_whole a/v
	run "$VOLMIG" resume $id
	[ "$status" = 0 ] || { echo "resumed, status $status"; cat "$scratch/stderr"; }
	ended_well

	fresh
	move "$1"
	run "$VOLMIG" abort $id
	[ "$status" = 0 ] || { echo "aborted, status $status"; cat "$scratch/stderr"; }
	is_whole a/v
	case $kind in
	new | copy) [ ! -e b/v ] || echo 'aborted, and there is a destination' ;;
	esac
	nothing_left a b
}

# A byte is damaged behind the back of the hash: verify finds it, at the latest then.
flipped() {
	fresh
	move "flip-write:$1"
	[ "$status" = 1 ] || { echo "status $status"; cat "$scratch/stderr"; }
	one_line_of_error
	is_whole a/v
	case $kind in
	new | copy) [ ! -e b/v ] || echo 'there is a destination' ;;
	esac
	named=$(sed -n 's/.*byte \([0-9]*\).*/\1/p' "$scratch/stderr")
	[ "${named:-0}" -le "$1" ] && [ "$1" -lt $((${named:-0} + 1048576)) ] ||
		cat "$scratch/stderr"
	"$VOLMIG" status $id >"$scratch/output"
	grep -q '(aborted)' "$scratch/output" || cat "$scratch/output"
	nothing_left a b
	# The volumes are free for another try.
	id=21111111-2222-4333-8444-555555555555
	move x
	[ "$status" = 0 ] || { echo "another try, status $status"; cat "$scratch/stderr"; }
	ended_well
}

# Unverified, nobody could know; that is why the source stays.
not_verified() {
	fresh
	move flip-write:1000000 --verify=none
	[ "$status" = 0 ] || { echo "status $status"; cat "$scratch/stderr"; }
	is_whole a/v
	is_whole b/v >/dev/null && echo 'nothing was damaged, so nothing is tested'
}

for VOLMIG_IO in uring sync; do
	export VOLMIG_IO
	for kind in new into copy delta; do
		case $kind in
		new | copy) written="b/.volmig-$id" ;;
		*) written=b/v ;;
		esac
		for offset in 0 1000000 4500000 5300000; do
			settles "$VOLMIG_IO, $kind: read error at $offset" fault read-eio:$offset a/v read
			# With --delta only one leaf is written.
			[ $kind,$offset = delta,4500000 ] || [ "$kind" != delta ] || continue
			settles "$VOLMIG_IO, $kind: write error at $offset" fault write-eio:$offset "$written" write
			settles "$VOLMIG_IO, $kind: no space at $offset" fault write-enospc:$offset "$written" write
		done
		settles "$VOLMIG_IO, $kind: read error of the copy" fault verify-eio:1000000 "$written" read
		for offset in 0 1000000 4500000 5300000; do
			settles "$VOLMIG_IO, $kind: a wrong byte at $offset" flipped $offset
		done
		settles "$VOLMIG_IO, $kind: a wrong byte that nobody looks for" not_verified
	done
done
unset VOLMIG_IO

# A limit to the size of files is an error like others, not a signal.
limited() {
	(
		# In blocks of 1024 bytes.
		ulimit -f "$1"
		shift
		exec "$@"
	)
}

too_large_to_make() {
	kind=new
	fresh
	run limited 5000 "$VOLMIG" migrate --job-id $id ./a/v ./b/
	[ "$status" = 1 ] || { echo "status $status"; cat "$scratch/stderr"; }
	one_line_of_error
	grep -q 'File too large' "$scratch/stderr" || cat "$scratch/stderr"
	is_whole a/v
	[ ! -e b/v ] || echo 'there is a destination'
	nothing_left a b
}

too_large_to_write() {
	kind=into
	fresh
	run limited 4500 "$VOLMIG" migrate --into-existing --job-id $id ./a/v ./b/v
	[ "$status" = 4 ] || { echo "status $status"; cat "$scratch/stderr"; }
	one_line_of_error
	grep -q 'File too large' "$scratch/stderr" || cat "$scratch/stderr"
	is_whole a/v
	run "$VOLMIG" resume $id
	[ "$status" = 0 ] || { echo "resumed, status $status"; cat "$scratch/stderr"; }
	ended_well
}

# Not even for the journal.
no_journal() {
	local blocks
	kind=new
	for blocks in 0 1 2 3 4; do
		fresh
		run limited $blocks "$VOLMIG" migrate --job-id $id ./a/v ./b/
		[ "$status" != 0 ] && [ "$status" -le 5 ] || { echo "$blocks: status $status"; cat "$scratch/stderr"; }
		is_whole a/v
		[ ! -e b/v ] || echo 'there is a destination'
		if "$VOLMIG" status $id >/dev/null 2>&1; then
			"$VOLMIG" abort -q $id || echo "$blocks: abort: status $?"
		fi
		nothing_left a b
		run "$VOLMIG" migrate -q ./a/v ./b/
		[ "$status" = 0 ] || { echo "$blocks: then, status $status"; cat "$scratch/stderr"; }
		ended_well
	done
}

settles 'a new file that is larger than what is allowed' too_large_to_make
settles 'a write beyond what is allowed' too_large_to_write
settles 'a journal that cannot grow' no_journal
done_testing
