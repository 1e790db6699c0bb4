#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig is killed at each journal record of a swap onto an NBD export, and back, once under TLS; then resume, or abort, ends it with one disk that all agree on.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
. "$TOP/tests/net.sh"
requires nbdkit openssl
certificates pki >pki.log 2>&1 || { cat pki.log; exit 99; }
export LIBVIRTD_NBD_TLS="$work/pki"
start_libvirtd

"$VOLMIG_INJECT_BIN" --version >/dev/null || skip_all 'needs a build with INJECT=1'
dd if=/dev/urandom of=data bs=1M count=2 status=none
truncate -s 8M data
cp --sparse=always data a.raw
truncate -s 8M b.raw
nbdkit_on kit file "$work/b.raw"
export=$(uri kit)
socket=kit.sock
define web "$(disk_xml vda "$work/a.raw" "cache='none'")"
start_paused web
at='file'

# ends_on file|export: what runs and what is defined both say so, QEMU has nothing else, there is no mirror, and it is whole.
ends_on() {
	! virsh dumpxml web | grep -q '<mirror' || return 1
	if [ "$1" = file ]; then
		truth web vda && [ "$(disk_source web vda)" = "$work/a.raw" ] && cmp data a.raw
	else
		for which in '' --inactive; do
			# shellcheck disable=SC2086
			virsh dumpxml $which web | grep -q "protocol='nbd'" || return 1
		done
		virsh -q qemu-monitor-command web --hmp 'info block' | grep -q "$socket" && cmp data b.raw
	fi
}
there() {
	[ "$at" = file ] && echo export || echo file
}
# killed WHEN RECORD HOW: 1 when the job came to its end before that record.
killed() {
	[ "$at" = file ] && to=$export || to=$work/a.raw
	was=0
	VOLMIG_INJECT="$1-record:$2" "$VOLMIG_INJECT_BIN" swap -q --into-existing web vda "$to" >killed 2>&1 || was=$?
	if [ $was = 0 ]; then
		ok "without a kill ($1 $2): moved" ends_on "$(there)"
		at=$(there)
		return 1
	fi
	if [ $was != 137 ] || [ "$2" -gt 40 ]; then
		fail "killed $1 $2: status $was"
		diag "$(cat killed)"
		return 1
	fi
	job=$("$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ && $1 ~ /-/ { print $1 }')
	status=0
	[ -z "$job" ] || "$VOLMIG" "$3" -q "$job" >"$scratch/output" 2>&1 || status=$?
	if [ $status = 3 ] && [ "$3" = abort ] && grep -q 'point of no return' "$scratch/output"; then
		ok "killed $1 $2, abort refused: then it goes forward" "$VOLMIG" resume -q "$job"
		at=$(there)
	elif [ $status != 0 ]; then
		fail "killed $1 $2, $3: status $status"
		diag "$(cat "$scratch/output")"
		return 1
	elif [ -n "$job" ] && [ "$3" = resume ]; then
		at=$(there)
	elif [ -z "$job" ] && ends_on "$(there)" 2>/dev/null; then
		at=$(there)
	fi
	ok "killed $1 $2, ${job:+$3}: the disk is on the $at" ends_on "$at"
}

# Before one and after the one that precedes it is the same instant but for the record itself.
at_each_record() {
	record=1
	while killed "$([ $((record % 2)) = 0 ] && echo kill-after || echo kill-before)" $record \
		"$([ $((record % 2)) = 0 ] && echo "$2" || echo "$1")"; do
		record=$((record + 1))
	done
	ok "$1 $2: those were the records of a whole move" test $record -ge 10
}
at_each_record resume abort
at_each_record abort resume

# Under TLS each record once.
"$VOLMIG" swap -q --into-existing web vda "$work/a.raw" >/dev/null 2>&1
at='file'
nbdkit_on tls --tls=require --tls-certificates="$work/pki" --tls-verify-peer file "$work/b.raw"
export="nbds+unix:///?socket=$work/tls.sock&tls-certificates=$work/pki&tls-hostname=localhost"
socket=tls.sock
ok 'it begins from the file' ends_on file
at_each_record abort resume

done_testing
