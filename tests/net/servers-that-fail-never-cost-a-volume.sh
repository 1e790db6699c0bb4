#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# NBD servers that go away, are stopped, slow, full, or come back as something else, in the
# middle of a copy: it goes on by itself or can be resumed, never hangs, and the source is whole.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit jq cmp
new_source

# By one thread: nbdkit 1.32 fails an assertion when a client of several goes away.
nbdkit_file() {
	nbdkit_on export -t 1 file "$1"
}

# ---- gone for good, until somebody brings it back ----
new_target
nbdkit_file dst.raw
begin_copy web.img "$(uri export)" --stall-timeout 2s
end_server export KILL
is 'killed, and away: the copy stops when --stall-timeout is over' "$(ended)" 4
cp "$scratch/copied" "$scratch/output"
has 'and says what it waited for, and how to go on' 'did not come back for' "volmig resume $id"
must_fail 3 'without a server a resume is refused' "$VOLMIG" resume -q $id
nbdkit_file dst.raw
finish_by_resume 'killed, and away'
end_server export

# ---- stopped ----
new_target
nbdkit_file dst.raw
begin_copy web.img "$(uri export)" --stall-timeout 2s
signal_server STOP export
began=$(date +%s)
is 'stopped: the copy stops when --stall-timeout is over' "$(ended)" 4
ok 'and not much later' test $(($(date +%s) - began)) -le 20
cp "$scratch/copied" "$scratch/output"
has 'and says that nothing moved' 'nothing moved for 2s'
signal_server CONT export
finish_by_resume 'stopped'

new_target
begin_copy web.img "$(uri export)" --stall-timeout 20s
signal_server STOP export
sleep 1
signal_server CONT export
is 'stopped for a second: the copy goes on' "$(ended)" 0
ok 'and both are whole' both_whole
end_server export

# ---- full ----
new_target
nbdkit_on export --filter=error file dst.raw error-pwrite=ENOSPC error-pwrite-rate=100% \
	error-pwrite-file="$work/full"
begin_copy web.img "$(uri export)"
touch full
is 'full: the copy stops' "$(ended)" 4
cp "$scratch/copied" "$scratch/output"
has 'with the reason, the place, and how to go on' 'No space left on device' 'at byte' "volmig resume $id"
rm full
finish_by_resume 'full'
end_server export

# ---- errors of the medium ----
new_target
nbdkit_on export --filter=error file dst.raw error-pwrite=EIO error-pwrite-rate=100% \
	error-pwrite-file="$work/bad"
begin_copy web.img "$(uri export)"
touch bad
is 'a bad medium: the copy stops' "$(ended)" 4
rm bad
ok 'and can be taken back' "$VOLMIG" abort -q $id
ok 'the source being what it was' cmp web.orig web.img
end_server export

# ---- slow ----
new_target
nbdkit_on export --filter=delay file dst.raw wdelay=300ms rdelay=50ms delay-zero=300ms
run "$VOLMIG" copy -q --into-existing --stall-timeout 2s web.img "$(uri export)"
is 'slow: the copy is only slow' "$status" 0
ok 'and both are whole' both_whole
end_server export

# ---- back, but without what it held ----
nbdkit_on export memory $bytes
begin_copy web.img "$(uri export)" --stall-timeout 20s
end_server export KILL
sleep 0.2
nbdkit_on export memory $bytes
is 'memory that was lost before anything was durable is written anew' "$(ended)" 0
ok 'all of it' "$VOLMIG" copy -q --create "$(uri export)" ./lost.img
ok 'as it was' cmp web.orig lost.img
end_server export
nbdkit_on export memory $bytes
begin_copy web.img "$(uri export)" --stall-timeout 20s
end_server export KILL
nbdkit_on export memory 8388608
is 'an export that comes back smaller is refused' "$(ended)" 4
cp "$scratch/copied" "$scratch/output"
has 'with both sizes' 8388608 $bytes
end_server export

# ---- the user ----
new_target
nbdkit_file dst.raw
begin_copy web.img "$(uri export)" --stall-timeout 300s
end_server export KILL
sleep 0.5
kill -TERM "$("$VOLMIG" status --json $id | jq '.. | .pid? // empty' | head -n 1)"
is 'who interrupts it while it waits for the server is heard at once' "$(ended)" 4
nbdkit_file dst.raw
finish_by_resume 'interrupted while waiting'
end_server export

is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
