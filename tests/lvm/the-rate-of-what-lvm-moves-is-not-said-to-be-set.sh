#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig set on a job whose bytes LVM moves, which would not hear of it: refused, and what does it is named.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 100M -t 200
requires vgcreate

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq g0 "$@"
lvcreate -qq -y -Wn -Zn -L 8M -n v g0 "$1" >/dev/null 2>&1
id=00000000-0000-4000-8000-000000000001

# stopped METHOD STEP TARGET: a job of it that stops there.
stopped() {
	must_fail 4 "$1 is stopped" "$VOLMIG" migrate -q --job-id $id --method "$1" \
		--hook "[ \"\$VOLMIG_HOOK\" != pre-$2 ]" g0/v "$3"
	must_fail 3 '... its rate is not set' "$VOLMIG" set $id bwlimit=1M
}

ok 'a profile of rates' "$VOLMIG" migrate -n --rate-profile 'else=1M' g0/v "$2"
has '... is not heeded, which the plan says' 'does not heed --rate-profile'
ok 'nor a latency' "$VOLMIG" migrate -n --max-latency 10ms g0/v "$2"
has '... which it says as well' 'does not heed --max-latency'
ok 'of a copy' "$VOLMIG" migrate -n --max-latency 10ms --rate-profile 'else=1M' g0/v "$scratch/"
has_not '... nothing is said' 'does not heed'

stopped lvconvert sync-leg "$2"
has '... what sets it is named' 'lvchange --maxrecoveryrate RATE /dev/g0/v'
ok '... and does' lvchange -qq -y --maxrecoveryrate 1M /dev/g0/v
ok '... undone' "$VOLMIG" abort -q $id
rm -r "$VOLMIG_STATE_DIR/jobs"
stopped pvmove pvmove "$3"
has '... that there is no way' 'no way to limit the rate'
ok '... undone' "$VOLMIG" abort -q $id
done_testing
