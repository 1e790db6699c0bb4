#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Who writes to a source or destination device between two runs of a job is noticed, or the job begins anew.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 24M
requires cmp unshare

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
source=$1
target=$2
bin=$VOLMIG_INJECT_BIN
id=11111111-2222-3333-4444-555555555555

fresh() {
	rm -rf "$VOLMIG_STATE_DIR"
	head -c $((24 * 1048576)) /dev/urandom | dd of="$source" bs=1M conv=fsync status=none
	head -c $((24 * 1048576)) /dev/urandom | dd of="$target" bs=1M conv=fsync status=none
	sum=$(sha256sum <"$source")
}

# killed WHAT: a move of that id that kills itself
killed() {
	status=0
	VOLMIG_INJECT=$1 "$bin" migrate -q --job-id $id --into-existing --wipe=zero "$source" "$target" \
		>"$scratch/killed" 2>&1 || status=$?
	[ $status = 137 ]
}

scribble() {
	head -c 4096 /dev/urandom | dd of="$1" bs=4096 seek=3 count=1 conv=notrunc,fsync status=none
}

# Another boot, as far as the kernel's id of it tells.
rebooted() {
	cat /proc/sys/kernel/random/uuid >"$scratch/boot"
	# shellcheck disable=SC2016 # the inner shell expands it
	unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"' \
		sh "$scratch/boot" "$@"
}

fresh
ok 'killed in the middle' killed kill-at-byte:16000000
scribble "$source"
must_fail 3 'a source device that was written to is refused' "$VOLMIG" resume $id
has '... with the reason' 'written to'
ok 'and the job can be aborted' "$VOLMIG" abort $id

fresh
ok 'killed once it is verified' killed kill-after-record:7
ok '... and not before' grep -q '"name":"verify","record"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
scribble "$target"
must_fail 4 'a destination device that was written to is no reason to wipe the source' "$VOLMIG" resume $id
has '... with the reason' 'written to since it was verified'
is '... so the source stays' "$(sha256sum <"$source")" "$sum"

# After a reboot nobody can tell: what was read or proven does not count any more.
fresh
ok 'killed in the middle' killed kill-at-byte:16000000
scribble "$source"
sum=$(sha256sum <"$source")
ok 'after a reboot the copy begins anew' rebooted "$VOLMIG" resume $id
is '... and is of what the source holds now' "$(sha256sum <"$target")" "$sum"

fresh
ok 'killed once it is verified' killed kill-after-record:7
scribble "$source"
sum=$(sha256sum <"$source")
ok 'after a reboot the copy begins anew' rebooted "$VOLMIG" resume $id
has '... which is told' 'after a restart of the machine copy began anew'
is '... and is of what the source held then' "$(sha256sum <"$target")" "$sum"

# But what is written from there on is noticed, as ever.
for written in source target; do
	for before in verify commit; do
		[ $written = source ] || [ $before = commit ] || continue
		fresh
		VOLMIG_INJECT=kill-at-byte:16000000 "$bin" migrate -q --job-id $id --into-existing --wipe=zero \
			--hook "[ \$VOLMIG_HOOK != pre-$before ] || head -c 4096 /dev/urandom |
				dd of=$(eval echo \$$written) bs=4096 seek=3 count=1 conv=notrunc,fsync status=none" \
			"$source" "$target" 2>/dev/null
		must_fail 4 "after a reboot: a $written that is written to before $before" \
			rebooted "$VOLMIG" resume $id
		has '... is noticed' 'was written to'
	done
done

fresh
rm -rf "$VOLMIG_STATE_DIR"
head -c 20000000 /dev/urandom >"$scratch/file"
VOLMIG_INJECT=kill-after-record:9 "$bin" migrate -q --job-id $id --into-existing "$scratch/file" "$target" 2>/dev/null
ok 'a file onto a device, killed once it is verified' \
	grep -q '"name":"verify","record"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
scribble "$target"
status=0
rebooted "$VOLMIG" resume $id >"$scratch/output" 2>&1 || status=$?
is 'after a reboot it is verified again, and found wrong' $status 1
has '... with the place' 'differs'
ok '... so the source stays' test -e "$scratch/file"

