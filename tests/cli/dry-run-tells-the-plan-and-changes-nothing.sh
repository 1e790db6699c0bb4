#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --dry-run: what would be done, in which steps, up to where it can be undone; and nothing is.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"

mkdir b
image v
image existing
image larger 6000000

# plans DESCRIPTION "STEPS" ARGUMENT...
plans() {
	what=$1
	steps=$2
	shift 2
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/before"
	run "$VOLMIG" "$@"
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/after"
	is "$what" "$status $(cat "$scratch/stderr") $(sed -n 's/^[a-z ]* [1-9]\. \([a-z-]*\) .*/\1/p' \
		"$scratch/stdout" | tr '\n' ' ')" "0  $steps "
	is '... with one point of no return' \
		"$(grep -c 'commit .*<-- point of no return$' "$scratch/stdout")" 1
	is '... and nothing has changed' "$(cat "$scratch/after")" "$(cat "$scratch/before")"
}

plans 'migrate' 'create-file copy verify publish commit remove-source' migrate --dry-run ./v ./b/
has '... tells what, from where, to where' "$work/v: file, 5.1 MiB (5300001 bytes)" "$work/b/v: file" 'new' \
	'removed' 'copy: ' 'not chosen  reflink'
plans 'migrate -n' 'create-file copy verify publish commit remove-source' migrate -n ./v ./b/
plans 'migrate --keep-source' 'create-file copy verify publish commit' migrate -n --keep-source ./v ./b/
has '... tells that it is kept' 'source      kept'
plans 'migrate --verify=none' 'create-file copy publish commit' migrate -n --verify=none ./v ./b/
has '... tells that it is kept, and why' 'nothing is verified, so the source is kept'
plans 'migrate --wipe=zero' 'create-file copy verify publish commit wipe-source remove-source' \
	migrate -n --wipe=zero ./v ./b/
has '... tells that it is wiped' 'overwritten with zeroes and removed'
plans 'migrate --into-existing' 'copy verify commit remove-source' migrate -n --into-existing ./v ./existing
plans 'migrate --into-existing, larger' 'copy zero-tail verify commit remove-source' \
	migrate -n --into-existing ./v ./larger
has '... tells what becomes of the rest' '699999 bytes become zero'
plans 'copy --create' 'create-file copy verify publish commit' copy -n --create ./v ./b/
plans 'copy' 'copy verify commit' copy -n ./v ./existing
plans 'copy --delta' 'copy verify commit' copy -n --delta ./v ./existing

run "$VOLMIG" migrate -n --into-existing ./v ./b/v
is 'a dry run is refused what a run is refused' $status 3
listing "$work" >"$scratch/before"
run "$VOLMIG" migrate -n -q ./v ./b/
is 'with --quiet it only tells whether it can be done' "$status$(cat "$scratch/output")" 0
ok '... and still does nothing' sh -c '[ ! -e b/v ] && [ -e v ]'
run "$VOLMIG" migrate -n ./v ./b/ --job-id 11111111-2222-4333-8444-555555555555
ok '... nor does it record a job' [ ! -e "$VOLMIG_STATE_DIR" ]

# One that another job is in the way of.
faulty read-eio:1000000 migrate -q --job-id 11111111-2222-4333-8444-555555555555 ./v ./b/ 2>"$scratch/output"
refuses 3 'a volume that an unfinished job holds' 'job 11111111-.*volmig resume 11111111' \
	sh -c '"$VOLMIG" copy -n --create ./v ./other >/dev/null'
done_testing
