#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A cluster takes a client that has died for one that lives: who goes on with its job at once waits.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
. "$TOP/tests/ceph.sh"
requires qemu-img qemu-storage-daemon timeout
requires_ceph
env --block-signal=TERM true 2>/dev/null || skip_all 'needs an env(1) that blocks signals'

start_cluster

# Servers that do not close what they have when their job dies; and who they are.
real=$(command -v qemu-storage-daemon)
mkdir slow a b
cat >slow/qemu-storage-daemon <<END
#!/bin/sh
echo \$\$ >>'$PWD/pids'
exec env --block-signal=TERM '$real' "\$@"
END
chmod +x slow/qemu-storage-daemon

image a/v.img 20971520
timeout 60 rbd --conf "$conf" import --no-progress a/v.img rbd/v
PATH=$PWD/slow:$PATH "$VOLMIG" copy -q --bwlimit=2M --create "rbd:rbd/v:conf=$conf" ./b/ 2>err &
job=$!
wait_until sh -c 'ls -s b/.volmig-* 2>/dev/null | grep -qv "^0 "'
kill -KILL $job
wait $job 2>/dev/null
kill -KILL "$(tail -n 1 pids)"
timeout 20 rbd --conf "$conf" status rbd/v | grep -q watcher=
ok 'the cluster takes the server for a living one' test $? = 0
must_fail 3 'for another job it is in use' "$VOLMIG" copy --create "rbd:rbd/v:conf=$conf" ./b/other.img
has 'for another job it is in use: whose' 'in use: open by a client of the cluster at 127.0.0.1'
ok 'its own job goes on' "$VOLMIG" resume -q "$(jobs_of)"
is 'its own job goes on: to the end' "$(sum_of b/v.img)" "$(sum_of a/v.img)"
done_testing
