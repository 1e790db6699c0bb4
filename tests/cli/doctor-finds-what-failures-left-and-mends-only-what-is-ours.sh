#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor names what crashes left, with the way to mend it, and --fix takes away only what is provably ours.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires jq

# Neither the host's volume groups nor its guests are looked at.
mkdir "$scratch/lvm"
echo 'devices { filter = [ "r|.*|" ] use_devicesfile = 0 }' >"$scratch/lvm/lvm.conf"
export LVM_SYSTEM_DIR=$scratch/lvm

id=11111111-2222-4333-8444-555555555555
other=99999999-2222-4333-8444-555555555555

# findings [OPTION]: CHECK OBJECT, one a line; those that were mended have a + in front.
# Of the host's loop devices others may have left something.  Each process that is
# killed leaves its place in the queue, too: those are shown by "all" only.
all() {
	"$VOLMIG" --connect none doctor --json "$@" 2>/dev/null >"$scratch/json"
	jq -r '.findings[] | select(.object | startswith("/dev/loop") | not) |
		(if .mended then "+" else "" end) + .check + " " + .object' "$scratch/json"
}
findings() {
	all "$@" | grep -v '^+*limits '
}

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	image a/v
	sum=$(sum_of a/v)
}

fresh
is "without a state directory nothing is left" "$(findings)" ""
is "nor is one made" "$(find "$VOLMIG_STATE_DIR" 2>/dev/null)" ""
"$VOLMIG" --connect none doctor >"$scratch/output" 2>/dev/null
has "copy is always usable" "usable      copy"
is "what is not usable says why" \
	"$(jq -r '.methods[] | select((.usable | not) and .missing == null).method' "$scratch/json")" ""
is "every method is there" "$(jq -r '.methods[].method' "$scratch/json" | tr '\n' ' ')" \
	"copy io_uring pvmove lvconvert thin nbd nbd-device images rbd hosts iscsi live "

# --- an unfinished job

VOLMIG_INJECT=kill-at-byte:2097152 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
is "a job that was killed is named" "$(findings)" "jobs $id"
is "and both ways to end it" "$(jq -r .findings[0].next "$scratch/json")" "volmig resume $id, or volmig abort $id"
is "with a status of its own" "$(jq -r .exit_status "$scratch/json")" 1
must_fail 1 "text says the same" "$VOLMIG" --connect none doctor
has "it names job and way" "$id: unfinished (copying)" "volmig resume $id"
is "--fix does not end it" "$(findings --fix)" "jobs $id"
touch "$VOLMIG_STATE_DIR/jobs/$id/now.json"
is "what a dead process told is swept away" "$(findings --fix | sort)" \
	"+state $VOLMIG_STATE_DIR/jobs/$id/now.json
jobs $id"
# A version before does not note which of its jobs are open.
rm "$VOLMIG_STATE_DIR/open/$id"
is "one that is not noted as open is named as well" "$(findings --fix)" "jobs $id"
is "and what it needs is left alone" "$(ls "$VOLMIG_STATE_DIR/jobs/$id/leaves")" "$VOLMIG_STATE_DIR/jobs/$id/leaves"
ok "it still resumes" "$VOLMIG" resume -q $id
is "to a whole copy" "$(sum_of b/v)" "$sum"
is "and nothing is left" "$(findings)" ""

# --- files of jobs that ended

fresh
VOLMIG_INJECT=kill-at-byte:2097152 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
mv b away
ok "a job is aborted without its directory" "$VOLMIG" abort -q --forget $id
mv away b
echo precious >b/.volmig-$other
echo precious >b/.volmig-notes
is "its file and that of an unknown job are found" "$(findings | sort)" \
	"files $PWD/b/.volmig-$id
files $PWD/b/.volmig-$other"
cp b/.volmig-$id "$scratch/kept"
rm b/.volmig-$id
cp "$scratch/kept" b/.volmig-$id.new && mv b/.volmig-$id.new b/.volmig-$id
is "another file of that name stays" "$(findings --fix | grep -c "^+")" 0
ok "as it is" test -e b/.volmig-$id

fresh
VOLMIG_INJECT=kill-at-byte:2097152 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
mv b away
"$VOLMIG" abort -q --forget $id 2>/dev/null
mv away b
echo precious >b/.volmig-$other
mv a/v a/gone
is "without the source its copy, whole or not, is not removed" "$(findings --fix | grep -c "^+")" 0
mv a/gone a/v
is "--fix removes the job's own" "$(findings --fix | sort)" "+files $PWD/b/.volmig-$id
files $PWD/b/.volmig-$other"
is "and nothing else" "$(ls -A b)" ".volmig-$other"
rm b/.volmig-$other
ok "then all is clean" test -z "$(findings)"
is "the source was never touched" "$(sum_of a/v)" "$sum"

# --- the queue and batches

fresh
echo './a/v ./b/' >plan
VOLMIG_INJECT=kill-at-byte:2097152 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
ticket=$(echo "$VOLMIG_STATE_DIR"/limits/ticket-*)
is "a place in the queue that a killed job held is found" "$(all | sort)" "jobs $id
limits $ticket"
is "it is still there" "$(echo "$VOLMIG_STATE_DIR"/limits/ticket-*)" "$ticket"
is "--fix removes it" "$(all --fix | sort)" "+limits $ticket
jobs $id"
ok "it is gone" test ! -e "$ticket"
"$VOLMIG" abort -q $id
VOLMIG_INJECT=slow:3000000 "$VOLMIG_INJECT_BIN" migrate -q ./a/v ./b/ 2>/dev/null &
child=$!
holds() {
	grep -q '"running":true' "$VOLMIG_STATE_DIR"/limits/ticket-*
}
ok "a job runs" wait_until holds
is "its place is its own" "$(all --fix)" ""
ok "and stays" holds
kill -KILL $child
wait $child 2>/dev/null

fresh
VOLMIG_INJECT=slow:3000000 "$VOLMIG_INJECT_BIN" batch -q plan 2>/dev/null &
child=$!
ok "a batch runs" wait_until holds
is "it is no finding" "$(all | grep -c '^batches')" 0
kill -KILL $child
wait $child 2>/dev/null
batch=$(basename "$VOLMIG_STATE_DIR"/batches/*)
is "one that was killed is found" "$(all | grep '^batches')" "batches $batch"
has_next() {
	jq -r '.findings[] | select(.check == "batches").next' "$scratch/json" | grep -F "volmig batch $PWD/plan"
}
ok "with the command that goes on with it" has_next
is "which --fix does not touch" "$(all --fix | grep batches)" "batches $batch"
ok "then it goes on" wait_until "$VOLMIG" batch -q plan
is "and is clean" "$(sum_of b/v) $(all --fix | grep -v '^+')" "$sum "
mkdir "$VOLMIG_STATE_DIR/batches/$other"
touch "$VOLMIG_STATE_DIR/batches/$other/lock" "$VOLMIG_STATE_DIR/batches/$other/journal.jsonl"
is "a batch that never began is buried" "$(all --fix)" \
	"+batches $VOLMIG_STATE_DIR/batches/$other/journal.jsonl"
is "and the other is not" "$(all) $(test -e "$VOLMIG_STATE_DIR/batches/$batch/journal.jsonl" && echo there)" " there"

done_testing
