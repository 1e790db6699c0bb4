# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# shellcheck disable=SC2034 # the scripts use some of these
# What tests with iSCSI share: in the guest the kernel's target (LIO) and
# open-iscsi's initiator, over its loopback interface.  To be read after in_lab.

iqn=iqn.2024-01.org.example:disks
initiator=iqn.2024-01.org.example:host
portal=127.0.0.1:3260
configfs=/sys/kernel/config
core=$configfs/target/core
tpg=$configfs/target/iscsi/$iqn/tpgt_1
acl=
url=iscsi://127.0.0.1/$iqn
records=$VOLMIG_STATE_DIR/attached

iscsi_requires() {
	requires iscsiadm iscsid modprobe
	modprobe -q -a target_core_mod target_core_iblock iscsi_target_mod iscsi_tcp sd_mod 2>/dev/null ||
		skip_all 'the kernel has no iSCSI target or initiator'
}

# back_up NAME DISK: a back end over the disk; its WWN is made of NAME, a digit.
back_up() {
	mkdir -p "$core/iblock_$1/b"
	echo "udev_path=$2" >"$core/iblock_$1/b/control"
	echo "0000000$1-1111-2222-3333-444444444444" >"$core/iblock_$1/b/wwn/vpd_unit_serial"
	echo 1 >"$core/iblock_$1/b/enable"
}

# map_lun LUN NAME, unmap_lun LUN: which back end is behind a LUN.
map_lun() {
	mkdir "$tpg/lun/lun_$1"
	ln -s "$core/iblock_$2/b" "$tpg/lun/lun_$1/store"
	if [ -n "$acl" ]; then
		mkdir "$acl/lun_$1"
		ln -s "$tpg/lun/lun_$1" "$acl/lun_$1/default"
	fi
}

unmap_lun() {
	if [ -n "$acl" ]; then
		rm "$acl/lun_$1/default"
		rmdir "$acl/lun_$1"
	fi
	rm "$tpg/lun/lun_$1/store"
	rmdir "$tpg/lun/lun_$1"
}

# target_up [USER SECRET]: the target, without LUNs yet; with CHAP if so.
target_up() {
	mountpoint -q $configfs || mount -t configfs none $configfs
	mkdir -p "$configfs/target/iscsi" "$tpg/np/$portal"
	if [ $# = 2 ]; then
		acl=$tpg/acls/$initiator
		mkdir -p "$acl"
		# A newline would become part of them.
		printf %s "$1" >"$acl/auth/userid"
		printf %s "$2" >"$acl/auth/password"
		echo 1 >"$tpg/attrib/authentication"
	else
		echo 0 >"$tpg/attrib/authentication"
		echo 1 >"$tpg/attrib/generate_node_acls"
		echo 0 >"$tpg/attrib/demo_mode_write_protect"
		echo 1 >"$tpg/attrib/cache_dynamic_acls"
	fi
	echo 1 >"$tpg/enable"
}

# luns_up [-c] DISK...: the target, with LUN 0, 1, ... over these disks, by back ends of
# the same numbers; -c: with CHAP, and what is needed for it in the file $chap.
luns_up() {
	if [ "$1" = -c ]; then
		shift
		target_up web-host very-secret-word
		chap=$scratch/chap
		printf 'username = web-host\npassword = very-secret-word\n' >"$chap"
		chmod 600 "$chap"
	else
		target_up
	fi
	number=0
	for disk; do
		back_up $number "$disk"
		map_lun $number $number
		number=$((number + 1))
	done
}

# initiator_up: open-iscsi, with nothing that the host may have; the guest alone sees it.
initiator_up() {
	echo "InitiatorName=$initiator" >/etc/iscsi/initiatorname.iscsi
	sed -i 's/^iscsid.startup/#&/; s/^\(node.session.timeo.replacement_timeout\).*/\1 = 3/
		s/^\(node.conn\[0\].timeo.noop_out_[a-z]*\).*/\1 = 1/' /etc/iscsi/iscsid.conf
	rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets /var/lib/iscsi
	mkdir -p /run/lock/iscsi
	iscsid
	at_exit iscsiadm -k 0
	at_exit iscsiadm -m session -u
}

attach() {
	"$VOLMIG" attach -q "$@"
}

detach() {
	"$VOLMIG" detach -q "$@"
}

sessions() {
	iscsiadm -m session 2>/dev/null | wc -l
}

# The disks of all sessions, in one line.
disks() {
	find /sys/class/iscsi_session/session*/device/target*/*/block/* -prune -printf '%f ' 2>/dev/null
}

# Look for all LUNs of all sessions, as somebody else may do.
scan_all() {
	for host in /sys/class/scsi_host/host*; do
		echo '- - -' >"$host/scan"
	done
}

nodes() {
	find /etc/iscsi/nodes -type f 2>/dev/null | wc -l
}

nothing_left() {
	is "$1: nothing is left" "$(sessions) sessions, disks '$(disks)', $(nodes) nodes, records '$(ls -A "$records" 2>/dev/null)'" \
		"0 sessions, disks '', 0 nodes, records ''"
}
