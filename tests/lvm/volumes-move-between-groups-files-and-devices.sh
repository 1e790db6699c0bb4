#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A logical volume moves to another group, a file or a device and back, by each of its names, with all that it had.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 4 -s 200M -t 550
requires vgcreate jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$1" "$2"
vgcreate -qq -s 1M g1 "$3"
disk=$4
work=$scratch/work
mkdir "$work"
lvcreate -qq -y -L 40M --type thin-pool -n p0 g0
lvcreate -qq -y -L 40M --type thin-pool -c 128k -n p1 g1

sum() {
	head -c "${2:-999999999}" "$1" | sha1sum | cut -d ' ' -f 1
}
# field GROUP/NAME FIELD
field() {
	lvs --noheadings -o "$2" "$1" 2>/dev/null | tr -d ' '
}
left_over() {
	lvs -a --noheadings -o lv_name,lv_tags | grep volmig
}
# fresh NAME [OPTION...]: a volume of g0 with noise on it.
fresh() {
	lv=$1
	shift
	lvcreate -qq -y -Wn -Zn -n "$lv" "$@" g0 >/dev/null 2>&1
	dd if=/dev/urandom of="/dev/g0/$lv" bs=1M count=5 status=none
	sync "/dev/g0/$lv"
	was=$(sum "/dev/g0/$lv")
}
# moved WHAT FROM TO: and it is what it was, there and nowhere else.
moved() {
	is "$1: the bytes" "$(sum "$3")" "$was"
	is "$1: the source is gone" "$(field "$2" lv_name)" ''
	is "$1: nothing is left over" "$(left_over)" ''
}

# Garbage where the copies will lie.
lvcreate -qq -y -Wn -Zn -l 100%FREE -n garbage g1 >/dev/null 2>&1
dd if=/dev/urandom of=/dev/g1/garbage bs=1M count=30 status=none
lvremove -qq -y g1/garbage

# By all names.
fresh a-b -L 8M
ln -s /dev/g0/a-b "$work/link"
node=$(lvs --noheadings -o lv_kernel_major,lv_kernel_minor --separator : g0/a-b | tr -d ' ')
node=/dev/$(basename "$(readlink -f "/sys/dev/block/$node")")
for name in g0/a-b lvm:g0/a-b /dev/g0/a-b /dev/mapper/g0-a--b "$node" "$work/link"; do
	ok "$name" "$VOLMIG" migrate -n "$name" g1
	has "$name is the volume" 'from        /dev/g0/a-b: lv,' 'to          /dev/g1/a-b: lv,'
done
ok 'it is moved to another group' "$VOLMIG" migrate -q "$work/link" g1
moved 'to another group' g0/a-b /dev/g1/a-b
lvremove -qq -y g1/a-b

# What it had goes with it.
fresh v -L 8M
lvchange -qq -y -My --minor 77 g0/v
tags=$(seq -f 'tag%02g' 45 | paste -sd, -)
# shellcheck disable=SC2046 # a list of words
lvchange -qq $(printf '%s' "$tags" | sed 's/[^,]*/--addtag &/g; y/,/ /') -r 512 --setactivationskip y -pr g0/v
ok 'a volume with tags, read-ahead, a minor number, read-only, not to be activated' "$VOLMIG" migrate -q g0/v g1
moved 'with all that' g0/v /dev/g1/v
is 'its tags, however many' "$(field g1/v lv_tags)" "$tags"
is 'its read-ahead' "$(field g1/v lv_read_ahead)" 256.00k
is 'its permission' "$(field g1/v lv_permissions)" read-only
is 'its activation skip' "$(field g1/v lv_skip_activation)" skipactivation
is 'its minor number' "$(field g1/v lv_minor)" 77
lvremove -qq -y g1/v

# One that is not active is so only meanwhile.
fresh v -L 8M
lvchange -qq -an g0/v
ok 'a volume that is not active' "$VOLMIG" migrate -q /dev/g0/v g1
is 'nor is it afterwards' "$(field g1/v lv_active)" ''
lvchange -qq -ay g1/v
moved 'not active' g0/v /dev/g1/v
lvremove -qq -y g1/v
fresh v -L 8M
lvchange -qq -an g0/v
ok 'with --keep-source' "$VOLMIG" migrate -q --keep-source g0/v g1/kept
is '... the source is not active again' "$(field g0/v lv_active)" ''
lvremove -qq -y g1/kept g0/v

# Kinds.
fresh s -L 8M -i 2 -I 64k
ok 'a striped volume' "$VOLMIG" migrate --json g0/s g1
has '... says that it becomes linear' 'is striped with 2 legs or stripes, and its copy is linear'
moved striped g0/s /dev/g1/s
is '... it is' "$(field g1/s segtype)" linear
lvremove -qq -y g1/s
vgextend -qq g1 "$disk"
lvcreate -qq -y --type raid1 -m 1 -L 8M -n r g1
dd if=/dev/urandom of=/dev/g1/r bs=1M count=5 status=none
was=$(sum /dev/g1/r)
ok 'a raid1 volume' "$VOLMIG" migrate -q g1/r g0
moved raid1 g1/r /dev/g0/r
is '... stays one' "$(field g0/r segtype,stripes)" raid12
lvremove -qq -y g0/r
vgreduce -qq g1 "$disk"

