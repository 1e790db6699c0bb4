#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Moves and copies that end well, with either way of I/O: the bytes, and what goes along with them.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires perl

# value PATH: a member of the JSON that the last run printed, "source.bytes" say.
value() {
	perl -MJSON::PP -e 'local $/; my $v = decode_json(<STDIN>); $v = $v->{$_} for split(/\./, shift);
		print defined $v ? ref($v) ? encode_json($v) : $v : "null"' "$1" <"$scratch/stdout"
}

# quietly COMMAND...: it succeeds without a word.
quietly() {
	run "$@"
	[ $status = 0 ] || { echo "$*: status $status: $(cat "$scratch/output")"; return 1; }
	[ ! -s "$scratch/output" ] || { echo "$*: not quiet: $(cat "$scratch/output")"; return 1; }
}

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
}

same() {
	[ "$(sum_of "$1")" = "$sum" ] || { echo "$1 is not the same"; return 1; }
}

gone() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	echo "$1 is still there"
	return 1
}

allocated() {
	echo $(($(stat -c %b "$1") * 512))
}

of_size() {
	fresh
	image a/v "$1"
	sum=$(sum_of a/v)
	quietly "$VOLMIG" migrate -q ./a/v ./b/ || return
	gone a/v && same b/v || return
	quietly "$VOLMIG" migrate -q --force-host-copy ./b/v ./a/new || return
	gone b/v && same a/new || return
	quietly "$VOLMIG" copy -q --create ./a/new ./b/copy || return
	same b/copy && same a/new || return
	image b/equal "$1"
	quietly "$VOLMIG" copy -q ./a/new ./b/equal || return
	same b/equal || return
	image b/larger $(($1 + 70000))
	quietly "$VOLMIG" migrate -q --into-existing ./a/new ./b/larger || return
	gone a/new || return
	[ "$(sum_of b/larger "$1")" = "$sum" ] || { echo 'b/larger is not the same'; return; }
	cmp -n 70000 -i "$1:0" b/larger /dev/zero
	[ "$(stat -c %s b/larger)" = $(($1 + 70000)) ] || echo 'another size'
	nothing_left "$work"
}

# attributes TIME COMMAND...: the time of the source's last change
attributes() {
	local time=$1
	shift
	fresh
	image a/v 70001
	sum=$(sum_of a/v)
	chmod 0640 a/v
	touch -d "$time UTC" a/v
	[ "$(id -u)" != 0 ] || chown 1234:5678 a/v
	! command -v setfattr >/dev/null || setfattr -n user.volmig -v 'here "it" is' a/v
	before=$(stat -c '%a %u:%g %y' a/v; getfattr -d a/v 2>/dev/null | sed 1d)
	quietly "$VOLMIG" "$@" ./a/v ./b/w || return
	after=$(stat -c '%a %u:%g %y' b/w; getfattr -d b/w 2>/dev/null | sed 1d)
	same b/w || return
	[ "$before" = "$after" ] || echo "before: $before; after: $after"
}

# What is there of the new file while it is written is for nobody's eyes but the owner's.
modes() {
	local mode
	for mode in 0600 0644 0755 0777 0400 0000; do
		fresh
		image a/v 70001
		chmod $mode a/v
		[ "$mode" != 0000 ] || [ "$(id -u)" = 0 ] || continue
		(umask 0; exec "$VOLMIG" migrate -q ./a/v ./b/) || return
		[ "$(stat -c %a b/v)" = "$(printf '%o' $((mode)))" ] || stat -c "%a, was $mode" b/v
	done
}

set_id() {
	fresh
	image a/v 70001
	chmod 6755 a/v
	quietly "$VOLMIG" migrate -q ./a/v ./b/ || return
	[ "$(stat -c %a b/v)" = 755 ] || stat -c 'mode %a' b/v
}

hard_link() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	ln a/v a/other
	run "$VOLMIG" migrate ./a/v ./b/
	grep -q '2 names (hard links)' "$scratch/stdout" || echo 'it is not said'
	gone a/v && same a/other && same b/v
}

symbolic_link() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	ln -s v a/link
	ln -s "$work/b" a/there
	quietly "$VOLMIG" migrate -q ./a/link ./a/there/ || return
	gone a/v && same b/v
	[ "$(readlink a/link)" = v ] || echo 'the link has changed'
}

kept() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	before=$(listing a)
	run "$VOLMIG" migrate --json "$@" ./a/v ./b/
	[ $status = 0 ] || { cat "$scratch/output"; return; }
	same b/v
	[ "$(listing a)" = "$before" ] || echo 'the source has changed'
	[ "$(value source.state)" = untouched ] || echo "the source is $(value source.state)"
}

# An open descriptor shows what the file held when its last name was taken away.
wiped() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	exec 7<a/v
	run "$VOLMIG" migrate --json "--wipe=$1" ./a/v ./b/
	cmp -n 5300001 - /dev/zero <&7
	[ "$(stat -L -c %s /dev/fd/7)" = 5300001 ] || echo 'another size'
	exec 7<&-
	[ $status = 0 ] || { cat "$scratch/output"; return; }
	gone a/v && same b/v
}

not_wiped() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	exec 7<a/v
	quietly "$VOLMIG" migrate -q --wipe=none ./a/v ./b/
	[ "$(md5sum <&7)" = "$sum" ] || echo 'it was wiped'
	exec 7<&-
}

