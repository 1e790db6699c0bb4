#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# status tells from another process what a job is doing, and lists the newest of those that ended.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires jq perl script

id=11111111-2222-4333-8444-555555555555
mkdir a b
head -c 6M /dev/urandom >a/v

# --- a job that runs

"$VOLMIG" migrate -q --job-id $id --keep-source --bwlimit=256K ./a/v ./b/ 2>"$scratch/stderr" &
child=$!
at_exit "kill -KILL $child"
copies() {
	[ "$("$VOLMIG" status --json $id | jq -r '.progress.phase')" = copy ]
}
ok "status tells the phase of a running job" wait_until copies
counts() {
	"$VOLMIG" status --json | jq -e '.jobs[0].progress | .bytes_total == 6291456 and
		.bytes_done > 0 and .step == 2 and .steps == 5 and .bytes_per_second > 0'
}
ok "and how far it is, and how fast" wait_until counts
waits() {
	"$VOLMIG" status --json | jq -e '.jobs[0].progress.waited_for | .limit > 0.5 and .reads < 0.5'
}
ok "and what it waits for" wait_until waits
ok "the table" "$VOLMIG" status
has "has it, too" "$id copy      copying   copy " 'iB/s' '(running)'
ok "the job's own page" "$VOLMIG" status 1111
has "too" 'copy, step 2 of 5: ' ' of 6 MiB, ' '% for the rate limit'

kill -USR1 $child
answered() {
	grep -q "$id: copy (2/5)  [0-9]*%  .* of 6 MiB" "$scratch/stderr"
}
ok "SIGUSR1 has the job tell, even when quiet" wait_until answered
kill -TERM $child
wait $child
is "what it was doing is gone with it" "$(find "$VOLMIG_STATE_DIR" -name 'now.json*')" ""
"$VOLMIG" abort -q $id
rm -r "$VOLMIG_STATE_DIR"

script -qec "'$VOLMIG' migrate -q --progress=tty --keep-source ./a/v ./b/ --hook true" /dev/null \
	</dev/null >"$scratch/drawn"
is "the progress line names the steps that cannot be counted" \
	"$(tr '\r' '\n' <"$scratch/drawn" | grep -oE '(create-file|publish|commit) \([0-9]/5\) \.\.\.' | tr '\n' ' ')" \
	"create-file (1/5) ... publish (4/5) ... commit (5/5) ... "
rm b/v
"$VOLMIG" migrate -q --job-id $id --keep-source ./a/v ./b/
ok "what it waited for is in the receipt" sh -c '"$VOLMIG" status --json "$1" | jq -e "
	.copy.waited_for | .reads + .writes + .flushes + .limit | . > 0 and . <= 1.001"' sh $id
rm b/v
"$VOLMIG" copy -q --create --bwlimit=4M ./a/v ./b/w
ok "a rate limit is what a limited copy waits for" sh -c '"$VOLMIG" status --json --all | jq -e "
	.jobs[-1].copy.waited_for.limit > 0.5"'

# --- those that have ended

perl -e '
	my ($state, $job) = @ARGV;
	local $/;
	open(my $in, "<", "$state/jobs/$job/journal.jsonl") or die;
	my $journal = <$in>;
	for my $i (1 .. 200) {
		my $dir = sprintf("%s/jobs/%08x-0000-4000-8000-000000000000", $state, $i);
		mkdir($dir) or die;
		for my $file ("journal.jsonl", "lock") {
			open(my $out, ">", "$dir/$file") or die;
			print $out $journal if $file ne "lock";
		}
		utime(1700000000 + $i, 1700000000 + $i, "$dir/lock");
	}' "$VOLMIG_STATE_DIR" $id
"$VOLMIG" status >"$scratch/table"
is "the 20 newest are listed" "$(grep -c ' cleaned ' "$scratch/table")" 20
is "how many are not is told" "$(sed -n 's/.* \([0-9]*\) older .*/\1/p' "$scratch/table")" 183
is "in JSON, too" "$("$VOLMIG" status --json | jq -c '[.left_out, (.jobs | length)]')" '[183,20]'
is "--all shows all" "$("$VOLMIG" status --all | grep -c ' cleaned ')" 203
"$VOLMIG" status --all --json | jq -S .jobs >"$scratch/all"
rm -r "$VOLMIG_STATE_DIR/open"
is "where it is not known which are open, journals tell" \
	"$("$VOLMIG" status --all --json | jq -S .jobs | cmp - "$scratch/all" 2>&1)" ""
ok "a move makes that known again" "$VOLMIG" copy -q --create ./a/v ./b/x
is "... none is open" "$(find "$VOLMIG_STATE_DIR/open" -type f | wc -l)" 0
is "... and the list is the same" "$("$VOLMIG" status --all --json | jq -S '.jobs[:-1]' | cmp - "$scratch/all" 2>&1)" ""
"$VOLMIG_INJECT_BIN" migrate -q --job-id 22222222-2222-4333-8444-555555555555 ./a/v ./b/y --hook 'exit 1' 2>/dev/null
is "an unfinished job is always there" "$("$VOLMIG" status | grep -c '^22222222.* planned ')" 1
is "... and open" "$(ls "$VOLMIG_STATE_DIR/open")" 22222222-2222-4333-8444-555555555555
rm -r "$VOLMIG_STATE_DIR/open"
must_fail 3 "it holds its volumes, also where that was forgotten" "$VOLMIG" copy -q --create ./a/v ./b/z
is "... it is open again" "$(ls "$VOLMIG_STATE_DIR/open")" 22222222-2222-4333-8444-555555555555
rm -r "$VOLMIG_STATE_DIR/open"
"$VOLMIG_INJECT_BIN" resume -q 22222222-2222-4333-8444-555555555555 2>"$scratch/why"
is "resume goes on with one of a version that did not note it" "$(grep -c "hook pre-" "$scratch/why")" 1
is "... it is open again" "$(ls "$VOLMIG_STATE_DIR/open")" 22222222-2222-4333-8444-555555555555
rm -r "$VOLMIG_STATE_DIR/open"
ok "abort ends one" "$VOLMIG" abort -q 22222222-2222-4333-8444-555555555555
is "... and none is open" "$(ls "$VOLMIG_STATE_DIR/open")" ""

# --- on a terminal

script -qec "stty cols 90; exec '$VOLMIG' status" /dev/null </dev/null | tr -d '\r' >"$scratch/terminal"
is "no line is wider than a terminal" "$(awk 'length > 90' "$scratch/terminal")" ""
is "ids are as short as they can be" "$(grep -c '^22222222 ' "$scratch/terminal")" 1

"$VOLMIG" status --watch --interval 50ms >"$scratch/watched" &
child=$!
at_exit "kill -KILL $child"
twice() {
	[ "$(grep -c "^JOB.*METHOD" "$scratch/watched")" -ge 2 ]
}
ok "--watch shows it again" wait_until twice
kill -TERM $child
ok "and a signal is its end, not a failure" wait $child

# --- where messages go

: >"$scratch/journal"
stream=$(stat -c %d:%i "$scratch/journal")
JOURNAL_STREAM=$stream "$VOLMIG" -v copy ./a/none ./b/none 2>"$scratch/journal"
is "to the journal they go with their priority" "$(grep -c '^<3>volmig: copy: ' "$scratch/journal")" 1
JOURNAL_STREAM=1:1 "$VOLMIG" copy ./a/none ./b/none 2>"$scratch/journal"
is "but not to what only looks like it" "$(grep -c '^volmig: copy: ' "$scratch/journal")" 1

done_testing
