#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever takes the place of a new image's file before it is formatted is not written to.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
requires qemu-img qemu-storage-daemon

mkdir a b tools
image a/v.img 1048576
sum=$(sum_of a/v.img)
head -c 100000 /dev/urandom >victim
victim=$(sum_of victim)

# A tool that is late: somebody else was faster.
real=$(command -v qemu-img)
cat >tools/qemu-img <<END
#!/bin/sh
if [ "\$1" = create ]; then
	for name in $work/b/.volmig-*; do
		mv "\$name" $work/aside
		if [ -e $work/by-link ]; then ln -s $work/victim "\$name"; else cp $work/victim "\$name"; fi
	done
fi
exec $real "\$@"
END
chmod +x tools/qemu-img

for format in qcow2 vmdk vhdx vdi; do
	ok "$format: it is made" "$VOLMIG" copy -q --create ./a/v.img "$format:b/"
	rm b/*
	: >by-link
	run env PATH="$work/tools:$PATH" "$VOLMIG" migrate -q ./a/v.img "$format:b/"
	ok "$format: a link in its place: it is not moved" test "$status" -ne 0
	is "$format: what the link leads to is as it was" "$(sum_of victim)" "$victim"
	is "$format: so is the source" "$(sum_of a/v.img)" "$sum"
	rm -rf b/.volmig-* by-link "$VOLMIG_STATE_DIR"
	run env PATH="$work/tools:$PATH" "$VOLMIG" migrate -q ./a/v.img "$format:b/"
	ok "$format: another file in its place: it is not moved" test "$status" -ne 0
	is "$format: that file is as it was" "$(cat b/.volmig-* | md5sum)" "$victim"
	is "$format: so is the source" "$(sum_of a/v.img)" "$sum"
	rm -rf b/.volmig-* "$VOLMIG_STATE_DIR"
done
done_testing