# Holes and zeroes take no room after; all of it is allocated where that is asked for.
sparse() {
	fresh
	image a/v
	sum=$(sum_of a/v)
	before=$(allocated a/v)
	run "$VOLMIG" copy --json --create ./a/v ./b/sparse
	same b/sparse
	[ "$(allocated b/sparse)" -le "$before" ] || echo "allocated $before before, $(allocated b/sparse) after"
	[ "$(value destination.allocated_after)" = "$(allocated b/sparse)" ] || echo 'the report says otherwise'
	[ "$(value source.allocated_before)" = "$before" ] || echo 'the report says otherwise of the source'
	[ $(($(value copy.bytes_data) + $(value copy.bytes_zero))) = 5300001 ] || echo 'it does not add up'
	run "$VOLMIG" copy --json --create --sparse=never ./a/v ./b/dense
	same b/dense
	[ "$(allocated b/dense)" -ge 5300001 ] || echo "only $(allocated b/dense) are allocated"

	# Where something was before, zeroes must be written.
	head -c 6000000 /dev/urandom >b/garbage
	run "$VOLMIG" copy --json ./a/v ./b/garbage
	[ "$(sum_of b/garbage 5300001)" = "$sum" ] || echo 'b/garbage is not the same'
}

delta() {
	fresh
	image a/v
	cp a/v b/v
	printf x | dd of=a/v conv=notrunc bs=1 seek=1234567 status=none
	printf y | dd of=b/v conv=notrunc bs=1 seek=2800000 status=none
	sum=$(sum_of a/v)
	run "$VOLMIG" copy --json --delta ./a/v ./b/v
	[ $status = 0 ] || { cat "$scratch/output"; return; }
	same b/v && same a/v
	[ "$(value copy.bytes_written)" -le $((2 * 65536)) ] || echo "$(value copy.bytes_written) bytes are written"
	[ "$(value verify.result)" = equal ] || echo 'not verified'
	run "$VOLMIG" copy --json --delta ./a/v ./b/v
	[ "$(value copy.bytes_written)" = 0 ] || echo "again, $(value copy.bytes_written) bytes are written"
}

# The root of the hashes is that of the bytes, however they are laid out and got there.
tree_hash() {
	fresh
	image a/v
	run "$VOLMIG" copy --json --create ./a/v ./b/1
	one=$(value verify.tree_hash)
	cp --sparse=never a/v a/dense
	run "$VOLMIG" copy --json --create --sparse=never ./a/dense ./b/2
	two=$(value verify.tree_hash)
	[ ${#one} = 32 ] && [ "$one" = "$two" ] || echo "$one, and $two"
	printf x | dd of=a/v conv=notrunc bs=1 seek=2000000 status=none
	run "$VOLMIG" copy --json --create ./a/v ./b/3
	[ "$one" != "$(value verify.tree_hash)" ] || echo 'of other bytes, too'
}

# The plan before, the receipt after, each line with a label.
shown() {
	fresh
	image a/v
	run "$VOLMIG" migrate ./a/v ./b/
	[ $status = 0 ] || cat "$scratch/output"
	[ ! -s "$scratch/stderr" ] || cat "$scratch/stderr"
	[ "$(grep -c '^job  .* (planned)$' "$scratch/stdout")" = 1 ] || echo 'no plan'
	[ "$(grep -c '^job  .* (cleaned)$' "$scratch/stdout")" = 1 ] || echo 'no receipt'
	[ "$(grep -c '<-- point of no return' "$scratch/stdout")" = 1 ] || echo 'no point of no return'
	grep -q '^verified .*equal, .*xxh3-128 [0-9a-f]\{32\}$' "$scratch/stdout" || echo 'not verified'
	[ "$(grep -c '^source  *removed$' "$scratch/stdout")" = 2 ] || echo 'the source is not removed'
}

for VOLMIG_IO in uring sync; do
	export VOLMIG_IO
	for bytes in 0 1 511 512 513 4095 4096 4097 65536 1048575 1048576 1048577 5300001; do
		settles "$VOLMIG_IO: $bytes bytes" of_size $bytes
	done
	settles "$VOLMIG_IO: --wipe=zero" wiped zero
	settles "$VOLMIG_IO: --wipe=discard" wiped discard
	settles "$VOLMIG_IO: holes and zeroes" sparse
	settles "$VOLMIG_IO: --delta" delta
	settles "$VOLMIG_IO: the hash is that of the bytes" tree_hash
done
unset VOLMIG_IO
settles 'migrate: owner, mode, time and extended attributes' attributes '2020-02-03 04:05:06.789012345' migrate -q
settles 'copy: owner, mode, time and extended attributes' attributes '1969-07-20 20:17:40.789012345' copy -q --create
# What a signed number of nanoseconds since 1970 cannot hold, but file systems do.
for time in '2262-04-11 23:47:16.854775808' '2300-05-06 07:08:09.123456789' '1905-05-06 07:08:09.5'; do
	touch -d "$time UTC" a/time
	[ "$(stat -c %y a/time | cut -c 1-10)" = "${time% *}" ] || continue	# this file system does not
	settles "the time is kept: $time" attributes "$time" migrate -q
done
settles 'any mode, whatever the umask' modes
settles 'a set-user-ID bit is not carried over' set_id
settles 'only that one of several names goes away' hard_link
settles 'a link names what it leads to' symbolic_link
settles '--keep-source' kept --keep-source
settles '--verify=none keeps the source' kept --verify=none
settles '--wipe=none' not_wiped
settles 'what is shown' shown
done_testing
