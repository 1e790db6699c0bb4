#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What has the name of a job's unfinished RBD image and is not the job's is not removed, nor what came of it.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/ceph.sh"
requires qemu-img qemu-storage-daemon timeout
requires_faults
requires_ceph

start_cluster

image web.img 4194304
id=11111111-2222-4333-8444-555555555555

# The same job of another host, which has its own journal, say.
rbd import --no-progress web.img "rbd/.volmig-$id"
must_fail 3 'the name is taken' "$VOLMIG" copy -q --create --job-id $id ./web.img "rbd:rbd/web:conf=$conf"
has 'the name is taken: said so' "not this job's"
is 'what has it is still there' "$(rbd ls)" ".volmig-$id"
rbd export --no-progress "rbd/.volmig-$id" back.img 2>/dev/null
ok 'with all that was in it' cmp web.img back.img

# Somebody takes the name while the job is dead.
rm -rf "$VOLMIG_STATE_DIR"
rbd rm --no-progress "rbd/.volmig-$id" 2>/dev/null
must_fail 137 'a crash before the image is recorded' faulty kill-before-record:4 \
	copy -q --create --job-id $id ./web.img "rbd:rbd/web:conf=$conf"
is 'it was made' "$(rbd ls)" ".volmig-$id"
ok 'and is taken back' "$VOLMIG" abort -q $id
is 'all of it' "$(rbd ls)" ''
rm -rf "$VOLMIG_STATE_DIR"
must_fail 137 'a crash once more' faulty kill-before-record:4 \
	copy -q --create --job-id $id ./web.img "rbd:rbd/web:conf=$conf"
rbd rm --no-progress "rbd/.volmig-$id" 2>/dev/null
rbd import --no-progress web.img "rbd/.volmig-$id"
must_fail 3 'another took the name: not resumed' "$VOLMIG" resume -q $id
is 'nor is it removed' "$(rbd ls)" ".volmig-$id"
done_testing
