#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What happens to either end while the job runs is noticed before the source would go.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555

fresh() {
	rm -rf a b away "$VOLMIG_STATE_DIR"
	mkdir a b away
	image a/v
	sum=$(sum_of a/v)
}

phase_is() {
	grep -q "\"phase\":\"$1\"" progress
}

# during PHASE COMMAND: run a move, and the command when it is in that phase.
during() {
	: >progress
	env VOLMIG_INJECT=slow:100000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id --progress=json \
		--progress-fd=7 ./a/v ./b/ 7>progress 2>"$scratch/stderr" &
	child=$!
	wait_until phase_is "$1" || echo "no phase $1"
	eval "$2"
	status=0
	wait $child || status=$?
}

# one STATUS PATTERN PHASE COMMAND: it ends so, and nothing has become of the source.
one() {
	fresh
	during "$3" "$4"
	[ $status = "$1" ] || echo "status $status"
	one_line_of_error
	grep -qE "$2" "$scratch/stderr" || cat "$scratch/stderr"
}

# ... and aborted, the source is what its owner has made of it.
stays() {
	local now
	one "$@"
	now=$(sum_of a/v)
	"$VOLMIG" abort -q $id || echo "abort: status $?"
	[ "$(sum_of a/v)" = "$now" ] || echo 'the source has changed'
	[ ! -e b/v ] || echo 'there are two owners'
	nothing_left a b
}

for phase in copy verify; do
	settles "written to in phase $phase" stays 4 'a/v: the source changed while it was copied: it was written to' \
		$phase 'printf x | dd of=a/v bs=1 seek=9 conv=notrunc status=none'
	settles "written to in phase $phase, at its end" stays 4 'the source changed while it was copied' \
		$phase 'printf x >>a/v'
	settles "opened for writing in phase $phase" stays 4 'the source has come into use: open for writing' \
		$phase 'exec 8>>a/v'
	exec 8>&-
done

# It is cut in phase copy: what is missing cannot be read, what was read is all there is of it.
cut() {
	one 4 'a/v: ' "$1" 'truncate -s 2000000 a/v'
	run "$VOLMIG" resume -q $id
	[ $status = 3 ] || echo "resume: status $status"
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] || echo "abort: status $status"
	grep -q 'so the copy is kept' "$scratch/stderr" || cat "$scratch/stderr"
	[ -n "$(find b -type f)" ] || echo 'the copy is gone'
}
settles 'cut in phase copy' cut copy
settles 'cut in phase verify' cut verify

# It goes away, or something else takes its place: the copy may be all that is left.
away() {
	one 4 "$1" verify "$2"
	[ "$(sum_of b/v)" = "$sum" ] || echo 'the copy is not whole'
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] || echo "abort: status $status"
	[ "$(sum_of b/v)" = "$sum" ] || echo 'then the copy is not whole'
}
settles 'deleted in phase verify' away 'the source has gone since it was copied' 'rm a/v'
settles 'moved away in phase verify' away 'the source has gone since it was copied' 'mv a/v away/'
settles 'replaced in phase verify' away 'the source is not the volume that was copied' \
	'mv a/v away/ && image a/v'

# An abort that is refused has taken nothing back: once the source is there again the job can go on.
back_again() {
	fresh
	run "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook "[ \$1 != $1 ]"
	mv a/v away/
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] || echo "abort: status $status"
	one_line_of_error
	[ "$(ls -A b)" = "${2:-.volmig-$id}" ] || echo "in b: $(ls -A b)"
	mv away/v a/
	"$VOLMIG" resume -q --no-hook $id || echo "resume: status $?"
	[ "$(sum_of b/v)" = "$sum" ] && [ ! -e a/v ] || echo 'it has not moved'
	nothing_left a b
}
settles 'aborted in vain before verify it goes on' back_again pre-verify
settles 'aborted in vain before publish it goes on' back_again pre-publish
settles 'aborted in vain before the commit it goes on' back_again pre-commit v

# The destination's directory is away: the same.
directory_back_again() {
	fresh
	run "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook '[ $1 != pre-publish ]'
	mv b away/
	run "$VOLMIG" abort -q $id
	[ $status != 0 ] || echo 'abort: status 0'
	one_line_of_error
	mv away/b .
	"$VOLMIG" resume -q --no-hook $id || echo "resume: status $?"
	[ "$(sum_of b/v)" = "$sum" ] && [ ! -e a/v ] || echo 'it has not moved'
	nothing_left a b
}
settles 'aborted in vain without the directory it goes on' directory_back_again

