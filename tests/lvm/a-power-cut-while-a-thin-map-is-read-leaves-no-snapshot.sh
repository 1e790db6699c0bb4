#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# When the power goes while a thin map is read, the metadata snapshot outlives it; resume or abort releases it.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 256M -r 3
requires vgcreate thin_dump mkfs.ext4

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
m=$scratch/m
mkdir "$m"
at_exit umount "$m"
export VOLMIG_STATE_DIR="$m/state"
pool=cut_a-pool-tpool
a=/dev/mapper/cut_a-v
b=/dev/mapper/cut_b-v
tool=$(command -v thin_dump)

root() {
	dmsetup status $pool | awk '{ print $7 }'
}

# The power goes when thin_dump is started; the record of the snapshot is on the medium by then.
cut_in_the_map() {
	mv "$tool" "$tool.aside"
	printf '#!/bin/sh\necho c >/proc/sysrq-trigger\nsleep 60\n' >"$tool"
	chmod +x "$tool"
	expect_power_cut
	"$VOLMIG" copy -q --into-existing $a $b >"$scratch/output" 2>&1
	fail 'the power is cut'
	diag "$(cat "$scratch/output")"
}

if [ "$LAB_BOOT" = 1 ]; then
	mkfs.ext4 -q -F "$3"
	pvcreate -qq "$1" "$2"
	vgcreate -qq cut_a "$1"
	vgcreate -qq cut_b "$2"
	for vg in cut_a cut_b; do
		lvcreate -qq -y --type thin-pool -L 100M -c 64k -n pool $vg >/dev/null 2>&1
		lvcreate -qq -y -V 64M --thinpool $vg/pool -n v >/dev/null 2>&1
	done
	head -c 9000000 /dev/urandom | dd of=$a bs=64k conv=notrunc,fsync status=none
	mount "$3" "$m"
	pass 'the power is cut while the map is read'
	cut_in_the_map
fi

mount "$3" "$m"
end=resume
[ "$LAB_BOOT" = 2 ] || end=abort
if [ "$LAB_BOOT" = 4 ]; then
	# Nobody has made the volumes active, so the pool is not there.
	must_fail 1 "$end: the pool is not active" dmsetup status $pool
else
	vgchange -qq -ay cut_a cut_b
	ok "$end: the snapshot is still there" test "$(root)" != -
fi
job=$(find "$m/state/jobs" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -n | tail -n 1 | cut -d' ' -f2)
ok '... and there is a record of it' test -s "$m/state/jobs/$job/source.thin-map"
ok "... $end" "$VOLMIG" $end "$job"
vgchange -qq -ay cut_a cut_b
is '... releases it' "$(root)" -
ok '... and the record is gone' test ! -e "$m/state/jobs/$job/source.thin-map"
if [ "$LAB_BOOT" = 2 ]; then
	is '... the copy is equal' "$(sha256sum <$a)" "$(sha256sum <$b)"
fi
[ "$LAB_BOOT" = 4 ] || cut_in_the_map
done_testing
