#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Over ssh: a file goes to another host, comes back, and is copied, byte for byte, with its holes and its mode.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
# shellcheck disable=SC2154
src=$dir_a/web.img dst=$dir_b/web.img

truncate -s 40000001 "$src"
dd if=/dev/urandom of="$src" bs=1M count=5 seek=3 conv=notrunc status=none
printf end | dd of="$src" bs=1 seek=39999998 conv=notrunc status=none
chmod 640 "$src"
touch -d '2020-02-02 02:02:02' "$src"
sum=$(sha256sum <"$src")

ok 'a dry run asks the other host' on a volmig migrate --dry-run "$src" "ssh://10.77.0.2/$dir_b/"
ok '... and changes nothing there' test ! -e "$scratch/b/state" -a -z "$(ls "$dir_b")"

ok 'it moves there' on a volmig migrate --json "$src" "ssh://root@10.77.0.2/$dir_b/"
cp "$scratch/output" "$scratch/json"
is '... byte for byte' "$(sha256sum <"$dst")" "$sum"
ok '... and the source is gone' test ! -e "$src"
is '... with mode, owner and time' "$(stat -c '%a %Y %U' "$dst")" "640 $(date -d '2020-02-02 02:02:02' +%s) root"
ok '... sparse as it was' test "$(stat -c %b "$dst")" -lt 20000
is '... and proven' "$(jq -r .verify.result "$scratch/json")" equal
is '... says the receipt' "$(jq -r '.source.state + " " + .destination.state' "$scratch/json")" 'removed complete'
on b volmig status --json >"$scratch/there"
is 'the other host has its own receipt' "$(jq -r '.jobs[0].state' "$scratch/there")" cleaned
is '... of the same job' "$(jq -r '.jobs[0].job' "$scratch/there")" "$(jq -r .job "$scratch/json")"
ok 'nothing is left here' nothing_left a
ok 'nothing is left there' nothing_left b

ok 'it moves back' on a volmig migrate --json "ssh://10.77.0.2/$dst" "$dir_a/"
cp "$scratch/output" "$scratch/json"
is '... byte for byte' "$(sha256sum <"$src")" "$sum"
ok '... and is gone there' test ! -e "$dst"
is '... with its mode and time' "$(stat -c '%a %Y' "$src")" "640 $(date -d '2020-02-02 02:02:02' +%s)"
ok '... sparse as it was' test "$(stat -c %b "$src")" -lt 20000
is '... says the receipt' "$(jq -r '.source.state + " " + .destination.state' "$scratch/json")" 'removed complete'
ok 'nothing is left here' nothing_left a
ok 'nothing is left there' nothing_left b

# An access control list, by names, and attributes: there and back.
listed() {
	getfacl -pc "$1" 2>/dev/null
	getfattr -m '^user' -d "$1" | tail -n +2
}
cp "$src" "$dir_a/listed.img"
if setfacl -m u:daemon:rw,g:adm:r,m::rw "$dir_a/listed.img" 2>/dev/null &&
	setfattr -n user.made-by -v 'some "body"' "$dir_a/listed.img" 2>/dev/null; then
	setfattr -n trusted.here -v x "$dir_a/listed.img"
	listed "$dir_a/listed.img" >"$scratch/listed"
	ok 'a file with an access control list moves there' on a volmig migrate "$dir_a/listed.img" "ssh://10.77.0.2/$dir_b/"
	has '... what is of this host stays here' 'extended attributes not carried over: trusted.here'
	is '... with its list and attributes' "$(listed "$dir_b/listed.img")" "$(cat "$scratch/listed")"
	ok '... it moves back' on a volmig migrate "ssh://10.77.0.2/$dir_b/listed.img" "$dir_a/"
	is '... with its list and attributes' "$(listed "$dir_a/listed.img")" "$(cat "$scratch/listed")"
	setfacl -m u:54321:r "$dir_a/listed.img"
	ok 'one with somebody in it who has no name moves' on a volmig migrate "$dir_a/listed.img" "ssh://10.77.0.2/$dir_b/"
	has '... and says so' 'the access control list could not be kept, so only the owner has access'
	is '... and so it is' "$(stat -c %a "$dir_b/listed.img")" 600
	is '... without a list' "$(getfacl -pcs "$dir_b/listed.img")" ''
	setfacl -m u:54321:r "$dir_b/listed.img"
	ok '... back as well' on a volmig migrate "ssh://10.77.0.2/$dir_b/listed.img" "$dir_a/"
	is '... for the owner only' "$(stat -c %a "$dir_a/listed.img")" 600
	rm "$dir_a/listed.img"
else
	skip 'a file with an access control list moves there' 'the file system has none'
fi

ok 'a copy is made there' on a volmig copy --create "$src" "ssh://10.77.0.2/$dir_b/copy.img"
is '... byte for byte' "$(sha256sum <"$dir_b/copy.img")" "$sum"
ok '... and the source stays' cmp -s "$src" "$dir_b/copy.img"
truncate -s 50M "$dir_b/big.img"
tr '\0' x </dev/zero | dd of="$dir_b/big.img" bs=1M count=50 iflag=fullblock conv=notrunc status=none
ok 'a copy onto a larger file there' on a volmig copy "$src" "ssh://10.77.0.2/$dir_b/big.img"
is '... byte for byte' "$(head -c 40000001 "$dir_b/big.img" | sha256sum)" "$sum"
is '... and zeroes after it' "$(tail -c +40000002 "$dir_b/big.img" | tr -d '\0' | wc -c)" 0
ok 'a copy from there' on a volmig copy --create "ssh://10.77.0.2/$dir_b/copy.img" "$dir_a/back.img"
is '... byte for byte' "$(sha256sum <"$dir_a/back.img")" "$sum"
ok '... and it stays there' test -e "$dir_b/copy.img"
must_fail 3 'what exists there is not overwritten' on a volmig migrate "$src" "ssh://10.77.0.2/$dir_b/copy.img"
must_fail 3 '... nor what is too small' on a volmig copy "$dir_b/big.img" "ssh://10.77.0.2/$dir_b/copy.img"
must_fail 3 'what is not there is refused' on a volmig migrate "ssh://10.77.0.2/$dir_b/none.img" "$dir_a/"
ok 'nothing is left here' nothing_left a
ok 'nothing is left there' nothing_left b

allow b --read-only
must_fail 3 'read-only: nothing is made there' on a volmig copy --create "$src" "ssh://10.77.0.2/$dir_b/x.img"
must_fail 3 '... and nothing removed' on a volmig migrate "ssh://10.77.0.2/$dir_b/copy.img" "$dir_a/"
ok '... but read' on a volmig copy --create "ssh://10.77.0.2/$dir_b/copy.img" "$dir_a/back2.img"
mkdir "$scratch/b/other"
allow b --allow "$scratch/b/other"
must_fail 3 'only in the places that are served' on a volmig copy --create "$src" "ssh://10.77.0.2/$dir_b/x.img"
ln -s "$dir_b" "$scratch/b/other/link"
must_fail 3 '... whatever way leads out of them' on a volmig copy --create "$src" "ssh://10.77.0.2/$scratch/b/other/link/x.img"
ok '... there it is made' on a volmig copy --create "$src" "ssh://10.77.0.2/$scratch/b/other/x.img"
ok 'nothing is left there' nothing_left b

done_testing
