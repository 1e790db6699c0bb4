#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Metadata of before the copy are restored while it is made: its device is there yet, but not after a restart.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 100M -t 200
requires vgcreate vgcfgrestore

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$1"
vgcreate -qq g1 "$2"
lvcreate -qq -y -Wn -Zn -L 8M -n v g0 >/dev/null 2>&1
dd if=/dev/urandom of=/dev/g0/v bs=1M count=8 status=none
cd "$scratch" || exit 99
cp /dev/g0/v f.img
vgcfgbackup -qq -f before g1 >/dev/null
# forget STEP: a hook that restores them before that step.
forget() {
	cat >hook <<-SH
		#!/bin/sh
		[ "\$VOLMIG_HOOK" != pre-$1 ] || vgcfgrestore -qq -y -f "$scratch/before" g1 >/dev/null 2>&1
		exit 0
	SH
	chmod +x hook
}

forget commit
must_fail 4 'a volume is not given up for a copy that the group does not know' \
	"$VOLMIG" migrate -q g0/v g1 --hook "$scratch/hook"
has 'and that is said' 'the destination has gone since it was written'
ok 'the source is there' cmp /dev/g0/v f.img
must_fail 4 'nor is a file' "$VOLMIG" migrate -q --hook "$scratch/hook" ./f.img g1/w
has 'and that is said' 'the destination has gone since it was written'
ok 'the file is there' cmp /dev/g0/v f.img
forget remove-source
lvcreate -qq -y -Wn -Zn -L 8M -n x g0 >/dev/null 2>&1
cp f.img /dev/g0/x
must_fail 4 'nor is it behind the commit' "$VOLMIG" migrate -q g0/x g1 --hook "$scratch/hook"
has 'and that is said' 'the destination has gone since it was written'
ok 'the source is there' cmp /dev/g0/x f.img

done_testing
