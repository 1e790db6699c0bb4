#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nobody else moves what a job holds, running or not; who is told to wait waits, and looks again then.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"

id=11111111-2222-4333-8444-555555555555
mkdir b c
image v
image w
image d 6000000

faulty read-eio:4500000 migrate -q --job-id $id ./v ./b/ 2>/dev/null
held='job 11111111-.*not running.*volmig resume 11111111.*volmig abort 11111111'
refuses 3 'the source is held' "$held" "$VOLMIG" migrate -q ./v ./c/
refuses 3 'the source is held, by another name' "$held" "$VOLMIG" copy -q --create "$work/b/../v" ./c/
refuses 3 'the source is held as a destination' "$held" "$VOLMIG" copy -q ./w ./v
refuses 3 'the name of the destination is held' "$held" "$VOLMIG" copy -q --create ./w ./b/v
refuses 3 'what is there of the destination is held' "$held" \
	"$VOLMIG" copy -q --create ./b/.volmig-$id ./c/new
refuses 3 'waiting for a job that nobody works on is no use' "$held" \
	"$VOLMIG" migrate -q --wait-lock 1d ./v ./c/
ok 'other volumes are free' "$VOLMIG" copy -q --create ./w ./c/
ok 'the job is resumed' "$VOLMIG" resume -q $id
ok 'then its volume is free' "$VOLMIG" migrate -q ./b/v ./v

# The destination has its name, but the source is not gone yet.
for record in $(seq 20); do
	job=22222222-2222-4333-8444-$(printf '%012d' "$record")
	faulty kill-after-record:"$record" migrate -q --job-id "$job" ./v ./b/ 2>/dev/null
	[ -e v ] || break
	if [ -e b/v ]; then
		published="${published:-} $record"
		if "$VOLMIG" migrate -q ./b/v ./c/v 2>"$scratch/stderr"; then
			fail "a destination is moved away from its job, $record"
		else
			ok "the published destination is held, $record" grep -qE "job $job" "$scratch/stderr"
		fi
	fi
	"$VOLMIG" status | grep -q "$job" || continue
	"$VOLMIG" abort -q "$job" 2>/dev/null || { "$VOLMIG" resume -q "$job" && "$VOLMIG" migrate -q ./b/v ./v; }
done
ok 'there were such moments' [ -n "${published:-}" ]
rm -rf b c v "$VOLMIG_STATE_DIR"
mkdir b c

# A job that runs is waited for, and what it leaves is what is looked at.
running() {
	"$VOLMIG" status --json "$1" 2>/dev/null | grep -q '"running":true'
}
copying() {
	"$VOLMIG" status "$1" 2>/dev/null | grep -q '(copying)'
}
image v
sum=$(sum_of v)
env VOLMIG_INJECT=slow:200000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./v ./b/ &
child=$!
ok 'a job runs' wait_until running $id
refuses_running() {
	run "$VOLMIG" "$@"
	[ $status = 3 ] || { echo "status $status"; cat "$scratch/output"; }
	grep -qE "job $id .*, running\).*--wait-lock|in use" "$scratch/stderr" || cat "$scratch/stderr"
}
settles 'another that wants its source is refused' refuses_running copy --create -q ./v ./c/
settles 'and one that does not wait long enough' refuses_running copy --create -q --wait-lock 1ms ./v ./c/
refuses_resume() {
	run "$VOLMIG" resume $id
	[ $status = 3 ] || echo "status $status"
	grep -qE "the job is running \(pid $child\).*volmig abort $id" "$scratch/stderr" || cat "$scratch/stderr"
}
settles 'it is not resumed while it runs' refuses_resume
run "$VOLMIG" migrate -q --wait-lock 10m ./v ./c/
is 'one that waits finds the source gone' "$status" 3
wait $child
is '... which was moved' "$? $(sum_of b/v)" "0 $sum"

# The destination was empty when the wait began, and is not when it ends.
truncate -s 6000000 empty
mke2fs -q -F -b 1024 v 5000 >/dev/null 2>&1
image w
sum=$(sum_of v)
size=$(stat -c %s v)
id=33333333-2222-4333-8444-555555555555
env VOLMIG_INJECT=slow:200000 "$VOLMIG_INJECT_BIN" migrate -q --into-existing --job-id $id ./v ./empty &
child=$!
ok 'another job runs' wait_until running $id
run "$VOLMIG" copy -q --wait-lock 10m ./w ./empty
is 'what it wrote is not overwritten by who waited' "$status" 3
ok '... because there is something' grep -q 'destination exists (.*ext2)' "$scratch/stderr"
wait $child
is '... and it is whole' "$(sum_of empty "$size")" "$sum"

# Who waits and may, does it then.
id=44444444-2222-4333-8444-555555555555
image d 5300001
env VOLMIG_INJECT=slow:100000 "$VOLMIG_INJECT_BIN" copy -q --job-id $id ./w ./d &
child=$!
ok 'a third job runs' wait_until copying $id
ok 'its destination as a source is waited for' "$VOLMIG" copy -q --wait-lock 10m --create ./d ./c/d
wait $child
is '... and is what was written' "$(sum_of c/d)" "$(sum_of w)"

# A wait can be ended.
id=55555555-2222-4333-8444-555555555555
env VOLMIG_INJECT=slow:2000000 "$VOLMIG_INJECT_BIN" copy -q --into-existing --job-id $id ./w ./d &
child=$!
ok 'a fourth job runs' wait_until running $id
"$VOLMIG" copy -q --wait-lock 1d --create ./d ./c/never 2>"$scratch/stderr" &
waiting=$!
ok 'somebody waits for it' wait_until catches $waiting
kill -TERM $waiting
wait $waiting
is 'the wait ends at SIGTERM' "$? $(grep -c 'nothing was touched' "$scratch/stderr")" '1 1'
ok 'and the job by an abort from outside' "$VOLMIG" abort -q $id
wait $child
is '... whose own process tells that it was stopped' $? 4
is 'nothing is left' "$(nothing_left "$work")" ''
done_testing
