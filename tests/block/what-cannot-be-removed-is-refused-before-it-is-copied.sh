#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What keeps a source from being removed in the end is found before anything is copied.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 64M
requires mkfs.ext4 chattr setpriv

mnt=$scratch/mnt
mkdir "$mnt"
mkfs.ext4 -q "$LAB_DISKS"
mount "$LAB_DISKS" "$mnt"
at_exit umount "$mnt"
src=$mnt/from/file
dst=$mnt/to
mkdir "$mnt/from" "$dst"
dd if=/dev/urandom of="$src" bs=1M count=1 status=none

# refused DESCRIPTION REASON [COMMAND...]: and nothing is made, nothing is lost.
refused() {
	case=$1
	reason=$2
	shift 2
	must_fail 3 "$case: refused" "$@" "$VOLMIG" migrate -q "$src" "$dst/"
	has "$case: and why" "$src: the source could not be removed: $reason" '--keep-source'
	is "$case: nothing was made" "$(ls -A "$dst")" ''
	must_fail 3 "$case: a dry run says so too" "$@" "$VOLMIG" migrate --dry-run "$src" "$dst/"
	ok "$case: it can be moved with --keep-source" \
		"$@" "$VOLMIG" migrate -q --keep-source "$src" "$dst/"
	ok "$case: and the copy is whole" cmp "$src" "$dst/file"
	rm -f "$dst/file"
}

chattr +i "$src"
refused 'an immutable file' 'it is immutable'
chattr -i "$src"

chattr +a "$src"
refused 'an append-only file' 'it is append-only'
chattr -a "$src"

chattr +i "$mnt/from"
refused 'a file in an immutable directory' 'the directory is immutable'
chattr -i "$mnt/from"

chattr +a "$mnt/from"
refused 'a file in an append-only directory' 'the directory is append-only'
chattr -a "$mnt/from"

cp "$src" "$mnt/other"
mount --bind "$mnt/other" "$src"
at_exit umount "$src"
refused 'a file that another is mounted on' 'it is a mount point'
umount "$src"

# As a container has it, that has not opened it so far: it would write to the old one.
: >"$mnt/inside"
mount --bind "$src" "$mnt/inside"
at_exit umount "$mnt/inside"
at_exit umount "$mnt/other"
refused 'a file that is mounted elsewhere' "it is mounted on $mnt/inside too"
umount "$mnt/inside"
must_fail 4 'one that is mounted while it is copied stays' "$VOLMIG" migrate -q "$src" "$dst/" \
	--hook "[ \$VOLMIG_HOOK != pre-verify ] || mount --bind $src $mnt/other"
has '... and why' "it is mounted on $mnt/other too"
umount "$mnt/other"
ok '... until it is there no more' "$VOLMIG" abort "$("$VOLMIG" status | sed -n 's/ .* verified .*//p')"

# Somebody else's file in somebody else's /tmp.
chown 1:1 "$mnt/from" "$src"
chmod 1777 "$mnt/from"
chmod 666 "$src"
chmod 777 "$dst" "$mnt" "$scratch"
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups
	env VOLMIG_STATE_DIR=$mnt/state-of-nobody"
# shellcheck disable=SC2086 # a list of words
refused 'a file in a sticky directory' 'the directory is sticky' $nobody
chown 65534 "$src"
# shellcheck disable=SC2086 # a list of words
ok 'its owner can move it' $nobody "$VOLMIG" migrate -q "$src" "$dst/"
is 'it is gone there' "$(ls -A "$mnt/from")" ''
rm -f "$dst/file"
dd if=/dev/urandom of="$src" bs=1M count=1 status=none
chown 1 "$src"
ok 'and so can root' "$VOLMIG" migrate -q "$src" "$dst/"
mv "$dst/file" "$src"

# Where nothing can be taken back nothing is made.
chattr +a "$dst"
must_fail 3 'an append-only directory as the place: refused' "$VOLMIG" migrate -q "$src" "$dst/"
has 'an append-only directory as the place: and why' \
	"$dst: no volume can be made there: the directory is append-only"
is 'an append-only directory as the place: nothing was made' "$(ls -A "$dst")" ''
chattr -a "$dst"
ok 'without all that it is moved' "$VOLMIG" migrate -q "$src" "$dst/"
is 'and gone' "$(ls -A "$mnt/from")" ''
done_testing
