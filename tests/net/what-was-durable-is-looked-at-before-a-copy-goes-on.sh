#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A copy onto an export goes on from its last flush, after a kill of volmig or of the server;
# but not onto a server that has lost what was flushed.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit jq cmp
# At 3 MiB a second: one flush after 5 seconds, and some more to do.
bytes=25166336
new_source

flushed() {
	[ -e "$scratch/ended" ] || grep -q '"rec": *"durable"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
}

mark() {
	grep '"rec": *"durable"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl" | tail -n 1 | jq .mark.offset
}

# begin_to_flush: a copy, up to where some of it is durable.
begin_to_flush() {
	begin_copy web.img "$(uri export)" --stall-timeout 20s
	wait_until flushed
	ok "$1: something is durable" test "$(mark)" -gt 1000000
}

new_target
nbdkit_on export file dst.raw
begin_to_flush 'volmig killed'
kill -KILL "$("$VOLMIG" status --json $id | jq '.. | .pid? // empty' | head -n 1)"
is 'volmig killed: it is' "$(ended)" 137
at=$(mark)
run "$VOLMIG" resume --json $id
is 'volmig killed: it goes on from there' "$status $(receipt .copy.resumed_at)" "0 $at"
ok 'volmig killed: and both are whole' both_whole

new_target
begin_to_flush 'server killed'
at=$(mark)
end_server export KILL
# What it has not been told to make durable is gone with it.
dd if=/dev/urandom of=dst.raw bs=1M seek=$((at / 1048576)) conv=notrunc status=none count=8
nbdkit_on export file dst.raw
is 'server killed: the copy goes on by itself' "$(ended)" 0
ok 'server killed: and what the server had lost is there' both_whole
end_server export

nbdkit_on export memory $bytes
begin_to_flush 'memory lost'
end_server export KILL
nbdkit_on export memory $bytes
is 'memory lost: the copy stops' "$(ended)" 4
cp "$scratch/copied" "$scratch/output"
has 'memory lost: and says what is wrong, and what to do' 'does not hold what it held' "volmig abort $id"
must_fail 3 'memory lost: a resume finds the same' "$VOLMIG" resume -q $id
ok 'memory lost: the source is whole' cmp web.img web.orig
ok 'memory lost: the job can be taken back' "$VOLMIG" abort -q $id
end_server export

# Two disks of one template, and the server comes back with the other.
cp src.raw other.raw
head -c 2097152 /dev/urandom | dd of=other.raw conv=notrunc status=none
head -c 2097152 /dev/urandom | dd of=other.raw conv=notrunc oflag=seek_bytes seek=$((bytes - 2097152)) status=none
nbdkit_on export file src.raw
rm -rf "$VOLMIG_STATE_DIR" "$scratch/ended"
(
	result=0
	"$VOLMIG" copy --create -q --bwlimit 3M --job-id $id "$(uri export)" ./made.raw >"$scratch/copied" 2>&1 || result=$?
	echo $result >"$scratch/ended"
) &
copier=$!
wait_until flushed
kill -KILL "$("$VOLMIG" status --json $id | jq '.. | .pid? // empty' | head -n 1)"
is 'another source: killed before it' "$(ended)" 137
end_server export
nbdkit_on export file other.raw
must_fail 1 'another source: the copy is not called equal' "$VOLMIG" resume -q $id
has 'another source: why, and what to do' 'is not what it was before' 'start again'
ok 'another source: nothing of the two is left' test ! -e made.raw
end_server export

is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
