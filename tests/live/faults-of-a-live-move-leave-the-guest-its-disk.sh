#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes wrong with a live move is told truly, and the guest keeps its disk: refusals, full destinations, stopped guests, hanging QEMUs, killed libvirtds.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires mkfs.ext4 fsfreeze
start_libvirtd

dd if=/dev/urandom of=data bs=1M count=64 status=none
cp data a.raw
define web "$work/a.raw"
start_paused web

intact_on() {
	[ "$(disk_source web vda)" = "$work/$1" ] && truth web vda && cmp data "$1"
}
no_mirror() {
	! virsh dumpxml web | grep -q '<mirror'
}
job() {
	"$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ && $1 != "no" { print $1 }'
}
unmoved() {
	ok "$1: the guest has its disk, whole" intact_on a.raw
	ok "$1: there is no mirror" no_mirror
}

# --- refused, and nothing touched
truncate -s 32M small.raw
must_fail 3 'a smaller destination is refused' "$VOLMIG" swap web vda ./small.raw
has 'by its size' 'too small'
must_fail 3 'a domain that is not there' "$VOLMIG" swap nobody vda ./x.raw
must_fail 3 'a disk that is not there' "$VOLMIG" swap web vdz ./x.raw
must_fail 3 'a file that is not there' "$VOLMIG" swap web vda ./x.raw
must_fail 3 'a file that is there, with --create' "$VOLMIG" swap --create web vda ./small.raw
must_fail 3 'the disk onto itself' "$VOLMIG" swap --into-existing web vda ./a.raw
must_fail 3 'BlockRebase of a domain that is defined' "$VOLMIG" swap --api=rebase --create web vda ./x.raw
must_fail 3 'a way that is not for it' "$VOLMIG" migrate --method=copy ./a.raw ./x.raw
truncate -s 64M other.raw
define other "$work/other.raw"
start_paused other
must_fail 3 'a destination that another domain uses' "$VOLMIG" swap --into-existing web vda ./other.raw
has 'it is named' 'in use'
must_fail 1 'a libvirt that does not answer' "$VOLMIG" --connect 'qemu+unix:///system?socket=/nonexistent' swap web vda ./x.raw
unmoved 'after refusals'
is 'no job is left' "$(job)" ''
ok 'no file is' test ! -e x.raw

# --- a foreign block job
truncate -s 64M foreign.raw
virsh -q blockcopy web vda --dest "$work/foreign.raw" --reuse-external --transient-job --format raw --bandwidth 1
must_fail 3 'a mirror of somebody else is refused' "$VOLMIG" swap --create web vda ./x.raw
has 'by name' 'block job' 'foreign.raw'
must_fail 1 'and left alone' no_mirror
virsh -q blockjob web vda --abort
wait_until no_mirror

# --- a full destination
mkdir "$virt/mnt/small"
mount -t tmpfs -o size=24M none "$virt/mnt/small"
at_exit "umount '$virt/mnt/small'"
must_fail 3 'too little space is refused' "$VOLMIG" swap --create web vda "$virt/mnt/small/x.raw"
truncate -s 64M "$virt/mnt/small/x.raw"
must_fail 1 'a destination that gets full' "$VOLMIG" swap web vda "$virt/mnt/small/x.raw"
has 'the message says so' 'given the mirror'
unmoved 'a full destination'
is 'a full destination: no job is left' "$(job)" ''

# --- interrupted, adopted, aborted
"$VOLMIG" swap --bwlimit=1M --create web vda ./x.raw >out 2>&1 &
pid=$!
mirrors() { virsh dumpxml web | grep -q '<mirror'; }
ok 'a mirror runs' wait_until mirrors
must_fail 3 'the same disk a second time is refused' "$VOLMIG" swap --create web vda ./y.raw
must_fail 3 'nor is it detached meanwhile' "$VOLMIG" detach vda web
has 'because of that' 'a block job is on vda'
kill -TERM $pid
wait $pid
is 'interrupted: status 4' $? 4
ok 'the mirror goes on' mirrors
ok 'status tells' "$VOLMIG" status "$(job)"
has 'what is' 'which is being mirrored'
ok 'it is aborted' "$VOLMIG" abort -q "$(job)"
unmoved 'aborted'
ok 'the new file is gone' test ! -e x.raw

