#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A running domain's disk moves onto new and existing logical volumes, between groups and off them, with a libvirtd in the lab.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires libvirtd virsh qemu-system-x86_64
in_lab -n 4 -s 200M -m 1500M -t 550
requires vgcreate jq
# shellcheck source=tests/live/lib.sh
. "$TOP/tests/live/lib.sh"
start_libvirtd

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$1"
vgcreate -qq -s 1M g1 "$2"
vgcreate -qq g2 "$3"
# Files where there is direct I/O, and where that libvirtd sees them.
mke2fs -q -t ext4 "$4"
mkdir "$virt/mnt/files"
mount "$4" "$virt/mnt/files"
at_exit "umount '$virt/mnt/files'"
cd "$virt/mnt/files" || exit 99
work=$PWD
lvcreate -qq -y -L 80M --type thin-pool -n pool g2

# Old data on all of g1, which must not show through, nor stay behind the end of a disk.
lvcreate -qq -y -Wn -Zn -l 100%FREE -n old g1 >/dev/null
tr '\0' '\125' </dev/zero | dd of=/dev/g1/old bs=1M status=none 2>/dev/null
lvremove -qq -y g1/old

fresh() {
	dd if=/dev/urandom of="$1" bs=1M count=3 conv=notrunc status=none
	head -c 3M "$1" >was
}
# has_bytes VOLUME BYTES: the data, and zeroes up to there.
has_bytes() {
	cmp -n 3145728 was "$1" && cmp -i 3145728 -n $(($2 - 3145728)) "$1" /dev/zero
}
no_marks() {
	! lvs -a --noheadings -o lv_name,lv_tags | grep -q volmig
}
gone() {
	! lvs "$1" >/dev/null 2>&1
}
now_is() {
	[ "$(disk_source web vda)" = "$1" ] && truth web vda
}

lvcreate -qq -y -Wy -Zy -L 32M -n web g0 >/dev/null
fresh /dev/g0/web
define web /dev/g0/web
start_paused web

ok 'a dry run onto a new volume of another group' "$VOLMIG" migrate -n g0/web g1
has 'tells how' 'create-lv' 'mirror' 'pivot' 'remove-source' 'finish-lv'
ok 'and makes nothing' gone g1/web

ok 'the disk of a running domain moves to another group' "$VOLMIG" migrate --json g0/web g1
cp "$scratch/output" receipt
is 'by QEMU' "$(jq -r .method receipt)" live
ok 'all agree on the new volume' now_is /dev/g1/web
ok 'the definition too' test "$(disk_source web vda --inactive)" = /dev/g1/web
ok 'it has the bytes, and nothing of what was there before' has_bytes /dev/g1/web 33554432
ok 'the source has been removed' gone g0/web
ok 'no mark is left' no_marks

ok 'into a thin pool' "$VOLMIG" migrate -q g1/web g2/pool
ok 'all agree' now_is /dev/g2/web
is 'it is thin' "$(lvs --noheadings -o segtype g2/web | tr -d ' ')" thin
ok 'it has the bytes' has_bytes /dev/g2/web 33554432
ok 'the source is gone' gone g1/web

mkdir dir
ok 'off LVM into a file' "$VOLMIG" migrate -q --domain web ./dir/
ok 'all agree on the file' now_is "$work/dir/web"
ok 'which has the bytes' has_bytes dir/web 33554432
ok 'and the volume is gone' gone g2/web

ok 'swap makes a volume, too' "$VOLMIG" swap -q --create web vda g0/again
ok 'all agree on it' now_is /dev/g0/again
ok 'the file stays' test -e dir/web
lvcreate -qq -y -an -L 32M -n there g1 >/dev/null 2>&1
must_fail 3 'a volume that is there is not overwritten' "$VOLMIG" migrate g0/again g1/there
ok 'but when asked for, also where it was not active' "$VOLMIG" migrate -q --into-existing g0/again g1/there
ok 'all agree on that' now_is /dev/g1/there
ok 'with the bytes' has_bytes /dev/g1/there 33554432
ok 'and the source is gone again' gone g0/again
must_fail 3 'a volume with a snapshot' sh -c "lvcreate -qq -y -s -L 8M -n snap g1/there && exec '$VOLMIG' migrate g1/there g0"
has 'which would go with it' 'snap'
lvremove -qq -y g1/snap
virsh -q destroy web
lvremove -qq -y g1/there
virsh -q undefine web

# A size that is no whole number of extents: a window, and nothing old behind it.
truncate -s 10000384 odd.img
fresh odd.img
define odd "$work/odd.img"
start_paused odd
ok 'a disk of an odd size' "$VOLMIG" migrate --json ./odd.img g1
cp "$scratch/output" receipt
ok 'what was said' cat receipt
has 'what that means is said' 'is larger than the disk' 'cannot be resized'
ok 'all but the window is zero' has_bytes /dev/g1/odd.img 10485760
is 'the guest still sees as much' "$(virsh -q domblkinfo odd vda | awk '/^Capacity/ { print $2 }')" 10000384
virsh -q destroy odd

# Two disks of one domain into one group, killed where they are made, and undone.
lvcreate -qq -y -Wy -Zy -L 16M -n one g0 >/dev/null
lvcreate -qq -y -Wy -Zy -L 16M -n two g0 >/dev/null
fresh /dev/g0/two
define both /dev/g0/one /dev/g0/two
start_paused both
must_fail 3 'two that do not fit together' sh -c "lvcreate -qq -y -an -l 100%FREE -n rest g1 && lvreduce -qq -y -l -20 g1/rest && exec '$VOLMIG' migrate --domain both g1"
has 'are refused before anything is made' 'too little space in the volume group for all of them'
lvremove -qq -y g1/rest
if "$VOLMIG_INJECT_BIN" --version >/dev/null 2>&1; then
	for record in 7 11 15; do
		VOLMIG_INJECT=kill-after-record:$record "$VOLMIG_INJECT_BIN" migrate -q --domain both g1 2>/dev/null
		job=$("$VOLMIG" status | awk '$3 != "aborted" && /both/ { print $1 }')
		ok "killed at record $record: it is undone" "$VOLMIG" abort -q "$job"
		is 'nothing is left of it' "$(lvs --noheadings -o lv_name g1 | tr -d ' \n')" odd.img
		is 'the disks are where they were' "$(disk_source both vda) $(disk_source both vdb)" '/dev/g0/one /dev/g0/two'
	done
fi
ok 'two disks move together' "$VOLMIG" migrate -q --domain both g1
is 'both are there' "$(disk_source both vda) $(disk_source both vdb)" '/dev/g1/one /dev/g1/two'
ok 'with their bytes' has_bytes /dev/g1/two 16777216
is 'and nowhere else' "$(lvs --noheadings g0)" ''
ok 'no mark is left again' no_marks
virsh -q destroy both
ok 'shut off, back they go' "$VOLMIG" migrate -q --domain both g0
is 'the definition names them' "$(disk_source both vda --inactive) $(disk_source both vdb --inactive)" '/dev/g0/one /dev/g0/two'
ok 'no mark, once more' no_marks

done_testing
