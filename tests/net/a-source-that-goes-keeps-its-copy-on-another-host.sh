#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts: the source goes while the job is stopped; abort keeps the copy, wherever it is, until it is told to forget it.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"

hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/d/x.img copy=$dir_b/.volmig-
mkdir "$dir_a/d"
head -c 3M /dev/urandom >"$scratch/data"
id=00000000-0000-4000-8000-00000000000

# gone HOW NUMBER STEP: and how the job comes to its end then
gone() {
	mkdir -p "$dir_a/d"
	cp "$scratch/data" "$src"
	must_fail 4 "stopped before $3" on a volmig migrate -q --job-id "$id$2" \
		--hook "[ \"\$VOLMIG_HOOK\" != pre-$3 ]" "$src" "ssh://10.77.0.2/$dir_b/"
	must_fail 3 '... its rate is not set there' on b volmig set "$id$2" bwlimit=1M
	ok '... but here' on a volmig set "$id$2" bwlimit=1M
	mv "$1" "$scratch/away"
	must_fail 3 '... with its source gone it is not undone' on a volmig abort -q "$id$2"
	has '... what can be done is said' "volmig abort --forget $id$2"
	ok '... the copy is whole' cmp "$scratch/data" "$copy$id$2"
}

gone "$src" 1 verify
mv "$scratch/away" "$src"
ok '... with its source back it is' on a volmig abort -q "${id}1"
gone "$src" 6 verify
mv "$scratch/away" "$src"
ok '... nor in part: with its source back it goes on' on a volmig resume -q --no-hook "${id}6"
ok '... to its end' cmp "$scratch/data" "$dir_b/x.img"
rm "$dir_b/x.img"
gone "$dir_a/d" 2 publish-far
ok '... or when that is said' on a volmig abort -q --forget "${id}2"

# --- the other way round

there=$dir_b/d/x.img here=$dir_a/.volmig-
mkdir -p "$dir_b/d"
# stopped NUMBER: with a copy here that is whole
stopped() {
	cp "$scratch/data" "$there"
	must_fail 4 'from there: stopped before it is published' on a volmig migrate -q --job-id "$id$1" \
		--hook '[ "$VOLMIG_HOOK" != pre-publish ]' "ssh://10.77.0.2/$there" "$dir_a/"
}
# kept NUMBER
kept() {
	has '... what can be done is said' "volmig abort --forget $id$1"
	ok '... the copy is whole' cmp "$scratch/data" "$here$id$1"
}

stopped 3
mv "$there" "$scratch/away.img"
must_fail 3 '... with its source gone it is not undone' on a volmig abort -q "${id}3"
kept 3
mv "$scratch/away.img" "$there"
# shellcheck disable=SC2154
kill "$sshd_b"
must_fail 3 '... nor when its host cannot be asked' on a volmig abort -q "${id}3"
kept 3
start_sshd b
ok '... with both back it is' on a volmig abort -q "${id}3"
ok '... and the source is whole' cmp "$scratch/data" "$there"
stopped 5
kill "$sshd_b"
must_fail 3 '... when its host cannot be asked it is not undone' on a volmig abort -q "${id}5"
start_sshd b
ok '... and nothing of it is: with the host back it goes on' on a volmig resume -q --no-hook "${id}5"
ok '... to its end' cmp "$scratch/data" "$dir_a/x.img"
rm "$dir_a/x.img"
stopped 4
rm "$there"
ok '... or when that is said' on a volmig abort -q --forget "${id}4"
ok 'nothing is left here' nothing_left a
ok 'nothing is left there' nothing_left b
done_testing
