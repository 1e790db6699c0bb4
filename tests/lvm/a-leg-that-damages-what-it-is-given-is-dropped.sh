#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A new leg that damages what is written to it is dropped; one that only differs is repaired from the old one.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 3 -s 64M -t 600
requires vgcreate dmsetup jq
. "$TOP/tests/online.sh"

group
sectors=$(blockdev --getsz "$c")
good="0 $sectors linear $raw 0"
slow="0 $sectors delay $raw 0 0 $raw 0 30"
# Each write is damaged in its 300th byte, all the time.
bad="0 $sectors flakey $raw 0 0 3600 5 corrupt_bio_byte 300 w 1 0"
volume web 16M "$a"

# What LVM writes for itself has to be whole, so the device turns bad in the middle.
has_leg() {
	lvs -a --noheadings -o lv_name vg | grep -q rimage_1
}

third "$slow"
# It is in use, so a copy cannot go on; and pvmove could, but must not.
exec 9</dev/vg/web
"$VOLMIG" migrate vg/web "$c" >"$scratch/output" 2>&1 &
pid=$!
ok 'a leg is being made' wait_until has_leg
# LVM looks once more, and then waits.
wait_until sh -c "'$VOLMIG' status | grep -q copying"
third "$bad"
status=0
wait $pid || status=$?
third "$good"
is 'a leg that damages what it is given ends the move, though pvmove would do' $status 1
exec 9<&-
has '... the message says so, and that pvmove would have been next' 'does not keep what it is given' \
	'if it fails pvmove'
settled '... the volume is where it was, whole, and nothing is left' web "$a"

# Damaged behind the kernel's back, once: that can be repaired, and from the old leg.
third "$slow"
"$VOLMIG" migrate --json vg/web "$c" >"$scratch/output" 2>&1 &
pid=$!
ok 'a leg is being made' wait_until has_leg
leg=$(dmsetup table vg-web_rimage_1 | awk '{ print $5 }')
synced_there() {
	dmsetup status vg-web | awk '{ split($7, n, "/"); exit n[1] < 16384 }'
}
ok '... and a part of it is in sync' wait_until synced_there
dd if=/dev/urandom of="$raw" bs=512 seek=$((leg + 2048)) count=64 oflag=direct conv=notrunc status=none
third "$good"
status=0
wait $pid || status=$?
is 'a leg that differed is repaired' $status 0
is '... as the receipt says' "$(jq -c '.verify | [.result, .repairs, .mismatches]' "$scratch/output")" '["equal",1,0]'
settled '... the volume is on the target, whole, and nothing is left' web "$c"

# What is written to the leg once it is in sync is lost, and nobody is told.
ok 'back again' "$VOLMIG" migrate -q vg/web "$a"
cat >"$scratch/hook" <<END
[ "\$VOLMIG_HOOK" = pre-scrub-leg ] || exit 0
leg=\$(dmsetup table vg-web_rimage_1 | awk '{ print \$5 }')
end=\$((leg + 32768))
printf '0 %d linear $raw 0\n%d 32768 flakey $raw %d 0 3600 1 drop_writes\n%d %d linear $raw %d' \
	\$leg \$leg \$leg \$end \$(($sectors - end)) \$end | dmsetup reload third
dmsetup resume third
dd if=/dev/urandom of=/dev/vg/web bs=64k count=1 seek=9 oflag=direct conv=notrunc status=none
END
exec 9</dev/vg/web
must_fail 1 'a leg that loses what is written to it ends the move' "$VOLMIG" migrate -q --hook "sh $scratch/hook" vg/web "$c"
exec 9<&-
third "$good"
has '... the message says so' 'does not keep what it is given (128 sectors differ after a repair, and nobody wrote)'
sum=$(sum_of_volume web)
settled '... the volume is where it was, and nothing is left' web "$a"
done_testing
