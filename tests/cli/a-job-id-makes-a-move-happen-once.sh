#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --job-id: what is done is not done again, what is not done is not done in two ways.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"

id=1f0e2d3c-4b5a-4697-8877-665544332211
other=2f0e2d3c-4b5a-4697-8877-665544332211
mkdir b
image v
image w
sum=$(sum_of v)

ok 'a move with an id' "$VOLMIG" migrate --job-id $id ./v ./b/
is '... is a job of that id' "$(jobs_of)" $id
listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/before"
ok 'the same again is no error' "$VOLMIG" migrate --job-id $id ./v ./b/
has '... and gives the receipt' "$id (cleaned)" 'equal'
ok 'nor in capital letters' "$VOLMIG" migrate --job-id "$(echo $id | tr a-f A-F)" ./v ./b/
ok 'nor as a dry run' "$VOLMIG" migrate -n --job-id $id ./v ./b/
ok 'nor with --quiet' "$VOLMIG" migrate -q --job-id $id ./v ./b/
is '... which says nothing' "$(cat "$scratch/output")" ''
image v
sum_new=$(sum_of v)
listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/before"
ok 'a new volume of that name is not moved' "$VOLMIG" migrate -q --job-id $id ./v ./b/
listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/after"
ok 'nothing has changed' cmp "$scratch/before" "$scratch/after"
is '... the volume that was moved is as it was' "$(sum_of b/v)" "$sum"
is '... the new one, too' "$(sum_of v)" "$sum_new"

refuses 3 'another source under that id' 'another move: migrate ./v ./b/' \
	"$VOLMIG" migrate -q --job-id $id ./w ./b/
refuses 3 'another destination' 'another move' "$VOLMIG" migrate -q --job-id $id ./v ./b/new
refuses 3 'another command' 'another move' "$VOLMIG" copy -q --create --job-id $id ./v ./b/

faulty read-eio:1000000 migrate -q --job-id $other ./w ./b/ 2>"$scratch/output"
has 'a job that is interrupted' "volmig resume $other"
refuses 3 'it is not begun again' "unfinished.*volmig resume $other" \
	"$VOLMIG" migrate -q --job-id $other ./w ./b/
ok 'it is undone' "$VOLMIG" abort -q $other
refuses 3 'then it is not begun again either' 'was aborted.*another id' \
	"$VOLMIG" migrate -q --job-id $other ./w ./b/

# Two at the same instant: one does it, the other is refused or finds it done.
image x
sum=$(sum_of x)
third=3f0e2d3c-4b5a-4697-8877-665544332211
for _ in 1 2 3 4; do
	("$VOLMIG" migrate -q --job-id $third ./x ./b/ 2>>"$scratch/racing"; echo $? >>"$scratch/statuses") &
done
wait
is 'four at once: each is done or refused' "$(sort -u "$scratch/statuses" | tr -d '03\n')" ''
ok '... one at least is done' grep -q 0 "$scratch/statuses"
is '... and it is moved once' "$(sum_of b/x) $(ls x 2>/dev/null)" "$sum "
is '... nothing is left' "$(nothing_left "$work")" ''
done_testing
