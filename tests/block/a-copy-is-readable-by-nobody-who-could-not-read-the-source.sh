#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Mode, owner, group and access control lists of a moved file let in those that the source let in.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M
requires mkfs.ext4 mkfs.minix setpriv setfacl getfacl

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
a=$scratch/a without=$scratch/without
mkdir "$a" "$without"
chmod 755 "$scratch"
mkfs.ext4 -q "$1"
mount "$1" "$a"
at_exit umount "$a"
b=$a/b
mkdir "$b"
chmod 777 "$a" "$b"
setfacl -m u:65534:r "$a" || skip_all 'needs access control lists'
setfacl -b "$a"

make() {
	rm -f "$a/file" "$b/file"
	echo 'the volume' >"$a/file"
	truncate -s 1M "$a/file"
	chmod "$1" "$a/file"
}

as() {
	id=$1
	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}

# moved DESCRIPTION [COMMAND...]: what is said is in the output.
moved() {
	case=$1
	shift
	ok "$case: moved" "$@" "$VOLMIG" migrate "$a/file" "$b/"
	mv "$scratch/output" "$scratch/receipt"
}

can_read() {
	as "$2" head -c 1 "$b/file" >/dev/null 2>&1 && answer=yes || answer=no
	is "$1: can user $2 read it" "$answer" "$3"
}

acl() {
	getfacl -cnp "$1" | tr '\n' ' '
}

# The directory's default list is for its own files, not for what is moved there.
make 640
setfacl -d -m u:65534:rwx "$b"
moved 'a default list'
is 'a default list: the mode' "$(stat -c %a "$b/file")" 640
is 'a default list: nothing is inherited' "$(acl "$b/file")" 'user::rw- group::r-- other::---  '
can_read 'a default list' 65534 no

# The source's own list goes along, into such a directory as well.
make 640
setfacl -m u:1234:r,g:65534:--- "$a/file"
wanted=$(acl "$a/file")
moved 'a list of its own'
is 'a list of its own: is kept' "$(acl "$b/file")" "$wanted"
can_read 'a list of its own' 1234 yes
can_read 'a list of its own' 65534 no
can_read 'a list of its own' 4321 no

# A device says nothing about files: only for root.
dd if=/dev/zero of="$2" bs=1M count=1 status=none
rm -f "$b/file"
ok 'a device: copied' "$VOLMIG" copy -q --create "$2" "$b/file"
is 'a device: nothing is inherited' "$(acl "$b/file")" 'user::rw- group::--- other::---  '
setfacl -b "$b"

# A list that the other file system cannot keep: the mode's group bits are its mask.
modprobe -q minix
mkfs.minix -3 "$2" >/dev/null
mount -t minix "$2" "$without"
at_exit umount "$without"
b=$without
if setfacl -m u:1234:r "$without" 2>/dev/null; then
	skip 'a file system without lists' 'this one has them'
else
	make 640
	setfacl -m u:1234:rw,g::-,o:r "$a/file"
	is 'a lost list: what the mode says' "$(stat -c %a "$a/file")" 664
	moved 'a lost list'
	is 'a lost list: only the owner has access' "$(stat -c %a "$b/file")" 600
	ok 'a lost list: it is said' grep -q \
		'the access control list could not be kept, so only the owner has access' \
		"$scratch/receipt"
	make 644
	moved 'without a list'
	is 'without a list: the mode is kept' "$(stat -c %a "$b/file")" 644
fi
b=$a/b

# Somebody who is not in the group: whom the group's bits kept out is one of the others now.
owner="setpriv --reuid 65534 --regid 65534 --clear-groups
	env VOLMIG_STATE_DIR=$a/state-of-nobody"
make 604
chown 65534:1234 "$a/file"
# shellcheck disable=SC2086 # a list of words
moved 'a lost group' $owner
is 'a lost group: only the owner has access' "$(stat -c '%a %u %g' "$b/file")" '600 65534 65534'
ok 'a lost group: it is said' grep -q \
	'group 1234 could not be kept, so only the owner has access' "$scratch/receipt"
can_read 'a lost group' 1234 no

# A file that its owner may not write to can be moved by him, and stays like that.
for mode in 444 400 555; do
	make $mode
	chown 65534:65534 "$a/file"
	cp -p "$a/file" "$a/wanted"
	# shellcheck disable=SC2086 # a list of words
	moved "read-only ($mode)" $owner
	is "read-only ($mode): the mode is kept" "$(stat -c %a "$b/file")" $mode
	ok "read-only ($mode): it is whole" cmp "$a/wanted" "$b/file"
	is "read-only ($mode): the source is gone" "$(ls "$a/file" 2>/dev/null)" ''
	rm -f "$a/wanted"
done

# Somebody else's file becomes his who moves it: what its owner could not do he must.
make 044
chown 1234:1234 "$a/file"
# shellcheck disable=SC2086 # a list of words
moved "another's file" $owner
is "another's file: only its new owner has access" "$(stat -c '%a %u' "$b/file")" '600 65534'
done_testing
