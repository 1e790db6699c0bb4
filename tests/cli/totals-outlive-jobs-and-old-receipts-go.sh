#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --metrics writes a valid file of totals that outlive the jobs; --keep removes old receipts, and nothing unfinished.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires perl

mkdir a b
head -c 3M /dev/urandom >a/v
cp a/v a/held
metrics=$scratch/volmig.prom

# valid FILE: complains about what is not in Prometheus' text format.
valid() {
	perl -ne '
		BEGIN { $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/; $label = qr/[a-zA-Z_][a-zA-Z0-9_]*/ }
		if (/^# HELP ($name) ./) { $help{$1}++ and print "help twice: $_" }
		elsif (/^# TYPE ($name) (counter|gauge)$/) {
			($last, my $kind) = ($1, $2);
			$type{$last} and print "type twice: $_";
			$type{$last} = $kind;
			print "not after its help: $_" unless $help{$last};
			print "a counter without _total: $_" if $kind eq "counter" && $last !~ /_total$/;
		} elsif (/^($name)(\{$label="(?:[^"\\\n]|\\.)*"(?:,$label="(?:[^"\\\n]|\\.)*")*\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)$/) {
			print "without a type: $_" unless $type{$1};
			print "not with its family: $_" unless $last eq $1;
			$seen{"$1$2"}++ and print "twice: $_";
		} else { print "no line of the format: $_" }
		END { print "empty\n" unless %seen; print "$_ has no value\n" for grep { my $t = $_; !grep { /^\Q$t\E(\{|$)/ } keys %seen } keys %type }
	' "$1"
	[ "$(tail -c 1 "$1" | od -An -tx1)" = ' 0a' ] || echo 'no newline at the end'
	! command -v promtool >/dev/null || promtool check metrics <"$1"
}

value() {
	sed -n "s/^$1 //p" "$metrics"
}

ok "a move with metrics" "$VOLMIG" migrate -q --keep-source --metrics "$metrics" ./a/v ./b/
is "the file is valid" "$(valid "$metrics")" ""
is "a job has ended" "$(value 'volmig_jobs_ended_total{state="cleaned"}')" 1
is "its bytes" "$(value 'volmig_bytes_total{kind="written"}')" 3145728
must_fail 3 "a refusal" "$VOLMIG" copy -q --create --metrics "$metrics" ./a/none ./b/
is "is counted" "$(value 'volmig_failures_total{class="refused"}')" 1
must_fail 4 "a job that stops" "$VOLMIG" copy -q --create --metrics "$metrics" ./a/held ./b/w --hook 'exit 1'
is "is counted, too" "$(value 'volmig_failures_total{class="stopped"}')" 1
is "and is an unfinished one" "$(value 'volmig_jobs{state="planned"}')" 1
is "the file is valid" "$(valid "$metrics")" ""
ok "anybody can read it" test "$(stat -c %a "$metrics")" = 644
"$VOLMIG" copy --create --metrics "$scratch/none/file" ./a/v ./b/x >"$scratch/stdout" 2>"$scratch/stderr"
is "one that cannot be written fails no move" $? 0
ok "but is warned of" grep -q 'warning: .*cannot write the metrics' "$scratch/stderr"

# warned WANTED: a command ends well, and warns of the totals so often.
warned() {
	"$VOLMIG" copy --create --metrics "$metrics" ./a/v ./b/t >/dev/null 2>"$scratch/stderr" || echo "status $?"
	rm b/t
	[ "$(grep -c 'totals.json: holds no totals' "$scratch/stderr")" = "$1" ] || echo "not $1 warnings"
	"$VOLMIG" status >/dev/null || echo "status: $?"
	valid "$metrics"
}
cp "$VOLMIG_STATE_DIR/totals.json" "$scratch/totals"
for text in '' '{"cleaned":1' '[1]' '\0\0\0'; do
	printf '%b' "$text" >"$VOLMIG_STATE_DIR/totals.json"
	settles "totals that are '$text' are told of" warned 1
	settles 'once' warned 0
	is 'and counting goes on' "$(value 'volmig_jobs_ended_total{state="cleaned"}')" 2
done
cp "$scratch/totals" "$VOLMIG_STATE_DIR/totals.json"
grep -l '"./b/t"' "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl | while read -r journal; do
	rm -r "${journal%/*}"
done

# --- receipts

for n in 1 2 3 4; do
	"$VOLMIG" copy -q --create ./a/v "./b/n$n"
done
is "all receipts are there" "$("$VOLMIG" status | grep -c ' cleaned ')" 6
# What the other volumes of a job have left, and what nobody knows.
known=$(dirname "$(grep -l '"./b/n1"' "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl)")
other=$(dirname "$(grep -l '"./b/n2"' "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl)")
mkdir "$known/1" "$known/12"
: >"$known/12/leaves"
: >"$other/record"
ok "a move that keeps two" "$VOLMIG" copy -q --create --keep 2 --metrics "$metrics" ./a/v ./b/last
ok "a job of several volumes goes as a whole" test ! -e "$known"
ok "one with a file that nobody knows stays, with its receipt" test -e "$other/journal.jsonl" -a -e "$other/record"
rm -r "$other"
is "the two newest stay" "$("$VOLMIG" status | sed -n 's/.* cleaned .*-> .*\///p' | tr '\n' ' ')" "n4 last "
is "and the unfinished one" "$("$VOLMIG" status | grep -c ' planned ')" 1
is "of the others nothing" "$(jobs_of | wc -l)" 3
is "but in the totals" "$(value 'volmig_jobs_ended_total{state="cleaned"}')" 3
touch -d '2 days ago' "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl
ok "a move that keeps a day" "$VOLMIG" copy -q --create --keep 100,1d ./a/v ./b/newest
is "what is older goes" "$("$VOLMIG" status | grep -c ' cleaned ')" 1
is "the unfinished one stays, as old as it is" "$("$VOLMIG" status | grep -c ' planned ')" 1
ok "and resumes no worse" "$VOLMIG" abort -q "$("$VOLMIG" status | sed -n 's/ .* planned .*//p')"
for keep in never 0 1,2 1d,1d ','; do
	must_fail 2 "--keep=$keep is refused" "$VOLMIG" copy -q --create --keep "$keep" ./a/v ./b/none
done

# --- a batch

rm -rf a b "$VOLMIG_STATE_DIR" "$metrics"
mkdir a b
for n in 1 2 3; do
	head -c 100K /dev/urandom >a/v$n
	echo "./a/v$n ./b/"
done >plan
ok "a batch with metrics" "$VOLMIG" batch -q --metrics "$metrics" --keep=2 plan
is "the file is valid" "$(valid "$metrics")" ""
is "its jobs are counted" "$(value 'volmig_jobs_ended_total{state="cleaned"}')" 3
is "and two receipts are kept" "$("$VOLMIG" status --all | grep -c ' cleaned ')" 2
ok "it is done, receipts or not" "$VOLMIG" batch -q plan
echo './none ./b/' >>plan
must_fail 3 "one that is refused" "$VOLMIG" batch -q --metrics "$metrics" --again plan
is "is counted" "$(value 'volmig_failures_total{class="refused"}')" 1

done_testing
