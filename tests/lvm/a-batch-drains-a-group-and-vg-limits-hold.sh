#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A batch drains a group of its tagged volumes; with vg=1 no two moves use a group at once, and those of other groups go on.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 4 -s 128M -t 500
requires vgcreate jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
export DM_DISABLE_UDEV=1
for group in g0 g1 g2 g3; do
	vgcreate -qq -s 1M $group "$1"
	shift
done
cd "$scratch" || exit 99

# volume GROUP NAME [OPTION...]: with noise on it; its sum is in sums/NAME.
mkdir sums
volume() {
	lv=$1/$2
	name=$2
	shift 2
	lvcreate -qq -y -Wn -Zn -L 8M -n "$name" "$@" "${lv%/*}" >/dev/null 2>&1
	dd if=/dev/urandom of="/dev/$lv" bs=1M conv=fsync status=none 2>/dev/null
	sum "/dev/$lv" >"sums/$name"
}
sum() {
	dd if="$1" bs=1M iflag=direct status=none | sha256sum
}
# names GROUP: of its volumes.
names() {
	lvs --noheadings -o lv_name "$1" | tr -d ' ' | sort | xargs
}
# whole GROUP NAME...
whole() {
	group=$1
	shift
	for name; do
		[ "$(sum "/dev/$group/$name")" = "$(cat "sums/$name")" ] || return 1
	done
}
# TICKET BEGIN END of each move of one of the volumes NAME...
jobs_of() {
	for name; do
		for journal in "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl; do
			jq -rs --arg suffix "/$name" 'if .[1].plan.move.source.path | endswith($suffix) then
				[(map(select(.rec == "terms"))[0].ticket), (map(select(.rec == "begin"))[0].time),
				 (map(select(.rec == "end"))[0].time)] | join(" ") else empty end' "$journal"
		done
	done | sort -n
}

# --- a group is drained of what has the tag

for name in web db mail; do
	volume g0 $name --addtag drain
done
volume g0 stay --addtag drained
dry() {
	"$VOLMIG" batch -n --from g0 --to g1 --select @drain
}
ok 'it is planned' dry
is '... and nothing is done' "$(names g0) $(names g1)" 'db mail stay web '
drain() {
	VOLMIG_INJECT=slow:100000 "$VOLMIG_INJECT_BIN" batch -q --limit max-jobs=3 --limit vg=1 --from g0 --to g1 --select @drain
}
ok 'the group is drained' drain
is '... of the tagged volumes alone' "$(names g0), $(names g1)" 'stay, db mail web'
ok '... whole' whole g1 db mail web
ok '... and what stays is as it was' whole g0 stay
is '... with their tags, and none of a job' "$(lvs --noheadings -o lv_tags g0 g1 | tr -d ' ' | sort | xargs)" \
	'drain drain drain drained'
jobs_of db mail web >jobs.txt
is '... one after another' "$(wc -l <jobs.txt) $(sort -k 2 jobs.txt | awk '$2 < end { n++ } { end = $3 } END { print n + 0 }')" '3 0'
ok 'the same again is no error' drain
is '... and moves nothing' "$(names g0), $(names g1), $(find "$VOLMIG_STATE_DIR/jobs" -mindepth 1 -maxdepth 1 | wc -l)" \
	'stay, db mail web, 3'

# --- single moves: two share a group, a third has two of its own

volume g0 a
volume g2 b
volume g2 c
children=
for move in g0/a:g1 g2/b:g1; do
	VOLMIG_INJECT=slow:250000 "$VOLMIG_INJECT_BIN" migrate -q --limit vg=1 ${move%:*} ${move#*:} 2>>waits &
	children="$children $!"
done
failed=0
for child in $children; do
	wait "$child" || failed=$((failed + 1))
done
is 'two moves into one group end well' "$failed $(names g1)" '0 a b db mail web'
ok '... whole' whole g1 a b
is '... one after the other' "$(jobs_of a b | sort -k 2 | awk '$2 < end { n++ } { end = $3 } END { print NR, n + 0 }')" '2 0'
volume g0 d
children=
for move in g0/d:g1 g2/c:g3; do
	VOLMIG_INJECT=slow:400000 "$VOLMIG_INJECT_BIN" migrate -q --limit vg=1 ${move%:*} ${move#*:} 2>>waits &
	children="$children $!"
done
for child in $children; do
	wait "$child" || failed=$((failed + 1))
done
is 'two moves between four groups end well' "$failed $(names g3)" '0 c'
is '... at the same time' "$(jobs_of c d | sort -k 2 | awk '$2 < end { n++ } { end = $3 } END { print NR, n + 0 }')" '2 1'
is 'no ticket is left' "$(cd "$VOLMIG_STATE_DIR/limits" && echo ./*)" "./lock ./spare"
done_testing
