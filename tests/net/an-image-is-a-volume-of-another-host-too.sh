#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Over ssh into an image of another host and out of one: whole, sparse, resumable, and nothing is left.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq qemu-img qemu-storage-daemon
nbdkit nbd --dump-plugin >/dev/null 2>&1 || skip_all "needs nbdkit's plugin nbd"

hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/web.img dst=$dir_b/web.qcow2
there="ssh://10.77.0.2/qcow2:$dir_b/"

truncate -s 256M "$src"
for at in 3 100 255; do
	dd if=/dev/urandom of="$src" bs=1M count=1 seek=$at conv=notrunc status=none
done
sum=$(sha256sum <"$src")

raw_sum() { qemu-img convert -q -f qcow2 -O raw "$1" "$scratch/raw" && sha256sum <"$scratch/raw"; }
no_qemu() { ! ip netns pids "$hosts_net-$1" | xargs -r ps -o comm= -p | grep -q qemu; }
clean() {
	ok 'nothing is left here' nothing_left a
	ok 'nothing is left there' nothing_left b
	ok '... and no QEMU' wait_until no_qemu b
}

ok 'a dry run asks the other host' on a volmig migrate --dry-run "$src" "$there"
has '... which would make an image' 'qcow2, 256 MiB'
is '... and makes none' "$(ls "$dir_b")" ''
ok 'a file moves into an image there' on a volmig migrate --json "$src" "$there"
is '... proven there' "$(jq -r .verify.result "$scratch/output")" equal
is '... byte for byte' "$(raw_sum "$dst")" "$sum"
ok '... sparse' test "$(stat -c %b "$dst")" -lt 16384
ok '... without an error in it' qemu-img check -q "$dst"
ok '... and the source is gone' test ! -e "$src"
clean

ok 'out of it back into a file' on a volmig migrate "ssh://10.77.0.2/qcow2:$dst" "$dir_a/web.img"
is '... byte for byte' "$(sha256sum <"$src")" "$sum"
ok '... sparse' test "$(stat -c %b "$src")" -lt 16384
ok '... and the image is gone' test ! -e "$dst"
clean

# An odd size, an image on either side, compressed on its way; a name of one's own, onto one that is there.
head -c 5000001 /dev/urandom >"$dir_a/odd.img"
ok 'one of an odd size' on a volmig copy --create --compress "$dir_a/odd.img" "ssh://10.77.0.2/qcow2:$dir_b/odd.qcow2"
is '... whole' "$(raw_sum "$dir_b/odd.qcow2" >/dev/null; head -c 5000001 "$scratch/raw" | sha256sum)" "$(sha256sum <"$dir_a/odd.img")"
qemu-img convert -q -f raw -O qcow2 "$src" "$dir_a/image.qcow2"
ok 'from an image to an image' on a volmig copy --create "qcow2:$dir_a/image.qcow2" "ssh://10.77.0.2/vmdk:$dir_b/"
ok '... the same' qemu-img compare -q -f raw -F vmdk "$src" "$dir_b/image.vmdk"
qemu-img create -q -f qcow2 "$dir_b/there.qcow2" 256M
ok 'onto an image that is there' on a volmig copy --into-existing "$src" "ssh://10.77.0.2/qcow2:$dir_b/there.qcow2"
is '... the same' "$(raw_sum "$dir_b/there.qcow2")" "$sum"
printf changed | dd of="$src" bs=1 seek=200M conv=notrunc status=none
ok '... what has changed since, over that' on a volmig copy --delta --into-existing --json "$src" \
	"ssh://10.77.0.2/qcow2:$dir_b/there.qcow2"
