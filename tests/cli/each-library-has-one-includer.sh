#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The header of an outside library is included by one file, and that lies in core/sys/.
#
# Two exceptions: jansson's values are used everywhere, and popt belongs to cmd/.

set -u
top=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}

# Headers that are no outside library: libc's and the kernel's.
is_system() {
	case $1 in
	sys/*.h | linux/*.h | net/*.h | netinet/*.h | arpa/*.h) return 0 ;;
	assert.h | ctype.h | dirent.h | dlfcn.h | endian.h | errno.h | fcntl.h | fnmatch.h | ftw.h) return 0 ;;
	getopt.h | glob.h | grp.h | inttypes.h | libgen.h | limits.h | locale.h) return 0 ;;
	malloc.h | mntent.h | netdb.h | paths.h | poll.h | pthread.h | pwd.h | sched.h | search.h) return 0 ;;
	semaphore.h | setjmp.h | signal.h | spawn.h | stdalign.h | stdarg.h) return 0 ;;
	stdatomic.h | stdbool.h | stddef.h | stdint.h | stdio.h | stdio_ext.h) return 0 ;;
	stdlib.h | stdnoreturn.h | string.h | strings.h | syslog.h | termios.h) return 0 ;;
	time.h | unistd.h | utime.h | wchar.h | wctype.h) return 0 ;;
	esac
	return 1
}

# The library that a header belongs to.
library() {
	case $1 in
	libvirt/*) echo libvirt ;;
	*) echo "$1" ;;
	esac
}

# Complains about the tree in directory $1; nothing to say: all is well.
complaints() {
	local file header lib
	local -A includer=()

	cd "$1" || exit 1
	while IFS=: read -r file header; do
		is_system "$header" && continue
		lib=$(library "$header")
		case $lib in
		jansson.h)
			continue ;;
		popt.h)
			[[ $file == cmd/* ]] || echo "$file includes <$header>, which belongs to cmd/"
			continue ;;
		esac
		[[ $file == core/sys/* ]] ||
			echo "$file includes <$header>, which belongs to a file in core/sys/"
		if [ "${includer[$lib]:-$file}" != "$file" ]; then
			echo "$file includes <$header>, but so does ${includer[$lib]}"
		fi
		includer[$lib]=$file
	done < <(find core cmd -name '*.[ch]' | sort | while IFS= read -r file; do
		sed -n "s|^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*|$file:\1|p" "$file"
	done)
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
check $? "each outside library has one includer, in core/sys/"
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/# /'

# The same eyes must see what is wrong.
bad=$(mktemp -d) || exit 1
trap 'rm -rf "$bad"' EXIT
mkdir -p "$bad"/core/{sys,engines} "$bad"/cmd

# expect COMPLAINT FILE HEADER...: each file includes the header behind it.
expect() {
	local wanted=$1 what="${*:2}"

	shift
	while [ $# -gt 0 ]; do
		printf '#include <%s>\n' "$2" >>"$bad/$1"
		shift 2
	done
	said=$(complaints "$bad")
	rm "$bad"/core/*.c "$bad"/*/*.c "$bad"/core/*/*.c 2>/dev/null
	if [ -n "$wanted" ]; then
		[[ $said == *"$wanted"* ]]
		check $? "$what is noticed"
	else
		[ -z "$said" ]
		check $? "$what is fine"
	fi
}

expect 'but so does' core/sys/a.c liburing.h core/sys/b.c liburing.h
expect 'but so does' core/sys/a.c libvirt/libvirt.h core/sys/b.c libvirt/virterror.h
expect 'core/sys/' core/engines/a.c xxhash.h
expect 'core/sys/' cmd/a.c uuid/uuid.h
expect 'belongs to cmd/' core/a.c popt.h
expect '' core/sys/a.c libvirt/libvirt.h core/sys/a.c libvirt/virterror.h
expect '' core/a.c jansson.h core/sys/a.c jansson.h cmd/a.c popt.h cmd/b.c popt.h
expect '' core/a.c stdio.h core/sys/b.c stdio.h core/sys/c.c linux/fs.h core/a.c linux/fs.h

echo "1..$tests"
exit $failed
