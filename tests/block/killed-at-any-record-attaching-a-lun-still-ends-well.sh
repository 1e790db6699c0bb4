#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL between any two acts of attaching and detaching a LUN: the same command, the other one, or doctor ends it.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires
requires jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
luns_up -c "$1" "$2"
initiator_up

for at in 1 2 3 4 5 6 7; do
	for way in detach attach doctor; do
		must_fail 137 "attach killed at $at" env VOLMIG_INJECT=kill-attach:$at \
			"$VOLMIG_INJECT_BIN" attach -q --chap-file="$chap" "$url/0"
		case $way in
		attach)
			ok 'attaching goes on' attach --chap-file="$chap" "$url/0"
			is 'with one session and one disk' "$(sessions) $(disks | wc -w) $(nodes)" '1 1 1'
			ok 'to be detached' detach "$url/0"
			;;
		detach)
			ok 'detach undoes it' detach "$url/0"
			;;
		doctor)
			[ $at = 7 ] || {
				must_fail 1 'doctor finds it' "$VOLMIG" doctor --json
				is 'and names it' "$(grep '^{' "$scratch/output" |
					jq -r '[.findings[] | select(.check == "attachments")] | length')" 1
				ok 'and mends it' "$VOLMIG" doctor --fix -q
			}
			detach "$url/0"
			;;
		esac
		nothing_left "attach killed at $at, $way"
	done
done

for at in 1 3 4 5; do
	ok 'a LUN is attached' attach --chap-file="$chap" "$url/0"
	must_fail 137 "detach killed at $at" env VOLMIG_INJECT=kill-detach:$at \
		"$VOLMIG_INJECT_BIN" detach -q "$url/0"
	ok 'detach goes on' detach "$url/0"
	nothing_left "detach killed at $at"
done

# Another LUN is in use meanwhile.
ok 'a LUN is attached' attach --chap-file="$chap" "$url/1"
must_fail 137 'attach of another is killed' env VOLMIG_INJECT=kill-attach:6 \
	"$VOLMIG_INJECT_BIN" attach -q "$url/0"
must_fail 1 'doctor finds the one' "$VOLMIG" doctor --json
is 'and names it' "$(grep '^{' "$scratch/output" |
	jq -r '.findings[] | select(.check == "attachments") | .object')" \
	"iscsi://$portal/$iqn/0"
"$VOLMIG" doctor --fix -q >/dev/null 2>&1
is 'the other stays' "$(sessions) $(disks | wc -w)" '1 1'
ok 'until it is detached' detach "$url/1"
nothing_left 'after both'

# The machine is started anew: no session, but what is on the disk stays.
ok 'a LUN is attached' attach --chap-file="$chap" "$url/0"
iscsiadm -m session -u >/dev/null
sed -i 's/"boot": "[^"]*"/"boot": "00000000-0000-4000-8000-000000000000"/' "$records"/*
must_fail 1 'doctor finds what was attached before' "$VOLMIG" doctor
has 'and says so' 'recorded as attached before the machine was restarted'
ok 'it can be attached again' attach --chap-file="$chap" "$url/0"
is 'with one node record' "$(nodes)" 1
ok 'and detached' detach "$url/0"
nothing_left 'after a restart'
done_testing
