#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where lvconvert fails and was undone pvmove goes on, then a copy; within one job that is killed, resumed and aborted like others.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M -t 600
requires vgcreate jq
. "$TOP/tests/online.sh"

group
volume web 8M "$a"
result() {
	jq -r '[.state, .method, (.not_moved[] | select(.method == "lvconvert" or .method == "pvmove") | .method + ": " + .reason)] | join("; ")' \
		"$scratch/stdout"
}
# run FAULT ARGUMENT...
run() {
	fault=$1
	shift
	status=0
	VOLMIG_INJECT=$fault "$VOLMIG" "$@" >"$scratch/stdout" 2>"$scratch/output" || status=$?
}

"$VOLMIG" migrate -n --json vg/web "$c" >"$scratch/stdout"
is 'the plan tells what would follow' "$(jq -c '[.method, .fallback]' "$scratch/stdout")" '["lvconvert",["pvmove","copy"]]'
exec 9</dev/vg/web
run kill-lvconvert:1 migrate --json vg/web "$c"
is 'lvconvert fails, and pvmove moves a volume that is open' "$status $(result | cut -c 1-80)" \
	'0 cleaned; pvmove; lvconvert: it failed, and was undone: vg/web: lvconvert crashed'
settled '... onto the target, whole, and nothing is left' web "$c"
exec 9<&-

for when in on-refusal never; do
	run kill-lvconvert:1 migrate --json --fallback=$when vg/web "$a"
	is "--fallback=$when: it ends there" "$status" 1
	has '... as the message says' 'lvconvert crashed'
	settled '... the volume is where it was, whole, and nothing is left' web "$c"
done

run kill-lvconvert:1,kill-pvmove:1 migrate --json vg/web "$a"
is 'lvconvert and pvmove fail, and it is copied' "$status $(result | grep -c 'copy;.*lvconvert: it failed.*pvmove: it failed')" '0 1'
settled '... onto the target, whole, and nothing is left' web "$a"

# Undoing fails as well: LVM is gone once the new leg shall be made.
for how in abort resume; do
	run kill-from-lvconvert:1 migrate --json vg/web "$c"
	is 'what is not undone is not gone on with' "$status" 5
	is '... the volume is where it was' "$(places web) $(sum_of_volume web)" "$a $sum"
	ok "... and $how ends it" "$VOLMIG" $how -q "$(job)"
	if [ $how = abort ]; then
		settled '... where it was, whole, and nothing is left' web "$a"
	else
		settled '... by the next method, whole, and nothing is left' web "$c"
	fi
done

n=0
bad=
there=$c
while [ $n -lt 40 ]; do
	n=$((n + 1))
	from=$there
	[ "$from" = "$a" ] && to=$c || to=$a
	when=before
	[ $((n % 2)) = 0 ] || when=after
	run "kill-lvconvert:1,kill-$when-record:$n" migrate -q vg/web "$to"
	[ "$status" != 0 ] || break
	[ "$status" = 137 ] || bad="$bad $n:status-$status($(cat "$scratch/output"))"
	job=$("$VOLMIG" status --json | jq -r '.jobs[] | select(.state != "cleaned" and .state != "aborted") | .job')
	if [ -z "$job" ]; then
		:
	elif [ $((n / 2 % 2)) = 0 ] && "$VOLMIG" abort -q "$job" >"$scratch/output" 2>&1; then
		[ "$(places web)" = "$from" ] || bad="$bad $n:aborted-$(places web)"
	else
		"$VOLMIG" resume -q "$job" >"$scratch/output" 2>&1 || bad="$bad $n:resume($(cat "$scratch/output"))"
		[ "$(places web)" = "$to" ] || bad="$bad $n:resumed-$(places web)"
	fi
	there=$(places web)
	[ "$(sum_of_volume web)$(nothing_left)" = "$sum" ] || bad="$bad $n:$(nothing_left | tr ' \n' '--')"
done
is 'killed at each of its records, it ends well' "$bad" ''
is 'there were many' "$([ $n -gt 10 ] && [ $n -lt 40 ] && echo many || echo $n)" many

# By refusal, when it is planned: a rate, and a volume of which no leg can be made.
lvcreate -qq -y -Wn -Zn -i 2 -L 4M -n wide vg "$a" "$c" >/dev/null
dd if=/dev/urandom of=/dev/vg/wide bs=1M count=4 conv=fsync status=none
sum=$(sum_of_volume wide)
must_fail 3 'refused, and no other may follow: it stays' "$VOLMIG" migrate -q --fallback=never --bwlimit=10M vg/wide "$b"
has '... for all reasons' 'raid1 is made of linear volumes' 'no way to limit its rate'
ok 'refused by both, it is copied' "$VOLMIG" migrate -q --bwlimit=10M vg/wide "$b"
settled '... whole, and nothing is left' wide "$b"
done_testing
