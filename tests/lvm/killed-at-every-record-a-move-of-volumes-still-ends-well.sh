#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Killed at any record of its journal, a move of a logical volume is resumed or aborted, and nothing is left over.
#
# Of thin volumes and those that become files only at some records, unless KILL=full
# (make check-lvm-crash).
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# The guest has an environment of its own.
[ -n "${VOLMIG_IN_LAB:-}" ] || echo "KILL=${KILL:-short}" >"$scratch/settings"
in_lab -n 2 -s 200M -t 1800
requires vgcreate jq
# shellcheck source=/dev/null
. "$kept/settings"

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
vgcreate -qq -s 1M g0 "$1"
vgcreate -qq -s 1M g1 "$2"
lvcreate -qq -y -L 64M --type thin-pool -n p0 g0
lvcreate -qq -y -L 64M --type thin-pool -n p1 g1
mkdir "$scratch/d"
head -c 1500123 /dev/urandom >"$scratch/data"

sum() {
	head -c 1500123 "$1" 2>/dev/null | sha1sum | cut -d ' ' -f 1
}
was=$(sum "$scratch/data")

# The source, with the data on it; nothing but noise where the copy will be.
set_up() {
	case $1 in
	linear)
		from=/dev/g0/v to=/dev/g1/v place=g1
		lvcreate -qq -y -Wn -Zn -L 2M -n v g0 >/dev/null 2>&1 ;;
	thin)
		from=/dev/g0/v to=/dev/g1/v place=g1
		lvcreate -qq -y -V 8M --thinpool g0/p0 -n v >/dev/null 2>&1 ;;
	to-file)
		from=/dev/g0/v to=$scratch/d/v place=$scratch/d/
		lvcreate -qq -y -Wn -Zn -L 2M -n v g0 >/dev/null 2>&1
		lvchange -qq -an g0/v ;;
	from-file)
		from=$scratch/v to=/dev/g1/v place=g1
		cp "$scratch/data" "$from" ;;
	esac
	[ "$1" != to-file ] || lvchange -qq -ay g0/v
	dd if="$scratch/data" of="$from" bs=64k conv=notrunc,fsync status=none
	[ "$1" != to-file ] || lvchange -qq -an g0/v
}

wipe_out() {
	lvremove -qq -y g0/v g1/v >/dev/null 2>&1
	rm -f "$scratch/v" "$scratch/d/v"
	rm -rf "$VOLMIG_STATE_DIR"
}

# What a job may never leave behind.
left_over() {
	lvs -a --noheadings -o lv_name,lv_tags | grep volmig
	find "$scratch/d" -name "*volmig*"
}

unfinished() {
	"$VOLMIG" status --json 2>/dev/null |
		jq -r '.jobs[] | select(.state != "cleaned" and .state != "aborted") | .job'
}

# Where is the data now?  One whole copy, under its name: "source" or "destination".
where() {
	[ "$1" != to-file ] || lvchange -qq -ay g0/v 2>/dev/null
	if [ "$(sum "$from")" = "$was" ]; then
		[ -e "$to" ] && echo both || echo source
	elif [ "$(sum "$to")" = "$was" ]; then
		[ -e "$from" ] && echo both || echo destination
	else
		echo lost
	fi
}

for move in linear from-file thin to-file; do
	bad=
	n=0
	step=1
	case $KILL-$move in
	short-thin | short-to-file) step=7 ;;
	esac
	wipe_out
	set_up "$move"
	while :; do
		n=$((n + step))
		status=0
		when=before
		[ $((n / step % 2)) = 0 ] || when=after
		VOLMIG_INJECT=kill-$when-record:$n "$VOLMIG_INJECT_BIN" migrate -q "$from" "$place" \
			>"$scratch/out" 2>&1 || status=$?
		[ $status != 0 ] || break
		[ $status = 137 ] || bad="$bad $n:status-$status($(cat "$scratch/out"))"
		job=$(unfinished)
		if [ -z "$job" ]; then
			# Killed before there was a job, or after all was done.
			[ "$(where "$move")" != lost ] || bad="$bad $n:lost"
		elif [ $((n / step / 2 % 2)) = 0 ] && "$VOLMIG" abort -q "$job" >"$scratch/out" 2>&1; then
			"$VOLMIG" abort -q "$job" >/dev/null 2>&1 || bad="$bad $n:abort-twice"
			[ "$(where "$move")" = source ] || bad="$bad $n:aborted-$(where "$move")"
		else
			# A job past its point of no return is not aborted, but goes on all the same.
			"$VOLMIG" resume -q "$job" >"$scratch/out" 2>&1 || bad="$bad $n:resume($(cat "$scratch/out"))"
			"$VOLMIG" resume -q "$job" >/dev/null 2>&1 || bad="$bad $n:resume-twice"
			[ "$(where "$move")" = destination ] || bad="$bad $n:resumed-$(where "$move")"
		fi
		[ -z "$(left_over)" ] || bad="$bad $n:left-$(left_over | tr -s ' \n' '--')"
		wipe_out
		set_up "$move"
		[ $n -lt 40 ] || break
	done
	is "$move: killed at each of its records, it ends well" "$bad" ''
	is "$move: there were many" "$([ $n -gt 12 ] && [ $n -lt 40 ] && echo many || echo $n)" many
	is "$move: not killed, it is done" "$(where "$move")" destination
done
done_testing
