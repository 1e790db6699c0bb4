#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A shut-off domain's move killed at each journal record: its definition names a whole volume at each instant.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires cmp

start_libvirtd
mkdir place
head -c 700000 /dev/urandom >reference.img
truncate -s 1M reference.img
define d "$work/d.img"
virsh -q dumpxml --inactive d >definition.xml

# begin_anew: the domain as it was first, no copy, no jobs.
begin_anew() {
	rm -rf place "$VOLMIG_STATE_DIR"
	mkdir place
	cp reference.img d.img
	virsh -q define definition.xml
}

# Does the definition name one of the two, and is that whole?
named_is_whole() {
	named=$(disk_source d vda --inactive)
	case $named in
	"$work/d.img" | "$work/place/d.img") cmp reference.img "$named" ;;
	*) echo "it names '$named'"; return 1 ;;
	esac
}

moved() {
	[ "$(disk_source d vda --inactive)" = "$work/place/d.img" ] && named_is_whole && [ ! -e d.img ]
}

unmoved() {
	virsh -q dumpxml --inactive d | cmp - definition.xml && named_is_whole &&
		[ -z "$(ls -A place)" ]
}

# killed FAULT: did the move die of it?
killed() {
	status=0
	env VOLMIG_INJECT="$1" "$VOLMIG_INJECT_BIN" migrate -q ./d.img place/ >"$scratch/move" 2>&1 ||
		status=$?
	[ $status = 137 ]
}

# try FAULT: fails once the move has got through.
try() {
	begin_anew
	if ! killed "$1"; then
		[ $status = 0 ] || fail "$1: the move ended with $status: $(cat "$scratch/move")"
		return 1
	fi
	ok "$1: the definition names a whole volume" named_is_whole
	job=$("$VOLMIG" status | awk '/d.img/ { print $1 }')
	if [ -z "$job" ]; then
		ok "$1: nothing was begun" unmoved
		return
	fi
	ok "$1: resume" "$VOLMIG" resume -q "$job"
	ok "$1: it is moved" moved
	begin_anew
	killed "$1"
	job=$("$VOLMIG" status | awk '/d.img/ { print $1 }')
	if "$VOLMIG" abort -q "$job" 2>"$scratch/abort"; then
		ok "$1: abort leaves all as it was" unmoved
	else
		ok "$1: or it is too late for abort" grep -E 'point of no return|job is done' "$scratch/abort"
	fi
	ok "$1: and a whole volume named" named_is_whole
}

n=1
while try kill-after-record:$n; do
	n=$((n + 1))
done
ok 'all its records were tried' test $n -gt 10
try kill-repoint:1
try kill-repoint:2

done_testing
