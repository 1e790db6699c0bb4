#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Where requests at a disk take longer than --max-latency, by the kernel's counters, a move goes on slower; else it does not.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 128M
requires jq mkfs.ext4

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
cd "$scratch" || exit 99
mkdir d
mkfs.ext4 -q -F "$1"
mount "$1" d && at_exit umount "$scratch/d"
mkdir d/b
head -c 10M /dev/urandom >d/v

# Looked at every half second: the rate that is asked for makes it last for some of these.
# How quick the disk is that is below the guest's nobody knows: that is added to what the
# kernel has counted, if it has counted requests at all.
copy() {
	rm -f d/b/v
	VOLMIG_INJECT=request-us:$2 "$VOLMIG_INJECT_BIN" -v copy --create --bwlimit=5M --max-latency="$1" ./d/v ./d/b/ >out 2>err
}

ok 'a copy on a disk that gets slow' copy 1s 2000000
is '... is whole' "$(cmp d/v d/b/v 2>&1)" ''
ok '... and went on slower, and told why' grep -q 'requests take [0-9]* us, going on at [0-9]* bytes/s' err
is '... and more than once, for it did not help' "$(test "$(grep -c 'requests take' err)" -gt 1; echo $?)" 0
ok 'one on a disk that does not' copy 1m 0
is '... is whole' "$(cmp d/v d/b/v 2>&1)" ''
ok '... and was never in the way' sh -c '! grep "requests take" err'

done_testing
