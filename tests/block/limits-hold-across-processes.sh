#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# With device=1 no two jobs of batches and single moves use a disk at once, they come in their order, and all are done.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 256M
requires jq mkfs.ext4 dmsetup

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
one=$1 two=$2
cd "$scratch" || exit 99
mkdir d1 d2
export DM_DISABLE_UDEV=1
# The second disk is seen through device-mapper, which must not hide it.
dmsetup create vt-two --table "0 $(blockdev --getsz "$two") linear $two 0"
at_exit dmsetup remove vt-two
mkfs.ext4 -q -F "$one" && mkfs.ext4 -q -F /dev/mapper/vt-two
mount "$one" d1 && at_exit umount "$scratch/d1"
mount /dev/mapper/vt-two d2 && at_exit umount "$scratch/d2"

mkdir d1/a d1/b d2/a d2/b
for i in 1 2 3 4 5 6 7 8 9; do
	head -c 1500000 /dev/urandom >"d1/a/v$i"
	head -c 1500000 /dev/urandom >"d2/a/v$i"
done
(cd d1/a && md5sum -- * >"$scratch/d1.sums")
(cd d2/a && md5sum -- * >"$scratch/d2.sums")

for n in 1 2; do
	echo 'limit max-jobs=8 device=1'
	for i in 1 2; do
		echo "$scratch/d1/a/v$((n * 2 + i - 2)) $scratch/d1/b/"
		echo "$scratch/d2/a/v$((n * 2 + i - 2)) $scratch/d2/b/"
	done
done >plans
head -5 plans >plan1
tail -5 plans >plan2
sed -i 's/max-jobs=8 //' plan2

# All of it at once; slow, so that they meet.
export VOLMIG_INJECT=slow:150000
children=
for n in 1 2; do
	"$VOLMIG_INJECT_BIN" batch "plan$n" >"batch$n" 2>&1 &
	children="$children $!"
done
for i in 5 6 7 8 9; do
	"$VOLMIG_INJECT_BIN" migrate --limit device=1 "$scratch/d1/a/v$i" "$scratch/d1/b/" >/dev/null 2>>waits &
	children="$children $!"
	"$VOLMIG_INJECT_BIN" migrate --limit device=1 "$scratch/d2/a/v$i" "$scratch/d2/b/" >/dev/null 2>>waits &
	children="$children $!"
done
unset VOLMIG_INJECT
failed=0
for child in $children; do
	wait "$child" || failed=$((failed + 1))
done
is 'all of them end well' $failed 0
settles() {
	ok "$1" sh -c 'cd "$1" && md5sum --quiet -c "$2"' - "$2" "$3"
}
settles 'everything of the first disk is moved' d1/b "$scratch/d1.sums"
settles 'everything of the second disk is moved' d2/b "$scratch/d2.sums"
ok 'who waited was told what for' grep -q 'waiting for device .*: 1 job at most at once' waits

# TICKET BEGIN END of each job that worked below a directory, in the order of their tickets.
jobs_in() {
	for journal in "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl; do
		jq -rs --arg dir "$1/" 'if .[1].plan.move.source.path | startswith($dir) then
			[(map(select(.rec == "terms"))[0].ticket), (map(select(.rec == "begin"))[0].time),
			 (map(select(.rec == "end"))[0].time)] | join(" ") else empty end' "$journal"
	done | sort -n
}

for d in d1 d2; do
	jobs_in "$scratch/$d" >jobs.txt
	is "$d: all jobs are known" "$(wc -l <jobs.txt)" 9
	is "$d: one after another, in the order of arrival" \
		"$(awk '$2 < end { print "ticket " $1 " began at " $2 ", before " end } { end = $3 }' jobs.txt)" ''
done
is 'both disks worked at the same time' "$({
	jobs_in "$scratch/d1" | awk 'NR == 1 { print $2 } END { print $3 }'
	jobs_in "$scratch/d2" | awk 'NR == 1 { print $2 } END { print $3 }'
} | xargs | awk '{ print ($1 < $4 && $3 < $2) }')" 1
is 'no ticket is left' "$(cd "$VOLMIG_STATE_DIR/limits" && echo ./*)" "./lock ./spare"

# --- killed while it holds the disk, and while it waits

id=11111111-2222-4333-8444-555555555555
head -c 3000000 /dev/urandom >d1/a/k1
head -c 1000000 /dev/urandom >d1/a/k2
VOLMIG_INJECT=slow:3000000 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id --limit device=1 "$scratch/d1/a/k1" "$scratch/d1/b/" 2>/dev/null &
first=$!
holds() {
	grep -q '"running":true' "$VOLMIG_STATE_DIR"/limits/ticket-*
}
ok 'one runs' wait_until holds
"$VOLMIG" migrate "$scratch/d1/a/k2" "$scratch/d1/b/" >/dev/null 2>waits &
second=$!
ok 'another waits, for a limit that it was not given itself' wait_until grep waiting waits
kill -KILL $first
wait $first 2>/dev/null
wait $second
is 'when the first is killed, the second goes on' "$? $(ls d1/b/k2)" '0 d1/b/k2'
ok 'and the first is resumed' "$VOLMIG" resume -q $id
is 'nothing of it is left' "$(ls d1/a)$(cd "$VOLMIG_STATE_DIR/limits" && echo ./*)" "./lock ./spare"

done_testing
