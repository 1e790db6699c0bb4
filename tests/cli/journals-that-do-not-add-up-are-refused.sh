#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A journal that is damaged, or of a newer version: nothing is done by it, and nothing to it or to the volumes.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555
journal=$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl

image original 1300001
sum=$(sum_of original)

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	cp original a/v
	cp original a/other
	faulty read-eio:1200000 migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
}

# refused: by everything that would act by it; said by status; untouched.
refused() {
	local command
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/before"
	for command in "resume $id" "abort $id" "status $id" "migrate --job-id $id ./a/v ./b/" \
		'migrate ./a/v ./b/' 'copy --create ./a/other ./b/'; do
		# The words of a command.
		# shellcheck disable=SC2086
		run "$VOLMIG" $command
		[ $status = 3 ] || { echo "$command: status $status"; cat "$scratch/output"; }
		one_line_of_error
		grep -qE "$1" "$scratch/stderr" || { echo "$command:"; cat "$scratch/stderr"; }
	done
	run "$VOLMIG" status
	[ $status = 0 ] || echo "status: status $status"
	grep -qE "^$id .*damaged" "$scratch/stdout" || cat "$scratch/output"
	run "$VOLMIG" status --json
	[ $status = 0 ] || echo "status --json: status $status"
	grep -q '"class":"refused"' "$scratch/stdout" || cat "$scratch/output"
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/after"
	diff "$scratch/before" "$scratch/after"
}

# The other volume is free again once the journal is out of the way.
mended() {
	mv "$VOLMIG_STATE_DIR/jobs/$id" "$scratch/old.$RANDOM$RANDOM"
	run "$VOLMIG" copy -q --create ./a/other ./b/
	[ $status = 0 ] || { echo "without it, status $status"; cat "$scratch/output"; }
	[ "$(sum_of b/other)" = "$sum" ] || echo 'not copied'
}

damaged() {
	fresh
	cp "$journal" was
	sed -i "$1" "$journal"
	! cmp -s was "$journal" || echo 'the journal is as it was'
	rm was
	refused 'the journal is damaged: line [0-9]+'
	mended
}

settles 'a changed word' damaged '2s/"sparse":true/"sparse":false/'
settles 'a changed word in the last line' damaged '$s/"class":"stopped"/"class":"refused"/'
settles 'a changed checksum in the last line' damaged '${s/[0-8]"}$/9"}/;t;s/[9a-f]"}$/0"}/}'
settles 'a line too few' damaged 3d
settles 'a line too many' damaged 3p
settles 'two lines the other way round' damaged '3{h;d};4G'
settles 'an empty line' damaged '3s/^/\n/'
settles 'a line of NUL bytes between others' damaged '3s/./\x00/g'
settles 'no JSON' damaged '3s/.*/no JSON/'
settles 'another beginning' damaged '1s/volmig/other/'

newer() {
	fresh
	cat >"$journal" <<'END'
{"journal":"volmig","version":2,"time":"2030-01-01T00:00:00.000Z","sum":"239f56ce1fb35be8bf56dec2667eeba8"}
{"rec":"plan","plan":"of another kind","sum":"79517391df108d6e133c52757b04d938"}
END
	refused 'version 2.*version 1'
	grep -q 'use the volmig that wrote it' "$scratch/stderr" ||
		"$VOLMIG" resume $id 2>&1 | grep -q 'use the volmig that wrote it' || echo 'no advice'
	mended
}
settles 'a newer version' newer

# Of this version, with something in it that a later volmig may have brought.
unknown() {
	fresh
	cat >"$journal" <<'END'
{"journal":"volmig","version":1,"time":"2030-01-01T00:00:00.000Z","sum":"cd7022730b134e27dc1c19dbfb4824fb"}
{"rec":"plan","plan":{"command":"migrate","method":"teleport"},"sum":"5206d880c3f38ca6719edd50379f3ab4"}
END
	refused 'a method that this volmig does not know.*; use the volmig that wrote it'
	"$VOLMIG" copy --create ./a/other ./b/ 2>&1 | grep -q "remove .*$id only when nothing" ||
		echo 'the journal is to be removed, just so'
	run "$VOLMIG" doctor
	grep -q '^jobs .*; use the volmig that wrote it' "$scratch/stdout" || cat "$scratch/stdout"
	mended
}
settles 'a method that is not known' unknown

# What a crash leaves is no damage: the end of a line that was not finished.
torn() {
	local cut last bytes
	fresh
	bytes=$(stat -c %s "$journal")
	last=$(tail -n 1 "$journal" | wc -c)
	for cut in 1 2 $((last / 2)) $((last - 1)) "$last"; do
		fresh
		truncate -s $((bytes - cut)) "$journal"
		[ "$1" = cut ] || truncate -s "$bytes" "$journal"
		run "$VOLMIG" resume -q $id
		[ $status = 0 ] || { echo "$cut bytes: status $status"; cat "$scratch/output"; }
		[ ! -e a/v ] && [ "$(sum_of b/v)" = "$sum" ] || echo "$cut bytes: not moved"
		nothing_left a b
	done
}
settles 'a torn end' torn cut
settles 'a torn end that reads as NUL bytes' torn nul

# Neither a directory that is no job, nor one without a journal, is in the way.
strangers() {
	fresh
	"$VOLMIG" abort -q $id
	mkdir -p "$VOLMIG_STATE_DIR/jobs/notes" "$VOLMIG_STATE_DIR/jobs/21111111-2222-4333-8444-555555555555"
	: >"$VOLMIG_STATE_DIR/jobs/file"
	run "$VOLMIG" status
	[ $status = 0 ] && [ "$(wc -l <"$scratch/stdout")" = 2 ] || cat "$scratch/output"
	run "$VOLMIG" migrate -q ./a/v ./b/
	[ $status = 0 ] || cat "$scratch/output"
	[ -d "$VOLMIG_STATE_DIR/jobs/notes" ] && [ -e "$VOLMIG_STATE_DIR/jobs/file" ] || echo 'something is gone'
}
settles 'what is no job' strangers
done_testing
