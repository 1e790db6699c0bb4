#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts: a crash comes between the commit and the removal of the source, and the copy there goes away meanwhile:
# the source stays, whether that host still knows the job as unfinished or has brought its part to its end by itself;
# and a source there whose copy here goes away.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/x.img dst=$dir_b/x.img
head -c 3M /dev/urandom >"$scratch/data"

# Where the journal says that the source is about to be removed.
cp "$scratch/data" "$src"
ok 'a move' on a volmig migrate -q "$src" "ssh://10.77.0.2/$dir_b/"
record=$(grep -n '"rec":"begin".*"name":"remove-source"' "$scratch"/a/state/jobs/*/journal.jsonl | cut -d : -f 1)

# crashed LEASE
crashed() {
	allow b "--lease=$1"
	rm -f "$dst"
	cp "$scratch/data" "$src"
	killed kill-after-record "$record" "$src" "ssh://10.77.0.2/$dir_b/"
	ok 'killed between the commit and the removal: both are there' cmp "$src" "$dst"
	mv "$dst" "$scratch/away"
	job=$(unfinished a)
}

# stays WHEN
stays() {
	must_fail 4 "$1 the source is not removed without its copy" on a volmig resume -q "$job"
	has '... the reason is named' 'the destination has gone since it was written'
	ok '... and it is whole' cmp "$src" "$scratch/data"
	mv "$scratch/away" "$dst"
	ok '... with the copy back it is' on a volmig resume -q "$job"
	ok '... and gone' test ! -e "$src"
	ok '... with one whole copy' cmp "$dst" "$scratch/data"
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b
}

crashed 1d
is '... and unfinished there' "$(unfinished b)" "$job"
stays 'with the job unfinished there'
crashed 1s
ok '... and ended there by itself' wait_until all_ended
stays 'with the job ended there'

# ---- the source is there, and its copy here ----

src=$dir_b/y.img dst=$dir_a/y.img
allow b --lease=1d
cp "$scratch/data" "$src"
rm -rf "$scratch/a/state"
ok 'a move from there' on a volmig migrate -q "ssh://10.77.0.2/$src" "$dir_a/"
record=$(grep -n '"rec":"begin".*"name":"finish-far"' "$scratch"/a/state/jobs/*/journal.jsonl | cut -d : -f 1)
for end in resumed 'given up'; do
	rm "$dst"
	cp "$scratch/data" "$src"
	killed kill-after-record "$record" "ssh://10.77.0.2/$src" "$dir_a/"
	job=$(unfinished a)
	ok 'killed between the commit and its news: both are there' cmp "$src" "$dst"
	mv "$dst" "$scratch/away"
	must_fail 4 '... that host is not told to remove the source without its copy' on a volmig resume -q "$job"
	has '... the reason is named' 'the destination has gone since it was written'
	ok '... and it is whole' cmp "$src" "$scratch/data"
	if [ "$end" = resumed ]; then
		mv "$scratch/away" "$dst"
		ok '... with the copy back it is' on a volmig resume -q "$job"
		ok '... and gone' test ! -e "$src"
		ok '... with one whole copy' cmp "$dst" "$scratch/data"
	else
		must_fail 3 '... to keep it is that host'"'"'s to say' on a volmig resume -q --keep-source "$job"
		has '... how' "volmig abort $job there, then resume here"
		ok '... which it does' on b volmig abort -q "$job"
		ok '... so the job comes to its end without the copy' on a volmig resume -q "$job"
		ok '... and the source is whole' cmp "$src" "$scratch/data"
	fi
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b
done

done_testing
