#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What cannot or must not be moved, or not there: status 3, one line that says why, nothing touched.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"

image a 300001
mkdir b
cp a same-size
cp a smaller
truncate -s -1 smaller
cp a larger
truncate -s +1 larger
ln -s a link
ln -s "$work/a" absolute-link
ln -s nowhere dangling
ln a hard-link
mkfifo fifo
printf 'QFI\373\0\0\0\003' | dd of=image.qcow2 bs=64k conv=sync status=none
truncate -s 1M fs
mke2fs -q -F fs 2>/dev/null
perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, pack_sockaddr_un("socket")) || exit 1'

for command in migrate 'copy --create'; do
	# The words of a command.
	# shellcheck disable=SC2086
	set -- $command
	refuses 3 "$command: no such source" 'nothing: no such volume' "$VOLMIG" "$@" ./nothing ./b/
	refuses 3 "$command: no such source, nor its directory" 'no directory .*nowhere' \
		"$VOLMIG" "$@" ./nowhere/x ./b/
	refuses 3 "$command: no such device as source" '/dev/no-such-device: no such' \
		"$VOLMIG" "$@" /dev/no-such-device ./b/
	refuses 3 "$command: a dangling link as source" 'dangling' "$VOLMIG" "$@" ./dangling ./b/
	refuses 3 "$command: a directory as source" 'is a directory' "$VOLMIG" "$@" ./b/ ./c
	refuses 3 "$command: a directory as source, without a slash" 'is a directory' "$VOLMIG" "$@" ./b ./c
	refuses 3 "$command: the working directory as source" 'is a directory' "$VOLMIG" "$@" . ./c
	refuses 3 "$command: a FIFO as source" 'is a FIFO' "$VOLMIG" "$@" ./fifo ./b/
	refuses 3 "$command: a socket as source" 'is a socket' "$VOLMIG" "$@" ./socket ./b/
	refuses 3 "$command: /dev/null as source" 'is a character device' "$VOLMIG" "$@" /dev/null ./b/
	refuses 3 "$command: /dev/zero as source" 'is a character device' "$VOLMIG" "$@" /dev/zero ./b/
	refuses 3 "$command: a file of the kernel's" 'what is on proc is made up' \
		"$VOLMIG" "$@" /proc/version ./b/
	refuses 3 "$command: a file with a slash behind it" 'a/: .*([Nn]ot a directory|no such)' \
		"$VOLMIG" "$@" ./a/ ./b/
	refuses 3 "$command: a file as a directory" '[Nn]ot a directory' "$VOLMIG" "$@" ./a ./same-size/x
	refuses 3 "$command: a qcow2 image as source" 'looks like a qcow2 image.*--format=raw' \
		"$VOLMIG" "$@" ./image.qcow2 ./b/

	refuses 3 "$command: no directory of the destination" 'no directory .*nowhere' \
		"$VOLMIG" "$@" ./a ./nowhere/x
	refuses 3 "$command: no such directory as destination" 'nowhere' "$VOLMIG" "$@" ./a ./nowhere/
	refuses 3 "$command: a new file in a directory that is a dangling link" 'dangling' \
		"$VOLMIG" "$@" ./a ./dangling
	refuses 3 "$command: no such device as destination" 'no such device' \
		"$VOLMIG" "$@" ./a /dev/no-such-device
	refuses 3 "$command: /dev as destination" 'no file is made below /dev' "$VOLMIG" "$@" ./a /dev/
	refuses 3 "$command: a file in /dev/shm" 'no file is made below /dev' "$VOLMIG" "$@" ./a /dev/shm/
	refuses 3 "$command: a file in /proc" 'no file is made below /proc' "$VOLMIG" "$@" ./a /proc/x
	refuses 3 "$command: a file in /sys" 'no file is made below /sys' "$VOLMIG" "$@" ./a /sys/
	refuses 3 "$command: /dev/null as destination" 'is a character device' "$VOLMIG" "$@" ./a /dev/null
	refuses 3 "$command: a FIFO as destination" 'is a FIFO' "$VOLMIG" "$@" ./a ./fifo
	refuses 3 "$command: a destination that exists" 'destination exists' "$VOLMIG" "$@" ./a ./same-size
	mkdir full && cp same-size full/a
	refuses 3 "$command: one in a directory, which is named" "$work/full/a: destination exists" \
		"$VOLMIG" "$@" ./a ./full/
	rm -r full

	# Found although only the directory was named.
	for there in file directory dangling FIFO; do
		case $there in
		file) cp larger b/a ;;
		directory) mkdir b/a ;;
		dangling) ln -s nowhere b/a ;;
		FIFO) mkfifo b/a ;;
		esac
		refuses 3 "$command: a $there of that name in the directory" "exists|$there" \
			"$VOLMIG" "$@" ./a ./b/
		refuses 3 "$command: a $there of that name in the directory, dry run" "exists|$there" \
			"$VOLMIG" "$@" -n ./a ./b
		rm -r b/a
	done
	refuses 3 "$command: into its own directory" 'the same volume|exists already' \
		"$VOLMIG" "$@" ./a ./
