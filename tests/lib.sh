# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the shell tests have in common: TAP, requirements, clean-up, the lab.
#
# A test is a script that begins with
#
#	. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
#
# calls ok, is, has and so on, one line of TAP each, and ends with done_testing.
# $scratch is a directory of its own, which goes away with the script.
# The state directory is in there too.

set -u
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export TOP LC_ALL PATH
: "${VOLMIG:=$TOP/volmig}"
: "${VOLMIG_INJECT_BIN:=$VOLMIG}"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/volmig-test.XXXXXX") || exit 99
tap_count=0
tap_failed=0
# After a power cut the count goes on.
# shellcheck source=/dev/null
[ "${LAB_BOOT:-1}" = 1 ] || . ./tap
tap_done=
at_exit_commands=
export VOLMIG_STATE_DIR="$scratch/state"
# Nothing of the host's.
export VOLMIG_CONFIG=none VOLMIG_HOOKS_DIR=none

# Register a command line for the end of the script, before making what it takes
# away; the last one is run first.  Its failure is nobody's.
at_exit() {
	at_exit_commands="$*
$at_exit_commands"
}

finish() {
	status=$?
	trap - EXIT
	eval "$at_exit_commands" >/dev/null 2>&1
	rm -rf "$scratch"
	if [ -z "$tap_done" ] && [ $status = 0 ]; then
		echo '# the script ended before done_testing'
		status=99
	fi
	exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# The script as a whole cannot run here.
skip_all() {
	echo "1..0 # SKIP $*"
	tap_done=1
	exit 0
}

# requires TOOL...: skip the script where one of them is missing.
requires() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip_all "needs $tool"
	done
}

pass() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

fail() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
}

# skip DESCRIPTION REASON
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# ok DESCRIPTION COMMAND...: it succeeds.  What it prints is shown when it does
# not, and is in $scratch/output for the next call of has.
ok() {
	what=$1
	shift
	if "$@" >"$scratch/output" 2>&1; then
		pass "$what"
	else
		status=$?
		fail "$what"
		diag "$* (status $status)"
		diag "$(cat "$scratch/output")"
	fi
}

# must_fail STATUS DESCRIPTION COMMAND...: it ends with just that status, so
# neither success nor a crash will do.
must_fail() {
	wanted=$1
	what=$2
	shift 2
	status=0
	"$@" >"$scratch/output" 2>&1 || status=$?
	if [ $status = "$wanted" ]; then
		pass "$what"
	else
		fail "$what"
		diag "$* (status $status, wanted $wanted)"
		diag "$(cat "$scratch/output")"
	fi
}

# has DESCRIPTION TEXT...: the output of the last ok or must_fail contains each TEXT.
has() {
	what=$1
	shift
	for text in "$@"; do
		if ! grep -qF -e "$text" "$scratch/output"; then
			fail "$what"
			diag "no \"$text\" in:"
			diag "$(cat "$scratch/output")"
			return
		fi
	done
	pass "$what"
}

# has_not DESCRIPTION TEXT: nor does it contain TEXT.
has_not() {
	if grep -qF -e "$2" "$scratch/output"; then
		fail "$1"
		diag "\"$2\" in:"
		diag "$(cat "$scratch/output")"
	else
		pass "$1"
	fi
}

# is DESCRIPTION GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		diag "got:    $2"
		diag "wanted: $3"
	fi
}

done_testing() {
	echo "1..$tap_count"
	tap_done=1
	[ $tap_failed = 0 ] || exit 1
}

# wait_until COMMAND...: up to 30 seconds; a machine that others use, too, stands still for some.
wait_until() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.05
	done
}

# In a guest that in_lab was given -r TIMES for, the power can be cut: all that was
# not synced is lost, the guest is booted again on the same disks, and the script
# begins anew, with $LAB_BOOT one more.  $kept is a directory that is not lost, of
# which every file has to be synced; everything else that is no disk is.
kept=$PWD

# The power will go: what was shown so far was shown.
expect_power_cut() {
	printf 'tap_count=%s\ntap_failed=%s\n' $tap_count $tap_failed >"$kept/tap"
	: >"$kept/power-cut"
	sync "$kept/tap" "$kept/power-cut" "$LAB_OUT"
}

# It did not.
no_power_cut() {
	rm "$kept/power-cut"
}

power_cut() {
	expect_power_cut
	echo c >/proc/sysrq-trigger
	sleep 60
}

# in_lab [OPTIONS]: run the rest of the script as root in a guest of its own, with
# the scratch disks $LAB_DISKS; OPTIONS are those of tests/lab/lab-uml.  What the
# guest writes stays in the guest.
in_lab() {
	[ -z "${VOLMIG_IN_LAB:-}" ] || return 0
	lab=${LAB:-uml}
	case $lab in
	uml) requires linux.uml cc ;;
	qemu) requires qemu-system-x86_64 ;;
	esac
	script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
	status=0
	# The guest may write to the directory it is started in, so not in the sources.
	(cd "$scratch" && "$TOP/tests/lab/lab-$lab" "$@" env VOLMIG_IN_LAB=1 TOP="$TOP" ALL="${ALL:-}" \
		VOLMIG="$VOLMIG" VOLMIG_INJECT_BIN="$VOLMIG_INJECT_BIN" sh "$script") || status=$?
	tap_done=1
	exit $status
}
