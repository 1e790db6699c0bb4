# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034
# What the tests of moves inside a volume group have in common, on top of lib.sh.
#
# Two disks are physical volumes, a third is one through a device that can be
# made slow or made to damage what is written.

export DM_DISABLE_UDEV=1
VOLMIG=$VOLMIG_INJECT_BIN

# group EXTENTS [TABLE]: the group "vg" on $a, $b, and $c behind device-mapper.
group() {
	# shellcheck disable=SC2086 # a list of words
	set -- "${1:-1M}" "${2:-}" $LAB_DISKS
	a=$3
	b=$4
	raw=$5
	c=/dev/mapper/third
	sectors=$(blockdev --getsz "$raw")
	printf 'devices { global_filter = [ "r|^%s$|" ] }\n' "$raw" >>/etc/lvm/lvmlocal.conf
	echo "${2:-0 $sectors linear $raw 0}" | dmsetup create third
	if [ "${LAB_BOOT:-1}" = 1 ]; then
		pvcreate -qq "$a" "$b" "$c" >/dev/null
		vgcreate -qq -s "$1" vg "$a" "$b" "$c" >/dev/null
	fi
}

# third TABLE: what is behind $c from now on.
third() {
	echo "$1" | dmsetup reload third
	dmsetup resume third
}

# slow_by MS: the table of one that is slow, but not in the first MiB, where LVM writes for itself.
slow_by() {
	printf '0 2048 linear %s 0\n2048 %d delay %s 2048 0 %s 2048 %d\n' "$raw" $((sectors - 2048)) "$raw" "$raw" "$1"
}

# volume NAME SIZE PV...: a linear one with random data; its sum is in $sum.
volume() {
	name=$1
	size=$2
	shift 2
	lvcreate -qq -y -Wn -Zn -L "$size" -n "$name" vg "$@" >/dev/null
	dd if=/dev/urandom of="/dev/vg/$name" bs=1M conv=fsync status=none 2>/dev/null
	sum=$(sum_of_volume "$name")
}

sum_of_volume() {
	dd if="/dev/vg/$1" bs=1M iflag=direct status=none | sha256sum
}

# The physical volumes that a volume, with all that it is made of, has extents on.
places() {
	lvs -a --noheadings -o lv_name,devices vg |
		sed -n "s/^ *\\[*$1[]_0-9a-z]* *\\(.*\\)/\\1/p" | tr ', ' '\n' |
		sed -n 's/^\(\/[^(]*\)(.*/\1/p' | sort -u | paste -sd ' '
}

# Says what is left of jobs: tags, legs, pvmoves, devices that are suspended.
nothing_left() {
	lvs -a --noheadings -o lv_name,lv_tags vg | grep -E 'volmig|pvmove' | sed 's/^/left: /'
	dmsetup info -c --noheadings -o name,suspended | grep ':Suspended' | sed 's/^/suspended: /'
	"$VOLMIG" status | grep -vE '^(JOB|no jobs)| (cleaned|aborted) '
}

# The newest job.
job() {
	find "$VOLMIG_STATE_DIR/jobs" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -n |
		tail -n 1 | cut -d' ' -f2
}

# settled DESCRIPTION NAME PLACES: whole, there and nowhere else, and nothing is left.
settled() {
	is "$1" "$(places "$2") $(sum_of_volume "$2") $(nothing_left)" "$3 $sum "
}
