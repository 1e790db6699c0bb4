#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every manual page has the options of the program's table, in its order, and no others.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/docs.sh"

# The options of a page: the items of its section OPTIONS, as NAME<TAB>ARGUMENT.
options_in() {
	awk '
		/^\.Sh / { inside = $0 == ".Sh OPTIONS" }
		inside && /^\.It / {
			argument = ""
			for (i = 2; i < NF; i++)
				if ($i == "Ar")
					argument = $(i + 1)
			for (i = 2; i < NF; i++)
				if ($i == "Fl") {
					name = $(i + 1)
					sub(/^\\&/, "", name)
					print "-" name "\t" argument
				}
		}' "$1"
}

# All options that a page speaks of, in whatever place.
mentioned_in() {
	awk '/^\./ { for (i = 1; i < NF; i++) if ($i ~ /^\.?Fl$/) print "-" $(i + 1) }' "$1" |
		sed 's/\\&//' | sort -u
}

# Each command has a page, and each page a command.
wanted=$(for command in $(commands); do echo "volmig-$command.8"; done; echo volmig.8)
is "there is a page for each command, and for no other" \
	"$(cd "$TOP/man" && printf '%s\n' *.8 | sort)" "$(printf '%s\n' "$wanted" | sort)"

is "volmig.8 has the commands in their order" \
	"$(awk '/^\.Sh / { inside = $0 == ".Sh COMMANDS" } inside && /^\.It Xr / { print $3 }' \
		"$TOP/man/volmig.8" | sed 's/^volmig-//')" "$(commands)"

is "volmig.8 has the global options" "$(options_in "$TOP/man/volmig.8")" "$(options_of)"

all=$(options_of; for command in $(commands); do help_options_of "$command"; done)
is "volmig.8 speaks of no option that there is not" \
	"$(mentioned_in "$TOP/man/volmig.8" | grep -Fvx -e "$(printf '%s\n' "$all" | cut -f 1)")" ""

for command in $(commands); do
	page=$TOP/man/volmig-$command.8
	options=$(options_of "$command"; help_options_of "$command" | is_about_help)
	is "volmig-$command.8 has its options" "$(options_in "$page")" "$options"
	is "volmig-$command.8 speaks of no other option" \
		"$(mentioned_in "$page" | grep -Fvx -e "$(printf '%s\n' "$options" | cut -f 1)")" ""
	is "volmig-$command.8 names it and what it takes" \
		"$(awk '/^\.Sh / { inside = $0 == ".Sh SYNOPSIS" }
			# Another form of the command may follow; the first is what help tells.
			inside && /^\.Pp/ { exit }
			inside && /^\.Nm / { $1 = ""; printf "%s", $0 }
			inside && /^\.Ar / { printf " %s", $2 }
			inside && /^\.Op Ar [A-Z]/ { printf " [%s]", $3 }' "$page")" \
		"$("$VOLMIG" "$command" --help |
			sed -n "1{s/^Usage: .*\.\.\.\]/ volmig $command/; s/ *\$//p;}")"
	for section in OPTIONS INTERRUPTION ENVIRONMENT FILES 'EXIT STATUS' 'SEE ALSO'; do
		grep -qx -e "\.Sh $section" "$page" || echo "$section"
	done >"$scratch/missing"
	is "volmig-$command.8 has every section" "$(cat "$scratch/missing")" ""
	ok "volmig-$command.8 has examples of it" \
		test -n "$(command_lines <"$page" | grep "^$command ")"
	is "volmig-$command.8 has no example that the program does not understand" \
		"$(misunderstood <"$page")" ""
done
ok "volmig.8 has examples" test "$(command_lines <"$TOP/man/volmig.8" | wc -l)" -ge 4
is "volmig.8 has no example that the program does not understand" \
	"$(misunderstood <"$TOP/man/volmig.8")" ""

done_testing
