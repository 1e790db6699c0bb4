#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A batch moves what its plan names, goes on wherever it was killed or stopped, and does nothing twice.
# shellcheck disable=SC2012 # the names of the volumes are plain
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires jq

count=8

# Volumes a/v1 ..., their sums in $scratch/sums, and a plan for them.
fresh() {
	rm -rf a b plan "$VOLMIG_STATE_DIR"
	mkdir a b
	{
		echo '# volumes of a test'
		echo "limit ${1:-max-jobs=1}"
		echo "defaults ${2:-}"
		for ((i = 1; i <= count; i++)); do
			image "a/v$i" $((400001 + i * 1000))
			echo "./a/v$i ./b/   # number $i"
		done
	} >plan
	(cd a && md5sum -- *) >"$scratch/sums"
}

# Says what is wrong when not every volume was moved just once.
moved_once() {
	[ -z "$(ls a)" ] || echo "still there: $(ls a | tr '\n' ' ')"
	(cd b && md5sum --quiet -c "$scratch/sums" 2>&1)
	[ "$(ls b | wc -l)" = $count ] || echo "in b: $(ls b | tr '\n' ' ')"
	[ "$("$VOLMIG" status --all | grep -c ' cleaned ')" = $count ] || "$VOLMIG" status --all
	nothing_left "$work"
}

unlike() {
	if [ "$2" != "$3" ]; then pass "$1"; else fail "$1"; diag "$2"; fi
}

fresh
ok 'it is planned' "$VOLMIG" batch -n plan
is 'which moves nothing' "$(ls a | wc -l) $(ls b | wc -l)" "$count 0"
is 'nor leaves anything' "$(ls "$VOLMIG_STATE_DIR" 2>/dev/null)" ''
ok 'it is done' "$VOLMIG" batch plan
settles 'all were moved once' moved_once
run "$VOLMIG" batch --json plan
is 'done again it is done' "$status $(jq -r '"\(.state) \(.done) \(.of) \(.exit_status)"' "$scratch/stdout")" \
	"0 done $count $count 0"
sed -i 's/# number/# the number/' plan
ok 'and with another comment it is the same' "$VOLMIG" batch plan
settles 'nothing was moved again' moved_once
must_fail 3 'begun anew, nothing is there any more' "$VOLMIG" batch --again plan
has 'which is told of every line' plan:4: plan:11: "$count faults"

fresh
grep -v '^#' plan | "$VOLMIG" batch - >/dev/null
is 'a plan on standard input' $? 0
settles 'all of it was moved once' moved_once

fresh
ok 'a directory' "$VOLMIG" batch --from=./a --to=./b/ --select='v[1-3]'
is 'only what was selected' "$(ls a | wc -l) $(ls b | wc -l)" "$((count - 3)) 3"
ok 'the rest of it' "$VOLMIG" batch --from=./a/ --to=./b/ --limit=max-jobs=3
settles 'all of it was moved once, too' moved_once
ok 'an empty directory' "$VOLMIG" batch --from=./a --to=./b/

# A place that stands on the working directory is another one in another directory.
fresh
mkdir -p elsewhere/b
image a/v2 1500001
(cd a && md5sum -- *) >"$scratch/sums"
run faulty write-eio:1300000 batch --fail-fast --from=./a --to=./b/
is 'a directory, stopped in the second line' "$status $(ls b | wc -l)" '4 1'
must_fail 3 'its like in another directory' env -C elsewhere "$VOLMIG" batch --from=../a --to=./b/
is 'moves nothing there' "$(ls elsewhere/b)" ''
ok 'where it began it goes on' "$VOLMIG" batch --from=./a --to=./b/
settles 'and moves all there' moved_once

# Names that no line could hold without quoting.
rm -rf a 'b  c'
mkdir a 'b  c'
n=0
for name in "it's" "x\\" 'a\\b' '"' ' lead' -dash '# none' 'two
lines' "$(printf 'tab\tend\377')" '$HOME *'; do
	n=$((n + 1))
	image "a/$name" $((5000 + n))
done
(cd a && find . -type f -printf '%s\n' | sort) >"$scratch/sizes"
ok 'odd names, to an odd place' "$VOLMIG" batch --from=./a --to='b  c/'
is 'all are moved' "$(cd 'b  c' && find . -type f -printf '%s\n' | sort)" "$(cat "$scratch/sizes")"
ok 'and have their names' test -e "b  c/x\\" -a -e 'b  c/# none' -a -e 'b  c/two
lines'

# id_in DIRECTORY PLACE: how a batch of one line is called there.
id_in() {
	printf '%s/a/none %s\n' "$work" "$2" >plan
	env -C "$1" "$VOLMIG" batch --json -n "$work/plan" 2>/dev/null | jq -r .batch
}
for place in './b/' 'qcow2:b/' 'rbd:pool/web:conf=ceph.conf' 'nbd+unix:///?socket=here'; do
	unlike 'a name that stands on the directory' "$(id_in . "$place")" "$(id_in elsewhere "$place")"