done

# The same thing by any two names.
for one in ./a "$work/a" ./b/../a ./link absolute-link ./hard-link file:a "../${work##*/}/a"; do
	for other in ./a "$work//a" ./link ./absolute-link ./hard-link file:hard-link; do
		refuses 3 "migrate: $one and $other" 'the same volume' \
			"$VOLMIG" migrate --into-existing "$one" "$other"
		refuses 3 "copy: $one and $other" 'the same volume' "$VOLMIG" copy --into-existing "$one" "$other"
		refuses 3 "copy --delta: $one and $other" 'the same volume' "$VOLMIG" copy --delta "$one" "$other"
	done
done

refuses 3 'migrate: one byte too small' 'too small: 300000 bytes, the source has 300001' \
	"$VOLMIG" migrate --into-existing ./a ./smaller
refuses 3 'copy: one byte too small' 'too small: 300000 bytes, the source has 300001' \
	"$VOLMIG" copy ./a ./smaller
refuses 3 'copy: an empty file as destination' 'too small' sh -c ': >../empty; "$VOLMIG" copy ./a ../empty'
rm -f ../empty
refuses 3 'copy: nothing there, and --create not given' 'no such volume.*--create' "$VOLMIG" copy ./a ./new
refuses 3 'copy: a directory, and --create not given' 'is a directory.*--create' "$VOLMIG" copy ./a ./b/
refuses 3 'migrate: --into-existing, and nothing there' 'no such volume' \
	"$VOLMIG" migrate --into-existing ./a ./new
refuses 3 'migrate: onto a file system' 'destination exists \(1 MiB, ext2\); use --into-existing' \
	"$VOLMIG" migrate ./a ./fs
refuses 3 'copy: onto a file system' 'destination exists \(1 MiB, ext2\); use --into-existing' \
	"$VOLMIG" copy ./a ./fs
refuses 3 'copy --delta: onto a file system' 'destination exists \(1 MiB, ext2\)' \
	"$VOLMIG" copy --delta ./a ./fs
refuses 3 'copy: onto a qcow2 image' 'qcow2' "$VOLMIG" copy ./a ./image.qcow2
refuses 3 'migrate --wipe: of a file with two names' '2 names \(hard links\)' \
	"$VOLMIG" migrate --wipe=zero ./a ./b/
refuses 3 'migrate --method=pvmove: of a file' 'pvmove' "$VOLMIG" migrate --method=pvmove ./a ./b/
refuses 3 'migrate --method=live: of a file' 'live' "$VOLMIG" migrate --method=live ./a ./b/

# Somebody writes to it, or could.
exec 7>>larger
refuses 3 'migrate: a source that is open for writing' 'in use: open for writing by .*pid' \
	"$VOLMIG" migrate ./larger ./b/
refuses 3 'copy: a source that is open for writing' 'in use: open for writing by .*pid' \
	"$VOLMIG" copy --create ./larger ./b/
refuses 3 'copy: a destination that is open for writing' 'in use: open for writing by .*pid' \
	"$VOLMIG" copy ./a ./larger
exec 7>&-
exec 7<larger
ok 'who only reads is not in the way' "$VOLMIG" copy -n --create ./larger ./b/
exec 7<&-

# No room for the job's own records.
for dir in ./a ./a/state /proc/volmig /dev/null/state; do
	refuses 3 "migrate: the state directory cannot be $dir" 'state directory.*--state-dir' \
		"$VOLMIG" --state-dir "$dir" migrate ./a ./b/
	refuses 3 "copy: the state directory cannot be $dir" 'state directory' \
		"$VOLMIG" --state-dir "$dir" copy ./a ./same-size
done
if [ "$(id -u)" != 0 ]; then
	mkdir read-only
	chmod 555 read-only
	refuses 3 'a state directory that cannot be made' 'state directory' \
		"$VOLMIG" --state-dir read-only/state migrate ./a ./b/
	refuses 3 'a directory that nothing can be made in' 'not writable' "$VOLMIG" migrate ./a ./read-only/
	cp a read-write
	chmod 755 read-only
	cp a read-only/a
	chmod 555 read-only
	refuses 3 'a source that could not be removed' 'could not be removed' \
		"$VOLMIG" migrate ./read-only/a ./b/
	chmod 000 same-size
	refuses 3 'a source that cannot be read' 'cannot open it' "$VOLMIG" migrate ./same-size ./b/
	chmod 444 same-size
	refuses 3 'a destination that cannot be written' 'read-only' "$VOLMIG" copy ./a ./same-size
	chmod 755 read-only
fi

ok 'no state directory has come about' [ ! -e "$VOLMIG_STATE_DIR" ]
done_testing
