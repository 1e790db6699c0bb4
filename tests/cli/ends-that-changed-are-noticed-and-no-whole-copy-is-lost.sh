#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What becomes of either end between an interruption and its resumption, or its abort.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires_faults

id=11111111-2222-4333-8444-555555555555
temp=b/.volmig-$id

image original 2300001
image foreign 2300001
size=$(stat -c %s original)
sum=$(sum_of original)
foreign_sum=$(sum_of foreign)

fresh() {
	rm -rf a b away "$VOLMIG_STATE_DIR"
	mkdir a b away
	cp original a/v
	touch -d 2020-01-01 a/v
	[ "$kind" = new ] || head -c 3000000 /dev/urandom >b/v
}

move() {
	if [ "$kind" = new ]; then
		faulty "$1" migrate -q --job-id $id ./a/v ./b/
	else
		faulty "$1" migrate -q --into-existing --job-id $id ./a/v ./b/v
	fi 2>/dev/null
}

# Which record ends which stage of a move of this kind?  In $KIND_STAGE.
find_stages() {
	local n last
	for n in $(seq 40); do
		fresh
		move "kill-after-record:$n"
		[ $? = 137 ] || break
		last=$(tail -n 1 "$VOLMIG_STATE_DIR/jobs/$id/journal.jsonl" 2>/dev/null)
		case $last in
		*'"rec":"done"'*'"name":"verify"'*) declare -g "${kind}_verified=$n" ;;
		*'"rec":"begin"'*'"name":"commit"'*) declare -g "${kind}_published=$n" ;;
		*'"rec":"done"'*'"name":"commit"'*) declare -g "${kind}_committed=$n" ;;
		esac
	done
}

interrupt() {
	local record=${kind}_$1
	fresh
	if [ "$1" = copying ]; then
		# One request after the other: then two leaves are through when the third fails.
		VOLMIG_IO=sync move read-eio:2200000
	else
		move "kill-after-record:${!record}"
	fi
}

destination() {
	if [ -e "$temp" ]; then
		echo "$temp"
	else
		echo b/v
	fi
}

change() {
	local d
	d=$(destination)
	case $1 in
	source-truncated) truncate -s 2000000 a/v ;;
	source-grown) truncate -s 2400000 a/v ;;
	source-written) printf x | dd of=a/v bs=1 seek=5 conv=notrunc status=none ;;
	source-touched) touch a/v ;;
	source-replaced) mv a/v away/source && cp foreign a/v ;;
	source-deleted) rm a/v ;;
	source-away) mv a/v away/source ;;
	source-directory-away) mv a away/a ;;
	source-directory-linked) mv a away/a && ln -s away/a a ;;
	source-directory-replaced) mv a away/a && mkdir a ;;
	destination-deleted) rm "$d" ;;
	destination-away) mv "$d" away/destination ;;
	destination-replaced) mv "$d" away/destination && cp foreign "$d" ;;
	destination-truncated) truncate -s 1500000 "$d" ;;
	destination-grown) truncate -s 4000000 "$d" ;;
	destination-written) printf x | dd of="$d" bs=1 seek=5 conv=notrunc status=none ;;
	name-taken) cp foreign b/v ;;
	directory-replaced) mv b away/b && mkdir b && cp foreign b/v ;;
	esac
}

is_whole() {
	[ -f "$1" ] && [ "$(sum_of "$1" "$size")" = "$sum" ]
}

# The files with all of the volume in them, and those of somebody else.
whole_files() {
	local file
	for file in a/v b/v "$temp" away/source away/destination away/a/v away/b/v "away/$temp"; do
		! is_whole "$file" || echo "$file"
	done
}

foreign_files() {
	local file
	for file in a/v b/v "$temp"; do
		[ ! -f "$file" ] || [ "$(sum_of "$file")" != "$foreign_sum" ] || echo "$file"
	done
}

next_is_said() {
	grep -q "volmig resume $id\\|volmig abort $id\\|then resume again\\|(or its mount) back\$" "$scratch/stderr" ||
		{ echo 'no next step'; cat "$scratch/stderr"; }
	! grep -q 'check the name\|name the file' "$scratch/stderr" ||
		{ echo 'a next step for another situation'; cat "$scratch/stderr"; }
}

# one STAGE CHANGE resume|abort STATUS
one() {
	local whole foreigners
	interrupt "$1"
	change "$2"
	whole=$(whole_files)
	foreigners=$(foreign_files)
	run "$VOLMIG" "$3" -q $id
	[ $status = "$4" ] || { echo "status $status"; cat "$scratch/stderr"; }
	[ $status = 0 ] || one_line_of_error
	# Status 1 is the end of it; else the next step is said, and is one.
	case $status in 3 | 4) next_is_said ;; esac
	case $1,$2,$3 in
	# What its owner writes to his volume is his business: to the source before the
	# commit, which an abort leaves to him, to the destination after it.
	*,source-written,abort | committed,destination-written,*) whole= ;;
	esac
	[ -z "$whole" ] || [ -n "$(whole_files)" ] || echo "the last whole copy is gone: was $whole"
	[ "$(foreign_files)" = "$foreigners" ] || echo 'a file of somebody else was changed'
	# Again, it is harmless.
	run "$VOLMIG" "$3" -q $id
	[ -z "$whole" ] || [ -n "$(whole_files)" ] || echo "the second time the last whole copy is gone"
	[ "$(foreign_files)" = "$foreigners" ] || echo 'the second time a file of somebody else was changed'
	"$VOLMIG" status $id >"$scratch/output" 2>&1 || { echo 'status fails'; cat "$scratch/output"; }
}

