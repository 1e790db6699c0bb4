#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Logical volumes to and from the far side of a move, which has its own state directory here in place of its own host.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires nbdkit jq
in_lab -n 2 -s 512M

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq vg0 "$1"
vgcreate -qq vg1 "$2"
lvcreate -qq -y -L 66M -n web vg0 >/dev/null 2>&1
head -c 20M /dev/urandom | dd of=/dev/vg0/web bs=1M seek=7 conv=fsync status=none
sum=$(sha256sum </dev/vg0/web)
lvchange -qq -r 512 --addtag site.web --addtag a/b vg0/web
with_it() {
	lvs --noheadings --units b -o lv_tags,lv_read_ahead "$1" | tr -s ' '
}
had=$(with_it vg0/web)
# What is in the other group is not zero.
tr '\0' x </dev/zero | dd of="$2" bs=1M seek=2 count=400 iflag=fullblock conv=fsync status=none

cat >"$scratch/there" <<-THERE
	#!/bin/sh
	exec env VOLMIG_STATE_DIR=$scratch/far "$VOLMIG" serve --stdio
THERE
chmod +x "$scratch/there"
export VOLMIG_SSH="$scratch/there"
far() {
	VOLMIG_STATE_DIR=$scratch/far "$VOLMIG" "$@"
}

ok 'a volume moves into a group there' "$VOLMIG" migrate -q vg0/web ssh://there/vg1
is '... byte for byte' "$(sha256sum </dev/vg1/web)" "$sum"
is '... with its tags and read-ahead, and is the job'\''s no more' "$(with_it vg1/web)" "$had"
must_fail 5 '... and the source is gone' lvs vg0/web
ok 'nothing is left here' "$VOLMIG" doctor
ok 'nothing is left there' far doctor
ok 'it moves back' "$VOLMIG" migrate -q ssh://there/vg1/web vg0
is '... byte for byte' "$(sha256sum </dev/vg0/web)" "$sum"
must_fail 5 '... and is gone there' lvs vg1/web
is '... with its tags and read-ahead' "$(with_it vg0/web)" "$had"
ok 'a copy of it becomes a file there' "$VOLMIG" copy -q --create vg0/web "ssh://there/$scratch/web.img"
is '... byte for byte' "$(sha256sum <"$scratch/web.img")" "$sum"
ok 'a file becomes a volume there' "$VOLMIG" migrate -q "$scratch/web.img" ssh://there/lvm:vg1/again
is '... byte for byte' "$(sha256sum </dev/vg1/again | cut -d ' ' -f 1)" "${sum%% *}"
lvchange -an vg1/again
ok 'one that is not active is read, and stays so' "$VOLMIG" copy -q --create ssh://there/vg1/again "$scratch/back.img"
is '... byte for byte' "$(sha256sum <"$scratch/back.img" | cut -d ' ' -f 1)" "${sum%% *}"
is '... not active' "$(lvs --noheadings -o lv_active vg1/again | tr -d ' ')" ''
lvcreate -qq -y --type thin-pool -L 100M -n pool vg1 >/dev/null 2>&1
type_of() {
	lvs --noheadings -o segtype "$1" | tr -d ' '
}
ok 'a copy in a thin pool there' "$VOLMIG" copy -q --create --thin=pool vg0/web ssh://there/vg1/thin
is '... is thin' "$(type_of vg1/thin)" thin
is '... byte for byte' "$(sha256sum </dev/vg1/thin)" "$sum"
ok 'a thick copy of a thin volume there' "$VOLMIG" copy -q --create --thick ssh://there/vg1/thin vg0/thick
is '... is thick' "$(type_of vg0/thick)" linear
is '... byte for byte' "$(sha256sum </dev/vg0/thick)" "$sum"
# Brought up to date: each change is in one MiB, and none of what is a hole in a pool is read.
refreshed() {
	is "$1: what was carried" "$("$VOLMIG" copy --json --delta "$2" "$3" 2>"$scratch/output" | jq .copy.bytes_carried)" "$4"
	is '... byte for byte' "$(sha256sum <"$5")" "$sum"
}
# What a larger volume there holds beyond the source's end is looked at for longer than it may be silent.
sed 's,VOLMIG_STATE_DIR,VOLMIG_INJECT=slow:60000 &,; s,"'"$VOLMIG"'","'"$VOLMIG_INJECT_BIN"'",' "$scratch/there" >"$scratch/slowly"
chmod +x "$scratch/slowly"
lvchange -ay vg1/again
head -c 1M /dev/urandom >"$scratch/small.img"
ok 'the rest of a large volume there is proven, however long that takes' env VOLMIG_SSH="$scratch/slowly" \
	VOLMIG_INJECT=far-limit:2500 timeout 120 "$VOLMIG_INJECT_BIN" copy -q --into-existing --stall-timeout=20s \
	"$scratch/small.img" ssh://there/vg1/again
is '... byte for byte' "$(head -c 1M /dev/vg1/again | sha256sum)" "$(sha256sum <"$scratch/small.img")"
lvremove -qq -y vg1/again
head -c 4096 /dev/urandom | dd of=/dev/vg0/web bs=1M seek=9 conv=fsync status=none
sum=$(sha256sum </dev/vg0/web)
lvchange -an vg0/thick
refreshed 'a thin volume there is brought up to date' vg0/web ssh://there/vg1/thin 1048576 /dev/vg1/thin
refreshed '... once more' vg0/web ssh://there/vg1/thin 0 /dev/vg1/thin
lvchange -an vg1/thin
refreshed 'a volume by a thin one there, which is not active' ssh://there/vg1/thin lvm:vg0/web 0 /dev/vg0/web
"$VOLMIG" copy -q --delta ssh://there/vg1/thin vg0/thick 2>"$scratch/output"
lvchange -ay vg0/thick
is 'one by another, neither of which is active' "$(sha256sum </dev/vg0/thick)" "$sum"
is '... nor is the one there now' "$(lvs --noheadings -o lv_active vg1/thin | tr -d ' ')" ''
must_fail 2 'a pool for a file there makes no sense' \
	"$VOLMIG" copy -q --create --thin=pool vg0/web "ssh://there/$scratch/thin.img"
has '... as here' 'is for a new logical volume'
mkdir "$scratch/mnt"
mkfs.ext4 -q /dev/vg0/web && mount /dev/vg0/web "$scratch/mnt"
at_exit umount "$scratch/mnt"
must_fail 3 'one that is mounted there is refused' "$VOLMIG" migrate -q ssh://there/vg0/web "$scratch/x.img"
has '... by its use' 'mounted'
must_fail 3 '... to be brought up to date, too' "$VOLMIG" copy -q --delta --into-existing vg0/thick ssh://there/vg0/web
has '... by its use' 'mounted'
ok 'nothing is left here' "$VOLMIG" doctor
ok 'nothing is left there' far doctor

done_testing
