#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A command line that makes no sense: status 2, one line that says why, nothing touched.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"

# One that is not open; whoever started this may have had a use for it.
exec 9>&-
image a 300001
mkdir b
id=5e0c2f6a-1d83-4c55-9f0e-7a9d54a1c3b2

refuses 2 'an unknown command' 'teleport: unknown command' "$VOLMIG" teleport ./a ./b
refuses 2 'an empty command' 'unknown command' "$VOLMIG" ''
refuses 2 'a command with a newline' 'x\\ny: unknown command' "$VOLMIG" "$(printf 'x\ny')"
refuses 2 'a command that an escape sequence follows' '\\x1b' "$VOLMIG" "$(printf 'copy\033[2J')"
refuses 2 'an unknown global option' '--colour: unknown option' "$VOLMIG" --colour migrate ./a ./b
refuses 2 'a global option without its value' 'state-dir: missing argument' "$VOLMIG" --state-dir
must_fail 2 'no command at all' "$VOLMIG"
has '... tells how to use it' 'Usage: volmig' migrate

for command in migrate copy attach detach status resume abort; do
	refuses 2 "$command: an unknown option" "$command: --colour: unknown option" \
		"$VOLMIG" $command --colour
	refuses 2 "$command: an unknown short option" "$command: -Z: unknown option" \
		"$VOLMIG" $command -Z
	refuses 2 "$command: an option with a value that takes none" "$command: --json=yes: option does not take an argument" \
		"$VOLMIG" $command --json=yes
done
for command in attach detach resume abort; do
	refuses 2 "$command: no argument" 'missing argument' "$VOLMIG" $command
done
for command in resume abort; do
	refuses 2 "$command: two arguments" 'two: one argument too many' "$VOLMIG" $command ./a two
done
for command in attach detach; do
	refuses 2 "$command: three arguments" 'three: one argument too many' \
		"$VOLMIG" $command ./a two three
	refuses 2 "$command: --live without a domain" 'no domain is named' "$VOLMIG" $command --live ./a
done
refuses 2 'status: two arguments' 'one argument too many' "$VOLMIG" status $id two
for command in migrate copy; do
	refuses 2 "$command: no argument" 'missing argument' "$VOLMIG" $command
	refuses 2 "$command: one argument" 'missing argument' "$VOLMIG" $command ./a
	refuses 2 "$command: one argument and --" 'missing argument' "$VOLMIG" $command ./a --
	refuses 2 "$command: three arguments" './c: one argument too many' "$VOLMIG" $command ./a ./b ./c
	refuses 2 "$command: three arguments, one of them an option's" './c: one argument too many' \
		"$VOLMIG" $command ./a ./b --bwlimit 1M ./c
	refuses 2 "$command: an empty source" 'empty name' "$VOLMIG" $command '' ./b/
	refuses 2 "$command: an empty destination" 'empty name' "$VOLMIG" $command ./a ''
	refuses 2 "$command: an option whose value is missing" '--bwlimit: missing argument' \
		"$VOLMIG" $command ./a ./b/ --bwlimit

	for rate in '' 0 0K fast -1 +1 1.5 1KB 1KiB 0x10 '1 M' ' 1' 1,5M nan 1e9 .5M 1.M; do
		refuses 2 "$command --bwlimit='$rate'" "--bwlimit=.*rate" \
			"$VOLMIG" $command ./a ./b/ "--bwlimit=$rate"
	done
	for rate in 18446744073709551616 99999999999999999999999999 16777216T 16384P; do
		refuses 2 "$command --bwlimit=$rate" 'the rate is too large' \
			"$VOLMIG" $command ./a ./b/ --bwlimit=$rate
	done
	for option in stall-timeout wait-lock; do
		for time in '' soon -1 1M 1S '1 s' 1w 1h30m 1:30 0x10 1e3; do
			refuses 2 "$command --$option='$time'" "--$option=.*not a time" \
				"$VOLMIG" $command ./a ./b/ "--$option=$time"
		done
		# Beyond what 64 bits hold, in milliseconds and in nanoseconds.
		for time in 18446744073709551616 213503982335d 213503982334d 18446744073709s; do
			refuses 2 "$command --$option=$time" 'the time is too long' \
				"$VOLMIG" $command ./a ./b/ --$option=$time
		done
	done
	for word in '' half Full none,full; do
		refuses 2 "$command --verify='$word'" 'full or none' "$VOLMIG" $command ./a ./b/ "--verify=$word"
	done
	for word in '' qcow2 RAW; do
		refuses 2 "$command --format='$word'" 'raw' "$VOLMIG" $command ./a ./b/ "--format=$word"
	done
	refuses 2 "$command: --thin without a pool" 'names no thin pool' "$VOLMIG" $command ./a vg0 --thin=
	refuses 2 "$command: --thin and --thick" 'contradicts' "$VOLMIG" $command ./a vg0 --thin=pool --thick
	for option in --thin=pool --thick; do
		refuses 2 "$command $option where no logical volume is made" 'is for a new logical volume' \
			"$VOLMIG" $command ./a ./b/ $option
	done
	for word in '' bar; do
		refuses 2 "$command --progress='$word'" 'auto, tty, json or none' \
			"$VOLMIG" $command ./a ./b/ "--progress=$word"
	done
	# Closed for certain: whoever runs the tests may hold a lock by it.
	refuses 2 "$command --progress-fd that is not open" 'progress-fd' \
		"$VOLMIG" $command ./a ./b/ --progress-fd 9 9>&-
	refuses 2 "$command --progress-fd that is no number" 'two: invalid numeric value' \
		"$VOLMIG" $command ./a ./b/ --progress-fd two
	refuses 2 "$command --progress-fd that is negative" 'progress-fd' \
		"$VOLMIG" $command ./a ./b/ --progress-fd -1
	for word in '' 1 5e0c2f6a ${id}0 ${id%?} "{$id}" ../../etc "$(printf '%s\n' $id x)"; do
		refuses 2 "$command --job-id='$word'" 'UUID' "$VOLMIG" $command ./a ./b/ "--job-id=$word"
	done
	refuses 3 "$command: a logical volume that is not there" \
		"no volume group vg0; for a file of that name write ./vg0/web" \
		"$VOLMIG" $command vg0/web ./b/
	refuses 2 "$command: an NBD export without a name" 'names no NBD export' "$VOLMIG" $command ./a nbd://
