#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Legs that go on to differ, since who writes changes a buffer in flight, are both kept, or compared in a pause if that is allowed.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# The guest sees this directory.
[ -n "${VOLMIG_IN_LAB:-}" ] || { requires cc && cc -O2 -pthread -o "$scratch/restless" "$TOP/tests/lvm/restless.c"; } ||
	exit 99
in_lab -n 3 -s 64M -t 600
requires vgcreate dmsetup jq
. "$TOP/tests/online.sh"

group
# md gives way to a writer, down to 1 MB a second.
echo 200000 >/proc/sys/dev/raid/speed_limit_min
sectors=$(blockdev --getsz "$c")
good="0 $sectors linear $raw 0"
# What is written to it is taken from memory a little later.
late=$(slow_by 5)
volume web 2M "$a"

# Of a volume that is written to: all but what is.
sum_of_volume() {
	dd if="/dev/vg/$1" bs=1M skip=1 iflag=direct status=none | sha256sum
}
sum=$(sum_of_volume web)
"$kept/restless" /dev/vg/web 0 1048576 2>"$scratch/restless" &
writer=$!
legs() {
	lvs -a --noheadings -o lv_name vg | grep -c 'rimage_[01]'
}

# On a busy machine scrubs are cut short, and a job stops when that does not end: then it is gone on with.
differ() {
	status=0
	"$VOLMIG" migrate --json "$@" >"$scratch/run" 2>&1 || status=$?
	for _ in 1 2 3 4 5; do
		[ $status = 4 ] && grep -q 'was cut short 8 times' "$scratch/run" || break
		status=0
		"$VOLMIG" resume --json "$(job)" >"$scratch/run" 2>&1 || status=$?
	done
	cat "$scratch/run"
	return $status
}

third "$late"
must_fail 4 'legs that go on to differ stop the move' differ vg/web "$c"
has '... and the message says so, and what to do' 'its legs differ in ' 'both legs are kept' 'source in place' \
	"volmig resume $(job) when it is quiet, or volmig abort $(job) and start again with --max-pause"
is '... so they are' "$(legs)" 2
ok '... abort, while it is written to' "$VOLMIG" abort -q "$(job)"
settled '... puts it back where it was, whole, and nothing is left' web "$a"

export VOLMIG_INJECT=scrub-cut:1
must_fail 4 'checks that are cut short stop the move' "$VOLMIG" migrate -q vg/web "$c"
has '... and the message says so, and what to do' 'was cut short 8 times' 'both legs are kept' 'source in place' \
	"volmig resume $(job) when nothing changes it" "or volmig abort $(job)"
is '... so they are' "$(legs)" 2
ok '... abort' "$VOLMIG" abort -q "$(job)"
settled '... puts it back where it was, whole, and nothing is left' web "$a"

export VOLMIG_INJECT=scrub-rounds:1
must_fail 4 'a pause that is too short stops it as well' differ --max-pause=1ms vg/web "$c"
# Sometimes it cannot even be suspended within that.
has '... and the message says so, and what to do' 'suspended' ' are kept' \
	"volmig abort $(job), and start again with a longer --max-pause"
is '... both legs are kept' "$(legs)" 2
ok '... abort, while it is written to' "$VOLMIG" abort -q "$(job)"
settled '... puts it back where it was, whole, and nothing is left' web "$a"

# Only what belongs to the leg is damaged, in the 300th byte of each write, from when it is in sync.
cat >"$scratch/hook" <<END
[ "\$VOLMIG_HOOK" = pre-scrub-leg ] || exit 0
leg=\$(dmsetup table vg-web_rimage_1 | awk '{ print \$5 }')
echo "0 4096 flakey $raw \$leg 0 3600 5 corrupt_bio_byte 300 w 1 0" | dmsetup create bad
printf '0 %d linear $raw 0\n%d 4096 delay /dev/mapper/bad 0 0 /dev/mapper/bad 0 30\n%d %d linear $raw %d' \
	\$leg \$leg \$((leg + 4096)) \$(($sectors - leg - 4096)) \$((leg + 4096)) | dmsetup reload third
dmsetup resume third
END
status=0
differ --hook "sh $scratch/hook" --max-pause=20s vg/web "$c" >"$scratch/output" 2>&1 || status=$?
third "$good"
dmsetup remove bad
is 'a leg that damages what it is given is found in the pause, and ends the move' $status 1
has '... the message says so' 'the new leg does not keep what it is given, at byte 0'
settled '... the volume is where it was, whole, and nothing is left' web "$a"

third "$late"
ok 'in a pause that is long enough they are compared, made equal, and it goes on' differ --max-pause=20s vg/web "$c"
is '... as the receipt says' \
	"$(jq -c '[.verify.result, .verify.compared, (.warnings[0] | test("^suspended for [0-9]+ ms .* 1048576 bytes were made equal"))]' \
		"$scratch/output")" '["equal",true,true]'
kill $writer
ok '... no error in the writer, all the time' wait $writer
settled '... the volume is on the target, whole, and nothing is left' web "$c"
done_testing
