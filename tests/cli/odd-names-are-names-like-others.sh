#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Spaces, quotes, newlines, bytes that are no UTF-8, dashes, the longest names there are.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires perl

image original 70001
sum=$(sum_of original)
long=$(printf '%0255d' 0)

is_json() {
	perl -MJSON::PP -e 'local $/; my $text = <STDIN>; decode_json($text); exit($text =~ /\n./s)' <"$1"
}

# one NAME: there and back, by a directory, by a new name, by --into-existing; looked at in between.
one() {
	local name=$1 job
	rm -rf from to "$VOLMIG_STATE_DIR"
	mkdir from to
	cp original "from/$name" || return 1

	run "$VOLMIG" migrate -n --json "./from/$name" ./to/
	[ $status = 0 ] && is_json "$scratch/stdout" || { echo "dry run: status $status"; return; }
	run "$VOLMIG" migrate -q "./from/$name" ./to/
	[ $status = 0 ] || { echo "into a directory: status $status"; return; }
	[ ! -e "from/$name" ] && [ "$(sum_of "to/$name")" = "$sum" ] || { echo 'not moved'; return; }

	run "$VOLMIG" migrate --json "$work/to/$name" "file:from/new $name"
	case $name in
	"$long") [ $status = 3 ] || echo "a name that gets too long: status $status"; return ;;
	esac
	[ $status = 0 ] && is_json "$scratch/stdout" || { echo "by a new name: status $status"; return; }
	[ ! -e "to/$name" ] && [ "$(sum_of "from/new $name")" = "$sum" ] || { echo 'not moved'; return; }

	head -c 80000 /dev/urandom >"to/old $name"
	run "$VOLMIG" migrate --into-existing "./from/new $name" "./to/old $name"
	[ $status = 0 ] || { echo "onto something: status $status"; return; }
	[ "$(sum_of "to/old $name" 70001)" = "$sum" ] || { echo 'not moved'; return; }
	# What people see is lines, however many the name has.
	! LC_ALL=C tr -d '\n' <"$scratch/stdout" | LC_ALL=C grep -q '[[:cntrl:]]' ||
		{ echo 'control characters in the report'; return; }
	iconv -f UTF-8 -t UTF-8 <"$scratch/stdout" >/dev/null || { echo 'the report is no UTF-8'; return; }

	run "$VOLMIG" status
	[ "$(wc -l <"$scratch/stdout")" = 4 ] || { echo 'not a line for each job'; return; }
	run "$VOLMIG" status --json
	is_json "$scratch/stdout" || { echo 'status is no JSON'; return; }

	run "$VOLMIG" migrate "./from/$name" ./to/
	[ $status = 3 ] || { echo "what is not there: status $status"; return; }
	one_line_of_error

	# Interrupted in the middle, and gone on with from the journal.
	cp original "from/$name"
	job=11111111-2222-4333-8444-555555555555
	faulty read-eio:40000 migrate -q --job-id $job "./from/$name" ./to/ 2>/dev/null
	run "$VOLMIG" resume $job
	[ $status = 0 ] || { echo "resume: status $status"; return; }
	[ ! -e "from/$name" ] && [ "$(sum_of "to/$name")" = "$sum" ] || { echo 'not moved'; return; }
	nothing_left "$work"
}

settles 'a space' one 'with space'
settles 'spaces around' one ' x '
settles 'quotes' one "it's \"quoted\" \`here\` \$HOME \\"
settles 'a newline' one "$(printf 'two\nlines')"
settles 'a tab, a carriage return, an escape sequence' one "$(printf '\t\r\033[2J')"
settles 'UTF-8' one "$(printf 'gr\303\274\303\237e \360\237\222\276')"
settles 'no UTF-8' one "$(printf 'latin1 \374\377')"
settles 'half a character' one "$(printf 'x\303')"
settles 'a C1 control character' one "$(printf 'x\302\2332J')"
settles 'a per cent sign' one '%s%n%d'
settles 'a backslash n' one 'two\nlines'
settles 'a glob' one '*'
settles 'a colon' one 'nbd:x'
settles 'a dash' one '-'
settles 'an option' one '--help'
settles 'three dots' one '...'
settles 'hidden' one '.hidden'
settles 'the longest name' one "$long"
settles 'like one of ours' one '.volmig-x'

mkdir b
cp original ./-x
ok 'a dash in front, behind --' "$VOLMIG" migrate -q -- -x b/
is '... is moved' "$(sum_of b/-x)" "$sum"
cp original ./--json
ok 'an option in front, behind --' "$VOLMIG" copy -q --create -- --json ./b/copy.of
ok 'a vg/lv form as file:' "$VOLMIG" copy -q --create file:b/copy.of file:b/other
refuses 3 'a bare word is a volume group' 'no volume group again.*write \./again' "$VOLMIG" copy --create ./original again
refuses 3 'two words with a slash are a logical volume' 'no volume group b;.*write \./b/again' \
	"$VOLMIG" copy ./original b/again

# Directories down to the longest path.
deep=$work
while [ ${#deep} -lt 3700 ]; do
	deep=$deep/$(printf '%0100d' 0)
done
mkdir -p "$deep"
cp original "$deep/x"
ok 'a path of nearly 4 KiB' "$VOLMIG" migrate -q "$deep/x" "$deep/y"
is '... is moved' "$(sum_of "$deep/y")" "$sum"
ok '... also from within' sh -c 'cd "$1" && "$VOLMIG" migrate -q ./y ./x' sh "$deep"
run "$VOLMIG" status --json
ok '... and looked at' is_json "$scratch/stdout"
longest=$deep/$(printf '%0*d' $((4094 - ${#deep})) 0)
while [ ${#longest} -gt 4095 ]; do longest=${longest%?}; done
name=${longest##*/}
refuses 3 "a name of ${#name} bytes is too long" 'too long' "$VOLMIG" migrate "$deep/x" "$longest"
deeper=$deep/$(printf '%0250d' 0)
mkdir "$deeper"
room=$((4095 - ${#deeper} - 1))
longest=$deeper/$(printf '%0*d' $room 0)
is 'the longest path there is has 4095 bytes' ${#longest} 4095
listing "$work" >"$scratch/before"
run "$VOLMIG" migrate -q "$deep/x" "$longest"
case $status in
0) is '... and is moved to' "$(sum_of "$longest")" "$sum" ;;
1 | 3)
	listing "$work" >"$scratch/after"
	is '... or else nothing has changed' "$(cat "$scratch/after")" "$(cat "$scratch/before")"
	;;
*) fail "status $status" ;;
esac
refuses 2 'one byte more is a usage error' 'too long' "$VOLMIG" migrate "$deep/x" "${longest}0"
refuses 2 'so are 100 KiB' 'too long' "$VOLMIG" migrate "$deep/x" "/$(printf '%0100000d' 0)"

# The state directory has a name, too; the command to go on with is one for the shell.
for state in 'st ate' "it's" "$(printf 'two\nlines')" "$(printf '\377')" '-x'; do
	cp original v
	rm -f b/v
	run faulty read-eio:40000 --state-dir="$state" migrate -q ./v ./b/
	is "interrupted with the state directory $(printf '%s' "$state" | tr '\n\377' '??')" "$status" 4
	command=$(sed -n 's/.*; go on with: //p' "$scratch/stderr")
	ok "... the command that is printed goes on: $command" \
		env PATH="$(dirname "$VOLMIG"):$PATH" bash -c "$command"
	is '... and the volume is moved' "$(sum_of b/v)" "$sum"
done
done_testing
