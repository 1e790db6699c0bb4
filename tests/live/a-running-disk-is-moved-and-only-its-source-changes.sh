#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A running domain's disk is moved between files and devices: the bytes follow, and of its definition only the source changes.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
start_libvirtd

# without_source XML: what must not change.
without_source() {
	perl -0pe "s/<disk type='\\w+'/<disk/; s/\\s*<source [^>]*\\/>//; s/\\s*<source .*?<\\/source>//s;
		s/\\s*<backingStore\\/>//" "$1"
}

unchanged() {
	virsh dumpxml --inactive web >after.xml
	without_source before.xml >before.rest
	without_source after.xml >after.rest
	cmp before.rest after.rest
}

# has_bytes VOLUME: what was written through the guest's device, and the source's data.
has_bytes() {
	cmp -n 4194304 data "$1" &&
		[ "$(od -A n -t x1 -N 1 -j $((mark * 65536)) "$1" | tr -d ' ')" = "$(printf %x $mark)" ]
}

# moved TO COMMAND...: and libvirt, the definition and QEMU say so.
moved() {
	to=$1
	shift
	mark=$((mark + 1))
	qemu_io web 0 "write -P $mark $((mark * 64))k 64k"
	ok "$way: is moved" "$VOLMIG" "$@"
	cp "$scratch/output" receipt
	ok "$way: all agree on the new one" agree web vda "$to"
	ok "$way: the bytes are there" has_bytes "$to"
	ok "$way: the definition differs in its source alone" unchanged
}

# agree NAME TARGET PATH; of a slice QEMU's name is no path.
agree() {
	[ "$(disk_source "$1" "$2")" = "$3" ] && [ "$(disk_source "$1" "$2" --inactive)" = "$3" ] &&
		virsh -q qemu-monitor-command "$1" --hmp 'info block' | grep -qF "$3"
}

dd if=/dev/urandom of=data bs=1M count=4 status=none
cp data a.raw
truncate -s 64M a.raw b.raw
mark=160
define web "$(disk_xml vda "$work/a.raw" "cache='none' io='native' discard='unmap'" '<iotune><total_iops_sec>100000</total_iops_sec></iotune><boot order="1"/>')"
start_paused web
virsh dumpxml --inactive web >before.xml

ok 'a dry run succeeds' "$VOLMIG" swap -n web vda ./b.raw
has 'it tells the steps' 'mirror' 'compare' 'pivot' 'point of no return'
ok 'and changes nothing' truth web vda
is 'really' "$(disk_source web vda)" "$work/a.raw"

way='file to file'
moved "$work/b.raw" swap web vda ./b.raw
ok 'the old file stays' test -e a.raw

truncate -s 64M c.img
loop_device "$work/c.img"
way='file to device, named by its path'
moved "$loop" swap web "$work/b.raw" "$loop"

way='device to a new file'
moved "$work/new.raw" swap --create --api=copy --granularity=4K web vda ./new.raw
ok 'what was said' cat receipt
has 'the receipt says what was compared' 'not compared: the rest'

truncate -s 100M larger.img
loop_device "$work/larger.img"
way='to a larger device'
moved "$loop" swap web vda "$loop"
ok 'what was said' cat receipt
has 'the receipt tells what that means' 'cannot be resized'

mkdir dir
way='back to a file in a directory, by migrate'
moved "$work/dir/back.raw" migrate --keep-source "$loop" ./dir/back.raw

way='migrate, all compared while it is suspended'
virsh -q resume web
moved "$work/e.raw" swap --max-pause=60s --create web vda ./e.raw
ok 'what was said' cat receipt
has 'the whole disk' 'all of the disk was compared'
ok 'it goes on' is_state web running

way='migrate of the volume'
moved "$work/dir/e.raw" migrate ./e.raw ./dir/
ok 'the source is gone' test ! -e e.raw
ok 'only it is' test -e b.raw

way='with synchronous writes'
moved "$work/s.raw" swap --sync-writes --create web vda ./s.raw

# A domain that is not defined: BlockRebase takes it, and it stays what it is.
truncate -s 8M t.raw
domain_xml transient "$work/t.raw" >transient.xml
ok 'a domain that is not defined' virsh -q create --paused transient.xml
ok 'is swapped by BlockRebase' "$VOLMIG" swap --api=rebase --create transient vda ./t2.raw
is 'onto the new file' "$(disk_source transient vda)" "$work/t2.raw"
ok 'as QEMU says, too' truth transient vda
must_fail 3 'a larger device is not for it' "$VOLMIG" swap --api=rebase transient vda "$loop"
truncate -s 8M t.img
loop_device "$work/t.img"
ok 'onto a device' "$VOLMIG" swap --api=rebase --into-existing transient vda "$loop"
ok 'as QEMU says again' truth transient vda
is 'it is not defined now' "$(virsh -q list --all --persistent --name | grep -cx transient)" 0

must_fail 1 'of the definition the journals hold a hash only' grep -rqF '<domain' "$VOLMIG_STATE_DIR"

done_testing
