#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Several disks of one domain, running or shut off, are moved by one job: all of them, or all stay.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires jq
start_libvirtd

mkdir a b c
for name in root data log; do
	dd if=/dev/urandom of=a/$name.img bs=1M count=2 status=none
	truncate -s 24M a/$name.img
	cp --sparse=always a/$name.img $name.was
done
truncate -s 8M a/ro.img
truncate -s 1M a/cd.iso
define web "$work/a/root.img" "$work/a/data.img" "$work/a/log.img" \
	"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$work/a/ro.img'/><target dev='vdd' bus='virtio'/><readonly/></disk>" \
	"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='$work/a/cd.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>"

# all_on DIR: libvirt, the definition and QEMU (where it runs) say so, and the bytes are there.
all_on() {
	for disk in vda:root vdb:data vdc:log; do
		[ "$(disk_source web ${disk%:*} --inactive)" = "$work/$1/${disk#*:}.img" ] || return 1
		! virsh -q domstate web | grep -q 'running\|paused' || truth web ${disk%:*} || return 1
		cmp "${disk#*:}.was" "$1/${disk#*:}.img" || return 1
	done
}

# without_sources: the definition but for what may change.
without_sources() {
	virsh dumpxml --inactive web | perl -0pe "s/\\s*<source [^>]*\\/>//g; s/\\s*<backingStore\\/>//g"
}

only_files() {
	[ "$(find a b c -type f | grep -v 'ro.img\|cd.iso' | sort | tr '\n' ' ')" = "$1" ]
}

start_paused web
virsh -q resume web
without_sources >rest.before

ok 'a dry run of all' "$VOLMIG" migrate -n --domain web ./b/
has 'it tells which disks go where' "vda: $work/a/root.img -> $work/b/root.img" "vdc: $work/a/log.img"
has 'which stay, and why' 'not moved: vdd is read-only' 'not moved: hdc is a cdrom'
has 'the pivot is one step for all' "$work/b/root.img, web vdb: $work/a/data.img" "$work/b/log.img   <-- point of no return"
is 'there is one point of no return' "$(grep -c 'point of no return' "$scratch/output")" 1
ok 'and changes nothing' all_on a

ok 'all disks of a running domain move' "$VOLMIG" migrate --json --domain web ./b/
cp "$scratch/output" receipt
ok 'all agree on it' all_on b
ok 'the old ones are gone' only_files 'b/data.img b/log.img b/root.img '
ok 'it runs' is_state web running
without_sources >rest.after
ok 'the definition differs in the sources alone' cmp rest.before rest.after
is 'the receipt has each disk' "$(jq -r '[.disks[].disk] | join(" ")' receipt)" 'vda vdb vdc'
is 'nobody is said to have changed the definition' "$(jq '[.warnings[] | select(test("differs from what it was"))] | length' receipt)" 0
is 'each was pivoted' "$(jq -r '[.disks[].pivot.called] | join(" ")' receipt)" 'done done done'
is 'and removed' "$(jq -r .source.state receipt)" removed
ok 'it says how long the guest stood still' jq -e '.pivot.suspended_seconds > 0 and .pivot.suspended == false' receipt
ok 'the sums are of all' jq -e '.source.bytes == 3 * 24 * 1048576 and .copy.bytes_data == 3 * 24 * 1048576' receipt
diag "the guest stood still for $(jq .pivot.suspended_seconds receipt) s"
id=$(jq -r .job receipt)
ok 'status of it' "$VOLMIG" status "$id"
has 'tells of the disks' 'vdb: '
ok 'the same job again is done already' "$VOLMIG" migrate --job-id="$id" --domain web ./b/
must_fail 3 'another move by that id is not' "$VOLMIG" migrate --job-id="$id" --domain web --disk vda ./b/

ok 'two of them, by target and by path' "$VOLMIG" migrate -q --domain web --disk vda --disk "$work/b/log.img" ./c/
is 'one has moved' "$(disk_source web vda)" "$work/c/root.img"
is 'one was not named' "$(disk_source web vdb)" "$work/b/data.img"
ok 'one alone is no set' "$VOLMIG" migrate --json --domain web --disk vda ./b/
cp "$scratch/output" receipt
is 'its report is as ever' "$(jq -r '.disks, .source.kind' receipt | tr '\n' ' ')" 'null file '
ok 'and the last' "$VOLMIG" migrate -q --domain web --disk vdc ./b/
ok 'all are in one place again' all_on b

must_fail 3 'a disk that is not there' "$VOLMIG" migrate --domain web --disk vdx ./c/
must_fail 3 'one that cannot be moved, by name' "$VOLMIG" migrate --domain web --disk vda --disk vdd ./c/
must_fail 3 'a domain that is not there' "$VOLMIG" migrate --domain nobody ./c/
must_fail 3 'a place for one only' "$VOLMIG" migrate --domain web ./c/x.img
must_fail 2 '--disk without a domain' "$VOLMIG" migrate --disk vda ./c/
must_fail 2 'a volume and a domain' "$VOLMIG" migrate --domain web ./b/root.img ./c/

# One that cannot be mirrored: all go back.
truncate -s 24M c/slow
"$VOLMIG" migrate -q --domain web --bwlimit=1M ./c/ >one 2>&1 &
child=$!
mirrored() {
	virsh dumpxml web | grep -c '<mirror ' | grep -qx 3
}
ok 'three mirrors go side by side' wait_until mirrored
virsh -q blockjob web vdb --abort
status=0
wait $child || status=$?
is 'one mirror that ends ends the job' $status 1
ok 'and all are where they were' all_on b
rm c/slow
ok 'nothing is left of it' only_files 'b/data.img b/log.img b/root.img '

# Stopped, and undone; stopped, and gone on with.
"$VOLMIG" migrate -q --domain web --bwlimit=1M ./c/ >one 2>&1 &
child=$!
ok 'once more' wait_until mirrored
kill -TERM $child
status=0
wait $child || status=$?
is 'it is stopped' $status 4
job=$("$VOLMIG" status | awk '/copying/ { print $1 }')
ok 'status tells of each disk' "$VOLMIG" status "$job"
has 'that it is mirrored' "c/root.img, 24 MiB: the guest uses the source, which is being mirrored" 'c/log.img, 24 MiB: the guest uses'
must_fail 3 'meanwhile no disk of it is another job'\''s' "$VOLMIG" migrate ./b/data.img ./a/
ok 'it is undone' "$VOLMIG" abort -q "$job"
ok 'all are where they were again' all_on b
ok 'and nothing is left' only_files 'b/data.img b/log.img b/root.img '

# Shut off: the definition changes once, for all.
virsh -q destroy web
ok 'the disks of a shut-off domain move' "$VOLMIG" migrate --json --domain web ./a/
cp "$scratch/output" receipt
ok 'the definition names them all' all_on a
ok 'and differs in the sources alone' sh -c "virsh dumpxml --inactive web | grep -c /a/ | grep -qx 5"
ok 'the others are gone' only_files 'a/data.img a/log.img a/root.img '
is 'each was verified' "$(jq -r '[.disks[].verify.result] | join(" ")' receipt)" 'equal equal equal'

done_testing