done

for word in '' scrub Zero; do
	refuses 2 "migrate --wipe='$word'" 'none, zero or discard' "$VOLMIG" migrate ./a ./b/ "--wipe=$word"
done
for word in '' teleport COPY; do
	refuses 2 "migrate --method='$word'" 'method' "$VOLMIG" migrate ./a ./b/ "--method=$word"
done
for word in '' yes Auto; do
	refuses 2 "copy --sparse='$word'" 'auto or never' "$VOLMIG" copy ./a ./b/ "--sparse=$word"
done
refuses 2 'migrate: --wipe and --keep-source' '--wipe: .*contradicts' \
	"$VOLMIG" migrate --wipe=zero --keep-source ./a ./b/
refuses 2 'migrate: --wipe and --verify=none' '--wipe: .*contradicts' \
	"$VOLMIG" migrate --wipe=discard --verify=none ./a ./b/
refuses 2 'copy: --compress on one host' 'compress: is for bytes on their way to another host' \
	"$VOLMIG" copy --compress ./a ./b/
refuses 2 'migrate: --compress on one host' 'compress: is for bytes on their way to another host' \
	"$VOLMIG" migrate --compress ./a ./b/
refuses 2 'copy: --create and --delta' 'contradicts' "$VOLMIG" copy --create --delta ./a ./b/
refuses 2 'copy: --create and --into-existing' 'contradicts' \
	"$VOLMIG" copy --create --into-existing ./a ./b/

for command in status resume abort; do
	for job in '' 123 web.img ./a "$(printf '12345\n')x" '*' ../../jobs ../jobs/$id; do
		refuses 2 "$command: '$job' is no job" 'is no job|no such job' "$VOLMIG" $command "$job"
	done
	refuses 2 "$command: a job that there is not" 'no such job' "$VOLMIG" $command $id
	refuses 2 "$command: an id that is too long" 'no such job' "$VOLMIG" $command ${id}00
done
ok 'no state directory has come about' [ ! -e "$VOLMIG_STATE_DIR" ]

done_testing