# Committed, and the machine was restarted before the source was emptied: who goes on with the old one loses nothing.
fresh
ok 'killed once it is committed' killed kill-after-record:9
ok '... and not before' grep -q '"name":"commit","record"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
scribble "$source"
sum=$(sha256sum <"$source")
must_fail 4 'a source that was written to since the restart is not emptied' rebooted "$VOLMIG" resume $id
has '... with the reason' 'written to since the machine was restarted'
is '... and is as it was' "$(sha256sum <"$source")" "$sum"

# Nor is one that was not, for it may be another: these have no name that outlives a restart.
swapped() {
	must_fail 4 "$1: not wiped" rebooted "$VOLMIG" resume $id
	has '... with the reason and the way out' "$2" "volmig resume $id --keep-source"
	is '... and is as it was' "$(sha256sum <"$source")" "$sum"
	must_fail 4 '... however often one tries' rebooted "$VOLMIG" resume $id
	ok '... but the job can be ended' rebooted "$VOLMIG" resume --keep-source $id
	is '... and the source is as it was' "$(sha256sum <"$source")" "$sum"
}

fresh
ok 'killed once it is committed' killed kill-after-record:9
swapped 'after a reboot, at the place of a source' 'written to since the machine was restarted'
fresh
ok 'killed once it is committed' killed kill-after-record:9
VOLMIG_INJECT=kill-at-byte:8000000 "$bin" resume -q $id 2>/dev/null
ok 'killed while it is wiped' grep -q '"wipe_begun":true' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
head -c $((24 * 1048576)) /dev/urandom | dd of="$source" bs=1M conv=fsync status=none
sum=$(sha256sum <"$source")
swapped 'after a reboot, when it was wiped in part' 'neither WWN nor serial number'

# What was copied before the reboot must not show through where the source has zeroes now.
fresh
VOLMIG_INJECT=kill-after-record:7 "$bin" copy -q --create --verify=none --job-id $id \
	"$source" "$scratch/image" 2>/dev/null
ok 'a device into a new file, killed once it is copied' \
	grep -q '"name":"copy","record"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl"
dd if=/dev/zero of="$source" bs=1M seek=4 count=8 conv=notrunc,fsync status=none
ok 'after a reboot the copy begins anew' rebooted "$VOLMIG" resume $id
ok '... and nothing of the old one shows through' cmp "$source" "$scratch/image"

# Published, but not committed, and somebody took it up: copied anew over that it would be lost.
published() {
	fresh
	rm -f "$scratch/image"
	VOLMIG_INJECT=kill-after-record:11 "$bin" migrate -q --job-id $id \
		--hook "[ \$VOLMIG_HOOK != pre-copy ] || ls -A '$scratch' >>'$scratch/names'" \
		"$source" "$scratch/image" 2>/dev/null
	grep -q '"name":"publish","record"' "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl" && [ -e "$scratch/image" ]
}

ok 'a device into a new file, killed once that has its name' published
printf theirs | dd of="$scratch/image" conv=notrunc status=none
must_fail 3 'after a reboot: what was written to meanwhile is not copied over' rebooted "$VOLMIG" resume $id
has '... with the reason' 'was written to since it was verified'
is '... and stays' "$(head -c 6 "$scratch/image")" theirs

ok 'again' published
sleep 60 <>"$scratch/image" &
holder=$!
at_exit kill $holder
must_fail 3 'nor is what somebody has open' rebooted "$VOLMIG" resume $id
has '... who is named' 'in use: open for writing by sleep'
kill $holder
wait $holder 2>/dev/null
: >"$scratch/names"
ok 'when nobody has it, it is copied anew' rebooted "$VOLMIG" resume $id
ok '... under a name that nobody takes up' grep -q "^\.volmig-$id\$" "$scratch/names"
is '... and not under its own' "$(grep -cx image "$scratch/names")" 0
ok '... and is the source' cmp "$source" "$scratch/image"

done_testing
