#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --json: one object on standard output and nothing else there, whatever happens, with the promised members.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires perl

# holds FILE MEMBER=PATTERN...: it is one line, one JSON object, and each member (a path
# with dots, [N] for an array's) is of a value that, as JSON, matches the whole pattern.
cat >"$scratch/holds.pl" <<'END'
use strict;
use JSON::PP;
my ($file, @wanted) = @ARGV;
open(my $in, '<', $file) or die "$file: $!\n";
local $/;
my $text = <$in>;
die "not one line: $text\n" unless $text =~ /\A[^\n]+\n\z/;
my $object = eval { decode_json($text) };
die "no JSON: $text\n" unless ref($object) eq 'HASH';
my $json = JSON::PP->new->canonical->allow_nonref;
for (@wanted) {
	my ($path, $pattern) = split(/=/, $_, 2);
	my $value = $object;
	my $there = 1;
	for my $key (split(/\./, $path)) {
		if ($key =~ /\A\[(\d+)\]\z/) {
			$there = $there && ref($value) eq 'ARRAY' && $1 < @$value;
			$value = $there ? $value->[$1] : undef;
		} else {
			$there = $there && ref($value) eq 'HASH' && exists($value->{$key});
			$value = $there ? $value->{$key} : undef;
		}
	}
	my $found = $there ? $json->encode($value) : 'missing';
	print "$path is $found, not $pattern\n" unless $found =~ /\A(?:$pattern)\z/s;
}
END

holds() {
	perl "$scratch/holds.pl" "$scratch/stdout" "$@"
}

uuid='"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"'
seconds='[0-9]+(\.[0-9]+)?([eE]-?[0-9]+)?'

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	image a/v
}

# The head that each answer about a move has.
# head COMMAND STATE STATUS
head_of() {
	holds volmig=1 "job=$uuid" "command=\"$1\"" "state=\"$2\"" 'method="copy"' "exit_status=$3" \
		'not_moved=\[.*\]' 'not_moved.[0].method="reflink"' 'not_moved.[0].reason=".+"' \
		'source.spec="./a/v"' 'source.kind="file"' 'source.bytes=5300001' \
		'source.allocated_before=[0-9]+' \
		'destination.spec="./b/"' 'destination.kind="file"' 'destination.bytes=5300001' \
		'warnings=\[.*\]'
}

done_well() {
	fresh
	run "$VOLMIG" "$@" --json ./a/v ./b/
	[ $status = 0 ] && [ ! -s "$scratch/stderr" ] || cat "$scratch/output"
	head_of "$1" cleaned 0
	holds 'destination.allocated_after=[0-9]+' 'copy.bytes_data=[0-9]+' 'copy.bytes_zero=[0-9]+' \
		"copy.seconds=$seconds" 'copy.resumed_at=0' 'verify.mode="full"' \
		'verify.algorithm="xxh3-128"' 'verify.tree_hash="[0-9a-f]{32}"' 'verify.result="equal"' \
		'error=null'
}

not_verified() {
	fresh
	run "$VOLMIG" migrate --json --verify=none ./a/v ./b/
	head_of migrate cleaned 0
	holds 'verify.mode="none"' 'verify.algorithm=null' 'verify.tree_hash=null' 'verify.result=null' \
		'warnings.[0]=".*source is kept.*"' 'error=null'
}

planned() {
	fresh
	run "$VOLMIG" migrate --json --dry-run ./a/v ./b/
	[ $status = 0 ] && [ ! -s "$scratch/stderr" ] || cat "$scratch/output"
	head_of migrate planned 0
	holds 'plan.[0]=\{.*\}' 'plan.[0].step="create-file"' "plan.[0].object=\".*/b/.volmig-.*\"" \
		'plan.[0].irrevocable=false' 'plan.[1].step="copy"' 'plan.[1].irrevocable=false' \
		'plan.[4].step="commit"' 'plan.[4].irrevocable=true' 'plan.[5].step="remove-source"' \
		'plan.[5].object=".*/a/v"' 'plan.[5].irrevocable=true' 'plan.[6]=missing' 'error=null'
}

# failed STATUS CLASS MEMBER... -- COMMAND...
failed() {
	local wanted=$1 class=$2 members=()
	shift 2
	while [ "$1" != -- ]; do
		members+=("$1")
		shift
	done
	shift
	run "$@"
	[ $status = "$wanted" ] || { echo "status $status"; cat "$scratch/output"; }
	one_line_of_error
	holds volmig=1 "exit_status=$wanted" "error.class=\"$class\"" 'error.message=".+"' \
		'error.object=(null|".*")' 'error.source_state=".+"' 'error.destination_state=".+"' \
		'error.next=(null|".+")' "${members[@]}"
}

