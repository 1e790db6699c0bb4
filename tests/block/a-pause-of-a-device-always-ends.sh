#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A device that volmig has suspended goes on: when asked, when the time is over, when volmig is killed.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 16M
requires dmsetup

export DM_DISABLE_UDEV=1
# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
echo "0 32768 linear $1 0" | dmsetup create paused
ok 'its units pass on a real device' env VOLMIG_DM_DEVICE=paused "$(dirname "$VOLMIG_INJECT_BIN")/test_dm"
has '... all of them' 'OK ] a_pause_ends_when_who_wanted_it_is_killed'
is 'the device is in use by nobody, and not suspended' \
	"$(dmsetup info -c --noheadings -o open,attr paused)" '0:L--w'
done_testing
