#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A source that goes while it is copied into a group: abort keeps the copy, under whichever name, until told otherwise.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 100M -t 200
requires vgcreate

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$1"
vgcreate -qq g1 "$2"
mkdir "$scratch/a"
cd "$scratch" || exit 99
at=0

# stopped_before STEP SOURCE: a job of it that has stopped there; its copy is $copy.
stopped_before() {
	at=$((at + 1))
	id=$(printf "00000000-0000-4000-8000-%012d" $at)
	must_fail 4 "stopped before $1: $2" "$VOLMIG" migrate -q --job-id "$id" \
		--hook "[ \"\$VOLMIG_HOOK\" != pre-$1 ]" "$2" g1/w
	copy=$(lvs --noheadings -o lv_full_name g1 | tr -d ' ')
}

# kept: the copy is, abort says so, and how to come to an end of it, which it does.
kept() {
	must_fail 3 '... abort does not remove the copy' "$VOLMIG" abort -q "$id"
	has '... and says which' "$copy" "then volmig abort $id"
	ok '... it is whole' cmp -n 8388608 "/dev/$copy" original
	lvchange -qq -an "$copy"
	lvremove -qq -y "$copy"
	ok '... once it is removed the job is undone' "$VOLMIG" abort -q "$id"
}

dd if=/dev/urandom of=original bs=1M count=8 status=none
for step in verify publish commit; do
	cp original a/v
	stopped_before $step ./a/v
	rm a/v
	kept

	mkdir -p b
	cp original b/v
	stopped_before $step ./b/v
	rm -r b
	kept

	lvcreate -qq -y -Wn -Zn -L 8M -n v g0 >/dev/null 2>&1
	cp original /dev/g0/v
	sync /dev/g0/v
	stopped_before $step g0/v
	lvremove -qq -y g0/v
	kept
done
for step in verify commit; do
	cp original a/v
	stopped_before $step ./a/v
	mv a/v away
	must_fail 3 'without its source abort takes nothing back' "$VOLMIG" abort -q "$id"
	mv away a/v
	ok '... so the job goes on with it' "$VOLMIG" resume -q --no-hook "$id"
	ok '... to its end' cmp -n 8388608 /dev/g1/w original
	lvremove -qq -y g1/w
done
cp original a/v
stopped_before verify ./a/v
ok 'with its source there it is removed' "$VOLMIG" abort -q "$id"
is 'and nothing is left' "$(lvs --noheadings g1)" ''
done_testing