# --- libvirtd killed while it is mirrored
"$VOLMIG" swap --bwlimit=4M --create --job-id 00000000-0000-4000-8000-000000000001 web vda ./b.raw >out 2>&1 &
pid=$!
ok 'a mirror runs again' wait_until mirrors
kill_libvirtd
start_libvirtd
virsh -q blockjob web vda --bandwidth 0
wait $pid
is 'libvirtd killed and started again: the move is done' $? 0
ok 'the guest has the new disk, whole' intact_on b.raw
ok 'that is known' "$VOLMIG" swap --job-id 00000000-0000-4000-8000-000000000001 --create web vda ./b.raw
mv a.raw a.old
"$VOLMIG" swap -q --create web vda ./a.raw

# --- QEMU hangs
qemu=$(cat "$virt/run/libvirt/qemu/web.pid")
"$VOLMIG" swap --bwlimit=4M --stall-timeout=2s --create web vda ./x.raw >out 2>&1 &
pid=$!
ok 'once more' wait_until mirrors
kill -STOP "$qemu"
wait $pid
is 'QEMU hangs: stopped, resumable' $? 4
kill -CONT "$qemu"
ok 'it answers again' wait_until virsh -q qemu-monitor-command web --hmp 'info status'
ok 'the job is aborted' "$VOLMIG" abort -q "$(job)"
unmoved 'QEMU had hung'

# --- stopped by hand: mirrored until it is resumed
must_fail 4 'a manual cutover' "$VOLMIG" swap --cutover=manual --create web vda ./b2.raw
has 'tells how to go on' 'volmig resume'
ok 'it is resumed' "$VOLMIG" resume -q "$(job)"
ok 'and has moved' intact_on b2.raw
"$VOLMIG" swap -q --into-existing web vda ./a.raw

# --- the mirror is gone when the job is resumed
must_fail 4 'a manual cutover again' "$VOLMIG" swap --cutover=manual --create web vda ./c.raw
virsh -q blockjob web vda --abort
wait_until no_mirror
must_fail 1 'somebody ended the mirror: it is rolled back' "$VOLMIG" resume -q "$(job)"
unmoved 'somebody ended the mirror'
ok 'the new file is gone again' test ! -e c.raw

# --- somebody else moves the guest
must_fail 4 'a manual cutover, third' "$VOLMIG" swap --cutover=manual --create web vda ./c.raw
virsh -q blockjob web vda --pivot
must_fail 3 'moved by somebody else: no abort' "$VOLMIG" abort -q "$(job)"
ok 'but forward' "$VOLMIG" resume -q "$(job)"
ok 'the guest has the new disk' intact_on c.raw
"$VOLMIG" swap -q --into-existing web vda ./a.raw

# --- a destination that hangs: the file system below it is frozen, and no write comes back
truncate -s 160M fs.img
mkfs.ext4 -q fs.img
mkdir "$virt/mnt/slow"
mount -o loop fs.img "$virt/mnt/slow"
# Its guest may have it still.
at_exit "umount -l '$virt/mnt/slow'"
at_exit "fsfreeze -u '$virt/mnt/slow'"
slow=$virt/mnt/slow/x.raw
truncate -s 64M "$slow"
fsfreeze -f "$virt/mnt/slow"
must_fail 1 'a destination that hangs from the start' "$VOLMIG" swap --stall-timeout=2s web vda "$slow"
has 'is told' 'does not answer'
fsfreeze -u "$virt/mnt/slow"
unmoved 'it hung'
"$VOLMIG" swap --stall-timeout=3s --bwlimit=30M web vda "$slow" >out 2>&1 &
pid=$!
ok 'a mirror onto what will hang' wait_until mirrors
fsfreeze -f "$virt/mnt/slow"
wait $pid
is 'it hangs: stopped, resumable' $? 4
must_fail 4 'an abort is waited for, but not for ever' "$VOLMIG" abort -q "$(job)"
fsfreeze -u "$virt/mnt/slow"
ok 'it answers again, and the abort ends' "$VOLMIG" abort -q "$(job)"
unmoved 'it had hung'

