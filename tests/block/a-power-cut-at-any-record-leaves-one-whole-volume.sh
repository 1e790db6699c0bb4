#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# When the power goes at any record of the journal, what was not synced is lost, and resume or abort still ends well.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 384M
requires mkfs.ext4 mkfs.xfs xfs_io

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
VOLMIG=$VOLMIG_INJECT_BIN
a=$scratch/a
b=$scratch/b
mkdir "$a" "$b"

# The state directory is on the destination's file system: both lose together.
up() {
	mount "$1" "$a" && mount "$2" "$b"
}

# The file system forgets all that is not on the medium, as in a power cut.
cut() {
	xfs_io -x -c shutdown "$a"
	xfs_io -x -c shutdown "$b"
	umount "$a" "$b"
}

head -c 5000001 /dev/urandom >"$scratch/original"
truncate -s 12M "$scratch/original"
sum=$(sha256sum <"$scratch/original")

whole_at() {
	[ -e "$1" ] && [ "$(sha256sum <"$1")" = "$sum" ]
}

# One whole copy, one owner, nothing of ours.
check() {
	for left in "$b"/.volmig-*; do
		[ ! -e "$left" ] || { echo "a temporary file is left: $left"; return 1; }
	done
	if [ -e "$a/v" ]; then
		[ ! -e "$b/v" ] && whole_at "$a/v"
	else
		whole_at "$b/v"
	fi
}

for filesystem in ext4 xfs; do
	wipefs -qa "$1" "$2"
	"mkfs.$filesystem" -q "$1"
	"mkfs.$filesystem" -q "$2"
	for end in resume abort; do
		record=0
		while :; do
			record=$((record + 1))
			up "$1" "$2" || { fail 'cannot mount'; break; }
			rm -rf "$a/v" "$b/v" "$b/state"
			cp "$scratch/original" "$a/v"
			sync
			status=0
			VOLMIG_INJECT="kill-after-record:$record" \
				"$VOLMIG" --state-dir "$b/state" migrate -q "$a/v" "$b/" \
				>"$scratch/output" 2>&1 || status=$?
			[ $status = 137 ] || break
			cut
			up "$1" "$2"
			job=$(find "$b/state/jobs" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null)
			what="$filesystem: $end after a power cut at record $record"
			if [ -z "$job" ] || [ "$(wc -l <"$b/state/jobs/$job/journal.jsonl")" -lt 2 ]; then
				ok "$what: there is no job yet, and nothing was touched" check
				umount "$a" "$b"
				continue
			fi
			status=0
			"$VOLMIG" --state-dir "$b/state" "$end" -q "$job" >"$scratch/output" 2>&1 || status=$?
			if [ $end = abort ] && [ $status = 3 ]; then
				# Past the point of no return there is only forward.
				status=0
				"$VOLMIG" --state-dir "$b/state" resume -q "$job" >>"$scratch/output" 2>&1 || status=$?
			fi
			is "$what" "$status" 0
			[ $status = 0 ] || diag "$(cat "$scratch/output")"
			ok '... one whole volume, one owner, nothing of ours' check
			umount "$a" "$b"
		done
		is "$filesystem: in the end the move ran through" "$status" 0
		ok "... after more than ten records" test "$record" -gt 10
		umount "$a" "$b" 2>/dev/null
	done
done
done_testing