done
for place in "$work/b/" "qcow2:$work/b/" rbd:pool/web ssh://host/srv/b/ nbd://host/web; do
	is 'one that does not' "$(id_in . "$place")" "$(id_in elsewhere "$place")"
done
rm -r elsewhere

# --- lines that fail

fresh
echo '"./a/no such" ./b/' >>plan
must_fail 3 'a plan with a fault is refused' "$VOLMIG" batch plan
is 'as a whole' "$(ls b)" ''
fresh
"$VOLMIG" batch -n plan >/dev/null
exec 7<>a/v3
must_fail 3 'a volume in use is a fault' "$VOLMIG" batch plan
has 'of its line' 'plan:6: ./a/v3: in use'
exec 7>&-
ok 'and none afterwards' "$VOLMIG" batch plan
settles 'then all are moved' moved_once

# A fault of the medium in each process: in the second MiB of one that is larger than the others.
fresh
image a/v2 1500001
(cd a && md5sum -- *) >"$scratch/sums"
run faulty write-eio:1300000 batch plan
is 'a line that fails' "$status" 4
is 'is told of' "$(grep -c 'plan:5: .*Input/output error' "$scratch/stderr")" 1
is 'and does not stop the rest' "$(ls b | wc -l)" $((count - 1))
ok 'the next run goes on with it' "$VOLMIG" batch plan
settles 'so that all are moved once' moved_once

fresh
image a/v2 1500001
(cd a && md5sum -- *) >"$scratch/sums"
run faulty write-eio:1300000 batch --fail-fast plan
is '--fail-fast' "$status $(ls b | wc -l)" '4 1'
run faulty write-eio:1300000 batch --retries=1 plan
is '--retries tries again, and no more than that' "$status $(grep -c 'trying again' "$scratch/stderr")" '4 1'
ok 'and the last run ends it' "$VOLMIG" batch plan
settles 'all were moved once after --fail-fast' moved_once

# --- another plan of that name

fresh
run faulty write-eio:100000 batch --fail-fast plan
sed -i '$d' plan
must_fail 3 'a plan that was changed while its batch is not done' "$VOLMIG" batch plan
has 'says so' 'was changed since batch' -- --again

# --- begun anew

