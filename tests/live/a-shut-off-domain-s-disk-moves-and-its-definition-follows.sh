#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A shut-off domain's volume is copied, and only the source changes in its definition; what hangs on it is refused.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires cmp losetup

start_libvirtd
mkdir place other
head -c 3000000 /dev/urandom >reference.img
truncate -s 4M reference.img

# fresh NAME: a shut-off domain with the reference as its disk NAME.img.
fresh() {
	virsh -q undefine "$1" 2>/dev/null
	cp reference.img "$1.img"
	define "$1" "$work/$1.img"
}

# without_source NAME: the definition but for its disks' types and sources.
without_source() {
	virsh -q dumpxml --inactive "$1" | sed "s/<disk type='[a-z]*'/<disk/; /<source /d"
}

# points_at NAME PATH: the definition does, and there is the reference.
points_at() {
	[ "$(disk_source "$1" vda --inactive)" = "$2" ] && cmp -n 4194304 reference.img "$2"
}

fresh one
without_source one >before
ok 'the plan says that the definition follows' "$VOLMIG" migrate -n ./one.img place/
has 'and why it is not moved live' 'repoint  domain one, disk vda' 'domain one is shut off'
ok 'it is moved' "$VOLMIG" migrate ./one.img place/
ok 'the definition names the new volume, which is whole' points_at one "$work/place/one.img"
ok 'the old one is gone' test ! -e one.img
without_source one >after
ok 'and nothing else has changed in the definition' cmp before after
ok 'the domain starts with it' start_paused one
ok 'libvirt and QEMU agree' truth one vda
virsh -q destroy one

fresh kept
ok 'with --keep-source' "$VOLMIG" migrate --keep-source ./kept.img place/
ok 'the definition follows too' points_at kept "$work/place/kept.img"
ok 'and the source is there' cmp kept.img reference.img

fresh disk
truncate -s 6M backing.img
loop_device "$work/backing.img"
ok 'from a file onto a device' "$VOLMIG" migrate --into-existing ./disk.img "$loop"
ok 'the definition names a device' points_at disk "$loop"
virsh -q dumpxml disk >"$scratch/output"
has 'as a device' "<disk type='block'" "<source dev='$loop'"
ok 'and from a device to a file' "$VOLMIG" migrate "$loop" ./other/disk.img
ok 'the definition names a file again' points_at disk "$work/other/disk.img"

# What would still name the old volume.
fresh tied
cat >snapshot.xml <<-XML
	<domainsnapshot><name>before</name><state>shutoff</state><creationTime>1000000</creationTime>
	<memory snapshot='no'/><disks><disk name='vda' snapshot='internal'/></disks>
	$(virsh -q dumpxml tied)</domainsnapshot>
XML
virsh -q snapshot-create --redefine tied snapshot.xml >/dev/null
must_fail 3 'a domain with a snapshot is refused' "$VOLMIG" migrate ./tied.img place/
has 'and that is said' 'the domain has 1 snapshot'
virsh -q snapshot-delete --metadata tied before >/dev/null
fresh saved
start_paused saved
virsh -q managedsave saved >/dev/null
must_fail 3 'a domain whose memory is saved is refused' "$VOLMIG" migrate ./saved.img place/
has 'and that is said' 'the domain has a saved memory image'
virsh -q managedsave-remove saved >/dev/null
ok 'without it it is moved' "$VOLMIG" migrate ./saved.img place/
fresh twice
define again "$work/twice.img"
must_fail 3 'a volume of two domains is refused' "$VOLMIG" migrate ./twice.img place/
has 'and both are named' 'domain twice' 'domain again'
virsh -q undefine again
fresh sliced
virsh -q dumpxml sliced | sed "s|<source file=\(.*\)/>|<source file=\1><slices><slice type='storage' offset='0' size='1048576'/></slices></source>|" >sliced.xml
virsh -q define sliced.xml
must_fail 3 'a disk that is a part of its volume only is refused' "$VOLMIG" migrate ./sliced.img place/
has 'and that is said' 'says more than where it is'
ok 'nothing of these was touched' sh -c 'cmp tied.img reference.img && cmp twice.img reference.img &&
	cmp sliced.img reference.img'
fresh auto
virsh -q autostart auto
ok 'autostart is told of' "$VOLMIG" migrate -n ./auto.img place/
has 'by a note' 'domain auto is marked for autostart'

# Started while it is copied.
fresh started
must_fail 137 'a move that is killed before the definition changes' \
	env VOLMIG_INJECT=kill-repoint:1 "$VOLMIG_INJECT_BIN" migrate -q ./started.img place/
job=$("$VOLMIG" status | awk '/started.img/ { print $1 }')
start_paused started
must_fail 3 'the domain was started: it does not go on' "$VOLMIG" resume "$job"
has 'and the domain is named' 'disk vda of domain started (running)'
ok 'the domain has what it had' truth started vda
virsh -q destroy started
ok 'shut off again, and nothing written to: it goes on' "$VOLMIG" resume "$job"
ok 'to its end' points_at started "$work/place/started.img"
fresh written
must_fail 137 'killed so again' \
	env VOLMIG_INJECT=kill-repoint:1 "$VOLMIG_INJECT_BIN" migrate -q ./written.img place/
