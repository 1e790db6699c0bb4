#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Killed, or with the power cut, at any record of any kind of LVM move, resume and abort leave one whole volume and nothing of ours.
#
# A few records of some kinds with the power cut, unless CRASH=full (make
# check-lvm-crash): all records of all kinds, killed and cut, resumed and aborted.
# CRASH_WAYS names the kinds of moves, CRASH_HOW cut or kill or both.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# The guest has an environment of its own.
[ -n "${VOLMIG_IN_LAB:-}" ] || cat >"$scratch/settings" <<END
CRASH=${CRASH:-short}
CRASH_WAYS='${CRASH_WAYS:-linear thin to-file from-file $([ "${CRASH:-short}" = short ] || echo lvconvert pvmove)}'
CRASH_HOW='${CRASH_HOW:-$([ "${CRASH:-short}" = short ] && echo cut || echo 'kill cut')}'
END
in_lab -n 4 -s 256M -r 400 -t 600
requires vgcreate mkfs.ext4 dmsetup
# shellcheck source=/dev/null
. "$kept/settings"

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
pv1=$1 pv2=$2 pv3=$3 disk=$4
VOLMIG=$VOLMIG_INJECT_BIN
# A job knows its places by their names, which have to be the same after each boot.
m=/mnt/crash
mkdir -p "$m"
at_exit umount "$m"
# It is lost together with everything else.
export VOLMIG_STATE_DIR="$m/state"
size=24

prepare() {
	pvcreate -qq -ff -y "$pv1" "$pv2" "$pv3"
	vgcreate -qq ca "$pv1" "$pv2"
	vgcreate -qq cb "$pv3"
	lvcreate -qq -y --type thin-pool -L 64M -c 64k -n pool ca "$pv1" >/dev/null 2>&1
	lvcreate -qq -y --type thin-pool -L 64M -c 64k -n pool cb >/dev/null 2>&1
	mkfs.ext4 -q -F "$disk"
	head -c 9000000 /dev/urandom >"$kept/original"
	truncate -s ${size}M "$kept/original"
	dd if=/dev/urandom of="$kept/original" bs=64k count=3 seek=300 conv=notrunc status=none
	sync "$kept/original"
}

# The source of a move, and $move: what to ask for.
begin() {
	rm -rf "$m/state" "$m/from" "$m/to"
	mkdir -p "$m/from" "$m/to"
	case $1 in
	thin)
		lvcreate -qq -y -V ${size}M --thinpool ca/pool -n v >/dev/null 2>&1
		dd if="$kept/original" of=/dev/ca/v bs=64k conv=sparse,notrunc,fsync status=none ;;
	from-file)
		cp --sparse=always "$kept/original" "$m/from/v" ;;
	*)
		lvcreate -qq -y -Z n -W n -L ${size}M -n v ca "$pv1" >/dev/null 2>&1
		dd if="$kept/original" of=/dev/ca/v bs=1M conv=notrunc,fsync status=none ;;
	esac
	case $1 in
	linear) move='ca/v cb' ;;
	thin) move='ca/v cb/pool' ;;
	to-file) move="ca/v $m/to/" ;;
	from-file) move="$m/from/v cb" ;;
	lvconvert | pvmove) move="--method=$1 ca/v $pv2" ;;
	esac
	sync
}

finish_cell() {
	lvremove -qq -y ca/v cb/v >/dev/null 2>&1
	rm -rf "$m/from" "$m/to" "$m/state"
}

whole() {
	if [ -b "$1" ]; then
		cmp "$kept/original" "$1"
	else
		[ -e "$1" ] && cmp "$kept/original" "$1"
	fi
}

# One whole volume, one owner, nothing of ours: no volume, tag, leg, pvmove, metadata snapshot or file.
check() {
	vgchange -qq -ay ca cb
	found=0
	for place in /dev/ca/v /dev/cb/v "$m/from/v" "$m/to/v"; do
		[ -e "$place" ] || continue
		found=$((found + 1))
		whole "$place" || { echo "$place is not whole"; return 1; }
	done
	[ $found = 1 ] || { echo "$found volumes"; lvs -a -o+lv_tags; return 1; }
	lvs -a --noheadings -o lv_name,segtype,lv_tags,devices >"$scratch/lvs"
	if grep -e volmig -e pvmove -e rimage -e rmeta -e mimage -e mlog -e raid1 -e mirror "$scratch/lvs"; then
		return 1
	fi
	if dmsetup status --target thin-pool | awk '$8 != "-"' | grep .; then
		echo 'a metadata snapshot is left'
		return 1
	fi
	if find "$m/from" "$m/to" -name '.volmig*' | grep .; then
		return 1
	fi
	if grep -q "^ *v .*$pv1" "$scratch/lvs" && grep -q "^ *v .*$pv2" "$scratch/lvs"; then
		echo "it lies on both"
		cat "$scratch/lvs"
		return 1
	fi
}

