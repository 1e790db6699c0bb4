#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Jobs stop at the end of a window and go on in the next, change their rate when told to, and wait for their turn.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires jq
requires_faults

export TZ=UTC
id=11111111-2222-4333-8444-555555555555
noon=1795694400		# Thursday, 26 November 2026, 12:00 UTC

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	head -c 3000000 /dev/urandom >a/v
	sum=$(sum_of a/v)
}

# at SECONDS COMMAND...: the clock shows so much more than noon.
at() {
	seconds=$1
	shift
	run faulty "now:$((noon + seconds)),slow:${slow:-0}" "$@"
}

fresh
at 0 migrate --job-id $id --window='13:00-14:00' ./a/v ./b/
is 'outside of its window a job does not begin' "$status $(ls b)" '4 '
has 'it says when it could' 'outside of its window (13:00-14:00), which opens Thu 13:00' "volmig resume $id"
at 0 resume -q $id
is 'nor when it is resumed' "$status" 4
slow=3000000 at 7198 resume -q $id
is 'at the end of the window it stops' "$status" 4
has 'and says so' 'stopped at the end of its window' "volmig resume $id"
is 'the source is there' "$(sum_of a/v)" "$sum"
at $((86400 + 3600)) resume -q $id
is 'in the next window it goes on' "$status $(ls a)" '0 '
is 'to its end' "$(sum_of b/v)" "$sum"

fresh
at 0 migrate -q --job-id $id --window='13:00-14:00' ./a/v ./b/
has 'how it need not wait is said' "volmig resume $id, with --now"
slow=1000000 at 0 resume -q --now $id &
wait_until sh -c '"$1" status | grep -q " copying .*(running)"' - "$VOLMIG"
kill -TERM "$("$VOLMIG" status --json | jq '.jobs[0].pid')"
wait $!
is 'with --now it goes on, and can be stopped' "$(sum_of a/v) $("$VOLMIG" status | grep -c ' copying ')" "$sum 1"
at 0 resume -q $id
is 'then it has its window again' "$status" 4
slow=1000000 at 7198 resume -q --now $id
is 'with --now the end of the window does not stop it' "$status $(sum_of b/v)" "0 $sum"

fresh
echo './a/v ./b/' >plan
at 0 batch --window='Mon-Wed 00:00-24:00' plan
is 'a batch outside of its windows' "$status $(ls b)" '4 '
has 'says when it will' 'which opens Mon 00:00'
slow=3000000 at 7198 batch --window='13:00-14:00' plan
is 'a batch at the end of its window' "$status $(sum_of a/v)" "4 $sum"
settles 'none of them runs' sh -c '"$1" status | grep running' - "$VOLMIG"
at $((86400 + 3600)) batch --window='13:00-14:00' plan
is 'in the next window the same command goes on' "$status $(sum_of b/v)" "0 $sum"

for window in '' 22:00 25:00-26:00 'Noday 22:00-05:00' 05:00-05:00; do
	refuses 2 "no window: '$window'" "--window=$window" "$VOLMIG" batch --window="$window" plan
done
for profile in '' else 22:00-05:00 22:00-05:00=fast; do
	refuses 2 "no profile: '$profile'" "--rate-profile=$profile" "$VOLMIG" batch --rate-profile="$profile" plan
done
for limit in device 'device=0' 'disk=1' 'vg=x'; do
	refuses 2 "no limit: $limit" "$limit" "$VOLMIG" batch --limit="$limit" plan
done
refuses 2 'a plan that is not there' 'cannot read the plan' "$VOLMIG" batch ./none
refuses 2 'a plan that is a directory' 'cannot read the plan' "$VOLMIG" batch .
refuses 2 'no plan' 'name a plan file' "$VOLMIG" batch
refuses 2 'a tag of files' 'a tag is one of logical volumes' "$VOLMIG" batch --from=./a --to=./b/ --select=@web
refuses 2 'a plan and a directory' 'not both' "$VOLMIG" batch --from=./a --to=./b/ plan

# --- the rate

fresh
"$VOLMIG" migrate -q --job-id $id --rate-profile='00:00-24:00=20K' ./a/v ./b/ 2>"$scratch/stderr" &
child=$!
copying() {
	"$VOLMIG" status $id | grep '(copying)'
}
ok 'a profile slows a job down' wait_until copying
must_fail 2 'what can be set is known' "$VOLMIG" set $id colour=green
must_fail 2 'a rate is one' "$VOLMIG" set $id bwlimit=0
ok 'its rate is set while it runs' "$VOLMIG" set ${id%%-*} bwlimit=max
# At 20K it would take minutes.
wait $child
is 'then it is done' "$? $(sum_of b/v)" "0 $sum"
must_fail 3 'that of a job that is done is not' "$VOLMIG" set $id bwlimit=1M

# --- turns

fresh
head -c 400000 /dev/urandom >a/w
VOLMIG_INJECT=slow:2000000 "$VOLMIG_INJECT_BIN" migrate -q --limit fs=1 ./a/v ./b/ &
child=$!
holds() {
	grep -q '"running":true' "$VOLMIG_STATE_DIR"/limits/ticket-*
}
ok 'one job runs' wait_until holds
"$VOLMIG" migrate --job-id $id --limit fs=1 ./a/w ./b/ >/dev/null 2>waits &
second=$!
ok 'another waits for its turn' wait_until grep 'waiting for file system' waits
kill -TERM $second
wait $second
is 'which can be stopped' $? 4
kill -KILL $child
wait $child 2>/dev/null
ok 'when the first is killed, its place is free' "$VOLMIG" resume -q $id
is 'and the second is done' "$(ls b)" w

done_testing
