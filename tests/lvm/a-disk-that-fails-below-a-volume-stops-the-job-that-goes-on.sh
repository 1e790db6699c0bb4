#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that fails below a logical volume stops the job, which goes on when it is mended; the source stays whole.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 256M
requires vgcreate dmsetup

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
export DM_DISABLE_UDEV=1
modprobe -a dm-flakey dm-delay
# A MiB of the disk is left out, or LVM would see two devices of one PV.
sectors=$(($(blockdev --getsz "$1") - 2048))

cat >"$scratch/faults" <<END
sectors=$sectors
export DM_DISABLE_UDEV=1
END
cat >>"$scratch/faults" <<'END'
# load NAME DISK [BAD COUNT]: all of DISK, with a stretch of it failing.
load() {
	if [ $# = 2 ]; then
		echo "0 $sectors linear $2 2048"
	else
		printf '%s\n' "0 $3 linear $2 2048" "$3 $4 error" \
			"$(($3 + $4)) $((sectors - $3 - $4)) linear $2 $(($3 + $4 + 2048))"
	fi | swap_table "$1"
}

# behind NAME DISK TARGET ARGUMENTS: all but the first MiB, which is LVM's, by that target.
behind() {
	printf '%s\n' "0 2048 linear $2 2048" "2048 $((sectors - 2048)) $3 $2 4096 $4" | swap_table "$1"
}

swap_table() {
	if [ -e "/dev/mapper/$1" ]; then
		dmsetup reload "$1" && dmsetup suspend --noflush --nolockfs "$1" && dmsetup resume "$1"
	else
		dmsetup create "$1"
	fi
}
END
# shellcheck source=/dev/null
. "$scratch/faults"

load fail_a "$1"
load fail_b "$2"
pvcreate -qq /dev/mapper/fail_a /dev/mapper/fail_b
vgcreate -qq fa /dev/mapper/fail_a
vgcreate -qq fb /dev/mapper/fail_b
lvcreate -qq -y --type thin-pool -L 96M -c 64k -n pool fa >/dev/null 2>&1
lvcreate -qq -y --type thin-pool -L 96M -c 64k -n pool fb >/dev/null 2>&1
lvcreate -qq -y -L 32M -n thick fa >/dev/null 2>&1
lvcreate -qq -y -V 32M --thinpool fa/pool -n thin >/dev/null 2>&1
head -c $((32 * 1048576)) /dev/urandom >"$scratch/original"
for lv in thick thin; do
	dd if="$scratch/original" of=/dev/fa/$lv bs=1M conv=notrunc,fsync status=none
done

job() {
	sed -n 's/.* resume \([0-9a-f-]*\).*/\1/p' "$scratch/output" | tail -n 1
}
# Where on its disk the volume's byte 20 MiB lies, in sectors.
middle() {
	dmsetup table "$(basename "$1")" | awk '{ printf "%d\n", $5 + 40960 }'
}
ours() {
	lvs -a --noheadings -o lv_name,lv_tags fb | grep volmig
}
clean() {
	must_fail 1 '... nothing of ours is left' ours
	ok '... and no volume' test ! -e "/dev/fb/$1"
}

for lv in thick thin; do
	place=fb
	[ $lv = thick ] || place=fb/pool
	data=fa-thick
	[ $lv = thick ] || data=fa-pool_tdata
	bad=$(middle $data)

	load fail_a "$1" "$bad" 8
	must_fail 4 "$lv: a read error" "$VOLMIG" migrate fa/$lv $place
	has '... names the byte, and says what to do' 'cannot read at byte' 'Input/output error' \
		'source untouched' ' resume '
	job=$(job)
	must_fail 4 "$lv: resumed too early it stops again" "$VOLMIG" resume "$job"
	ok '... abort takes it back' "$VOLMIG" abort "$job"
	clean $lv
	must_fail 4 "$lv: a read error, again" "$VOLMIG" migrate --keep-source fa/$lv $place
	job=$(job)
	load fail_a "$1"
	ok '... mended, the job goes on' "$VOLMIG" resume "$job"
	ok '... to an equal copy' cmp "$scratch/original" /dev/fb/$lv
	lvremove -qq -y fb/$lv

done

# Writes that take their time, so that it is caught half-way.
for end in resume abort; do
	behind fail_b "$2" delay "0 $2 4096 400"
	env --default-signal=INT "$VOLMIG" migrate -q --keep-source --bwlimit=16M fa/thick fb >"$scratch/output" 2>&1 &
	pid=$!
	wait_until sh -c "'$VOLMIG' status | grep -q ' copying '"
	kill -INT $pid
	status=0
	wait $pid || status=$?
	is "a slow disk: an interrupt stops the copy" $status 4
	load fail_b "$2"
	ok "... $end" "$VOLMIG" $end -q "$(job)"
	if [ $end = resume ]; then
		ok '... to an equal copy' cmp "$scratch/original" /dev/fb/thick
		lvremove -qq -y fb/thick
	fi
	clean thick
done

# Writes that are lost, and nobody is told.  What lies there is not the same already.
lvcreate -qq -y -Zn -Wn -L 32M -n noise fb >/dev/null 2>&1
head -c $((32 * 1048576)) /dev/zero | dd of=/dev/fb/noise bs=1M conv=notrunc,fsync status=none
lvremove -qq -y fb/noise
cat >"$scratch/hook" <<END
. "$scratch/faults"
[ "\$VOLMIG_HOOK" != pre-copy ] || behind fail_b "$2" flakey '0 3600 1 drop_writes'
END
must_fail 1 'a disk that loses what is written' "$VOLMIG" migrate -q --hook "sh $scratch/hook" fa/thick fb
has '... is found when it is read back' 'differs'
load fail_b "$2"
clean thick
ok 'the source is whole' cmp "$scratch/original" /dev/fa/thick
ok '... and can be moved' "$VOLMIG" migrate fa/thick fb
ok '... to an equal copy' cmp "$scratch/original" /dev/fb/thick
done_testing
