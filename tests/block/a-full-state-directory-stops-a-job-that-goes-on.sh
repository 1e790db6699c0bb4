#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# No room for the journal, at any of its records: nothing is lost, and with room it goes on.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 16M

work=$scratch/work
mkdir "$work" "$work/a" "$work/b" "$scratch/m"
cd "$work" || exit 99
export VOLMIG_STATE_DIR="$scratch/m/state"
id=11111111-2222-4333-8444-555555555555

head -c 2500001 /dev/urandom >original
truncate -s 3M original
sum=$(sha256sum <original)

whole() {
	[ -f "$1" ] && [ "$(sha256sum <"$1")" = "$sum" ]
}

moved() {
	whole b/v && [ ! -e a/v ] && [ -z "$(find . -name '.volmig-*')" ]
}

# The file system has so many pages; the job comes as far as they allow.
stopped=
for pages in $(seq 1 5); do
	rm -f a/v b/v
	cp original a/v
	mount -t tmpfs -o "size=$((pages * 4096))" none "$scratch/m"
	status=0
	"$VOLMIG" migrate -q --job-id $id ./a/v ./b/ >"$scratch/output" 2>&1 || status=$?
	case $status in
	0)
		ok "with $pages pages it is done" moved
		;;
	1 | 3 | 4)
		stopped="$stopped$status"
		is "with $pages pages it stops, in one line" "$(wc -l <"$scratch/output")" 1
		has '... with the reason' 'No space left on device'
		if [ -e a/v ]; then
			ok '... and the source is whole' whole a/v
		else
			ok '... and the destination is whole' whole b/v
		fi
		mount -o remount,size=1M "$scratch/m"
		if "$VOLMIG" status $id >/dev/null 2>&1; then
			ok '... with room it goes on' "$VOLMIG" resume -q $id
		else
			is '... before there was a job' "$(find . -name '.volmig-*')" ''
			ok '... with room it begins' "$VOLMIG" migrate -q --job-id $id ./a/v ./b/
		fi
		ok '... to its end' moved
		;;
	*)
		fail "with $pages pages, status $status"
		diag "$(cat "$scratch/output")"
		;;
	esac
	umount "$scratch/m"
done

# The same where it is read-only by now.
rm -f a/v b/v
cp original a/v
mount -t tmpfs none "$scratch/m"
VOLMIG_INJECT=kill-at-byte:2000000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ 2>/dev/null
mount -o remount,ro "$scratch/m"
for command in resume abort; do
	must_fail 3 "$command, read-only: refused" "$VOLMIG" $command $id
	has '... with the reason, and what to do' 'Read-only file system; mend that'
done
mount -o remount,rw "$scratch/m"
ok 'with one that can be written to it goes on' "$VOLMIG" resume -q $id
ok '... to its end' moved
umount "$scratch/m"
ok 'it was stopped while it ran' sh -c 'case $1 in *4*) ;; *) exit 1 ;; esac' sh "$stopped"
done_testing
