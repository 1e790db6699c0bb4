#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where multipathd makes a LUN a path of a multipath device, that device is given out, and goes with its last path.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 64M -u
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires multipathd dmsetup mkfs.ext4 jq
modprobe -q -a dm-multipath dm-service-time || skip_all 'the kernel has no dm-multipath'

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
target_up
mkdir -p "$tpg/np/127.0.0.2:3260"
back_up 0 "$1"
map_lun 0 0
initiator_up
printf 'defaults {\n\tfind_multipaths no\n\tuser_friendly_names yes\n}\nblacklist {\n\tdevnode "^(ubd|loop)"\n}\n' \
	>/etc/multipath.conf
mkdir -p /etc/multipath
multipathd -d -s >"$scratch/multipathd" 2>&1 &
daemon=$!
at_exit kill $daemon
wait_until grep -q multipathd /proc/net/unix

maps() {
	dmsetup ls --target multipath 2>/dev/null | grep -vc 'No devices'
}
paths() {
	dmsetup table --target multipath | grep -o '8:[0-9]*' | wc -l
}

ok 'a LUN is attached' "$VOLMIG" attach --json "$url/0"
device=$(jq -r .device "$scratch/output")
is 'its multipath device is given out' "${device%[a-z]}" /dev/mapper/mpath
is 'of one path' "$(maps) $(paths)" '1 1'
ok 'attaching it again succeeds' attach "$url/0"
is 'with the same device' "$(cat "$scratch/output")" "$device"
mkfs.ext4 -q "$device"
mkdir "$scratch/mnt"
mount "$device" "$scratch/mnt"
must_fail 3 'detach while it is mounted is refused' detach "$url/0"
has 'and named' "$device: in use: mounted on $scratch/mnt"
must_fail 3 'the disk below it is no volume to be moved' "$VOLMIG" copy -n "/dev/$(disks | tr -d ' ')" "$scratch/x"
umount "$scratch/mnt"
ok 'detach takes both away' detach "$url/0"
is 'no map is left' "$(maps)" 0
nothing_left 'after one path'

# A second path, by a session of somebody else.
iscsiadm -m node -o new -T $iqn -p 127.0.0.2:3260 >/dev/null
iscsiadm -m node -T $iqn -p 127.0.0.2:3260 --login >/dev/null
wait_until test "$(maps)" = 1
ok 'a LUN that is there by another portal is attached' attach "$url/0"
device=$(cat "$scratch/output")
wait_until test "$(paths)" = 2
is 'it is a path of the same device' "$(sessions) $(maps) $(paths)" '2 1 2'
mount "$device" "$scratch/mnt"
ok 'one of two paths may go while it is in use' detach "$url/0"
wait_until test "$(paths)" = 1
is 'the device stays, with the other' "$(sessions) $(maps) $(paths)" '1 1 1'
ok 'and works' touch "$scratch/mnt/file"
umount "$scratch/mnt"
multipathd flush maps >/dev/null
iscsiadm -m session -u >/dev/null
iscsiadm -m node -T $iqn -p 127.0.0.2:3260 -o delete
wait_until test "$(disks)" = ''
nothing_left 'after two paths'

# It is not asked for ever.
kill -STOP $daemon
must_fail 4 'a multipathd that does not answer is no reason to wait for ever' attach "$url/0"
has 'and is named' 'multipathd: ' 'does not answer' "volmig detach iscsi://$portal/$iqn/0"
kill -CONT $daemon
detach "$url/0"
nothing_left 'after a multipathd that did not answer'
done_testing
