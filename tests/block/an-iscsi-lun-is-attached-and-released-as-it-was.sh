#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# attach and detach of iSCSI LUNs: one login, the disk by its WWN, and never a session or a disk of others.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires mkfs.ext4 debugfs jq losetup sg_persist

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
luns_up "$1" "$2"
back_up 2 "$3"

must_fail 3 'without iscsid no LUN can be attached' attach "$url/1"
has 'and what to do is said' 'iscsid does not run; systemctl start iscsid'
initiator_up

# Usage.
must_fail 2 'a LUN without a number is none' attach "iscsi://127.0.0.1/$iqn"
must_fail 2 'nor is one of no target' attach "iscsi://127.0.0.1/disks/1"
must_fail 2 'nor one that leads out of open-iscsi'\''s directory' attach "iscsi://127.0.0.1/iqn...%2fx/../1"
must_fail 2 'a secret in the name is refused' attach "iscsi://user%very-secret@127.0.0.1/$iqn/1"
has_not 'and not repeated' very-secret

# From nothing to nothing.
ok 'a dry run succeeds' "$VOLMIG" attach -n "$url/1"
nothing_left 'after a dry run'
ok 'a LUN is attached' attach "$url/1"
device=$(cat "$scratch/output")
is 'its device is printed' "$device" "/dev/$(disks | tr -d ' ')"
is 'it has the WWN' "$(cut -c1-16 "/sys/block/${device#/dev/}/device/wwid")" 'naa.600140500000'
is 'there is one session' "$(sessions)" 1
is 'and one node record, for root only, that is not brought up at boot' \
	"$(find /etc/iscsi/nodes -type f -perm 600 -exec grep -h '^node.*startup' {} + | sort | tr '\n' ';')" \
	'node.conn[0].startup = manual;node.startup = manual;'
is 'of the other LUN there is no disk' "$(disks | wc -w)" 1
ok 'attaching it again succeeds' attach "$url/1"
is 'with the same device' "$(cat "$scratch/output")" "$device"
ok 'by another name too' "$VOLMIG" attach --json "iscsi://localhost:3260/$iqn/1"
is 'and says so' "$(jq -c '[.device, .already, .lun.session]' "$scratch/output")" "[\"$device\",true,\"own\"]"
must_fail 3 'read-only is refused now' attach --readonly "$url/1"
head -c 1M /dev/urandom >"$scratch/data"
dd if="$scratch/data" of="$device" bs=1M status=none

# In use.
ok 'it can be used' mkfs.ext4 -q "$device"
mkdir "$scratch/mnt"
mount "$device" "$scratch/mnt"
must_fail 3 'detach while it is mounted is refused' detach "$url/1"
has 'and where it is mounted is named' "$device: in use: mounted on $scratch/mnt"
must_fail 3 'a dry run says so' "$VOLMIG" detach -n "$url/1"
is 'the session is still there' "$(sessions)" 1
echo precious >"$scratch/mnt/file"
umount "$scratch/mnt"
ok 'detach releases it' detach "$url/1"
nothing_left 'after detach'
ok 'detach again succeeds' "$VOLMIG" detach "$url/1"
has 'and says that there is nothing to do' 'was not attached'
is 'what was written is on the medium' "$(debugfs -R 'cat /file' "$2" 2>/dev/null)" precious

# Read-only, and by the name of a device.
ok 'a LUN is attached read-only' attach --readonly "$url/1"
device=$(cat "$scratch/output")
must_fail 1 'it cannot be written to' dd if=/dev/zero of="$device" bs=4096 count=1 oflag=direct
must_fail 3 'nor attached for writing' attach "$url/1"
ok 'attaching it read-only again succeeds' attach --readonly "$url/1"
is 'with the same device' "$(cat "$scratch/output")" "$device"
ok 'it is detached by the name of the loop device' detach "$device"
is 'which is gone' "$(losetup -n -O NAME)" ''
nothing_left 'after read-only'

# Two LUNs, one login.
ok 'a LUN is attached' attach "$url/0"
first=$(cat "$scratch/output")
ok 'and another of the target' attach "$url/1"
second=$(cat "$scratch/output")
is 'by one session' "$(sessions)" 1
ok 'the first is detached, by the name of its disk' "$VOLMIG" detach "$first"
has 'and the session stays, for the other' 'stays: LUN 1 is attached'
is 'it stays' "$(sessions) $(disks)" "1 ${second#/dev/} "
ok 'detach again finds nothing to do' "$VOLMIG" detach "$url/0"
has 'and says so' 'was not attached'
ok 'the other is detached' detach "$url/1"
nothing_left 'after both'

# Somebody else uses another LUN of the session that we have logged in.
ok 'a LUN is attached' attach "$url/1"
scan_all
wait_until test "$(disks | wc -w)" = 2
other=/dev/$(disks | tr ' ' '\n' | grep -vxF "$(basename "$(cat "$scratch/output")")" | head -n 1)
mkfs.ext4 -q "$other"
mount "$other" "$scratch/mnt"
ok 'it is detached while another LUN of the session is in use' "$VOLMIG" detach "$url/1"
has 'the session stays, and why is said' "stays: LUN 0 ($other) is in use: mounted on $scratch/mnt"
is 'with the other disk alone' "$(sessions) $(disks)" "1 ${other#/dev/} "
ok 'which works' touch "$scratch/mnt/file"
umount "$scratch/mnt"
ok 'detach ends the session once it is idle' detach "$url/1"
nothing_left 'after that'

# A session of others, with all of its disks.
iscsiadm -m node -o new -T $iqn -p $portal >/dev/null
iscsiadm -m node -T $iqn -p $portal --login >/dev/null
wait_until test "$(disks | wc -w)" = 2
ok 'a LUN of a session that is there is attached' "$VOLMIG" attach --json "$url/1"
is 'which is shared' "$(jq -c '[.lun.session, .already]' "$scratch/output")" '["shared",false]'
ok 'it is detached' detach "$url/1"
is 'session, disks and node record of others stay' "$(sessions) $(disks | wc -w) $(nodes)" '1 2 1'
echo 1 >"/sys/block/$(disks | cut -d' ' -f2)/device/delete"
wait_until test "$(disks | wc -w)" = 1
for lun in 0 1; do
	ok "LUN $lun is attached, of which there may be a disk" attach "$url/$lun"
done
for lun in 0 1; do
	ok "LUN $lun is detached" detach "$url/$lun"
done
is 'the disk that was not there is gone again, and no other' "$(sessions) $(disks | wc -w) $(nodes)" '1 1 1'
iscsiadm -m session -u >/dev/null
printf 'username = a\npassword = b\n' >"$scratch/chap"
chmod 600 "$scratch/chap"
must_fail 3 'secrets do not go into a node record of others' attach --chap-file="$scratch/chap" "$url/1"
ok 'but the record can be used' attach "$url/1"
ok 'to the end' detach "$url/1"
is 'and stays' "$(sessions) $(nodes)" '0 1'
iscsiadm -m node -T $iqn -p $portal -o delete
nothing_left 'after the shared session'

# By discovery.
ok 'a LUN is attached by discovery' attach --discover "$url/1"
is 'which leaves no other records' "$(nodes) $(find /etc/iscsi/send_targets -type f 2>/dev/null | wc -l)" '1 0'
ok 'and detached' detach "$url/1"
nothing_left 'after discovery'
must_fail 1 'a target that the portal does not know is not found' attach --discover "${url}x/1"

# What is not there.
must_fail 1 'a LUN that the target does not have fails' attach "$url/7"
has 'and what to look at is said' 'the target shows no disk of LUN 7 to this host'
nothing_left 'after a LUN that is not there'
must_fail 1 'so does a portal that is not there' attach "iscsi://127.0.0.1:3261/$iqn/1"
nothing_left 'after a portal that is not there'

# Reserved by somebody else.
ok 'a LUN is attached' attach "$url/1"
device=$(cat "$scratch/output")
sg_persist -n --out --register --param-sark=0x1234 "$device" >/dev/null 2>&1
sg_persist -n --out --reserve --param-rk=0x1234 --prout-type=1 "$device" >/dev/null 2>&1
ok 'a disk that this host has reserved is its own' "$VOLMIG" copy -n --into-existing "$scratch/data" "$device"
# Another initiator is another host, as far as the target knows.
iscsiadm -m iface -I other -o new >/dev/null
iscsiadm -m iface -I other -o update -n iface.initiatorname -v $initiator-2 >/dev/null
iscsiadm -m node -o new -T $iqn -p $portal -I other >/dev/null
iscsiadm -m node -T $iqn -p $portal -I other --login >/dev/null
wait_until test "$(disks | wc -w)" -ge 3
foreign=$(for disk in $(disks); do
	[ "/dev/$disk" = "$device" ] || echo "$disk $(cat "/sys/block/$disk/device/wwid")"
done | sed -n "s|^\(.*\) $(cat "/sys/block/${device#/dev/}/device/wwid")|/dev/\1|p")
must_fail 3 'one that another host has reserved is refused' \
	"$VOLMIG" copy -n --into-existing "$scratch/data" "$foreign"
has 'and it is said why' 'reserved by another host (SCSI persistent reservation, Write Exclusive, key 0x1234)'
iscsiadm -m node -T $iqn -p $portal -I other --logout >/dev/null
iscsiadm -m node -T $iqn -p $portal -I other -o delete
iscsiadm -m iface -I other -o delete >/dev/null
sg_persist -n --out --clear --param-rk=0x1234 "$device" >/dev/null 2>&1
ok 'it is detached' detach "$url/1"
nothing_left 'after the reservation'
done_testing
