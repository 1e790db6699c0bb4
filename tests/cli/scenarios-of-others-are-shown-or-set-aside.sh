#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each scenario of the lists tests/lvm/SCENARIOS and tests/live/SCENARIOS names a test and words of it that are there, or says why it has none.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

# complaints LIST: what is wrong with it.
complaints() {
	grep -vE '^(#|$)' "$1" | while IFS='|' read -r name what where; do
		where=${where# }
		[ -n "${what# }" ] || echo "$name: what is it?"
		case $where in
		'none: '?*) continue ;;
		*': '?*) ;;
		*) echo "$name: neither a test nor a reason"; continue ;;
		esac
		file=${where%%: *}
		if [ ! -x "$TOP/$file" ]; then
			echo "$name: no test $file"
		elif ! grep -qF -e "${where#*: }" "$TOP/$file"; then
			echo "$name: $file does not speak of: ${where#*: }"
		fi
	done
}

# holds LIST NAMES: and the list has just these.
holds() {
	is "$1: what is named is there" "$(complaints "$TOP/$1")" ''
	is "$1: nothing is left out" "$(sed -n 's/^\([SF][0-9]*\) .*/\1/p' "$TOP/$1" | xargs)" "$2"
}

holds tests/lvm/SCENARIOS \
	"$(seq -f S%02g 1 7 | xargs) S10 S11 S12 S14 S15 S17 $(seq -f S%g 26 43 | xargs)"
holds tests/live/SCENARIOS "S08 $(seq -f S%g 56 79 | xargs) $(seq -f F%02g 1 34 | xargs)"

cat >"$scratch/bad" <<-LIST
	S1 | a test that is not there | tests/live/nothing.sh: x
	S2 | words that are not there | tests/live/a-guest-s-flushed-records-are-on-its-disk.sh: colourless green
	S3 | nothing at all |
LIST
is 'what is wrong would be seen' "$(complaints "$scratch/bad" | cut -d : -f 1 | xargs)" 'S1 S2 S3'

done_testing
