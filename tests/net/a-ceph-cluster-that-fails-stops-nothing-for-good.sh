#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A Ceph OSD and its monitor fail in the middle of a copy, and a store is full: the job goes on by itself
# or can be resumed, in time, and the source stays whole.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
. "$TOP/tests/ceph.sh"
requires qemu-img qemu-storage-daemon jq timeout
requires_ceph

mkdir a b
size=33554432
image a/web.img "$size"
sum=$(sum_of a/web.img)

start_cluster -o bluestore

begin 60s migrate ./a/web.img "rbd:rbd/one:conf=$conf" --keep-source
"$ceph" kill "$cluster" osd KILL
librbd=$(pgrep -P "$(pgrep -P $job_pid)" -f " migrate ")
ok 'librbd has a process of its own' kill -KILL "$librbd"
sleep 2
"$ceph" restart "$cluster" osd
end
is 'both killed, and the OSD back: the copy goes on by itself' $status 0
is 'both killed, and the OSD back: what is there is whole' "$(rbd_sum rbd/one "$size")" "$sum"

begin 60s migrate ./a/web.img "rbd:rbd/two:conf=$conf" --keep-source
"$ceph" kill "$cluster" mon KILL
sleep 2
"$ceph" restart "$cluster" mon
end
is 'the monitor killed, and back: the copy goes on' $status 0
is 'the monitor killed, and back: what is there is whole' "$(rbd_sum rbd/two "$size")" "$sum"

# The process that serves an image has memory in common with us, and is killed.
for kind in destination source; do
	if [ $kind = destination ]; then
		begin 60s copy --create ./a/web.img "rbd:rbd/four:conf=$conf"
	else
		begin 60s copy --create "rbd:rbd/four:conf=$conf" ./b/four.img
	fi
	server=$(servers | cut -d' ' -f1)
	if qemu-storage-daemon --help | grep -q vhost-user-blk; then
		ok "server of the $kind: the bytes stay in memory" grep -q volmig-slots "/proc/$server/maps"
	fi
	kill -KILL "$server"
	end
	is "server of the $kind killed: the copy goes on by itself" $status 0
	is "server of the $kind killed: it is read back" "$(jq '.verify.result' "$scratch/result")" '"equal"'
done
is 'server of the destination killed: what is there is whole' "$(rbd_sum rbd/four "$size")" "$sum"
is 'server of the source killed: what is there is whole' "$(sum_of b/four.img)" "$sum"

begin 5s migrate ./a/web.img "rbd:rbd/three:conf=$conf"
"$ceph" kill "$cluster" osd STOP
end
is 'an OSD that does not answer: the job stops in time' $status 4
has 'an OSD that does not answer: how to go on' 'volmig resume'
is 'an OSD that does not answer: the source is whole' "$(sum_of a/web.img)" "$sum"
wait_until no_servers
is 'an OSD that does not answer: no server is left' "$(servers)" ''
"$ceph" kill "$cluster" osd CONT
wait_until timeout 5 rbd --conf "$conf" info rbd/two
# The cluster believes for a while that the client which was ended is still there.
for try in 1 2 3 4 5 6 7 8; do
	timeout 120 "$VOLMIG" resume -q "$(jobs_of)" 2>"$scratch/stderr" && break
	sleep 5
done
ok "an OSD that answers again: resumed (attempt $try)" "$VOLMIG" resume -q "$(jobs_of)"
is 'an OSD that answers again: what is there is whole' "$(rbd_sum rbd/three "$size")" "$sum"
is 'an OSD that answers again: the source is gone' "$(find a -name web.img)" ''
"$ceph" stop "$cluster"

# Full is no error that Ceph tells: it waits.
"$ceph" start "$cluster" -s 32M >"$scratch/ceph" 2>&1 || { cat "$scratch/ceph"; exit 1; }
image a/big.img 134217728
begin 5s migrate ./a/big.img "rbd:rbd/big:conf=$conf"
end
is 'a full store: the job stops in time' $status 4
has 'a full store: how to go on' 'volmig resume'
is 'a full store: the source is whole' "$(stat -c %s a/big.img)" 134217728
wait_until no_servers
is 'a full store: no server is left' "$(servers)" ''
"$ceph" stop "$cluster"
done_testing
