#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The shell's completion offers commands, options, their values, volumes, places and jobs.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/docs.sh"
# shellcheck source=bash-completion/volmig
. "$TOP/bash-completion/volmig"

cd "$scratch" || exit 99
mkdir bin && ln -s "$VOLMIG" bin/volmig
PATH=$scratch/bin:$PATH

# offers WORD...: what is offered for the last of these words of a command line, one
# a line and sorted.  What goes to stderr would be in the middle of the user's line.
offers() {
	COMP_WORDS=(volmig "$@")
	COMP_CWORD=$#
	_volmig 2>>"$scratch/stderr"
	[ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}" | sort
}

lines() {
	printf '%s\n' "$@"
}

# --- commands and options: all that the program lists, and no more

# The long options of a list as they are offered.
as_offered() {
	sed -n "s/^\\(--[^$tab]*\\)$tab\$/\\1/p; s/^\\(--[^$tab]*\\)$tab..*/\\1=/p" | sort
}

is "commands" "$(offers '')" "$(commands | sort)"
is "the beginning of a command" "$(offers mig)" migrate
is "no command begins so" "$(offers migrant)" ''
is "global options" "$(offers --)" "$(options_of | as_offered)"
is "short options, too" "$(offers - | grep -cx -e -v)" 1
is "after a global option a command" "$(offers -v --state-dir /x stat)" status
for command in $(commands); do
	is "options of $command" "$(offers "$command" --)" "$({
		options_of "$command"
		help_options_of "$command" | is_about_help
	} | as_offered)"
done
is "the beginning of an option, behind others" "$(offers copy -n --json a --del)" --delta
is "no options after --" "$(offers copy -- --)" ''
is "nothing for an unknown command" "$(offers cpoy --)" ''

# --- values

for word in --verify=f '--verify = f' '--verify f'; do
	read -ra words <<<"$word"
	is "a value: $word" "$(offers migrate "${words[@]}")" \
		"$([ "$word" = --verify=f ] && echo --verify=full || echo full)"
done
is "values, the cursor behind =" "$(offers migrate --verify =)" "$(lines full none)"
is "how the name of an export begins" "$(offers migrate nbd+)" "$(lines nbd+unix:///)"
is "directories for --state-dir" "$(offers --state-dir = "$scratch/b")" "$scratch/bin/"

# What an option takes, as the program tells when it is given something else.
truncate -s 1M src.img
mkdir dst
accepted() {
	case $1 in
	migrate | copy) set -- "$@" ./src.img ./dst/ ;;
	swap) set -- "$@" web vda ./dst/ ;;
	attach | detach) set -- "$@" ./src.img ;;
	*) set -- "$@" c0ffee ;;
	esac
	"$VOLMIG" "$1" "$2=nonsense" "${@:3}" 2>&1 |
		sed -n "s/.* $2 takes \\([^;]*\\);.*/\\1/p" | sed 's/,\| or / /g' | xargs -n 1 | sort
}

for command in $(commands); do
	for option in $(options_of "$command" | grep "$tab." | cut -f 1); do
		case $option in
		--limit)
			is "keys of limits for $command" "$(offers "$command" "$option" = d)" device= ;;
		--from | --to | --allow)
			is "directories for $command $option" "$(offers "$command" "$option" = "$scratch/b")" "$scratch/bin/" ;;
		--defaults | --max-latency | --rate-profile | --retries | --select | --window)
			is "nothing for $command $option" "$(offers "$command" "$option" =)" '' ;;
		--chap-file | --metrics)
			ok "files for $command $option" test -n "$(offers "$command" "$option" =)" ;;
		--serial | --target | --timeout | --lease)
			is "nothing for $command $option" "$(offers "$command" "$option" =)" '' ;;
		--hook | --hook-timeout | --granularity | --max-pause | --ceph-secret | --domain | --disk | --interval | --keep | --thin)
			is "nothing for $command $option" "$(offers "$command" "$option" =)" '' ;;
		--bwlimit | --job-id | --progress-fd | --stall-timeout | --wait-lock)
			is "nothing for $command $option" "$(offers "$command" "$option" =)" '' ;;
		--method)
			# The others are of the future, and refused.
			is "values of $command $option" "$(offers "$command" "$option" =)" \
				"$(accepted "$command" "$option" | grep -vx -e pvmove -e lvconvert)" ;;
		*)
			wanted=$(accepted "$command" "$option")
			is "values of $command $option" "$(offers "$command" "$option" =)" \
				"${wanted:-what the program says that it takes}" ;;
		esac
	done
done

# --- paths

mkdir 'some dir' 'some dir/sub' 'some dir/.hidden'
touch 'some dir/web 1.img' "some dir/it's.img" 'some dir/a:b=c.img' 'some dir/[x]*.img'
mkfifo 'some dir/fifo'
in_dir=$(lines 'some dir/[x]*.img' 'some dir/a:b=c.img' "some dir/it's.img" 'some dir/sub' \
	'some dir/web 1.img')
