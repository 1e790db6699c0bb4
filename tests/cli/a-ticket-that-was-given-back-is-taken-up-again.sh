#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The file by which a job waited for its turn serves the next one, unless somebody has a hand on it.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires flock

cd "$scratch" || exit 99
mkdir a b
for name in 1 2 3 4; do
	head -c 100000 /dev/urandom >"a/$name"
done
queue=$VOLMIG_STATE_DIR/limits
in_queue() { (cd "$queue" && echo *); }

ok 'one job' "$VOLMIG" migrate -q ./a/1 ./b/
is 'of which one file stays, which is no ticket' "$(in_queue)" 'lock spare'
inode=$(stat -c %i "$queue/spare")
ok 'another' "$VOLMIG" migrate -q ./a/2 ./b/
is 'which took that file' "$(in_queue) $(stat -c %i "$queue/spare")" "lock spare $inode"

exec 8<"$queue/spare"
flock -s 8
ok 'one that finds it held does not wait' timeout 30 "$VOLMIG" migrate -q ./a/3 ./b/ 8<&-
is 'and leaves a file of its own' "$(in_queue) $([ "$(stat -c %i "$queue/spare")" = "$inode" ] && echo same)" 'lock spare '
exec 8<&-
# As if it had been written for a longer ticket.
head -c 5000 /dev/zero | tr '\0' x >"$queue/spare"
ok 'what is in it does not matter' "$VOLMIG" migrate -q ./a/4 ./b/
ok 'nothing is left for doctor' "$VOLMIG" doctor -q
is 'all were moved' "$(ls a) $(echo b/*)" ' b/1 b/2 b/3 b/4'
done_testing