# Kind, stage, change, and how resume and abort end then.
table() {
	cat <<END
new  copying   source-truncated      3 3
new  copying   source-grown          3 0
new  copying   source-written        3 0
new  copying   source-touched        3 0
new  copying   source-replaced       3 3
new  copying   source-deleted        3 3
new  copying   destination-deleted   4 0
new  copying   destination-replaced  3 0
new  copying   destination-truncated 3 0
new  copying   destination-grown     3 0
new  copying   destination-written   1 0
new  copying   name-taken            4 0
new  copying   source-directory-away 3 3
new  copying   source-directory-linked 3 3
new  copying   source-directory-replaced 3 3
new  copying   directory-replaced    3 3
new  verified  source-truncated      3 3
new  verified  source-grown          3 0
new  verified  source-written        3 0
new  verified  source-touched        3 0
new  verified  source-replaced       3 3
new  verified  source-deleted        3 3
new  verified  destination-deleted   1 0
new  verified  destination-replaced  1 0
new  verified  destination-truncated 4 0
new  verified  destination-grown     4 0
new  verified  destination-written   4 0
new  verified  name-taken            4 0
new  verified  source-directory-away 3 3
new  verified  source-directory-linked 3 3
new  verified  source-directory-replaced 3 3
new  verified  directory-replaced    3 3
new  published source-truncated      3 3
new  published source-written        3 0
new  published source-replaced       3 3
new  published source-deleted        3 3
new  published destination-deleted   4 0
new  published destination-replaced  4 0
new  published destination-truncated 4 3
new  published destination-grown     4 3
new  published destination-written   4 3
new  published source-directory-away 3 3
new  published source-directory-linked 3 3
new  published source-directory-replaced 3 3
new  published directory-replaced    3 3
new  committed source-truncated      4 3
new  committed source-written        4 3
new  committed source-replaced       4 3
new  committed source-deleted        0 3
new  committed destination-deleted   4 3
new  committed destination-replaced  4 3
new  committed destination-truncated 4 3
new  committed destination-written   0 3
new  committed source-directory-away 4 3
new  committed source-directory-linked 4 3
new  committed source-directory-replaced 4 3
new  committed directory-replaced    4 3
into copying   source-truncated      3 0
into copying   source-written        3 0
into copying   source-replaced       3 0
into copying   source-deleted        3 0
into copying   destination-deleted   3 0
into copying   destination-replaced  3 0
into copying   destination-truncated 3 0
into copying   destination-grown     3 0
into copying   destination-written   1 0
into copying   source-directory-away 3 0
into copying   source-directory-linked 3 0
into copying   directory-replaced    3 0
into verified  source-truncated      3 0
into verified  source-written        3 0
into verified  source-replaced       3 0
into verified  source-deleted        3 0
into verified  destination-deleted   3 0
into verified  destination-replaced  4 0
into verified  destination-truncated 4 0
into verified  destination-grown     4 0
into verified  destination-written   4 0
into verified  source-directory-away 3 0
into verified  source-directory-linked 3 0
into verified  directory-replaced    4 0
into committed source-written        4 3
into committed source-replaced       4 3
into committed source-deleted        0 3
into committed destination-deleted   4 3
into committed destination-replaced  4 3
into committed destination-truncated 4 3
into committed source-directory-away 4 3
into committed source-directory-linked 4 3
into committed source-directory-replaced 4 3
into committed directory-replaced    4 3
END
}

for kind in new into; do
	find_stages
	while read -r row stage event resumed aborted; do
		[ "$row" = $kind ] || continue
		settles "$kind, $stage, $event, resume" one "$stage" "$event" resume "$resumed"
		settles "$kind, $stage, $event, abort" one "$stage" "$event" abort "$aborted"
	done <<END
$(table)
END
done

# What was taken away is brought back: then the job goes on to its end.
undo_change() {
	case $1 in
	source-away | source-replaced) rm -f a/v && mv away/source a/v ;;
	source-directory-*) rm -rf a && mv away/a a ;;
	destination-away | destination-replaced)
		rm -f "$2" && mv away/destination "$2" ;;
	name-taken) rm b/v ;;
	directory-replaced) rm -r b && mv away/b b ;;
	esac
}

mended() {
	local d
	interrupt "$1"
	d=$(destination)
	change "$2"
	run "$VOLMIG" resume -q $id
	[ $status != 0 ] || echo 'resumed all the same'
	undo_change "$2" "$d"
	run "$VOLMIG" resume -q $id
	[ $status = 0 ] || { echo "status $status"; cat "$scratch/stderr"; }
	[ ! -e a/v ] || echo 'the source is still there'
	is_whole b/v || echo 'the destination is not whole'
	nothing_left a b
}

