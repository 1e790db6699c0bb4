#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A committed job whose source was changed since, and so is not removed, is ended by resume --keep-source.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
requires jq

mkdir a b
at=0

# committed STEP [OPTION...]: a job that has stopped before STEP; its source is a/v.img.
committed() {
	at=$((at + 1))
	id=00000000-0000-4000-8000-00000000000$at
	step=$1
	shift
	rm -f a/* b/*
	image a/v.img
	sum=$(sum_of a/v.img)
	rm -f "$scratch/open"
	must_fail 4 "a move is stopped before $step" "$VOLMIG" migrate -q --job-id $id "$@" \
		--hook "[ \"\$VOLMIG_HOOK\" != pre-$step ] || [ -e '$scratch/open' ]" ./a/v.img ./b/
	: >"$scratch/open"
}

# ended STATE: it ends by that, and the source is then so.
ended() {
	ok '... resume --keep-source ends it' "$VOLMIG" resume --json --keep-source $id
	is '... the source is as said' "$(jq -r '.state, .source.state, .exit_status' "$scratch/output" | tr '\n' ' ')" \
		"cleaned $1 0 "
	has '... the receipt has a note of it' 'it stays as it is (--keep-source)'
	is '... the copy is whole' "$(sum_of b/v.img)" "$sum"
	is '... nothing is left' "$(nothing_left a b; find a -name '.volmig-*')" ''
	ok '... once more is no error' "$VOLMIG" resume -q $id
}

committed remove-source
printf x | dd of=a/v.img conv=notrunc status=none
changed=$(sum_of a/v.img)
must_fail 4 'changed since: not removed' "$VOLMIG" resume -q $id
has '... the way out is named' "volmig resume $id --keep-source"
must_fail 3 '... abort is none' "$VOLMIG" abort -q $id
echo 'keep-source = yes' >"$scratch/conf"
chmod 600 "$scratch/conf"
must_fail 4 '... a file with options does not say it' env VOLMIG_CONFIG="$scratch/conf" "$VOLMIG" resume -q $id
ended untouched
is '... the source has what is newer' "$(sum_of a/v.img)" "$changed"

committed wipe-source --wipe=zero
printf x | dd of=a/v.img conv=notrunc status=none
changed=$(sum_of a/v.img)
must_fail 4 'changed before it was wiped: not wiped' "$VOLMIG" resume -q $id
ended untouched
is '... nor then' "$(sum_of a/v.img)" "$changed"

committed remove-source
mv a/v.img a/old
cp a/old a/v.img
must_fail 4 'another file in its place: not removed' "$VOLMIG" resume -q $id
has '... the way out is named' --keep-source
ended untouched
is '... both are there' "$(sum_of a/v.img) $(sum_of a/old)" "$sum $sum"

committed remove-source
mv a/v.img "a/.volmig-$id.source"
printf x | dd of="a/.volmig-$id.source" conv=notrunc status=none
ended untouched
ok '... it has its name again' test -e a/v.img

committed remove-source
mv a/v.img "a/.volmig-$id.source"
image a/v.img
ok 'taken aside, and the name is taken' "$VOLMIG" resume --keep-source $id
has '... said so' "is called $work/a/.volmig-$id.source now"
ok '... it is there' test -e "a/.volmig-$id.source"

committed remove-source
rm -r a
must_fail 4 'its directory has gone: stopped' "$VOLMIG" resume -q $id
has '... the way out is named' "bring it back, or volmig resume $id --keep-source"
ok 'gone with its directory: ended' "$VOLMIG" resume -q --keep-source $id
mkdir a

# Asked for before the commit it holds as well, and for later calls.
committed verify
rm "$scratch/open"
must_fail 4 'asked for early' "$VOLMIG" resume -q --keep-source $id
: >"$scratch/open"
ok '... then gone on with' "$VOLMIG" resume -q $id
is '... both are there' "$(sum_of a/v.img) $(sum_of b/v.img)" "$sum $sum"
done_testing
