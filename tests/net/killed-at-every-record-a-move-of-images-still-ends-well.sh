#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at every record of the journal of a move to or from an image: one whole volume, no server, nothing left.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
requires qemu-img qemu-storage-daemon
bin=$VOLMIG_INJECT_BIN

image original 3300001
truncate -s 3300352 original	# a size that images have
sum=$(sum_of original)
qemu-img convert -f raw -O qcow2 original original.qcow2

prepare() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	case $kind in
	new) cp --sparse=always original a/v.img ;;
	*) cp --sparse=always original.qcow2 a/v.qcow2 ;;
	esac
}

move() {
	case $kind in
	new) "$bin" migrate -q ./a/v.img qcow2:b/ ;;
	out) "$bin" migrate -q qcow2:a/v.qcow2 ./b/ ;;
	esac
}

# whole FILE: it, or what is in it, is the original
whole() {
	[ -e "$1" ] || return 1
	case $1 in
	*.img) [ "$(sum_of "$1")" = "$sum" ] ;;
	*) qemu-img check -q -f qcow2 "$1" && qemu-img convert -f qcow2 -O raw "$1" raw && [ "$(sum_of raw)" = "$sum" ] ;;
	esac
}

# ends SOURCE DESTINATION: which of them there are in the end, one and whole.
check_end() {
	left=$(nothing_left a b)
	[ -z "$left" ] || { echo "left: $left"; return; }
	wait_until no_servers || { echo "left: $(servers)"; return; }
	[ "$(find a b -type f | wc -l)" = 1 ] || { echo "not one file: $(find a b -type f)"; return; }
	whole "$(find "$1" -type f)" || echo "not whole, or not in $1"
}

end_by_resume() {
	"$bin" resume -q "$(jobs_of)" || { echo "resume: status $?"; return; }
	check_end b
}

end_by_abort() {
	status=0
	"$bin" abort -q "$(jobs_of)" 2>err || status=$?
	case $status in
	0) check_end a ;;
	3)
		grep -qE 'point of no return|is done' err || { cat err; return; }
		end_by_resume
		;;
	*) echo "abort: status $status: $(cat err)" ;;
	esac
}

for kind in ${KINDS:-new out}; do
	# All of it takes minutes: HOW='before/resume before/abort after/resume after/abort'.
	case $kind in
	new) some=after/either ;;
	*) some=before/either ;;
	esac
	for how in ${HOW:-$some}; do
		record=0
		wrong=
		while :; do
			record=$((record + 1))
			prepare
			status=0
			VOLMIG_INJECT="kill-${how%/*}-record:$record" move 2>err || status=$?
			[ $status = 137 ] || break
			if [ "$(wc -l <"$VOLMIG_STATE_DIR/jobs/$(jobs_of)/journal.jsonl")" -ge 2 ]; then
				end=${how#*/}
				[ "$end" != either ] || [ $((record % 2)) = 0 ] || end=resume
				[ "$end" != either ] || end=abort
				why=$("end_by_$end" 2>&1)
			else
				move || why="again: status $?"
				why=$(check_end b)
			fi
			[ -z "$why" ] || wrong="$wrong record $record: $why;"
		done
		is "$kind: killed $how: $((record - 1)) records" "$wrong" ''
		ok "$kind: killed $how: there were records, and without a kill it works" \
			test $record -gt 10 -a "$status" = 0
	done
done
done_testing
