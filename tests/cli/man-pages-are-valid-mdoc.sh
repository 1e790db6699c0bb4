#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Neither mandoc nor groff has anything to complain about in a manual page.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

# silent DESCRIPTION COMMAND...
silent() {
	what=$1
	shift
	complaints=$("$@" 2>&1)
	is "$what" "$? $complaints" "0 "
}

found=
for page in "$TOP"/man/*.[578]; do
	name=$(basename "$page")
	if command -v mandoc >/dev/null; then
		silent "mandoc has no complaint about $name" mandoc -T lint -W warning "$page"
	else
		skip "mandoc has no complaint about $name" "needs mandoc"
	fi
	if command -v groff >/dev/null; then
		silent "groff has no complaint about $name" groff -ww -mandoc -Tutf8 -z "$page"
	else
		skip "groff has no complaint about $name" "needs groff"
	fi
	is "$name has its own name as its title" \
		"$(sed -n 's/^\.Dt \(.*\) \([578]\)$/\1.\2/p' "$page")" \
		"$(basename "$page" | tr '[:lower:]' '[:upper:]')"
	found=1
done
ok "there are pages" test -n "$found"

done_testing
