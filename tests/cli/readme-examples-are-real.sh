#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The README speaks only of commands, options, files, functions and make targets that there are.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/docs.sh"
cd "$TOP" || exit 99

# --- examples

is "each command has an example" \
	"$(commands | while read -r command; do
		command_lines <README | grep -qw -e "^$command" || echo "$command"
	done)" ""
is "the program understands every example" "$(misunderstood <README)" ""

# Outside of the examples, too: words that look like options of some command.
all=$(options_of; for command in $(commands); do help_options_of "$command"; done)
grep -v '^    ' README | grep -o -e '--[a-z][a-z-]*' | sort -u >"$scratch/words"
ok "options are spoken of" test -s "$scratch/words"
is "and they are options of volmig" \
	"$(grep -Fvx -e "$(printf '%s\n' "$all" | cut -f 1)" "$scratch/words")" ""

# --- exit statuses: README, volmig.8 and cmd/cmd.h tell the same

readme=$(sed -n 's/^    \([0-9]\)   \([a-z].*\)/\1 \2/p' README)
manual=$(awk '/^\.Sh / { inside = $0 == ".Sh EXIT STATUS" }
	inside && /^\.It / { number = $2; next }
	inside && /^[a-z]/ { print number, $0 }' man/volmig.8)
is "the exit statuses are those of volmig.8" "$readme" "$manual"
is "and those of cmd/cmd.h" \
	"$(printf '%s\n' "$readme" | sed 's/^\([0-9] [a-z]*\).*/\1/')" \
	"$(sed -n 's/^\tEXIT_\([A-Z]*\) = \([0-9]\),.*/\2 \1/p' cmd/cmd.h |
		tr '[:upper:]' '[:lower:]')"
sed -n 's/^\tEXIT_[A-Z]* = \([0-9]\),[^/]*\/\* \(.*\) \*\/$/\1 \2/p' cmd/cmd.h |
	while read -r number comment; do
		echo "$readme" | grep -q "^$number .*$comment" || echo "$number: $comment"
	done >"$scratch/differences"
is "with what it says of them" "$(cat "$scratch/differences")" ""

# --- the tree

grep -oE '(^|[^/A-Za-z])(\.ci|bash-completion|cmd|core|man|tests)/[A-Za-z0-9_./-]*' README |
	sed 's/^[^.a-z]//; s/\.$//' | sort -u >"$scratch/paths"
ok "files are spoken of" test "$(wc -l <"$scratch/paths")" -ge 20
while read -r path; do
	case $path in
	*NAME* | *KIND*) [ -d "$(dirname "$path")" ] ;;	# yet to be written
	*) [ -e "$path" ] ;;
	esac || echo "$path"
done <"$scratch/paths" >"$scratch/absent"
is "and they are there" "$(cat "$scratch/absent")" ""

# Within double quotes the README speaks of tables, with () of functions.
grep -oE '[a-z_]+\(\)' README | sort -u >"$scratch/functions"
grep -oE 'struct [a-z_]+' README | sort -u >>"$scratch/functions"
sed -n 's/.*\(table\|entry in\) "\([a-z_]*\)".*/\2[]/p' README >>"$scratch/functions"
ok "functions, structures and tables are spoken of" test "$(wc -l <"$scratch/functions")" -ge 20
while read -r name; do
	case $name in
	*'()') grep -rqE "(^|[^a-z_])${name%??} ?\(" cmd core bash-completion ;;
	*'[]') grep -rqE "[ *]${name%??}\[" cmd core ;;
	*) grep -rqE "^$name \{" cmd core ;;
	esac || echo "$name"
done <"$scratch/functions" >"$scratch/absent"
is "and they are there" "$(cat "$scratch/absent")" ""

# --- make

grep -oE '(^    |")make( [a-z-]+)?' README | sed 's/.*make *//' | grep . |
	sort -u >"$scratch/targets"
ok "make targets are spoken of" test "$(wc -l <"$scratch/targets")" -ge 6
while read -r target; do
	sed -n 's/^\(\.PHONY\|configure\|check[a-z-]*\|[a-z][a-z -]*\):.*/&/p' Makefile |
		grep -qE "(^| )$target( |:|\$)" || echo "$target"
done <"$scratch/targets" >"$scratch/absent"
is "and the Makefile has them" "$(cat "$scratch/absent")" ""

debian=$(sed -n '/^    Debian /,/^    Fedora /p' README | tr -s ' ;' '\n')
sed -n '/^	build)/,/;;/p' tests/install-packages | grep -o '[a-z0-9-]*-dev' |
	while read -r package; do
		[ "$package" = libc6-dev ] || printf '%s\n' "$debian" | grep -qx -e "$package" ||
			echo "$package"
	done >"$scratch/absent"
is "and the Debian packages are those that tests/install-packages installs" \
	"$(cat "$scratch/absent")" ""
fedora=$(sed -n '/^    Fedora /,/^$/p' README | tr -s ' ;' '\n')
sed -n 's/^NEED(.*, \[\([a-z0-9-]*\)\])$/\1/p' configure.ac | while read -r package; do
	printf '%s\n' "$fedora" | grep -qx -e "$package" || echo "$package"
done >"$scratch/absent"
is "and the Fedora packages those that configure names" "$(cat "$scratch/absent")" ""

is "the version is that of the newest changes" \
	"$(sed -n 's/^\([0-9.]*\), [0-9-]*$/\1/p' CHANGES | head -n 1)" "$("$VOLMIG" --version | sed 's/volmig //')"

done_testing
