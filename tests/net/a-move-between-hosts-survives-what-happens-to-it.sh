#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts: a link that goes and comes, or stays away, a server that dies, a disk that is full, a byte that is
# damaged: the move goes on by itself or can be resumed, the source is whole, and nothing is left in the end.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq mount truncate qemu-img qemu-storage-daemon

# A small disk, which the host's sshd has to see from the beginning.
mkdir "$scratch/small"
mount -t tmpfs -o size=28M none "$scratch/small" || skip_all 'needs to mount a tmpfs'
at_exit umount "$scratch/small"
hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/web.img dst=$dir_b/web.img there=ssh://10.77.0.2/$dir_b/
head -c 24M /dev/urandom >"$scratch/data"
sum=$(sha256sum <"$scratch/data")

fresh() {
	rm -f "$dst"
	cp "$scratch/data" "$src"
}

# A move in the background, caught when so much has arrived.  begin OPTIONS...
begin() {
	fresh
	on a volmig migrate -q --bwlimit=4M "$@" "$src" "$there" 2>"$scratch/said" &
	move=$!
	arrived() {
		set -- "$dir_b"/.volmig-*
		[ -e "$1" ] && [ "$(stat -c %b "$1")" -gt 8000 ]
	}
	wait_until arrived || diag "nothing arrives: $(cat "$scratch/said")"
}

# ends STATUS WHAT
ends() {
	status=0
	wait $move || status=$?
	is "$2" "$status" "$1"
	[ "$status" = "$1" ] || diag "$(cat "$scratch/said")"
}

moved() {
	case $dst in
	*.qcow2)
		qemu-img convert -q -f qcow2 -O raw "$dst" "$scratch/raw"
		is '... byte for byte' "$(sha256sum <"$scratch/raw")" "$sum"
		;;
	*) is '... byte for byte' "$(sha256sum <"$dst")" "$sum" ;;
	esac
	ok '... and the source is gone' test ! -e "$src"
	ok '... nothing is left here' nothing_left a
	ok '... nothing is left there' nothing_left b
}

job_of() {
	on a volmig status --json | jq -r '[.jobs[] | select(.state != "cleaned" and .state != "aborted")][0].job'
}

begin
link b down
sleep 5
link b up
ends 0 'the link is down for 5 s: it goes on by itself'
moved

begin --stall-timeout=20s
link b down
ends 4 'the link stays down: it stops, resumable'
ok '... the source is whole' cmp -s "$src" "$scratch/data"
must_fail 4 '... and without it is not resumed' on a volmig resume "$(job_of)"
link b up
ok '... with it it is' on a volmig resume "$(job_of)"
moved

begin
# shellcheck disable=SC2154
kill "$sshd_b"
ip netns pids "$hosts_net-b" | xargs -r kill -9
start_sshd b
ends 0 'sshd and all its children are killed, and it is started again: it goes on by itself'
moved

begin
pkill_there() {
	ip netns pids "$hosts_net-b" | while read -r pid; do
		! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -e "$1" || kill -9 "$pid"
	done
}
pkill_there nbdkit
ends 0 'the program that serves the bytes is killed: it goes on by itself'
moved

begin
pkill_there 'serve --stdio'
ends 0 'volmig serve is killed, and who watches over its lease: it goes on by itself'
moved

# An image there is QEMU's, which has to let go of it before the next one can have it.
dst=$dir_b/web.qcow2 there=ssh://10.77.0.2/qcow2:$dir_b/
begin
link b down
sleep 5
link b up
ends 0 'into an image, the link is down for 5 s: it goes on by itself'
moved

begin --stall-timeout=20s
link b down
ends 4 'into an image, the link stays down: it stops, resumable'
ok '... the source is whole' cmp -s "$src" "$scratch/data"
link b up
ok '... with it it is resumed' on a volmig resume "$(job_of)"
moved

for program in nbdkit qemu-storage-daemon 'serve --stdio'; do
	begin
	pkill_there "$program"
	ends 0 "into an image, $program is killed there: it goes on by itself"
	moved
done
dst=$dir_b/web.img there=ssh://10.77.0.2/$dir_b/

fresh
must_fail 1 'a byte is damaged on its way: it is noticed' \
	on a env VOLMIG_INJECT=flip-write:5000000 "$VOLMIG_INJECT_BIN" --connect none migrate -q "$src" "$there"
has '... and where' 'byte 4194304'
ok '... the source is whole' cmp -s "$src" "$scratch/data"
ok '... nothing is left here' nothing_left a
ok '... nothing is left there' nothing_left b

# The other side's disk runs full.
dst=$scratch/small/web.img there=ssh://10.77.0.2/$scratch/small/
fresh
on a volmig migrate -q --bwlimit=4M "$src" "$there" 2>"$scratch/said" &
move=$!
begun() {
	ls "$scratch"/small/.volmig-*
}
ok 'a copy has begun' wait_until begun
head -c 20M /dev/zero | tr '\0' x >"$scratch/small/other" 2>/dev/null
ends 4 'the disk there runs full: it stops, resumable'
ok '... and says so' grep -q 'No space left' "$scratch/said"
ok '... the source is whole' cmp -s "$src" "$scratch/data"
rm "$scratch/small/other"
ok '... with room it is resumed' on a volmig resume "$(job_of)"
is '... byte for byte' "$(sha256sum <"$dst")" "$sum"
ok '... nothing is left there' nothing_left b
truncate -s 100M "$scratch/big"
head -c 40M /dev/urandom | dd of="$scratch/big" conv=notrunc status=none
cp "$scratch/big" "$dir_a/big.img"
must_fail 3 'what does not fit is refused before' on a volmig migrate "$dir_a/big.img" "ssh://10.77.0.2/$scratch/small/"

# An abort here ends it there.
dst=$dir_b/web.img there=ssh://10.77.0.2/$dir_b/
begin
ip netns pids "$hosts_net-a" | while read -r pid; do
	! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'connect none migrate' || kill -TERM "$pid"
done
ends 4 'it is asked to stop'
on b volmig status >"$scratch/output"
has '... and the other host knows the job' "$(job_of)"
must_fail 3 '... which it leaves to this one' on b volmig resume "$(job_of)"
must_fail 3 '... its volume is held there' on b volmig migrate "$scratch/data" "$dst"
ok '... aborted here' on a volmig abort "$(job_of)"
ok '... the source is whole' cmp -s "$src" "$scratch/data"
ok '... nothing is left here' nothing_left a
ok '... nothing is left there' nothing_left b

done_testing
