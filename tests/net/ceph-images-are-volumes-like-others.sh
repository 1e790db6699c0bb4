#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# RBD images of a real Ceph cluster are moved and copied, and what is no such image is refused in time.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
. "$TOP/tests/ceph.sh"
. "$TOP/tests/net.sh"
requires qemu-img qemu-storage-daemon jq timeout
requires_ceph

start_cluster -a cephx

mkdir a b
size=20971520
image a/web.img "$size"
sum=$(sum_of a/web.img)

ok 'raw -> RBD: a new image of the same name in a pool' \
	"$VOLMIG" copy --json --create ./a/web.img "rbd:rbd:conf=$conf"
is 'raw -> RBD: it holds the same' "$(rbd_sum rbd/web "$size")" "$sum"
is 'raw -> RBD: the result calls it so' \
	"$(jq -r '.destination.kind, .destination.path, .destination.bytes, .verify.result' "$scratch/output" | tr '\n' ' ')" \
	"rbd rbd:rbd/web $size equal "
is 'raw -> RBD: nothing else is in the pool' "$(rbd ls)" web
ok 'RBD -> raw: migrated' "$VOLMIG" migrate -q "rbd:rbd/web:conf=$conf" ./b/
is 'RBD -> raw: the same again' "$(sum_of b/web.img)" "$sum"
is 'RBD -> raw: the image is gone' "$(rbd ls)" ''
ok 'raw -> RBD: by a user of its own, to a name' \
	"$VOLMIG" migrate -q ./b/web.img "rbd:rbd/disk-1:id=guest:conf=$conf"
ok 'RBD -> RBD: migrated within the pool' \
	"$VOLMIG" migrate -q "rbd:rbd/disk-1:conf=$conf" "rbd:rbd/disk-2:conf=$conf"
is 'RBD -> RBD: the same' "$(rbd ls) $(rbd_sum rbd/disk-2 "$size")" "disk-2 $sum"
ok 'RBD -> qcow2' "$VOLMIG" copy -q --create "rbd:rbd/disk-2:conf=$conf" qcow2:b/
ok 'RBD -> qcow2: the same' qemu-img compare -q -f raw -F qcow2 a/web.img b/disk-2.qcow2
[ "$(allocated b/disk-2.qcow2)" -lt 16384 ]
ok 'RBD -> qcow2: sparse' test $? = 0
ok 'qcow2 -> RBD' "$VOLMIG" migrate -q qcow2:b/disk-2.qcow2 "rbd:rbd/third:conf=$conf"
is 'qcow2 -> RBD: the same' "$(rbd_sum rbd/third "$size")" "$sum"

# QEMU may be killed before it has closed an image: the cluster takes its client for a living one for a while.
ok 'a server of ours that died is no user of the source' env VOLMIG_INJECT=kill-server:1 \
	"$VOLMIG_INJECT_BIN" migrate -q "rbd:rbd/disk-2:conf=$conf" ./b/late.img
is 'a server of ours that died: it is moved' "$(rbd ls | grep -c disk-2) $(sum_of b/late.img)" "0 $sum"
ok 'a server of ours that died: nor of a destination' env VOLMIG_INJECT=kill-server:1 \
	"$VOLMIG_INJECT_BIN" migrate -q ./b/late.img "rbd:rbd/disk-2:conf=$conf"

if command -v nbdkit >/dev/null; then
	head -c "$size" /dev/urandom >disk.raw
	nbdkit_on export file disk.raw
	ok 'RBD -> NBD export' "$VOLMIG" copy -q "rbd:rbd/third:conf=$conf" "$(uri export)"
	is 'RBD -> NBD export: the same' "$(sum_of disk.raw)" "$sum"
	ok 'NBD export -> RBD' "$VOLMIG" copy -q --create "$(uri export)" "rbd:rbd/fourth:conf=$conf"
	is 'NBD export -> RBD: the same' "$(rbd_sum rbd/fourth "$size")" "$sum"
	end_server export
	rbd rm --no-progress rbd/fourth 2>/dev/null
else
	skip 'NBD exports and RBD' 'needs nbdkit'
fi

rbd create --size 64G rbd/large
ok '64 GiB without data' "$VOLMIG" migrate -q "rbd:rbd/large:conf=$conf" "rbd:rbd/large2:conf=$conf"
is '64 GiB: none is allocated' "$(rbd du --format json rbd/large2 | jq '.images[0].used_size')" 0

