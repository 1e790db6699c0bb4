#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# When the guest's power is cut, also by volmig at a record, what was not synced is gone and the rest is there.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -r 2
requires mkfs.ext4

disk=${LAB_DISKS%% *}
m=$scratch/m
mkdir "$m"
at_exit umount "$m"

case $LAB_BOOT in
1)
	mkfs.ext4 -q -F "$disk"
	mount "$disk" "$m"
	echo synced >"$m/synced"
	sync "$m/synced"
	echo not >"$m/not"
	echo kept >"$kept/file"
	sync "$kept/file"
	pass 'the power is cut'
	power_cut
	;;
2)
	ok 'the disk is as it was' mount "$disk" "$m"
	is '... with what was synced' "$(cat "$m/synced")" synced
	ok '... and without what was not' test ! -s "$m/not"
	is 'what was kept is there' "$(cat "$kept/file")" kept
	head -c 3000000 /dev/urandom >"$m/v"
	mkdir "$m/b"
	sync "$m/v" "$m/b" "$m"
	expect_power_cut
	VOLMIG_INJECT=kill-after-record:4 VOLMIG_INJECT_DIE=/proc/sysrq-trigger \
		"$VOLMIG_INJECT_BIN" --state-dir "$m/state" migrate -q "$m/v" "$m/b/"
	fail 'volmig cuts the power'
	;;
3)
	ok 'volmig has cut the power' mount "$disk" "$m"
	is '... right after the record' "$(cat "$m"/state/jobs/*/journal.jsonl | wc -l)" 4
	;;
esac
done_testing
