#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that can neither flush nor write through may lose all that it was given: the plan says so, no
# source goes for such a copy, and what was interrupted begins anew.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit nbdinfo jq cmp
nbdkit --dump-plugin eval >/dev/null 2>&1 || skip_all 'needs the plugin eval of nbdkit'
bytes=9437184
new_source

cannot_flush() {
	nbdkit_on export eval thread_model='echo parallel' get_size="stat -c %s '$work/dst.raw'" \
		pread="dd if='$work/dst.raw' bs=\$3 count=\$3 skip=\$4 iflag=count_bytes,skip_bytes status=none" \
		pwrite="dd of='$work/dst.raw' bs=\$3 seek=\$4 oflag=seek_bytes conv=notrunc status=none"
}
new_target
cannot_flush
is 'the server cannot' "$(nbdinfo --json "$(uri export)" | jq -r '.exports[0] | .can_flush, .can_fua' | tr '\n' ' ')" 'false false '

ok 'the plan' "$VOLMIG" migrate --dry-run --into-existing ./web.img "$(uri export)"
has 'the plan: the copy may be lost' 'cannot be told to make durable'
has 'the plan: the source is kept' 'the source is kept'

# The beginning is lost while the copy is half-way.
lose() {
	dd if=/dev/urandom of=dst.raw bs=64k count=1 conv=notrunc status=none
}

begin_copy web.img "$(uri export)" --verify=none
kill -TERM "$("$VOLMIG" status --json $id | jq '.. | .pid? // empty' | head -n 1)"
is 'interrupted: resumable' "$(ended)" 4
is 'interrupted: nothing counts as durable' \
	"$(jq -r 'select(.rec == "durable") | .mark.offset' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl")" ''
lose
ok 'interrupted: resumed' "$VOLMIG" resume -q $id
ok 'interrupted: and both are whole, though the server had lost some' both_whole

new_target
begin_copy web.img "$(uri export)" --verify=none --stall-timeout 20s
# Killed it would leave its directory behind.
end_server export TERM
lose
cannot_flush
is 'the server ended, and back: the copy goes on by itself' "$(ended)" 0
ok 'the server ended: and both are whole, though it had lost some' both_whole

ok 'a move' "$VOLMIG" migrate -q --into-existing ./web.img "$(uri export)"
ok 'a move: the source is still there' both_whole
end_server export TERM
is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