# The same before its first byte was read: the copy is empty, nobody needs it.
# early STATUS PATTERN HOOK COMMAND
early() {
	fresh
	run "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook "[ \$1 != $3 ] || { $4; }"
	[ $status = "$1" ] || echo "status $status"
	one_line_of_error
	grep -qE "$2" "$scratch/stderr" || cat "$scratch/stderr"
	[ -z "$(ls -A b)" ] || echo 'something is left'
	nothing_left a b
}
for hook in pre-create-file pre-copy; do
	settles "replaced at $hook" early 3 'a/v: is not what it was: another inode' $hook 'cp a/v a/w; mv a/w a/v'
	settles "cut at $hook" early 3 'a/v: its size is 4096 bytes' $hook 'truncate -s 4096 a/v'
	settles "a FIFO at $hook" early 3 'a/v: is a FIFO now' $hook 'rm a/v; mkfifo a/v'
	settles "moved away at $hook" early 1 'a/v: cannot open it for reading' $hook 'mv a/v away/'
done

# Another file has its name only while the new one is made: that gives nothing of its own.
fresh
run "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook 'case $1 in
pre-create-file) mv a/v away/v; cp away/v a/v; chmod 666 a/v ;;
post-create-file) mv away/v a/v ;;
esac'
is 'another file that has its name for a moment is refused' "$status $(ls -A b)" '3 '
has 'and named' 'a/v: is not what it was: another inode'

# The job was stopped before the copy, and is given up when the source is gone.
given_up() {
	fresh
	run "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook '[ $1 != pre-copy ]'
	[ $status = 4 ] || echo "status $status"
	[ -n "$(ls -A b)" ] || echo 'no new file was made'
	mv a/v away/
	"$VOLMIG" abort -q $id || echo "abort: status $?"
	[ -z "$(ls -A b)" ] || echo 'something is left'
	nothing_left a b
}
settles 'moved away after a stop before the copy' given_up

# The destination is interfered with.
settles 'the new file is written to in phase verify' stays 1 'read back differs' verify \
	'printf x | dd of="$(echo b/.volmig-*)" bs=1 seek=5200000 conv=notrunc status=none'
settles 'the new file is removed in phase copy' stays 4 'b/' copy 'rm b/.volmig-*'
settles 'the new file is removed in phase verify' stays 1 'the destination that was written is gone' \
	verify 'rm b/.volmig-*'
for phase in copy verify; do
	settles "its name is taken in phase $phase" one 4 'something of that name has appeared' $phase \
		'cp a/v b/v'
done
settles 'its directory is renamed in phase verify' one 4 'b: is not the directory it was' verify \
	'mv b away/ && mkdir b'

# --- with its name, before the commit and after it

# meddled HOOK COMMAND PATTERN: while that hook runs, b/v is meddled with.
meddled() {
	fresh
	must_fail 4 "at $1: $2" "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook "[ \$1 != $1 ] || { $2; }"
	has 'it stops, and tells what can be done' "$3"
	is 'the source is whole' "$(sum_of a/v)" "$sum"
}

meddled pre-publish 'echo other >b/v' "move it away, then volmig resume $id"
rm b/v
ok 'which helps' "$VOLMIG" resume -q --no-hook $id
meddled pre-commit 'rm b/v' "bring it back and resume again, or volmig abort $id"
ok 'which helps' "$VOLMIG" abort -q $id
meddled pre-commit 'cp b/v b/w; mv b/w b/v' "volmig abort $id, then start again"
ok 'which helps' "$VOLMIG" abort -q $id
for how in 'rm b/v' 'cp b/v b/w; mv b/w b/v'; do
	meddled pre-remove-source "$how" "volmig resume $id --keep-source ends the job"
	ok 'which helps' "$VOLMIG" resume -q --no-hook --keep-source $id
	is 'and leaves the source' "$(sum_of a/v)" "$sum"
done

# Nobody waits for who would write to it.
fresh
must_fail 3 'a FIFO takes its place before there is a new file' timeout 60 "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ \
	--hook '[ $1 != pre-create-file ] || { mv a/v away/v; mkfifo a/v; }'
has 'which is said' 'is a FIFO'
done_testing