job=$("$VOLMIG" status | awk '/written.img/ { print $1 }')
start_paused written
qemu_io written 0 'write -P 0xa1 0 4k'
virsh -q destroy written
must_fail 3 'what the domain wrote meanwhile is noticed' "$VOLMIG" resume "$job"
ok 'it can be undone' "$VOLMIG" abort "$job"
is 'and what it wrote is there' "$(od -A n -t x1 -N 2 written.img | tr -d ' ')" a1a1
is 'in its disk' "$(disk_source written vda --inactive)" "$work/written.img"

# Started in the moment before the definition changed, as it would be seen after a crash.
fresh torn
must_fail 137 'killed so once more' \
	env VOLMIG_INJECT=kill-repoint:1 "$VOLMIG_INJECT_BIN" migrate -q ./torn.img place/
job=$("$VOLMIG" status | awk '/torn.img/ { print $1 }')
start_paused torn
virsh -q dumpxml --inactive torn | sed "s|$work/torn.img|$work/place/torn.img|" >torn.xml
virsh -q define torn.xml
must_fail 3 'a domain that runs on the old volume, and is defined with the new one' "$VOLMIG" resume "$job"
has 'is told of, and how it gets its definition back' 'would start on the new one' "volmig abort $job"
qemu_io torn 0 'write -P 0xa6 0 4k'
ok 'which it does while it runs' "$VOLMIG" abort "$job"
is 'so that it starts again on what it has written to' "$(disk_source torn vda --inactive)" "$work/torn.img"
virsh -q destroy torn
is 'which is there' "$(od -A n -t x1 -N 2 torn.img | tr -d ' ')" a6a6

# Started on the new volume before the job has ended.
fresh early
must_fail 137 'a move that is killed right after the definition changed' \
	env VOLMIG_INJECT=kill-repoint:2 "$VOLMIG_INJECT_BIN" migrate -q ./early.img place/
job=$("$VOLMIG" status | awk '/early.img/ { print $1 }')
start_paused early
qemu_io early 0 'write -P 0xa2 0 4k'
must_fail 4 'it is not taken from a domain that runs on it' "$VOLMIG" abort "$job"
has 'and that is said' 'the domain runs on the new volume'
virsh -q destroy early
must_fail 4 'nor after it has written to it' "$VOLMIG" abort "$job"
has 'and that is said' 'was written to since the definition names it'
is 'the definition names it still' "$(disk_source early vda --inactive)" "$work/place/early.img"
is 'with what was written' "$(od -A n -t x1 -N 2 place/early.img | tr -d ' ')" a2a2

# The same, and the host was restarted: nobody can tell now whether the source, a device, was written to since it
# was copied.  But what the domain has written is on the new volume alone, which is not copied to once more.
rebooted() {
	cat /proc/sys/kernel/random/uuid >"$scratch/boot"
	unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"' \
		sh "$scratch/boot" "$@"
}
# first_bytes FILE: two of them.
first_bytes() {
	dd if="$1" bs=4k count=1 iflag=direct status=none | od -A n -t x1 -N 2 | tr -d ' '
}
# killed_at FAULT: a move from the device $old to the device $new; $job.
killed_at() {
	virsh -q undefine restarted 2>/dev/null
	dd if=reference.img of="$old" bs=1M oflag=direct conv=notrunc status=none
	define restarted "$old"
	must_fail 137 "killed at $1" \
		env VOLMIG_INJECT="$1" "$VOLMIG_INJECT_BIN" migrate -q --into-existing "$old" "$new"
	job=$("$VOLMIG" status | awk -v from="$old" '$0 ~ from && !/cleaned/ { print $1 }')
}
cp reference.img old.img
truncate -s 4M new.img
loop_device "$work/old.img"
old=$loop
loop_device "$work/new.img"
new=$loop
killed_at kill-repoint:2
start_paused restarted
qemu_io restarted 0 'write -P 0xa3 0 4k'
virsh -q destroy restarted
ok 'after a restart of the host it only goes forward' rebooted "$VOLMIG" resume "$job"
is 'with what the domain has written' "$(first_bytes "$new")" a3a3
is 'to its disk' "$(disk_source restarted vda --inactive)" "$new"
killed_at kill-repoint:2
start_paused restarted
qemu_io restarted 0 'write -P 0xa4 0 4k'
ok 'so it does while the domain runs' rebooted "$VOLMIG" resume "$job"
is 'on what it has written' "$(first_bytes "$new")" a4a4
virsh -q destroy restarted
killed_at kill-repoint:1
start_paused restarted
qemu_io restarted 0 'write -P 0xa5 0 4k'
virsh -q destroy restarted
ok 'where it names the old volume yet, that is copied anew' rebooted "$VOLMIG" resume "$job"
is 'with what the domain has written' "$(first_bytes "$new")" a5a5

done_testing
