# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034
# What the tests of whole moves have in common, on top of lib.sh: images, what must hold, faults.
#
# They work in $work, the current directory, which is on a disk where $scratch may
# be in memory: direct I/O and fdatasync() mean more there.  $work is compared
# with what it was, so $scratch/output and the state directory are not in it.

work=$(mktemp -d "$TOP/build/test.XXXXXX" 2>/dev/null || mktemp -d "$scratch/work.XXXXXX") || exit 99
at_exit "rm -rf '$work'"
cd "$work" || exit 99

# image FILE [BYTES]: data, a hole, zeroes that are allocated, data up to an odd end.
# No x and no y is in the data: where a test writes one it changes something.
image() {
	bytes=${2:-5300001}
	truncate -s 0 "$1" && truncate -s "$bytes" "$1" &&
		head -c $((bytes / 3)) /dev/urandom | tr xy ab | dd of="$1" conv=notrunc bs=1M status=none &&
		head -c $((bytes / 10)) /dev/zero | dd of="$1" conv=notrunc,nocreat bs=4096 \
			seek=$((bytes * 6 / 10 / 4096)) status=none &&
		head -c $((bytes / 5)) /dev/urandom | tr xy ab | dd of="$1" conv=notrunc oflag=seek_bytes bs=1M \
			seek=$((bytes - bytes / 5)) status=none
}

# The checksum of FILE, or of its first BYTES.
sum_of() {
	if [ $# = 2 ]; then
		head -c "$2" "$1" | md5sum
	else
		md5sum <"$1"
	fi
}

# Everything that is in the directories, and what it looks like.
listing() {
	find "$@" -printf '%p|%y|%m|%U:%G|%n|%s|%b|%T@|%C@|%l\n' 2>/dev/null | sort
	find "$@" -type f -exec md5sum {} + 2>/dev/null | sort
}

# The ids of all jobs in the state directory.
jobs_of() {
	find "${1:-$VOLMIG_STATE_DIR}/jobs" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null
}

# nothing_left DIRECTORY...: of what jobs make for themselves; silent when it is so.
nothing_left() {
	find "$@" -name '.volmig-????????-????-????-????-????????????'
	find "$VOLMIG_STATE_DIR" -name leaves
	"$VOLMIG" status | grep -vE '^(JOB|no jobs)| (cleaned|aborted) '
}

# run COMMAND...: its standard output is in $scratch/stdout, its standard error in
# $scratch/stderr, both are in $scratch/output, and its status in $status.
run() {
	status=0
	"$@" >"$scratch/stdout" 2>"$scratch/stderr" || status=$?
	cat "$scratch/stdout" "$scratch/stderr" >"$scratch/output"
}

# Is what the last run wrote to standard error one line for people?  Says why not.
one_line_of_error() {
	[ "$(wc -l <"$scratch/stderr")" = 1 ] || { echo 'not one line on standard error'; return 1; }
	! LC_ALL=C grep -q '[[:cntrl:]]' "$scratch/stderr" ||
		{ echo 'control characters on standard error'; return 1; }
	grep -q '^volmig: ' "$scratch/stderr" || { echo 'not from volmig'; return 1; }
	! grep -q 'runtime error\|Sanitizer' "$scratch/stderr" || { echo 'a sanitizer'; return 1; }
	iconv -f UTF-8 -t UTF-8 <"$scratch/stderr" >/dev/null 2>&1 ||
		{ echo 'no UTF-8 on standard error'; return 1; }
}

# refuses STATUS DESCRIPTION PATTERN COMMAND...: it ends with just that status and
# one line that matches the (extended) pattern, and has touched nothing.
refuses() {
	wanted=$1
	what=$(printf '%s' "$2" | tr '\n' ' ')
	pattern=$3
	shift 3
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/before"
	run "$@"
	listing "$work" "$VOLMIG_STATE_DIR" >"$scratch/after"
	why=
	if [ $status != "$wanted" ]; then
		why="status $status, wanted $wanted"
	elif ! why=$(one_line_of_error); then
		:
	elif ! grep -qE -e "$pattern" "$scratch/stderr"; then
		why="not as in $pattern"
	elif [ -s "$scratch/stdout" ]; then
		why='something on standard output'
	elif ! why=$(diff "$scratch/before" "$scratch/after"); then
		:
	fi
	if [ -z "$why" ]; then
		pass "$what"
	else
		fail "$what"
		diag "$*"
		diag "$why"
		diag "$(cat "$scratch/output")"
	fi
}

# settles DESCRIPTION FUNCTION...: it says nothing, for it prints what is wrong.
settles() {
	what=$1
	shift
	why=$("$@" 2>&1)
	if [ -z "$why" ]; then
		pass "$what"
	else
		fail "$what"
		diag "$why"
	fi
}

# faulty FAULTS COMMAND...: with the build that has the hooks of core/support/inject.h.
faulty() {
	faults=$1
	shift
	VOLMIG_INJECT=$faults "$VOLMIG_INJECT_BIN" "$@"
}

# Does the process do something of its own about SIGTERM yet?  Until it is volmig
# it is this shell, which does as well.
catches() {
	[ "$(cat "/proc/$1/comm")" = volmig ] || return 1
	mask=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$1/status")
	[ $((0x${mask:-0} & 0x4000)) != 0 ]
}

# For scripts that need them: without them each of their tests would fail.
requires_faults() {
	image probe
	faulty kill-before-record:1 copy -q --create ./probe ./probe.copy 2>/dev/null
	[ $? = 137 ] || skip_all "$VOLMIG_INJECT_BIN has no fault hooks (INJECT=1)"
	rm -rf probe "$VOLMIG_STATE_DIR"
}