# Thin.
lvcreate -qq -y -V 100M --thinpool g0/p0 -n t >/dev/null 2>&1
dd if=/dev/urandom of=/dev/g0/t bs=1M count=3 seek=20 status=none
sync /dev/g0/t
was=$(sum /dev/g0/t)
ok 'a copy of a thin volume' "$VOLMIG" copy -q --create g0/t g1/copy
is '... is thin' "$(field g1/copy segtype,pool_lv)" thinp1
is '... its bytes' "$(sum /dev/g1/copy)" "$was"
ok 'a copy that shall be thick' "$VOLMIG" copy -q --create --thick g0/t g1/thick
is '... is thick' "$(field g1/thick segtype)" linear
is '... its bytes' "$(sum /dev/g1/thick)" "$was"
ok 'a copy that shall be thin, in its own group' "$VOLMIG" copy -q --create --thin=p1 g1/thick g1/thin
is '... is thin' "$(field g1/thin segtype,pool_lv)" thinp1
is '... in which as much is mapped' "$(field g1/thin data_percent)" 3.00
lvremove -qq -y g1/copy g1/thick g1/thin
ok 'a thin volume' "$VOLMIG" migrate -q g0/t g1
moved thin g0/t /dev/g1/t
is '... stays one' "$(field g1/t segtype,pool_lv)" thinp1
is '... in which as much is mapped' "$(field g1/t data_percent)" 3.00
ok 'made a thick one' "$VOLMIG" migrate -q --thick g1/t g0
moved thick g1/t /dev/g0/t
is '... is one' "$(field g0/t segtype)" linear
ok 'made a thin one by its place' "$VOLMIG" migrate -q g0/t g1/p1
moved 'thin again' g0/t /dev/g1/t
is '... is one in that pool' "$(field g1/t segtype,pool_lv)" thinp1
ok 'made a thick one inside its group' "$VOLMIG" migrate -q --thick g1/t g1
is '... under its name' "$(field g1/t segtype)" linear
is '... with its bytes' "$(sum /dev/g1/t)" "$was"
lvremove -qq -y g1/t

# Files and devices.
head -c 5000123 /dev/urandom >"$work/odd.img"
was=$(sum "$work/odd.img")
ok 'an image of an odd size becomes a volume' "$VOLMIG" migrate "$work/odd.img" g1
has '... and the plan tells of its size' 'is made of whole extents and larger than the source: its last 242757 bytes become zero'
is '... its bytes' "$(sum /dev/g1/odd.img 5000123)" "$was"
is '... its tail' "$(tail -c 242757 /dev/g1/odd.img | tr -d '\0' | wc -c)" 0
ok '... the file is gone' test ! -e "$work/odd.img"
was=$(sum /dev/g1/odd.img)
ok 'a volume becomes a file' "$VOLMIG" migrate -q g1/odd.img "$work/"
moved file g1/odd.img "$work/odd.img"
ok 'a file is copied to a new volume' "$VOLMIG" copy -q --create "$work/odd.img" g1/new
is '... its bytes' "$(sum /dev/g1/new)" "$was"
printf x | dd of="$work/odd.img" bs=1 seek=4194304 conv=notrunc status=none
ok 'what differs is copied onto it' "$VOLMIG" copy -q --delta --into-existing "$work/odd.img" g1/new
ok '... and it is the same' cmp "$work/odd.img" /dev/g1/new
lvchange -qq -an g1/new
ok 'onto one that is not active' "$VOLMIG" copy -q --into-existing "$work/odd.img" g1/new
is '... which it is not afterwards' "$(field g1/new lv_active)" ''
ok 'a volume is copied to a device' "$VOLMIG" copy -q --into-existing g1/new "$disk"
ok '... it is there' cmp -n 5242880 "$work/odd.img" "$disk"
# A device that fits into the group.
dmsetup create part --noudevsync --table "0 65537 linear $disk 0" && dmsetup mknodes part
ok 'a device is copied into a group' "$VOLMIG" copy -q --create /dev/mapper/part g1/new2
is '... in full' "$(sum /dev/g1/new2 $((65537 * 512)))" "$(sum /dev/mapper/part)"
dmsetup remove --noudevsync part
lvremove -qq -y g1/new g1/new2
ok 'the source is wiped and removed' sh -c "lvcreate -qq -y -L 8M -n w g0 &&
	'$VOLMIG' migrate -q --wipe=discard g0/w g1"
is '... nothing is left over' "$(left_over)" ''
lvremove -qq -y g1/w

# Attached to this host.
fresh v -L 8M
lvchange -qq -an g0/v
ok 'attach activates' "$VOLMIG" attach g0/v
has '... and tells the device' /dev/
is '... it is active' "$(field g0/v lv_active)" active
ok 'once more is nothing' "$VOLMIG" attach g0/v
ok 'detach deactivates' "$VOLMIG" detach g0/v
is '... it is not active' "$(field g0/v lv_active)" ''
ok 'once more is nothing' "$VOLMIG" detach g0/v
lvchange -qq -ay g0/v
ok 'attach of one that is active' "$VOLMIG" attach g0/v
ok '... and detach' "$VOLMIG" detach g0/v
is '... leave it active' "$(field g0/v lv_active)" active
ok 'all the jobs are done' sh -c "'$VOLMIG' status --all | grep -c -v cleaned | grep -qx 1"
done_testing
