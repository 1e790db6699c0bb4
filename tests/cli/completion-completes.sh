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
		--from | --to | --allow | --tls-certificates)
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

# --- logical volumes, in a /dev of our own: by both names that an active one has

_volmig_dev=$scratch/dev
is "no logical volumes without device-mapper" "$(offers migrate vg)" ''
mkdir -p dev/mapper dev/vg0 dev/vg-1 dev/vg-
# The device, LVM's name and device-mapper's.
for names in dm-0:vg0/web:vg0-web dm-1:vg0/my-data:vg0-my--data dm-2:vg-1/a--b:vg--1-a----b \
	dm-3:vg-/x:vg---x; do
	IFS=: read -r node lv name <<<"$names"
	touch "dev/$node"
	ln -s "../$node" "dev/$lv"
	ln -s "../$node" "dev/mapper/$name"
done
# Hidden parts, what is not LVM's, what has gone, and two names that are not of one device.
touch dev/mapper/{control,vg0-pool-tpool,vg0-web_rimage_0,luks-1234,mpatha-part1}
ln -s ../dm-9 dev/vg0/gone
ln -s ../dm-9 dev/mapper/vg0-gone
touch dev/mapper/vg0-other dev/vg0/other
in_vg0=$(lines vg0/my-data vg0/web)
is "groups on the way to a volume" "$(offers migrate vg)" "$(lines vg-/ vg-1/ vg0/)"
is "the logical volumes of a group" "$(offers migrate vg0/)" "$in_vg0"
is "the beginning of one" "$(offers attach vg0/m)" vg0/my-data
is "dashes in names" "$(offers copy vg-)$(offers copy vg-1/ vg-1/)" "$(lines vg-/ vg-1/)vg-1/a--b"
is "a group whose name ends with a dash" "$(offers detach vg-/)" vg-/x
is "the same for lvm:" "$(offers migrate lvm : vg0/)" "$in_vg0"
is "groups for a PLACE" "$(offers migrate vg0/web vg)" "$(lines vg- vg-1 vg0)"
is "and for lvm:" "$(offers migrate vg0/web lvm : vg0)" vg0
is "no volumes for a PLACE" "$(offers migrate src.img vg0/)" ''
is "but with --into-existing" "$(offers migrate --into-existing src.img vg0/)" "$in_vg0"
is "volumes for DEST" "$(offers copy src.img vg0/)" "$in_vg0"
is "groups for DEST with --create" "$(offers copy --create src.img vg0)" vg0
is "and for the places of a batch" "$(offers batch --from = vg0)$(offers batch --to=vg0)" vg0--to=vg0
is "beside directories" "$(mkdir vg0.d && offers migrate src.img vg0 && rmdir vg0.d)" "$(lines vg0 vg0.d)"
is "no logical volume for a path" "$(offers migrate ./vg)$(offers migrate /vg)" ''
if [ "$(id -u)" != 0 ]; then
	chmod 0 dev/dm-0
	is "nor one that may not be read" "$(offers migrate vg0/)" vg0/my-data
else
	skip "nor one that may not be read" "root may read everything"
fi
is "whatever the user has set" \
	"$(
		set -f
		shopt -s failglob
		GLOBIGNORE='*'
		offers migrate vg0/m
	)" vg0/my-data
unset _volmig_dev

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
		_volmig_dev='$scratch/dev'
	EOF
	printf '%s\n' $'volmig migrate vg0\tm\tvg-1\t' $'volmig mi\t--ver\tf\tsome\tw\tds\t' $'volmig attach file:some\ta\t' \
		$'volmig detach "some dir/it\t' $'volmig abort -q '"${unfinished:0:5}"$'\t' exit |
		timeout -k 5 30 script -qec 'bash --noprofile --rcfile rc -i' /dev/null >/dev/null 2>&1
	is "readline puts it in, quoted as it must be" "$(cat typed)" "$(lines \
		'<migrate><vg0/my-data><vg-1>' '<migrate><--verify=full><some dir/web 1.img><dst/>' \
		'<attach><file:some dir/a:b=c.img>' "<detach><some dir/it's.img>" \
		"<abort><-q><$unfinished>")"
else
	skip "readline puts it in, quoted as it must be" "needs script"
fi

done_testing
