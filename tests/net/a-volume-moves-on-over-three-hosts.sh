#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Three hosts: a volume goes from the first to the second, from there to the third, whose cable is out for 5 s and whose
# disk runs full, and back to the first; each host knows its own part only, and there is one whole copy at the end of each.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq mount

# A small disk of the third, which its sshd has to see from the beginning.
mkdir "$scratch/small"
mount -t tmpfs -o size=24M none "$scratch/small" || skip_all 'needs to mount a tmpfs'
at_exit umount "$scratch/small"
hosts_make a b c
head -c 20M /dev/urandom >"$scratch/data"
# shellcheck disable=SC2154
cp "$scratch/data" "$dir_a/web.img"

whole() {
	cmp "$scratch/data" "$1"
}

# gone FILE HOST: and nothing is left of it there.
gone() {
	ok '... and gone from where it was' test ! -e "$1"
	ok '... nothing is left there' nothing_left "$2"
}

# shellcheck disable=SC2154
must_fail 3 'a move from another host to another is refused' \
	on a volmig migrate "ssh://10.77.0.2/$dir_b/web.img" "ssh://10.77.0.3/$scratch/small/"
has '... with what to do' 'run volmig on one of the two'

ok 'from the first to the second' on a volmig migrate -q "$dir_a/web.img" "ssh://10.77.0.2/$dir_b/"
ok '... whole' whole "$dir_b/web.img"
gone "$dir_a/web.img" a

# From there to the third.
on b volmig migrate -q --bwlimit=4M "$dir_b/web.img" "ssh://10.77.0.3/$scratch/small/" 2>"$scratch/said" &
move=$!
# arrived BLOCKS: so much of it is there.
arrived() {
	set -- "$1" "$scratch"/small/.volmig-*
	[ -e "$2" ] && [ "$(stat -c %b "$2")" -gt "$1" ]
}
ok 'the second has begun to move it to the third' wait_until arrived 4000
link c down
sleep 5
link c up
ok 'with the cable out for 5 s it goes on by itself' wait_until arrived 12000
head -c 20M /dev/urandom >"$scratch/small/other" 2>/dev/null
status=0
wait $move || status=$?
is 'with the disk full it stops, resumable' "$status" 4
ok '... and says why' grep -q 'No space left' "$scratch/said"
ok '... with the source whole' whole "$dir_b/web.img"
is '... the first has nothing to do with it' "$(unfinished a)" ''
is '... the third knows it by the same id' "$(unfinished c)" "$(unfinished b)"
must_fail 3 '... and leaves it to the second' on c volmig resume "$(unfinished c)"
must_fail 3 '... where its source is held' on a volmig copy --create "ssh://10.77.0.2/$dir_b/web.img" "$dir_a/x.img"
rm "$scratch/small/other"
ok 'with room it is resumed' on b volmig resume -q "$(unfinished b)"
ok '... whole' whole "$scratch/small/web.img"
ok '... but what was there stays: the third has it in memory' whole "$dir_b/web.img"
ok '... nothing is left there' nothing_left b

ok 'from the third back to the first' on a volmig migrate -q "ssh://10.77.0.3/$scratch/small/web.img" "$dir_a/"
ok '... whole' whole "$dir_a/web.img"
gone "$scratch/small/web.img" c
ok 'nothing is left on the first' nothing_left a
for host in a b c; do
	is "the $host side has two receipts" \
		"$(on $host volmig status --all --json | jq -r '[.jobs[].state] | join(" ")')" 'cleaned cleaned'
done

done_testing