# The crash is over: end the job by $end, and look.
judge() {
	job=$(find "$m/state/jobs" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null)
	if [ -z "$job" ] || [ "$(grep -c . "$m/state/jobs/$job/journal.jsonl")" -lt 2 ]; then
		ok "$what: there is no job yet, and nothing was touched" check
		return
	fi
	status=0
	"$VOLMIG" "$end" -q "$job" >"$scratch/output" 2>&1 || status=$?
	if [ "$end" = abort ] && [ $status = 3 ]; then
		# Past the point of no return there is only forward.
		"$VOLMIG" resume -q "$job" >>"$scratch/output" 2>&1 && status=0
	fi
	is "$what" "$status" 0
	[ $status = 0 ] || diag "$(cat "$scratch/output")"
	ok '... one whole volume, nothing of ours' check
}

# The cells: a line is WAY RECORD END HOW.  Each way runs through once, to count its records.
plan() {
	: >"$kept/cells"
	for way in $CRASH_WAYS; do
		begin "$way"
		# shellcheck disable=SC2086 # a list of words
		ok "$way: it runs through" "$VOLMIG" migrate -q $move
		ok '... one whole volume, nothing of ours' check
		records=$(cat "$m"/state/jobs/*/journal.jsonl | wc -l)
		finish_cell
		if [ "$CRASH" = short ]; then
			case $way in
			to-file) echo "$way $((records - 2)) resume" ;;
			from-file) echo "$way $((records / 2)) abort" ;;
			thin) printf '%s\n' "$way $((records / 2)) resume" "$way $((records / 2 + 1)) abort" ;;
			*) echo "$way $((records / 2)) resume" ;;
			esac
		else
			for record in $(seq 1 $((records - 1))); do
				echo "$way $record resume"
				echo "$way $record abort"
			done
		fi >"$scratch/cells"
		for how in $CRASH_HOW; do
			sed "s/$/ $how/" "$scratch/cells"
		done >>"$kept/cells"
	done
	sync "$kept/cells"
}

# cell N: read the Nth line.
cell() {
	# shellcheck disable=SC2046 # a list of words
	set -- $(sed -n "$1p" "$kept/cells")
	way=${1:-} record=${2:-} end=${3:-} how=${4:-}
	what="$way, $how at record $record, $end"
}

if [ "$LAB_BOOT" = 1 ]; then
	prepare
	mount "$disk" "$m"
	plan
	number=0
else
	number=$(cat "$kept/number")
	cell "$number"
	mount "$disk" "$m"
	# As a system does when it boots, or not.
	[ $((number % 2)) = 0 ] || vgchange -qq -aay ca cb
	judge
	finish_cell
fi

while :; do
	number=$((number + 1))
	cell $number
	[ -n "$way" ] || break
	vgchange -qq -ay ca cb
	begin "$way"
	status=0
	if [ "$how" = cut ]; then
		echo $number >"$kept/number"
		sync "$kept/number"
		expect_power_cut
		# shellcheck disable=SC2086
		VOLMIG_INJECT="kill-after-record:$record" VOLMIG_INJECT_DIE=/proc/sysrq-trigger \
			"$VOLMIG" migrate -q $move >"$scratch/output" 2>&1 || status=$?
		no_power_cut
		fail "$what: the power is cut"
		diag "status $status: $(cat "$scratch/output")"
	else
		# shellcheck disable=SC2086
		VOLMIG_INJECT="kill-after-record:$record" \
			"$VOLMIG" migrate -q $move >"$scratch/output" 2>&1 || status=$?
		if [ $status = 137 ]; then
			judge
		else
			fail "$what: killed"
			diag "status $status: $(cat "$scratch/output")"
		fi
	fi
	finish_cell
done
umount "$m"
done_testing
