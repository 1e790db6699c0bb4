#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An include names a file from core/ (or of cmd/, within cmd/) and never points to a higher layer.

set -u
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}

rank() {
	case $1 in
	support/*) echo 0 ;;
	sys/*) echo 1 ;;
	volumes/*) echo 2 ;;
	engines/*) echo 3 ;;
	*/*) echo unknown ;;
	*) echo 4 ;;
	esac
}

# Complains about the includes of the tree in directory $1; nothing to say: all is well.
complaints() {
	local file inc from to

	cd "$1" || exit 1
	while IFS= read -r file; do
		from=$(rank "${file#core/}")
		[ "${file%%/*}" = core ] || from=5
		if [ "$from" = unknown ]; then
			echo "$file lies in no layer"
			continue
		fi
		while IFS= read -r inc; do
			if [ "$from" = 5 ] && [ -e "cmd/$inc" ]; then
				continue
			elif [ ! -e "core/$inc" ]; then
				echo "$file includes \"$inc\", which is no path from core/"
				continue
			fi
			to=$(rank "$inc")
			[ "$to" != unknown ] && [ "$to" -le "$from" ] || echo "$file includes \"$inc\": that points upwards"
		done < <(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file")
		grep -n '^[ \t]*#[ \t]*include.*\.\./' "$file" | sed "s|^|$file includes by ..: |"
	done < <(find core cmd -name '*.[ch]' | sort)
}

tests=0
failed=0
check() {
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
	else
		echo "not ok $tests - $2"
		failed=1
	fi
}

said=$(complaints "$top")
[ -z "$said" ]
check $? "all includes point downwards"
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/# /'

count=$(find "$top/core" "$top/cmd" -name '*.[ch]' | wc -l)
[ "$count" -gt 20 ]
check $? "that were the includes of many files"

# The same eyes must see what is wrong.
bad=$(mktemp -d) || exit 1
trap 'rm -rf "$bad"' EXIT
mkdir -p "$bad"/core/{other,support,sys,volumes,engines} "$bad"/cmd
touch "$bad"/core/{run,support/err,sys/ioq,volumes/volume,engines/step}.h "$bad"/cmd/cmd.h

expect() {
	printf '%s\n' "$2" >"$bad/$1"
	said=$(complaints "$bad")
	rm "$bad/$1"
	if [ -n "$3" ]; then
		[[ $said == *"$3"* ]]
		check $? "$1: $2 is noticed"
	else
		[ -z "$said" ]
		check $? "$1: $2 is fine"
	fi
}

expect core/support/a.c '#include "sys/ioq.h"' 'points upwards'
expect core/sys/a.c '# include "volumes/volume.h" /* because */' 'points upwards'
expect core/volumes/a.c '#include "engines/step.h"' 'points upwards'
expect core/engines/a.c '#include "run.h"' 'points upwards'
expect core/a.c '#include "cmd.h"' 'no path from core/'
expect core/a.c '#include "../cmd/cmd.h"' 'by ..'
expect core/sys/a.c '#include "ioq.h"' 'no path from core/'
expect core/other/a.c "#include \"support/err.h\"" "lies in no layer"
expect core/engines/a.c '#include "sys/ioq.h"' ''
expect cmd/a.c '#include "cmd.h"' ''
expect cmd/a.c '#include "run.h"' ''

echo "1..$tests"
exit $failed
