#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Long options can be set in files; the command line wins, and what is wrong in a file is named with its line.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires jq

cd "$scratch" || exit 99
conf=$scratch/volmig.conf
export VOLMIG_CONFIG=$conf
truncate -s 1M v
mkdir b

# config LINE...: the file.
config() {
	printf '%s\n' "$@" >"$conf"
	chmod 600 "$conf"
}

verify_mode() {
	"$VOLMIG" migrate --dry-run --json "$@" ./v ./b/ | jq -r .verify.mode
}

config '# comment' '' '  verify =  none  ' 'delta = yes' 'quiet = no'
is "a file sets an option" "$(verify_mode)" none
is "the command line wins" "$(verify_mode --verify=full)" full
is "also with the value apart" "$(verify_mode --verify full)" full
is "what the value of another option is counts not" "$(verify_mode --hook --verify)" none
ok "options of other commands do no harm" "$VOLMIG" detach ./v
ok "nor to --version" "$VOLMIG" --version

config 'json = yes'
ok "an option without a value" sh -c '"$VOLMIG" migrate -n ./v ./b/ | jq -e .plan'
config 'json = off'
ok "and off again" "$VOLMIG" migrate -n ./v ./b/
has "it is text" 'point of no return'

config "state-dir = $scratch/elsewhere"
ok "a global option" env -u VOLMIG_STATE_DIR "$VOLMIG" migrate -q --keep-source ./v ./b/
is "is used" "$(find "$scratch/elsewhere/jobs" -name journal.jsonl | wc -l)" 1
ok "the environment wins" "$VOLMIG" status
has "it is another directory" 'no jobs'
ok "the command line, too" env -u VOLMIG_STATE_DIR "$VOLMIG" --state-dir "$scratch/none" status
has "it is another directory" 'no jobs'
rm b/v

config 'hook = echo one $VOLMIG_HOOK >>calls' 'hook = echo two $VOLMIG_HOOK >>calls'
ok "hooks of the file and those typed" "$VOLMIG" migrate -q --keep-source ./v ./b/ --hook 'echo three $VOLMIG_HOOK >>calls'
is "are all called" "$(head -n 3 calls | tr '\n' ' ')" "one pre-create-file two pre-create-file three pre-create-file "
rm b/v

# --- both files, and none

export XDG_CONFIG_HOME=$scratch/xdg
mkdir -p xdg/volmig
cp "$conf" xdg/volmig/volmig.conf
echo 'verify = none' >xdg/volmig/volmig.conf
chmod 600 xdg/volmig/volmig.conf
if [ ! -e /etc/volmig/volmig.conf ]; then
	is "the user's file" "$(unset VOLMIG_CONFIG; verify_mode)" none
else
	skip "the user's file" "there is a /etc/volmig/volmig.conf here"
fi
is "none of them" "$(VOLMIG_CONFIG=none verify_mode)" full

# --- what is meant for some moves only

for name in 'compress = yes' 'thick = yes' 'thin = pool0'; do
	config "$name"
	ok "$name: moves of this host have nothing of it" "$VOLMIG" migrate -n ./v ./b/
	ok "$name: nor have copies" "$VOLMIG" copy -n --create ./v ./b/
	option=--$(echo "$name" | sed 's/ = yes//; s/ = /=/')
	must_fail 2 "$option typed is an error all the same" "$VOLMIG" migrate -n "$option" ./v ./b/
	printf './v ./b/\n' >plan
	ok "$name: nor have lines of a batch" "$VOLMIG" batch -n plan
	printf '%s ./v ./b/\n' "$option" >plan
	must_fail 2 "$option in a line of a batch is an error" "$VOLMIG" batch -n plan
done
config 'keep-source = yes'
is "keep-source: a source stays" "$("$VOLMIG" migrate -n --json ./v ./b/ | jq -r .source_after)" kept

# --- where values come from

config 'verify = none' '' 'bwlimit = 5M' 'verbose = yes'
ok "show-config" "$VOLMIG" --show-config
is "a value and its line" "$(sed -n 's/^bwlimit  *//p' "$scratch/output" | tr -s ' ' | cut -d ' ' -f -5)" \
	"5M $conf:3 # migrate copy"
is "a default" "$(sed -n 's/^stall-timeout  *//p' "$scratch/output" | tr -s ' ' | cut -d ' ' -f -5)" \
	"- default # migrate copy"
is "the environment" "$(sed -n 's/^state-dir  *//p' "$scratch/output" | tr -s ' ')" "$VOLMIG_STATE_DIR VOLMIG_STATE_DIR # (all)"
is "every option is there once" "$(cut -d ' ' -f 1 "$scratch/output" | sort | uniq -d)" ""

# --- what is wrong

# wrong WHAT LINE TEXT: line 2 of the file is wrong in that way.
wrong() {
	config '# first' "$2"
	must_fail "${4:-2}" "$1" "$VOLMIG" migrate -n ./v ./b/
	has "$1 is told" "$conf:2" "$3"
}

wrong "an unknown name" 'bandwidth = 5M' 'bandwidth: there is no such option'
wrong "a line without =" 'quiet' 'name = value'
wrong "a name in capitals" 'Quiet = yes' 'name = value'
wrong "a hidden option" 'list-options = yes' 'no such option'
wrong "neither yes nor no" 'quiet = perhaps' 'takes yes or no'
wrong "what is only to be typed" 'job-id = 11111111-2222-4333-8444-555555555555' 'only on the command line'
wrong "nor to begin each batch anew" 'again = yes' 'only on the command line'
wrong "a value that the option does not take" 'verify = perhaps' '--verify takes full or none'
wrong "a rate that is none" 'bwlimit = fast' 'not a rate'
wrong "a number that is none" 'progress-fd = two' 'invalid numeric value'
config 'quiet = yes' 'quiet = no'
must_fail 2 "a name set twice" "$VOLMIG" status
has "is told with both lines" "$conf:2" 'in line 1'
config 'verify = none'
chmod 622 "$conf"
must_fail 3 "a file that others can write to is refused" "$VOLMIG" migrate -n ./v ./b/
has "and named" "$conf" 'others than'
rm "$conf"
must_fail 3 "so is one that is not there, though asked for" "$VOLMIG" status
has "and named" "$conf" 'No such file'

done_testing