for kind in new into; do
	for stage in copying verified committed; do
		for event in source-away source-replaced source-directory-away source-directory-linked \
			source-directory-replaced destination-away destination-replaced name-taken \
			directory-replaced; do
			case $kind,$stage,$event in
			new,committed,name-taken | into,*,name-taken | *,committed,source-away) continue ;;
			# It was given up, and that is that.
			new,verified,destination-*) continue ;;
			esac
			settles "$kind, $stage, $event, brought back, resumed" mended $stage $event
		done
	done
done

# The copy is all that is left: it is kept until somebody has looked at it.
kind=new
last_copy() {
	local d
	interrupt "$1"
	d=$(destination)
	rm a/v
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] || echo "status $status"
	grep -qF "$work/$d" "$scratch/stderr" || { echo 'it does not say where it is'; cat "$scratch/stderr"; }
	[ -e "$d" ] || echo 'it is not there'
	mv "$d" away/
	run "$VOLMIG" abort -q $id
	[ $status = 0 ] || { echo "then, status $status"; cat "$scratch/stderr"; }
	nothing_left a b
}
for stage in copying verified published; do
	settles "the source is deleted, $stage: abort keeps the copy, and says where" last_copy $stage
done

# Killed before the first durable byte, and its directory is not there (a mount after a reboot):
# that is no reason to give the job up.
not_mounted() {
	fresh
	move "$1"
	change directory-replaced
	run "$VOLMIG" resume -q $id
	[ $status = 3 ] || [ $status = 4 ] || { echo "status $status"; cat "$scratch/stderr"; }
	undo_change directory-replaced
	run "$VOLMIG" resume -q $id
	[ $status = 0 ] || { echo "then, status $status"; cat "$scratch/stderr"; }
	is_whole b/v || echo 'the destination is not whole'
	nothing_left a b
}
for record in 3 4 5; do
	kind=new
	settles "killed after record $record, the directory is away for a while" \
		not_mounted kill-after-record:$record
done

# Somebody takes the destination up by its name before the job is committed.
taken_up() {
	interrupt published
	[ -e b/v ] || { echo 'it has no name yet'; return; }
	exec 7>>b/v
	run "$VOLMIG" resume -q $id
	[ $status = 4 ] && grep -q 'come into use: open for writing' "$scratch/stderr" ||
		{ echo "resume: status $status"; cat "$scratch/stderr"; }
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] && grep -q 'in use: open for writing' "$scratch/stderr" ||
		{ echo "abort: status $status"; cat "$scratch/stderr"; }
	printf 'new data' >&7
	exec 7>&-
	run "$VOLMIG" abort -q $id
	[ $status = 3 ] && grep -q 'was written to since' "$scratch/stderr" ||
		{ echo "abort after that: status $status"; cat "$scratch/stderr"; }
	is_whole a/v || echo 'the source is not whole'
	[ "$(tail -c 8 b/v)" = 'new data' ] || { echo 'what was written is lost'; return; }
	mv b/v b/other
	"$VOLMIG" abort -q $id || echo "abort in the end: status $?"
	[ -e b/other ] && is_whole a/v || echo 'what was written is lost in the end'
	nothing_left a b
}
kind=new
settles 'a destination that somebody has begun to use is not taken away from him' taken_up

# A destination that was empty when it was planned, and is not any more when that goes on.
kind=into
not_begun() {
	fresh
	move kill-after-record:2
	mke2fs -q -F b/v 2500k >/dev/null 2>&1
	fs=$(sum_of b/v)
	run "$VOLMIG" resume -q $id
	[ $status = 3 ] || echo "status $status"
	grep -q 'not as it was when the job was planned' "$scratch/stderr" || cat "$scratch/stderr"
	[ "$(sum_of b/v)" = "$fs" ] || echo 'it was overwritten'
	"$VOLMIG" abort -q $id || echo "abort: status $?"
	[ "$(sum_of b/v)" = "$fs" ] || echo 'abort has changed it'
	is_whole a/v || echo 'the source is not whole'
}
settles 'a destination that came to hold something before the first byte was written' not_begun

# Killed while the source was removed, which takes it aside first; and then the destination is lost.
aside() {
	interrupt committed
	mv a/v a/.volmig-$id.source
	mv b/v away/destination
	run "$VOLMIG" resume -q $id
	[ $status = 4 ] && grep -q 'the destination has gone' "$scratch/stderr" ||
		{ echo "status $status"; cat "$scratch/stderr"; }
	is_whole a/v || echo 'the source does not have its name again'
	mv away/destination b/v
	run "$VOLMIG" resume -q $id
	[ $status = 0 ] && is_whole b/v && [ ! -e a/v ] || { echo "in the end: status $status"; cat "$scratch/stderr"; }
	nothing_left a b
}
kind=new
settles 'a source that was taken aside has its name again where the destination is lost' aside
done_testing
