#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What other migration services go through with mocks is replayed with real logical volumes; see SCENARIOS.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 256M
requires vgcreate mkfs.ext4 jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
pvcreate -qq "$1" "$2" "$3"
vgcreate -qq sa "$1"
vgcreate -qq sb "$2"
vgcreate -qq sc "$3"
lvcreate -qq -y --type thin-pool -L 64M -c 64k -n pool sa >/dev/null 2>&1
lvcreate -qq -y --type thin-pool -L 64M -c 64k -n pool sb >/dev/null 2>&1
lvcreate -qq -y -L 16M -n v sa >/dev/null 2>&1
lvcreate -qq -y -V 16M --thinpool sa/pool -n thin >/dev/null 2>&1
lvcreate -qq -y -L 8M -n one sc >/dev/null 2>&1
mkfs.ext4 -q /dev/sa/v
head -c 3000000 /dev/urandom | dd of=/dev/sa/thin bs=64k conv=notrunc,fsync status=none
sum=$(sha256sum </dev/sa/v)
mkdir "$scratch/m"

as_it_was() {
	ok '... the source is as it was' test "$(sha256sum </dev/sa/v)" = "$sum"
	is '... and nobody has it open' "$(lvs --noheadings -o lv_device_open sa/v | tr -d ' ')" ''
	must_fail 1 '... nothing of ours is left' sh -c 'lvs -a --noheadings -o lv_name,lv_tags | grep volmig'
}
job() {
	sed -n 's/.* resume \([0-9a-f-]*\).*/\1/p' "$scratch/output" | tail -n 1
}

must_fail 3 'S26: no such volume' "$VOLMIG" migrate sa/nothing sb
must_fail 3 'S27: another host, which cannot be reached' "$VOLMIG" migrate sa/v ssh://127.0.0.1:1/sb
must_fail 3 'S31: no such group' "$VOLMIG" migrate sa/v nosuch/v
must_fail 3 'S29: the same group' "$VOLMIG" migrate sa/v sa
has '... and what it could mean' 'volume group' 'physical volumes'
as_it_was

mount /dev/sa/v "$scratch/m"
must_fail 3 'S04, S28: in use' "$VOLMIG" migrate sa/v sb
has '... and by what' "mounted on $scratch/m"
umount "$scratch/m"
sum=$(sha256sum </dev/sa/v)
as_it_was

lvcreate -qq -y -L 8M -n v sb >/dev/null 2>&1
must_fail 3 'S34: the name is taken' "$VOLMIG" migrate sa/v sb
lvremove -qq -y sb/v
as_it_was

vgchange -qq --logicalvolume 1 sc
must_fail 1 'S14: the destination cannot be made' "$VOLMIG" migrate sa/v sc
as_it_was

must_fail 1 'S11: a copy that went wrong' env VOLMIG_INJECT=flip-write:5000000 "$VOLMIG_INJECT_BIN" migrate sa/v sb
must_fail 1 '... and its volume is gone' test -e /dev/sb/v
as_it_was

lvcreate -qq -y -s -n snap sa/thin >/dev/null 2>&1
must_fail 3 'S35: a thin volume with a snapshot' "$VOLMIG" migrate sa/thin sb
has '... which is named' snap
lvremove -qq -y sa/snap
must_fail 3 'S36: a thin volume to a group without a pool' "$VOLMIG" migrate sa/thin sc
has '... and what can be done' '--thick'
ok 'S36: to a group with a pool' "$VOLMIG" migrate sa/thin sb
is '... it is in that' "$(lvs --noheadings -o pool_lv sb/thin | tr -d ' ')" pool

lvchange -qq --addtag keep sa/v
ok 'S10: a host copy by force' "$VOLMIG" migrate --json --force-host-copy --keep-source sa/v sb/forced
is '... is one' "$(jq -r .method "$scratch/output")" copy
is 'S12: with its tags' "$(lvs --noheadings -o lv_tags sb/forced | tr -d ' ')" keep

# Somebody opens the source when it is about to be removed.
cat >"$scratch/hook" <<END
[ "\$VOLMIG_HOOK" = pre-remove-source ] && [ ! -e "$scratch/held" ] || exit 0
exec 9</dev/sa/v
setsid sleep 600 <&9 >/dev/null 2>&1 &
echo \$! >"$scratch/held"
END
must_fail 4 'S17: the end does not work' "$VOLMIG" migrate --hook "sh $scratch/hook" sa/v sb
job=$(job)
ok '... the copy is there' test "$(sha256sum </dev/sb/v)" = "$sum"
ok '... and so is the source' test "$(sha256sum </dev/sa/v)" = "$sum"
must_fail 3 '... and there is no way back' "$VOLMIG" abort "$job"
kill "$(cat "$scratch/held")"
is_closed() {
	[ -z "$(lvs --noheadings -o lv_device_open sa/v | tr -d ' ')" ]
}
wait_until is_closed
ok '... but forward' "$VOLMIG" resume "$job"
ok 'S07: the volume is there' test "$(sha256sum </dev/sb/v)" = "$sum"
must_fail 1 '... and nowhere else' test -e /dev/sa/v
done_testing
