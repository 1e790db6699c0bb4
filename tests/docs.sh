# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the tests of the manual pages and the README have in common; comes after lib.sh.

tab=$(printf '\t')

# The commands, in the order of the table.
commands() {
	"$VOLMIG" --list-commands | cut -f 1
}

# options_of [COMMAND]: its options (or the global ones) as NAME<TAB>ARGUMENT, in the
# order of the table.
options_of() {
	"$VOLMIG" ${1:+"$1"} --list-options
}

# help_options_of [COMMAND]: the same from --help.  An option without a word of
# description is left out.
help_options_of() {
	"$VOLMIG" ${1:+"$1"} --help | awk '
		/^  (    )?-/ {
			for (i = 1; $i ~ /^-/; i++)
				;
			for (k = 1; k < i && i <= NF; k++) {
				name = $k
				sub(/,$/, "", name)
				argument = ""
				if (at = index(name, "=")) {
					argument = substr(name, at + 1)
					name = substr(name, 1, at - 1)
				} else if (i <= NF && $i ~ /^[A-Z]+$/ && index($0, name " " $i "  ")) {
					argument = $i	# of an option that may be given more than once
				}
				print name "\t" argument
			}
		}'
}

# What --help says of itself, which --list-options leaves out.
is_about_help() {
	grep -E "^(-[?]|--help|--usage)$tab"
}

# The arguments of volmig in each command line of the text on standard input.  A
# command line begins at a prompt.
command_lines() {
	sed -n 's/^ *[#$] \(.*[^a-z]\)\{0,1\}volmig \([^|;)&]*\).*/\2/p'
}

# Complain about each of them that the program would not understand.
misunderstood() {
	command_lines | while read -r line; do
		command=''
		known=$(options_of)
		# shellcheck disable=SC2086	# words are what is wanted
		set -f && set -- $line && set +f
		for word; do
			option=${word%%=*}
			case $word in
			-*)
				case $(printf '%s\n' "$known" | grep "^$option$tab"):$word in
				:*) echo "volmig $line: no such option: $option" ;;
				*"$tab":*=*) echo "volmig $line: $option takes no value" ;;
				*"$tab":* | *:*=*) ;;
				*) echo "volmig $line: $option without =VALUE" ;;
				esac ;;
			*)
				[ -z "$command" ] || continue
				command=$word
				if ! commands | grep -qx -e "$command"; then
					echo "volmig $line: no such command: $command"
					break
				fi
				known="$(options_of "$command")
$(help_options_of "$command" | is_about_help)" ;;
			esac
		done
	done
}
