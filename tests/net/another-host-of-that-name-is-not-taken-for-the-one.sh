#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts: the name of the other one leads to yet another when a job is gone on with: what is not known there is
# neither taken for undone nor for done; and a destination that was replaced before the job began is not overwritten.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b c
# shellcheck disable=SC2154
src=$dir_a/x.img dst=$dir_b/x.img
head -c 3M /dev/urandom >"$scratch/data"
address=10.77.0.2

# lead_to HOST: the one that has the address from here on.
# shellcheck disable=SC2154
lead_to() {
	for other in b c; do
		ip -n "$hosts_net-$other" addr del $address/24 dev eth0 2>/dev/null
	done
	ip -n "$hosts_net-$1" addr add $address/24 dev eth0
	ip -n "$hosts_net-a" neigh flush all
}

cp "$scratch/data" "$src"
ok 'a move' on a volmig migrate -q "$src" "ssh://$address/$dir_b/"
cp "$scratch"/a/state/jobs/*/journal.jsonl "$scratch/journal"

# begin_of STEP: the number of the record that says that it begins.
begin_of() {
	grep -n "\"rec\":\"begin\".*\"name\":\"$1\"" "$scratch/journal" | cut -d: -f1
}

# crashed WHERE NUMBER [PLACE]: a move that is killed there, and b's address is c's.
crashed() {
	lead_to b
	cp "$scratch/data" "$src"
	killed "$1" "$2" "$src" "ssh://$address/${3:-$dir_b/}"
	job=$(unfinished a)
	lead_to c
}

ended_well() {
	# A process that was killed cannot give its place in the queue back.
	on a volmig doctor --fix >"$scratch/output" 2>&1
	is '... here it has ended' "$(unfinished a)" ''
	is '... and there' "$(unfinished b)" ''
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b
	ok '... nor at the other one' nothing_left c
}

# ---- before the commit ----
rm "$dst"
crashed kill-after-record "$(begin_of verify)"
must_fail 4 'the copy is not taken for undone at another host' on a volmig abort -q "$job"
has '... what to do' "see that $address is the host that has it" --forget
lead_to b
ok '... at the right one it is undone' on a volmig abort -q "$job"
ok '... the source is whole' cmp "$src" "$scratch/data"
ended_well

# ---- b has committed, and a does not know ----
crashed kill-before-record $(($(begin_of commit-far) + 1))
is 'committed there' "$(on b volmig status --json | jq -r ".jobs[] | select(.job == \"$job\").state")" committed
must_fail 5 'nobody can tell at another host: no abort' on a volmig abort -q "$job"
has '... what to do' 'see that it is the host that has it' "volmig resume $job"
lead_to b
must_fail 3 '... at the right one it is refused' on a volmig abort -q "$job"
ok '... and gone on with' on a volmig resume -q "$job"
ok '... the copy is whole' cmp "$dst" "$scratch/data"
ok '... and the source gone' test ! -e "$src"
ended_well

# ---- after the commit ----
rm "$dst"
crashed kill-after-record "$(begin_of remove-source)"
must_fail 4 'the source is not removed where the copy is not known' on a volmig resume -q "$job"
has '... what to do' 'see that it is the host that has it' --keep-source
ok '... it is there' cmp "$src" "$scratch/data"
lead_to b
ok '... at the right one it is' on a volmig resume -q "$job"
ok '... the copy is whole' cmp "$dst" "$scratch/data"
ok '... and the source gone' test ! -e "$src"
ended_well

# ---- a destination that was there when the job was planned ----
head -c 3M /dev/zero >"$dst"
cp "$scratch/data" "$src"
status=0
on a env VOLMIG_INJECT="kill-after-record:$(begin_of prepare-far)" "$VOLMIG_INJECT_BIN" --connect none \
	migrate -q --into-existing "$src" "ssh://$address$dst" >"$scratch/output" 2>&1 || status=$?
is 'killed before the other host was told' $status 137
job=$(unfinished a)
rm "$dst"
cp "$scratch/data" "$dst"
printf 'of somebody else' | dd of="$dst" conv=notrunc status=none
cp "$dst" "$scratch/others"
must_fail 3 'another file has the name by then: refused' on a volmig resume -q "$job"
has '... why' 'the destination is not as it was when the job was planned'
ok '... it is not touched' cmp "$dst" "$scratch/others"
ok '... nor is the source' cmp "$src" "$scratch/data"
ended_well
done_testing