# --- libvirt and QEMU do not agree
virsh -q dumpxml --inactive web | sed "s#$work/a.raw#$work/a.old#" >wrong.xml
virsh -q dumpxml --inactive web >right.xml
virsh -q define wrong.xml
must_fail 3 'another definition is refused' "$VOLMIG" swap --create web vda ./d.raw
has 'and told' 'a.old'
virsh -q define right.xml
must_fail 4 'mirrored' "$VOLMIG" swap --cutover=manual --create web vda ./d.raw
virsh -q define wrong.xml
must_fail 5 'a definition that changed meanwhile: unsure' "$VOLMIG" resume -q "$(job)"
must_fail 5 'and no abort' "$VOLMIG" abort -q "$(job)"
ok 'both volumes are there' test -e d.raw -a -e a.raw
virsh -q define right.xml
ok 'mended, it goes on' "$VOLMIG" resume -q "$(job)"
ok 'it has moved' intact_on d.raw
"$VOLMIG" swap -q --into-existing web vda ./a.raw

# --- the guest is stopped while it is held
must_fail 4 'held' "$VOLMIG" swap --cutover=manual --create web vda ./x.raw
virsh -q destroy web
must_fail 1 'stopped meanwhile: rolled back' "$VOLMIG" resume -q "$(job)"
ok 'the new file is gone' test ! -e x.raw
ok 'the disk is whole after that' cmp data a.raw
start_paused web

# --- the guest is stopped
"$VOLMIG" swap --bwlimit=1M --create web vda ./x.raw >out 2>&1 &
pid=$!
ok 'a mirror of a guest that will be stopped' wait_until mirrors
virsh -q destroy web
wait $pid
is 'the guest is stopped: rolled back' $? 1
is 'it is defined as before' "$(disk_source web vda --inactive)" "$work/a.raw"
ok 'the disk is whole' cmp data a.raw
ok 'the new file is gone too' test ! -e x.raw
must_fail 3 'a domain that does not run has no disk to swap' "$VOLMIG" swap --create web vda ./x.raw

# --- QEMU is killed
start_paused web
"$VOLMIG" swap --bwlimit=1M --create web vda ./x.raw >out 2>&1 &
pid=$!
ok 'a mirror of a QEMU that will be killed' wait_until mirrors
kill -KILL "$(cat "$virt/run/libvirt/qemu/web.pid")"
wait $pid
is 'QEMU is killed: rolled back' $? 1
ok 'the disk is whole still' cmp data a.raw
ok 'no file is left' test ! -e x.raw
is 'nor a job' "$(job)" ''

# --- libvirtd comes back without a domain whose QEMU goes on
start_paused web
must_fail 4 'held once more' "$VOLMIG" swap --cutover=manual --create web vda ./x.raw
lost=$(cat "$virt/run/libvirt/qemu/web.pid")
kill_libvirtd
rm "$virt/run/libvirt/qemu/web.xml"
start_libvirtd
ok 'libvirt says that it is shut off' is_state web 'shut off'
must_fail 5 'yet somebody has both volumes: unsure' "$VOLMIG" resume -q "$(job)"
has 'who is told' 'says that it does not run, yet' "pid $lost"
must_fail 5 'and no abort' "$VOLMIG" abort -q "$(job)"
ok 'both volumes are kept' test -e a.raw -a -e x.raw
must_fail 3 'nor is it moved as if it were nobody'"'"'s' "$VOLMIG" migrate -n ./a.raw ./y.raw
kill -KILL "$lost"
gone() { ! kill -0 "$lost"; }
wait_until gone
must_fail 1 'QEMU is gone: rolled back' "$VOLMIG" resume -q "$(job)"
ok 'the disk is whole after all' cmp data a.raw
ok 'and the new file gone' test ! -e x.raw

done_testing