# What is gone on with is the last batch that was begun, not the first of that name.
fresh max-jobs=1 --keep-source
ok 'a batch that leaves its sources' "$VOLMIG" batch plan
rm b/*
run faulty write-eio:100000 batch --fail-fast --again plan
is 'begun anew it stops' "$status" 4
has 'and says how to go on' 'give the same command again, but without --again, to go on'
ok 'the same command goes on' "$VOLMIG" batch plan
is 'with the second batch' "$(ls b | wc -l)" $count
is 'so that nothing is unfinished' "$("$VOLMIG" status | grep -c ' copying ')" 0

fresh
run faulty write-eio:100000 batch --fail-fast --from=./a --to=./b/
rm a/v8
must_fail 4 'a batch of a directory whose file went away' faulty write-eio:100000 batch --fail-fast --from=./a --to=./b/
must_fail 3 'is not done' "$VOLMIG" batch --from=./a --to=./b/
image a/v9
ok 'begun anew it is' "$VOLMIG" batch --from=./a --to=./b/ --again
image a/v10
ok 'and the next time there is a new list' "$VOLMIG" batch --from=./a --to=./b/
is 'all that there is was moved' "$(ls a) $(ls b | wc -l)" " $((count + 1))"

# --- receipts that have gone

fresh max-jobs=1 '--keep-source --into-existing'
for ((i = 1; i <= count; i++)); do
	truncate -s $((400001 + i * 1000)) "b/v$i"
done
sed -i 's,\./b/ ,./b/,; s,^\./a/\(v[0-9]\) \./b/.*,./a/\1 ./b/\1,' plan
image a/v8 1500001
truncate -s 1500001 b/v8
run faulty write-eio:1300000 batch plan
is 'all lines but one are done' "$status" 4
echo 'newer than the source' >b/v1
truncate -s 401001 b/v1
newer=$(sum_of b/v1)
ok 'somebody else keeps one receipt' "$VOLMIG" copy -q --create --keep=1 ./a/v1 ./b/w
rm b/w
is 'so that those of the batch are gone' "$("$VOLMIG" status --all | grep -c ' cleaned ')" 1
ok 'it goes on' "$VOLMIG" batch plan
is 'what was done is not done again' "$(sum_of b/v1)" "$newer"
is 'but the rest is' "$(sum_of b/v8)" "$(sum_of a/v8)"

# --- killed and stopped

killed=0
count=40
fresh max-jobs=2
for ((n = 1; n <= 100 && killed < 20; n++)); do
	VOLMIG_INJECT=slow:40000 "$VOLMIG_INJECT_BIN" batch -q plan 2>/dev/null &
	child=$!
	sleep "0.$(printf '%02d' $((RANDOM % 30 + 3)))"
	kill -KILL $child 2>/dev/null && killed=$((killed + 1))
	wait $child 2>/dev/null
done
is 'killed at 20 instants' $killed 20
ok 'it comes to its end' "$VOLMIG" batch plan
settles 'every volume was moved once' moved_once
count=8

# late COMMAND...: the batch is begun, and another process does COMMAND before it is locked.
late() {
	VOLMIG_INJECT=stop-batch:1 "$VOLMIG_INJECT_BIN" batch --keep=1 plan >"$scratch/output" 2>&1 &
	child=$!
	wait_until sh -c "grep -q '^State:.T' /proc/$child/status" || diag 'it does not stop'
	"$@" >/dev/null 2>&1
	kill -CONT $child
	wait $child
}

fresh
late "$VOLMIG" batch --keep=1 plan
is 'who comes late to a batch is told so' $? 3
has 'and what to do' 'another process has worked on the batch meanwhile; give the same command again'
ok 'which is all there is to do' "$VOLMIG" batch --keep=1 plan
is 'all were moved by then' "$(ls a | wc -l) $(ls b | wc -l)" "0 $count"

fresh
run faulty write-eio:100000 batch --fail-fast plan
late "$VOLMIG" batch --keep=1 plan
is 'who comes late to one that had begun, too' $? 3
ok 'the same command is all there is to do' "$VOLMIG" batch --keep=1 plan

fresh max-jobs=2 --bwlimit=100K
"$VOLMIG" batch -q plan 2>"$scratch/stderr" &
child=$!
copying() {
	[ "$("$VOLMIG" status | grep -c ' copying ')" = 2 ]
}
ok 'two moves run' wait_until copying
must_fail 3 'the same batch is not run twice at once' "$VOLMIG" batch plan
has 'and says that it runs' 'the batch is running (pid'
kill -TERM $child
wait $child
is 'SIGTERM stops it' $? 4
settles 'its moves are stopped' sh -c '"$1" status | grep running' - "$VOLMIG"
is 'and no other was begun' "$("$VOLMIG" status --all | grep -c ' copying ') $(jobs_of | wc -l)" '2 2'
for job in $(jobs_of); do
	"$VOLMIG" set "$job" bwlimit=max
done
sed -i 's/^defaults.*/defaults/' plan
must_fail 3 'other defaults are another plan' "$VOLMIG" batch plan
sed -i 's/^defaults.*/defaults --bwlimit=100K/' plan
ok 'the same command goes on' "$VOLMIG" batch plan
settles 'all were moved once after SIGTERM' moved_once

# --- processes that are stopped, or do not end

# begin FAULTS [PLAN]: run the batch with 2 moves at a time.
begin() {
	VOLMIG_INJECT=$1 "$VOLMIG_INJECT_BIN" batch plan >"$scratch/stdout" 2>"$scratch/stderr" &
	child=$!
}

# Those of its moves' processes that are in that state (T: stopped).
moves_in_state() {
	ps -o pid=,stat= --ppid $child | awk -v state="$1" '$2 ~ "^" state { print $1 }'
}

# It ends within half a minute, with that status.
ends() {
	timeout 30 tail --pid=$child -f /dev/null || kill -KILL $child
	wait $child
	[ $? = "$1" ]
}

says() {
	grep -q "$1" "$scratch/stderr"
}

fresh max-jobs=2
begin stop-end:0
ok 'where each move hangs when it is done the others go on' wait_until sh -c '[ -z "$(ls a)" ]'
ok 'who does not end is told of' wait_until says 'its process was stopped (SIGSTOP); let it go on with: kill -CONT'
hanging=$(moves_in_state T)
ok 'nobody is waited for in the end' ends 0
# shellcheck disable=SC2086 # several
kill -CONT $hanging
settles 'all were moved once' moved_once

fresh max-jobs=2 --bwlimit=100K
begin ''
ok 'two moves run' wait_until copying
stopped=$(moves_in_state '[SRD]' | head -1)
kill -STOP -- "-$stopped"
ok 'a move that is stopped is told of' wait_until says "kill -CONT $stopped"
kill -TERM $child
ok 'SIGTERM ends the batch all the same' ends 4
settles 'and the move' sh -c '"$1" status | grep running' - "$VOLMIG"

fresh max-jobs=2 --bwlimit=100K
begin stop-end:1
ok 'two moves run' wait_until copying
stopped=$(moves_in_state '[SRD]' | head -1)
kill -TERM "$stopped"
ok 'one that hangs when it has failed is told of' wait_until says "kill -CONT $stopped"
kill -TERM $child
ok 'it is not waited for' ends 4
kill -CONT "$stopped" 2>/dev/null

done_testing
