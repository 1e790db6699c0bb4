#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts: what takes this one long, and is no business of the other one, lets that one not give its part up.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
# The other side waits for 12 s for a word, and then its lease is over in a second.
far_volmig=$VOLMIG_INJECT_BIN
far_inject=serve-silence:12
allow b --lease=1s
# shellcheck disable=SC2154
src=$dir_b/x.img dst=$dir_a/x.img
head -c 10M /dev/urandom >"$scratch/data"
cp "$scratch/data" "$src"

# Reading it back takes 20 s.
ok 'a volume of the other host is read back here' \
	on a volmig migrate --bwlimit=512K --json "ssh://10.77.0.2/$src" "$dir_a/"
is '... it is moved' "$(jq -r '.state, .verify.result' "$scratch/output" 2>/dev/null | xargs)" 'cleaned equal'
ok '... the copy is whole' cmp "$dst" "$scratch/data"
ok '... and the source gone' test ! -e "$src"
is '... whose host has ended its part' "$(on b volmig status --json | jq -r '.jobs[-1].state')" cleaned
ok '... nothing is left here' nothing_left a
ok '... nothing is left there' nothing_left b

# The other way round: one that greets, and then has nothing to say.
cat >"$scratch/silent" <<-'SILENT'
	#!/bin/sh
	read -r hello
	echo '{"ok":true,"volmig":"0","protocol":1,"host":"b"}'
	exec sleep 30
SILENT
chmod +x "$scratch/silent"
must_fail 3 'a host that says nothing is not waited for' env VOLMIG_SSH="$scratch/silent" \
	VOLMIG_INJECT=far-limit:1000 timeout 20 "$VOLMIG_INJECT_BIN" copy --create ssh://b/x.img "$dir_a/z.img"
has '... and why is said' 'b: cannot reach volmig there: no answer in time'
done_testing
