#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --help lists and describes every option of the table, and no other, in the table's order.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/docs.sh"

listed=$("$VOLMIG" --list-commands)
described=$("$VOLMIG" --help | sed -n '/^Commands:/,/^$/s/^  //p')

is "volmig --help lists the commands" \
	"$(printf '%s\n' "$described" | cut -d ' ' -f 1)" "$(commands)"
printf '%s\n' "$listed" | while IFS=$tab read -r command kind summary; do
	printf '%s\n' "$described" | grep -q "^$command .*  *$summary\$" ||
		echo "$command: $summary"
	case $kind in
	volume | job) ;;
	*) echo "$command: $kind" ;;
	esac
done >"$scratch/complaints"
is "--list-commands has the same summaries, and kinds of arguments" \
	"$(cat "$scratch/complaints")" ""

is "volmig --help lists the global options" "$(help_options_of)" "$(options_of)"

for command in $(commands); do
	arguments=$(printf '%s\n' "$described" |
		sed -n "s/^$command  *\([^ ]*\( [[A-Z][][A-Z.]*\)*\)  .*/\1/p")
	about_help=$(help_options_of "$command" | is_about_help)
	is "volmig $command --help lists its options" \
		"$(help_options_of "$command" | grep -Fvx -e "$about_help")" \
		"$(options_of "$command")"
	is "volmig $command --help lists --help and --usage, too" \
		"$(printf '%s\n' "$about_help" | cut -f 1 | tr '\n' ' ')" "-? --help --usage "
	is "volmig $command --help begins with how it is called" \
		"$("$VOLMIG" "$command" --help | head -n 1)" \
		"Usage: volmig $command [OPTION...] ${arguments% }"
done

done_testing
