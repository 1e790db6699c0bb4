#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig.8 has every member of the JSON results and progress lines, and no top-level one too many.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires jq

cd "$scratch" || exit 99
mkdir dst
truncate -s 4M src.img
cp src.img other.img
head -c 3M /dev/urandom >slow.img

# results WHAT...: run volmig, whatever its status, and keep what it says.
result() {
	"$VOLMIG" "$@" --json >>results 2>/dev/null
}

result migrate --dry-run ./src.img ./dst/
result migrate --progress=json --progress-fd=3 ./src.img ./dst/ 3>progress
result migrate ./none ./dst/
result copy --create --verify=none ./other.img ./dst/
result attach --dry-run ./other.img
result detach --dry-run ./other.img
"$VOLMIG" migrate -q --bwlimit=256K ./slow.img ./dst/ 2>/dev/null &
child=$!
# shellcheck disable=SC2016	# when it is done
at_exit '[ -z "$child" ] || kill -KILL "$child"'
copying() {
	"$VOLMIG" status | grep ' copying '
}
ok "a job begins to copy" wait_until copying
job=$("$VOLMIG" status | sed -n 's/ .* copying .*//p')
result status "$job"
kill -TERM $child
wait $child
child=
result status "$job"
result status
result abort "$job"

# The names of all members, wherever they are.
members() {
	jq -r '[.. | objects | keys[]] | .[]' "$1" | sort -u
}

# Words of the sections about JSON that are set as literal names.
documented=$(awk '/^\.Sh / { inside = /JSON RESULT|PROGRESS/ }
	inside && /^\.(It Cm|Cm|Pq Cm) / {
		sub(/^\.(It Cm|Cm|Pq Cm) /, "")
		for (i = 1; i <= NF; i++)
			if ($i ~ /^[a-z_]+$/)
				print $i
	}' "$TOP/man/volmig.8" | sort -u)

ok "there are results" test "$(members results | wc -l)" -ge 40
is "their members are documented" "$(members results | grep -vx -e "$documented")" ""
is "those of progress, too" "$(members progress | grep -vx -e "$documented")" ""

# Moves of guests' disks and inside groups are not to be seen here, but the code that
# reports them is: keys are what is quoted between a bracket or a comma and a comma.
cat "$TOP"/core/report*.c "$TOP/core/status.c" | tr '\n' ' ' |
	grep -oE '(json_put|json_pack)\([^;]*;' | sed 's/,/,,/g' |
	grep -oE '[(,][[:space:]]*"[a-z_]+",' | tr -cd 'a-z_\n' | sort -u >code
ok "the code has members that are not seen here" \
	test "$(grep -cvx -e "$(members results)" code)" -ge 10
is "they are documented as well" "$(grep -vx -e "$documented" code)" ""

items() {
	awk -v section="$1" '
		/^\.Sh / { inside = $0 == ".Sh " section }
		inside && /^\.It Cm / { sub(/^\.It Cm /, ""); gsub(/ , /, "\n"); print }
	' "$TOP/man/volmig.8" | sort -u
}
ok "the results are a list" test "$(items 'JSON RESULT' | wc -l)" -ge 15
is "each of its members is to be seen" \
	"$(items 'JSON RESULT' | grep -vx -e "$(jq -r 'keys[]' results | sort -u)")" ""
is "progress lines are just those documented" "$(members progress)" "$(items PROGRESS)"

# The states that a job can have are in the code, and each has its item.
states=$(grep -rhoE '\.(state|doing)[[:space:]]*= "[a-z]*"|\? "aborted" : "cleaned"|state = "planned"' \
	"$TOP/core" --include='*.c' | grep -oE '"[a-z]+"' | tr -d '"' | sort -u)
ok "there are states" test "$(printf '%s\n' "$states" | wc -l)" -ge 7
is "they are documented" "$(items JOBS)" "$states"

done_testing
