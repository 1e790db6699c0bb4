#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# conf= or the name of a pool may lead to another one tomorrow: what is not found there is not taken for removed.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/ceph.sh"
requires qemu-img qemu-storage-daemon timeout
requires_faults
requires_ceph

start_cluster
other=$conf
start_cluster
mkdir b
image web.img 4194304
sum=$(sum_of web.img)
id=11111111-2222-4333-8444-555555555555
named=$work/ceph.conf

lead_to() {
	cp "$1" "$named"
}

# killed_at STEP ARGUMENTS...: a job that dies once it is journalled that the step begins, in a place where it was
# seen to begin in a move of the same sort.
killed_at() {
	step=$1
	line=$(grep -n "\"begin\".*\"$step\"" "$scratch/journal" | cut -d: -f1)
	shift
	rm -rf "$VOLMIG_STATE_DIR"
	must_fail 137 "killed at $step" faulty "kill-after-record:$line" migrate -q --job-id $id "$@"
}

lead_to "$conf"
rbd import --no-progress web.img rbd/web
"$VOLMIG" migrate -q --job-id $id "rbd:rbd/web:conf=$named" "rbd:rbd/new:conf=$named"
cp "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl" "$scratch/journal"
rbd rm --no-progress rbd/new 2>/dev/null

# ---- the source ----
rbd import --no-progress web.img rbd/web
killed_at remove-source "rbd:rbd/web:conf=$named" ./b/
lead_to "$other"
must_fail 4 'the source is in another cluster: not taken for removed' "$VOLMIG" resume -q $id
has 'what is there, and what to do' 'in another cluster' 'check conf=' --keep-source
is 'it is there' "$(rbd ls)" web
lead_to "$conf"
ok 'conf= is right again: it goes on' "$VOLMIG" resume -q $id
is 'the source is gone, the copy whole' "$(rbd ls)$(sum_of b/web.img)" "$sum"

rbd import --no-progress web.img rbd/web
rm b/web.img
killed_at remove-source "rbd:rbd/web:conf=$named" ./b/
timeout 20 ceph -c "$conf" osd pool rename rbd old 2>/dev/null
timeout 20 ceph -c "$conf" osd pool create rbd 8 8 2>/dev/null
must_fail 4 'its pool is another one of the same name: not taken for removed' "$VOLMIG" resume -q $id
has 'the pool: what to do' 'was made anew' --keep-source
ok 'the job can be ended' "$VOLMIG" resume --keep-source $id
has 'and tells where the source may be' ".volmig-$id.source"
timeout 20 ceph -c "$conf" osd pool delete rbd rbd --yes-i-really-really-mean-it 2>/dev/null
timeout 20 ceph -c "$conf" osd pool rename old rbd 2>/dev/null
is 'the source is there, the copy whole' "$(rbd ls) $(rbd_sum rbd/web 4194304) $(sum_of b/web.img)" "web $sum $sum"
rbd rm --no-progress rbd/web 2>/dev/null

# ---- the destination ----
for step in copy publish commit; do
	killed_at $step ./web.img "rbd:rbd:conf=$named"
	left=$(rbd ls)
	lead_to "$other"
	must_fail 3 "$step: the copy is in another cluster: not given up" "$VOLMIG" abort -q $id
	has "$step: why" 'in another cluster'
	"$VOLMIG" resume -q $id >"$scratch/output" 2>&1
	is "$step: nor is it gone on with" "$? $(rbd ls)" "3 $left"
	rbd() { timeout 60 rbd --conf "$other" "$@"; }
	is "$step: nothing was made there" "$(rbd ls)" ''
	rbd() { timeout 60 rbd --conf "$conf" "$@"; }
	lead_to "$conf"
	ok "$step: conf= is right again: undone" "$VOLMIG" abort -q $id
	is "$step: all of it" "$(rbd ls) $(sum_of web.img)" " $sum"
done
done_testing