refused() {
	fresh
	cp a/v b/v
	failed 3 refused 'command="migrate"' 'error.object=".*/b/v"' 'error.source_state="untouched"' \
		'error.destination_state="untouched"' 'error.next=".*--into-existing.*"' \
		-- "$VOLMIG" migrate --json ./a/v ./b/
	failed 3 refused 'command="migrate"' 'error.object="./nothing"' \
		-- "$VOLMIG" migrate --json ./nothing ./b/
	failed 3 refused 'command="attach"' -- "$VOLMIG" attach --json ./nothing
	failed 3 refused 'command="detach"' -- "$VOLMIG" detach --json ./nothing
}

usage() {
	local command
	for command in migrate copy attach detach status resume abort; do
		failed 2 usage "command=\"$command\"" -- "$VOLMIG" $command --json ./a/v ./b/ three four
	done
	failed 2 usage 'error.object="--bwlimit=x"' -- "$VOLMIG" copy --json --bwlimit=x ./a/v ./b/
	failed 2 usage -- "$VOLMIG" status --json 123456
}

interrupted() {
	local id=11111111-2222-4333-8444-555555555555
	fresh
	failed 4 stopped "job=\"$id\"" 'state="copying"' 'source.state="untouched"' \
		'error.source_state="untouched"' 'error.destination_state="unfinished"' \
		'error.object=".*/a/v"' "error.next=\"volmig resume $id\"" \
		-- faulty read-eio:1000000 migrate --json --job-id $id ./a/v ./b/
	run "$VOLMIG" status --json $id
	holds "job=\"$id\"" 'state="copying"' 'running=false' 'source.now="there"' 'destination.now="there"' \
		'stopped.class="stopped"' 'stopped.message=".*byte [0-9]+.*"' 'next=".*resume.*"' 'error=null'
	run "$VOLMIG" resume --json $id
	[ $status = 0 ] || cat "$scratch/output"
	head_of migrate cleaned 0
	holds 'error=null' 'copy.resumed_at=[0-9]+' "job=\"$id\""
	cp "$scratch/stdout" first
	run "$VOLMIG" resume --json $id
	cmp first "$scratch/stdout"
	failed 3 refused "job=\"$id\"" 'state="cleaned"' -- "$VOLMIG" abort --json $id
}

undone() {
	local id=11111111-2222-4333-8444-555555555555
	fresh
	run faulty read-eio:1000000 migrate -q --job-id $id ./a/v ./b/
	run "$VOLMIG" abort --json $id
	[ $status = 0 ] || cat "$scratch/output"
	holds "job=\"$id\"" 'state="aborted"' 'source.state="untouched"' 'destination.state="absent"' \
		'exit_status=0' 'error=null'
	failed 3 refused 'state="aborted"' -- "$VOLMIG" resume --json $id
}

wrong_copy() {
	fresh
	failed 1 failed 'state="aborted"' 'error.source_state="untouched"' 'error.destination_state="absent"' \
		-- faulty flip-write:1000000 migrate --json ./a/v ./b/
}

progress() {
	fresh
	run "$VOLMIG" migrate --json --progress=json --progress-fd 7 ./a/v ./b/ 7>progress
	[ $status = 0 ] || cat "$scratch/output"
	head_of migrate cleaned 0
	[ -s progress ] || echo 'no progress'
	while read -r line; do
		printf '%s\n' "$line" >"$scratch/stdout"
		holds "job=$uuid" 'phase="(copy|verify|[a-z-]+)"' 'bytes_done=[0-9]+' 'bytes_total=[0-9]+' \
			'bytes_per_second=[0-9]+' 'seconds_left=([0-9]+|null)'
	done <progress
	grep -q '"phase":"copy"' progress || echo 'no phase copy'
	grep -q '"phase":"verify".*"bytes_done":5300001,"bytes_total":5300001' progress || echo 'no end of verify'
}

all_jobs() {
	fresh
	run "$VOLMIG" status --json
	holds volmig=1 'jobs=\[\]' 'exit_status=0' 'error=null'
	run "$VOLMIG" copy -q --create ./a/v ./b/1
	run "$VOLMIG" copy -q --create ./a/v ./b/2
	run "$VOLMIG" status --json
	holds "jobs.[0].job=$uuid" 'jobs.[0].destination.spec="./b/1"' 'jobs.[0].running=false' \
		'jobs.[1].destination.spec="./b/2"' 'jobs.[1].state="cleaned"' 'jobs.[2]=missing'
}

settles 'migrate' done_well migrate
settles 'copy' done_well copy --create
settles 'migrate that verifies nothing' not_verified
settles 'a plan' planned
settles 'refusals' refused
settles 'usage errors' usage
settles 'all jobs' all_jobs
settles 'progress has its own descriptor' progress
settles 'an interrupted job, its resumption, its receipt again' interrupted
settles 'an aborted job' undone
settles 'a copy that turns out wrong' wrong_copy
done_testing