sum=$(sha256sum <"$src")
is '... the same' "$(raw_sum "$dir_b/there.qcow2")" "$sum"
rm "$dir_b"/*

# What is not served.
must_fail 2 'RBD images of another host are not named' on a volmig migrate "$src" 'ssh://10.77.0.2/rbd:rbd/web'
has '... and how they are instead' 'write rbd:rbd/web, '
must_fail 2 'nor are images by relative paths' on a volmig migrate "$src" 'ssh://10.77.0.2/qcow2:web.qcow2'
allow b --allow "$dir_b"
mkdir "$scratch/secret"
head -c 1M /dev/urandom >"$scratch/secret/base"
qemu-img create -q -f qcow2 -b "$scratch/secret/base" -F raw "$dir_b/over.qcow2"
must_fail 3 'what an image stands on has to be in a place that is served' \
	on a volmig copy --create "ssh://10.77.0.2/qcow2:$dir_b/over.qcow2" "$dir_a/over.img"
has '... it says so' 'is not in a place that volmig serves'
ok '... nothing of it has come' test ! -e "$dir_a/over.img"
rm "$dir_b"/*

# stopped_copy: of an image there, after its first MiB.
stopped_copy() {
	on a env "VOLMIG_INJECT=write-eio:$((40 * 1048576))" "$VOLMIG_INJECT_BIN" --connect none copy --create \
		"ssh://10.77.0.2/qcow2:$dir_b/web.qcow2" "$dir_a/new.img"
}
qemu-img create -q -f qcow2 "$dir_b/web.qcow2" 64M
qemu-io -c 'write -P 7 39M 2M' "$dir_b/web.qcow2" >/dev/null
must_fail 4 'a copy out of an image is stopped' stopped_copy
ok '... and taken back, for the image is the one that it was' on a volmig abort -q "$(unfinished a)"
is '... nothing of it is left' "$(find "$dir_a" -name '.volmig*')" ''
truncate -s 64M "$scratch/secret/base"
must_fail 4 'one is stopped again' stopped_copy
time=$(stat -c %y "$dir_b/web.qcow2")
qemu-img rebase -u -F raw -b "$scratch/secret/base" "$dir_b/web.qcow2"
touch -d "$time" "$dir_b/web.qcow2"
must_fail 3 'what it stands on by now has to be in a place that is served, too' on a volmig resume "$(unfinished a)"
has '... it says so' 'is not in a place that volmig serves'
qemu-img rebase -u -b '' "$dir_b/web.qcow2"
ok '... and it is taken back' on a volmig abort -q "$(unfinished a)"
rm "$dir_b"/*
allow b

# What no copy has, or what stands on it, keeps an image there as it does here.
qemu-img convert -q -f raw -O qcow2 "$src" "$dir_b/base.qcow2"
qemu-img snapshot -c before "$dir_b/base.qcow2"
must_fail 3 'one with snapshots is not removed there' \
	on a volmig migrate "ssh://10.77.0.2/qcow2:$dir_b/base.qcow2" "$dir_a/from.img"
has '... it says so' 'has snapshots'
ok '... a copy is told of them' on a volmig copy --create "ssh://10.77.0.2/qcow2:$dir_b/base.qcow2" "$dir_a/from.img"
has '... that it has none' 'the copy has none of them'
ok '... it is the same' cmp -s "$src" "$dir_a/from.img"
qemu-img snapshot -d before "$dir_b/base.qcow2"
qemu-img create -q -f qcow2 -b "$dir_b/base.qcow2" -F qcow2 "$dir_b/over.qcow2"
must_fail 3 'nor is one that another stands on' \
	on a volmig migrate "ssh://10.77.0.2/qcow2:$dir_b/base.qcow2" "$dir_a/from2.img"
has '... it names that' over.qcow2
must_fail 3 'one that stands on another is not written to' \
	on a volmig copy --into-existing "$src" "ssh://10.77.0.2/qcow2:$dir_b/over.qcow2"
rm "$dir_b"/* "$dir_a/from.img"

# This side dies in the middle; it goes on.
ok 'this side is killed in the copy' killed kill-at-byte 101711872 "$src" "$there"
ok '... no QEMU is left there' wait_until no_qemu b
ok '... it goes on' on a volmig resume -q "$(unfinished a)"
is '... byte for byte' "$(raw_sum "$dst")" "$sum"
clean

# This side dies and does not come back before the lease is over: nothing is left there.
allow b --lease=1s
mv "$scratch/raw" "$scratch/kept"
for where in kill-after-record:5 kill-at-byte:101711872; do
	cp --sparse=always "$scratch/kept" "$src"
	rm -f "$dst"
	ok "this side is killed and stays away ($where)" killed "${where%:*}" "${where#*:}" "$src" "$there"
	ok '... the other one ends its part' wait_until all_ended
	ok '... no QEMU is left there' wait_until no_qemu b
	is '... no image' "$(ls -A "$dir_b")" ''
	is '... the source is whole' "$(sha256sum <"$src")" "$sum"
	job=$(unfinished a)
	on a volmig abort -q "$job" >"$scratch/output" 2>&1 || diag "$(cat "$scratch/output")"
	on a volmig doctor --fix >"$scratch/output" 2>&1
	clean
done

done_testing
