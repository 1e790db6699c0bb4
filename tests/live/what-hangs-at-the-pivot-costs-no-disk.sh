#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirtd, QEMU or the destination hangs just when disks are to be moved: volmig ends in time and says what it knows, all volumes are kept, and resume ends it.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires mkfs.ext4 fsfreeze
start_libvirtd

"$VOLMIG_INJECT_BIN" --version >/dev/null || skip_all 'needs a build with INJECT=1'
mkdir a b
for name in root data; do
	dd if=/dev/urandom of=a/$name.img bs=1M count=2 status=none
	truncate -s 8M a/$name.img
	cp --sparse=always a/$name.img $name.was
done
# By threads: a write that hangs then hangs by itself, and not in QEMU's loop.
define web "$(disk_xml vda "$work/a/root.img" "cache='none' io='threads'")" "$work/a/data.img"
start_paused web
virsh -q resume web
qemu_pid=$(cat "$virt/run/libvirt/qemu/web.pid")
libvirtd=$(cat "$virt/libvirtd.pid")

# disk_on TARGET NAME DIR: it uses the file there alone, all say so, and it is whole.
disk_on() {
	truth web "$1" && [ "$(disk_source web "$1")" = "$work/$3/$2.img" ] && cmp "$2.was" "$3/$2.img" &&
		[ "$(find a b -name "$2.img")" = "$3/$2.img" ]
}
is_stopped() {
	grep -q '^State:.T' "/proc/$1/status"
}
job() {
	"$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ && $1 != "no" { print $1 }'
}

# reads_as FILE OFFSET BYTE: 4 KiB there are such bytes.
reads_as() {
	[ "$(dd if="$1" bs=4k count=1 skip="$(($2 / 4096))" status=none | od -An -tx1 -v | tr -s ' ' '\n' |
		sort -u | tr -d '\n')" = "$3" ]
}

# at_pivot N ARGUMENTS...: volmig is about to call the pivot of the Nth disk, and waits for SIGCONT.
at_pivot() {
	point=$1
	shift
	VOLMIG_INJECT=stop-pivot:$point,settle-limit:1000 "$VOLMIG_INJECT_BIN" migrate -q --stall-timeout=2s \
		"$@" >out 2>&1 &
	pid=$!
	wait_until is_stopped $pid
}

# --- libvirtd
ok 'about to pivot' at_pivot 1 "$work/a/root.img" "$work/b/"
kill -STOP "$libvirtd"
kill -CONT "$pid"
wait "$pid"
is 'libvirtd hangs: unsure' $? 5
cp out "$scratch/output"
has 'it says what to do' 'nobody can tell which volume the guest uses' 'keep both volumes'
ok 'both volumes are kept' test -e a/root.img -a -e b/root.img
kill -CONT "$libvirtd"
ok 'it answers again, and the job goes to its end' "$VOLMIG" resume -q "$(job)"
ok 'the disk has moved' disk_on vda root b
ok 'and back' "$VOLMIG" migrate -q "$work/b/root.img" "$work/a/"

# --- QEMU, between two disks: the guest stands still, and can only go on when QEMU does
ok 'about to pivot the second' at_pivot 2 --domain web "$work/b/"
ok 'the guest is suspended' is_state web paused
kill -STOP "$qemu_pid"
kill -CONT "$pid"
wait "$pid"
is 'QEMU hangs: unsure' $? 5
for name in root data; do
	ok "both volumes of $name are kept" test -e a/$name.img -a -e b/$name.img
done
must_fail 5 'it hangs still, and so does a resume' env VOLMIG_INJECT=settle-limit:1000 "$VOLMIG_INJECT_BIN" \
	resume -q "$(job)"
kill -CONT "$qemu_pid"
# By what was asked for in time, or by the process that is left for it.
ok 'the guest goes on by itself once QEMU does' wait_until is_state web running
ok 'the job goes to its end' "$VOLMIG" resume -q "$(job)"
ok 'the first disk has moved' disk_on vda root b
ok 'and so has the second' disk_on vdb data b

# --- the destination, once the mirror is ready: to pivot would stop the guest's writes
truncate -s 64M fs.img
mkfs.ext4 -q fs.img
mkdir "$virt/mnt/slow"
mount -o loop fs.img "$virt/mnt/slow"
# Its guest may have it still.
at_exit "umount -l '$virt/mnt/slow'"
at_exit "fsfreeze -u '$virt/mnt/slow'"
must_fail 4 'mirrored' "$VOLMIG" swap -q --cutover=manual --stall-timeout=2s --create web vda "$virt/mnt/slow/x.raw"
fsfreeze -f "$virt/mnt/slow"
qemu_io web 0 'aio_write -P 0xa1 4M 64k'
must_fail 4 'the destination hangs: not moved' "$VOLMIG" resume -q "$(job)"
ok 'the guest goes on with the old disk' test "$(disk_source web vda)" = "$work/b/root.img"
qemu_io web 0 'aio_write -P 0xa2 5M 64k'
ok 'its writes are not held up' wait_until reads_as b/root.img 5242880 a2
fsfreeze -u "$virt/mnt/slow"
ok 'it answers again: moved' "$VOLMIG" resume -q "$(job)"
ok 'with all that was written' cmp b/root.img "$virt/mnt/slow/x.raw"
ok 'all agree' truth web vda

done_testing
