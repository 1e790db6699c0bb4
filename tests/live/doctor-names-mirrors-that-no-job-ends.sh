#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor names a mirror of a job that no process works on, that has ended or that is not known, and leaves it and others' alone.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires jq
start_libvirtd

"$VOLMIG_INJECT_BIN" --version >/dev/null || skip_all 'needs a build with INJECT=1'
id=11111111-2222-4333-8444-555555555555
unknown=99999999-2222-4333-8444-555555555555
mkdir a b
truncate -s 8M a/web.img
define web "$work/a/web.img"
start_paused web

# findings [OPTION]: OBJECT JOB: WHAT of block jobs, one a line; what was mended has a + in front.
findings() {
	"$VOLMIG" doctor --json "$@" 2>/dev/null >json
	jq -r '.findings[] | select(.check == "block-jobs") |
		(if .mended then "+" else "" end) + .object + " " + (.job // "-") + ": " + .what' json
}
mirrored() {
	virsh dumpxml web | grep '<mirror '
}
# mirror PATH: somebody begins to mirror the disk there.
mirror() {
	truncate -s 8M "$1"
	virsh -q blockcopy web vda --dest "$1" --format raw --reuse-external --transient-job >/dev/null 2>&1
	wait_until mirrored
}
unmirror() {
	virsh -q blockjob web vda --abort >/dev/null 2>&1
	rm -f "$1"
}

is 'without a mirror there is none' "$(findings)" ''

record=3
while :; do
	VOLMIG_INJECT="kill-after-record:$record" "$VOLMIG_INJECT_BIN" migrate -q --job-id $id \
		"$work/a/web.img" "$work/b/" >killed 2>&1
	mirrored >/dev/null && break
	"$VOLMIG" abort -q $id >/dev/null 2>&1
	rm -rf "$VOLMIG_STATE_DIR/jobs/$id"
	record=$((record + 1))
	[ $record -lt 20 ] || break
done
is 'a mirror of a job that was killed is found' "$(findings)" \
	"web vda $id: is mirrored onto $work/b/web.img, the destination of a job that no process works on"
is '... with both ways to end it' "$(jq -r '.findings[] | select(.check == "block-jobs").next' json)" \
	"volmig resume $id, or volmig abort $id"
is '--fix ends none' "$(findings --fix | grep -c '^web vda')" 1
ok '... it is still there' mirrored
ok 'the job is aborted' "$VOLMIG" abort -q $id
is '... and then there is none' "$(findings)" ''

mirror "$work/b/web.img"
is 'one onto the destination of a job that has ended is found' "$(findings --fix)" \
	"web vda $id: is mirrored onto $work/b/web.img, the destination of a job that has ended"
ok '... and left alone' mirrored
unmirror "$work/b/web.img"

mirror "$work/b/.volmig-$unknown"
is 'one onto a file of an unknown job is found' "$(findings --fix)" \
	"web vda -: is mirrored onto $work/b/.volmig-$unknown, the destination of a job that is not known here"
ok '... and left alone' mirrored
unmirror "$work/b/.volmig-$unknown"

mirror "$work/b/theirs.img"
is "somebody else's is no finding" "$(findings --fix)" ''
ok '... and is left alone' mirrored
unmirror "$work/b/theirs.img"
done_testing
