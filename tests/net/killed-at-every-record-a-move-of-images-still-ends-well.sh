#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at every record of the journal of a move to or from an image: one whole volume, no server, nothing left.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
. "$TOP/tests/ceph.sh"
requires qemu-img qemu-storage-daemon
bin=$VOLMIG_INJECT_BIN

image original 3300001
truncate -s 3300352 original	# a size that images have
sum=$(sum_of original)
qemu-img convert -f raw -O qcow2 original original.qcow2

# A Ceph cluster for "rbd-new" and "rbd-out".
cluster=
images() {
	rbd ls | tr '\n' ' '
}

prepare() {
	rm -rf a b "$VOLMIG_STATE_DIR"
	mkdir a b
	[ -z "$cluster" ] || for image in $(images); do
		# Who was killed watches it until the cluster finds out.
		wait_until rbd rm --no-progress "rbd/$image" 2>/dev/null
	done
	case $kind in
	rbd-new) cp --sparse=always original a/v.img ;;
	rbd-out) rbd import --no-progress original rbd/v ;;
	new) cp --sparse=always original a/v.img ;;
	*) cp --sparse=always original.qcow2 a/v.qcow2 ;;
	esac
}

move() {
	case $kind in
	new) "$bin" migrate -q ./a/v.img qcow2:b/ ;;
	out) "$bin" migrate -q qcow2:a/v.qcow2 ./b/ ;;
	rbd-new) "$bin" migrate -q ./a/v.img "rbd:rbd:conf=$conf" ;;
	rbd-out) "$bin" migrate -q "rbd:rbd/v:conf=$conf" ./b/ ;;
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

# The one image of the pool is the volume, and there is no file; or there is no image.
check_pool() {
	case $1 in
	yes)
		[ "$(images)" = 'v ' ] || { echo "in the pool: $(images)"; return; }
		[ -z "$(find a b -type f)" ] || { echo "files: $(find a b -type f)"; return; }
		[ "$(rbd export --no-progress rbd/v - 2>/dev/null | md5sum)" = "$sum" ] || echo 'not whole'
		;;
	no) [ -z "$(images)" ] || echo "in the pool: $(images)" ;;
	esac
}

# check_end a|b: of source and destination that one is there in the end, and it is whole.
check_end() {
	left=$(nothing_left a b)
	[ -z "$left" ] || { echo "left: $left"; return; }
	wait_until no_servers || { echo "left: $(servers)"; return; }
	case $kind$1 in
	rbd-newb | rbd-outa) check_pool yes; return ;;
	rbd-*) check_pool no ;;
	esac
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

# All of it takes minutes: KINDS='new out rbd-new rbd-out' EVERY=1
# HOW='before/resume before/abort after/resume after/abort'.
for kind in ${KINDS:-new out rbd-new rbd-out}; do
	every=1
	case $kind in
	new | rbd-new) some=after/either ;;
	*) some=before/either ;;
	esac
	case $kind in
	rbd-*)
		lacking=$(no_ceph)
		if [ -n "$lacking" ]; then
			skip "$kind: images of a Ceph cluster" "$lacking"
			continue
		fi
		[ -n "$cluster" ] || start_cluster
		every=${EVERY:-5}
		;;
	esac
	for how in ${HOW:-$some}; do
		record=$((1 - every))
		wrong=
		while :; do
			record=$((record + every))
			prepare
			status=0
			VOLMIG_INJECT="kill-${how%/*}-record:$record" move 2>err || status=$?
			[ $status = 137 ] || break
			if [ "$(wc -l <"$VOLMIG_STATE_DIR/jobs/$(jobs_of)/journal.jsonl")" -ge 2 ]; then
				end=${how#*/}
				[ "$end" != either ] || [ $((record / every % 2)) = 0 ] || end=resume
				[ "$end" != either ] || end=abort
				why=$("end_by_$end" 2>&1)
			else
				move || why="again: status $?"
				why=$(check_end b)
			fi
			[ -z "$why" ] || wrong="$wrong record $record: $why;"
		done
		is "$kind: killed $how: records up to $((record - 1))" "$wrong" ''
		ok "$kind: killed $how: there were records, and without a kill it works" \
			test $record -gt 10 -a "$status" = 0
	done
done
done_testing