is "a directory on the way to a volume" "$(offers migrate some)" 'some dir'
is "volumes, and no FIFO, for a quoted word" "$(offers migrate "'some dir/")" "$in_dir"
is "the same for a word with backslashes" "$(offers attach 'some\ dir/')" "$in_dir"
is "the same for file:" "$(offers detach file : 'some\ dir/w')" 'some dir/web 1.img'
is "the same for qcow2:" "$(offers migrate qcow2 : 'some\ dir/w')" 'some dir/web 1.img'
is "a quote in a name" "$(offers copy '"some dir/it'"'")" "some dir/it's.img"
is "what globbing would take for a pattern" "$(offers copy 'some\ dir/[')" 'some dir/[x]*.img'
is "a name that readline breaks at : and =" "$(offers copy 'some\ dir/a' : b = c)" c.img
is "directories only for a PLACE" "$(offers migrate src.img "'some dir/")" 'some dir/sub'
is "volumes, too, with --into-existing" \
	"$(offers migrate --into-existing src.img "'some dir/")" "$in_dir"
is "volumes for DEST" "$(offers copy src.img "'some dir/")" "$in_dir"
is "directories for DEST with --create" \
	"$(offers copy --create src.img "'some dir/")" 'some dir/sub'
is "nothing for an argument too many" "$(offers attach src.img '')" ''
HOME=$scratch
# shellcheck disable=SC2088	# as the user types it
is "a tilde stays one" "$(offers attach '~/sr')" '~/src.img'
is "whatever the user has set" \
	"$(
		set -f
		shopt -s failglob dotglob
		GLOBIGNORE='*'
		offers attach 'some\ dir/'
		offers attach nothing
	)" "$in_dir"

# --- jobs

is "no job without a state directory" "$(offers status '')$(offers resume '')" ''
[ ! -e "$VOLMIG_STATE_DIR" ]
is "and none is made" $? 0
"$VOLMIG" migrate -q ./src.img ./dst/
head -c 3M /dev/urandom >slow.img
"$VOLMIG" migrate -q --bwlimit=256K ./slow.img ./dst/ &
child=$!
# shellcheck disable=SC2016	# when it is done
at_exit '[ -z "$child" ] || kill -KILL "$child"'
copying() {
	"$VOLMIG" status | grep ' copying '
}
ok "a job begins to copy" wait_until copying
kill -KILL $child
{ wait $child; } 2>/dev/null
child=
unfinished=$("$VOLMIG" status | sed -n 's/ .* copying .*//p')
is "unfinished jobs to be resumed" "$(offers resume '')" "$unfinished"
is "unfinished jobs to be aborted" "$(offers abort -q "${unfinished:0:5}")" "$unfinished"
is "every job to be shown" "$(offers status '' | wc -l)" 2
is "the jobs of --state-dir=" "$(offers --state-dir = "$scratch/none" status '')" ''
is "the jobs of --state-dir" "$(offers --state-dir "$scratch/none" status '')" ''
(
	unset VOLMIG_STATE_DIR
	offers --state-dir="$scratch/state" abort ''
) >output
is "and of another" "$(cat output)" "$unfinished"

is "and never a word on stderr" "$(cat "$scratch/stderr")" ''

# --- all of it, by readline itself

if command -v script >/dev/null; then
	rm bin/volmig
	cat >bin/volmig <<-EOF
		#!/bin/sh
		case " \$* " in *' --list-'*|*' status '*) exec '$VOLMIG' "\$@" ;; esac
		printf '<%s>' "\$@" >>'$scratch/typed'
		echo >>'$scratch/typed'
	EOF
	chmod +x bin/volmig
	cat >rc <<-EOF
		PS1='\$ '
		PATH=$scratch/bin:\$PATH
		. '$TOP/bash-completion/volmig'
	EOF
	printf '%s\n' $'volmig mi\t--ver\tf\tsome\tw\tds\t' $'volmig attach file:some\ta\t' \
		$'volmig detach "some dir/it\t' $'volmig abort -q '"${unfinished:0:5}"$'\t' exit |
		timeout -k 5 30 script -qec 'bash --noprofile --rcfile rc -i' /dev/null >/dev/null 2>&1
	is "readline puts it in, quoted as it must be" "$(cat typed)" "$(lines \
		'<migrate><--verify=full><some dir/web 1.img><dst/>' \
		'<attach><file:some dir/a:b=c.img>' "<detach><some dir/it's.img>" \
		"<abort><-q><$unfinished>")"
else
	skip "readline puts it in, quoted as it must be" "needs script"
fi

done_testing