# Sizes that QEMU would round.
image a/odd.img 5300001
ok 'an odd size' "$VOLMIG" migrate -q --keep-source ./a/odd.img "rbd:rbd/odd:conf=$conf"
is 'an odd size: all of it is there' "$(rbd_sum rbd/odd 5300001)" "$(sum_of a/odd.img)"
is 'an odd size: a multiple of 512' "$(rbd info --format json rbd/odd | jq .size)" 5300224
rbd import --no-progress a/odd.img rbd/exact
must_fail 3 'an image of an odd size' "$VOLMIG" copy --create "rbd:rbd/exact:conf=$conf" ./b/exact.img
has 'an image of an odd size: what to do' 'no multiple of 512' 'rbd resize'
must_fail 3 'nor is it overwritten' "$VOLMIG" copy --into-existing ./a/web.img "rbd:rbd/exact:conf=$conf"

# What is in the way.
must_fail 3 'an image that exists' "$VOLMIG" migrate ./a/web.img "rbd:rbd/third:conf=$conf"
has 'an image that exists: what to do' --into-existing
ok 'onto it' "$VOLMIG" copy -q --into-existing ./a/odd.img "rbd:rbd/third:conf=$conf"
is 'onto it: the same' "$(rbd_sum rbd/third 5300001)" "$(sum_of a/odd.img)"
rbd snap create --no-progress rbd/third@s 2>/dev/null
must_fail 3 'an image with a snapshot is not removed' "$VOLMIG" migrate "rbd:rbd/third:conf=$conf" ./b/
has 'an image with a snapshot: why' snapshots
ok 'but copied' "$VOLMIG" migrate -q --keep-source "rbd:rbd/third:conf=$conf" ./b/
qemu-storage-daemon --blockdev "driver=rbd,node-name=r,pool=rbd,image=disk-2,conf=$conf" \
	--nbd-server addr.type=unix,addr.path="$cluster/s" --export type=nbd,id=e,node-name=r &
user=$!
wait_until sh -c "timeout 10 rbd --conf '$conf' status rbd/disk-2 | grep -q watcher="
must_fail 3 'an image that a client has open' "$VOLMIG" migrate "rbd:rbd/disk-2:conf=$conf" ./b/
has 'an image that a client has open: which' 'open by a client of the cluster at 127.0.0.1'
kill $user
wait $user 2>/dev/null

timeout 20 rbd --conf "$conf" lock add rbd/disk-2 theirs
must_fail 3 'an image that somebody has locked' timeout 60 "$VOLMIG" migrate "rbd:rbd/disk-2:conf=$conf" ./b/
has 'an image that somebody has locked: who' 'locked (rbd lock ls): "theirs" by client.'
must_fail 3 'nor is it overwritten' timeout 60 "$VOLMIG" copy --into-existing ./a/web.img "rbd:rbd/disk-2:conf=$conf"
has 'nor is it overwritten: for the same reason' 'locked (rbd lock ls): "theirs" by client.'
timeout 20 rbd --conf "$conf" lock rm rbd/disk-2 theirs \
	"$(timeout 20 rbd --conf "$conf" lock ls rbd/disk-2 | sed -n 's/^\(client[^ ]*\) .*/\1/p')"

# Refused when planning, in time.
must_fail 3 'no such pool' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:none:conf=$conf"
has 'no such pool: said so' 'there is no pool none'
must_fail 3 'no such image' timeout 60 "$VOLMIG" migrate "rbd:rbd/none:conf=$conf" ./b/
must_fail 3 'no such user' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:rbd:id=nobody:conf=$conf"
has 'no such user: said so' 'client.nobody'
sed 's/key = .*/key = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==/' "$cluster/keyring" >"$cluster/wrong"
sed "s,keyring = .*,keyring = $cluster/wrong," "$conf" >"$cluster/wrong.conf"
must_fail 3 'a wrong key' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:rbd:conf=$cluster/wrong.conf"
has 'a wrong key: said so' 'client.admin'
must_fail 3 'no such configuration' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:rbd:conf=$cluster/none"
must_fail 1 'a user who may only read' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:rbd/new:id=reader:conf=$conf"
is 'a user who may only read: rolled back' "$(nothing_left a b)" ''
must_fail 2 'a snapshot is no name here' "$VOLMIG" migrate "rbd:rbd/third@s:conf=$conf" ./b/
"$ceph" kill "$cluster" mon STOP
must_fail 3 'a monitor that does not answer' timeout 60 "$VOLMIG" migrate ./a/web.img "rbd:rbd/new:conf=$conf"
has 'a monitor that does not answer: said so' 'does not answer'
"$ceph" kill "$cluster" mon CONT

is 'no image is left of all that' "$(rbd ls | grep -E '^[.]volmig|new')" ''
is 'no server is left' "$(servers)" ''
done_testing
