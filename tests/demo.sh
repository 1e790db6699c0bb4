# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# What the parts of the demonstration have in common: how they talk, and how they fail.

# A line is drawn over and over on a terminal; in a log it is JSON, one object a line.
# What a guest prints goes to the same place, and the guest does not see which.
bold='' plain=''
if [ -z "${DEMO_PROGRESS:-}" ]; then
	DEMO_PROGRESS=json
	[ ! -t 1 ] || [ ! -t 2 ] || DEMO_PROGRESS='tty'
fi
progress=$DEMO_PROGRESS
if [ "$progress" = tty ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

say() {
	printf '\n'
	printf '# %s\n' "$@"
}

show() {
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
}

fail() {
	printf '\ndemo: FAILED: %s\n' "$*" >&2
	exit 1
}

# Print a command line, then do it.
run() {
	show "$1"
	eval "$1" || fail "that ended with status $?"
}
