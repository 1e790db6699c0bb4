#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What serves an image is killed, and an iSCSI target fails, in the middle of a copy:
# the job goes on by itself or can be resumed, in time, and the source stays whole.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/moves.sh"
. "$TOP/tests/qemu.sh"
requires qemu-img qemu-storage-daemon jq timeout

mkdir a b
size=33554432
image a/web.img "$size"
sum=$(sum_of a/web.img)
qemu-img convert -f raw -O qcow2 a/web.img a/web.qcow2

# ---- the process that serves an image ----

for kind in destination source; do
	if [ $kind = destination ]; then
		begin 30s migrate ./a/web.img qcow2:b/ --keep-source
	else
		begin 30s migrate qcow2:a/web.qcow2 ./b/ --keep-source
	fi
	server=$(servers | cut -d' ' -f1)
	ok "server of the $kind: there is one" test -n "$server"
	# shellcheck disable=SC2086	# more than one would be a fault that is seen below
	kill -KILL $server
	end
	is "server of the $kind killed: the copy goes on by itself" $status 0
	if [ $kind = destination ]; then
		qemu-img convert -f qcow2 -O raw b/web.qcow2 b/web.img
		qemu-img check -q -f qcow2 b/web.qcow2
		is "server of the $kind killed: the image is in order" $? 0
	fi
	is "server of the $kind killed: what is there is whole" "$(sum_of b/web.img)" "$sum"
	is "server of the $kind killed: it went on where it was" \
		"$(jq '.verify.result' "$scratch/result")" '"equal"'
	rm -f b/*
	wait_until no_servers
	is "server of the $kind killed: none is left" "$(servers)" ''
done

# volmig itself is killed.
begin 30s migrate ./a/web.img qcow2:b/ --keep-source
pid=$(pgrep -P $job_pid)
kill -KILL "$pid"
end
wait_until no_servers
is 'volmig killed: its server is gone' "$(servers)" ''
ok 'volmig killed: resumed' "$VOLMIG" resume -q "$(jobs_of)"
qemu-img convert -f qcow2 -O raw b/web.qcow2 b/web.img
is 'volmig killed: what is there is whole' "$(sum_of b/web.img)" "$sum"
is 'volmig killed: nothing is left' "$(nothing_left a b)" ''
rm -f b/*

# ---- iSCSI, by QEMU's initiator ----

tgt="$TOP/tests/lab/tgt-lab"
missing=$("$tgt" missing)
if [ -n "$missing" ] || ! qemu-img --help | grep -qw iscsi; then
	skip 'an iSCSI target that fails' "needs the packages ${missing:-qemu-block-extra}"
else
	target=$scratch/tgt
	truncate -s 64M "$scratch/lun"
	at_exit "'$tgt' stop '$target'"
	"$tgt" start "$target" -c joe:secretsecret12 "$scratch/lun" || exit 1
	printf 'username = joe\npassword = secretsecret12\n' >chap
	printf 'username = joe\npassword = wrongwrongwrong\n' >wrong
	chmod 600 chap wrong
	lun="iscsi://$("$tgt" portal "$target")/iqn.2003-01.org.example:lab/1"

	must_fail 3 'a LUN: not without the secret' timeout 60 "$VOLMIG" copy ./a/web.img "$lun"
	must_fail 3 'a LUN: nor with another one' timeout 60 "$VOLMIG" copy ./a/web.img "$lun?chap-file=wrong"
	has 'a LUN: said so' 'Authentication failure'
	chmod 644 chap
	must_fail 3 'a LUN: nor with a file that all can read' "$VOLMIG" copy ./a/web.img "$lun?chap-file=chap"
	chmod 600 chap
	rm -rf "$VOLMIG_STATE_DIR"
	ok 'raw -> LUN' "$VOLMIG" copy -q ./a/web.img "$lun?chap-file=chap"
	is 'raw -> LUN: the same' "$(sum_of "$scratch/lun" "$size")" "$sum"
	ok 'LUN -> qcow2' "$VOLMIG" copy -q --create "$lun?chap-file=chap" qcow2:b/lun.qcow2
	ok 'LUN -> qcow2: the same' qemu-img compare -q -f raw -F qcow2 "$scratch/lun" b/lun.qcow2
	ok 'no secret is in a journal' sh -c "! grep -rq secretsecret12 '$VOLMIG_STATE_DIR'"

	{ cat chap; printf 'username_in = lab\npassword_in = labsecretlab\n'; } >both
	chmod 600 both
	must_fail 3 'a target that shall prove itself: refused' "$VOLMIG" copy ./a/web.img "$lun?chap-file=both"
	has 'a target that shall prove itself: why' "QEMU's iSCSI initiator does not ask the target for a secret"

	begin 60s copy ./a/web.img "$lun?chap-file=chap"
	"$tgt" kill "$target" KILL
	sleep 1
	"$tgt" restart "$target"
	end
	is 'the target killed, and back: the copy goes on, or stops to be resumed' "$(case $status in 0 | 4) echo yes ;; esac)" yes
	[ $status = 0 ] || "$VOLMIG" resume -q "$(jobs_of)"
	is 'the target killed, and back: what is there is whole' "$(sum_of "$scratch/lun" "$size")" "$sum"

	begin 5s copy ./a/web.img "$lun?chap-file=chap"
	"$tgt" kill "$target" STOP
	end
	is 'a target that does not answer: the job stops in time' $status 4
	wait_until no_servers
	is 'a target that does not answer: no server is left' "$(servers)" ''
	if command -v iscsi-inq >/dev/null; then
		answers() {
			LIBISCSI_CHAP_USERNAME=joe LIBISCSI_CHAP_PASSWORD=secretsecret12 timeout 5 iscsi-inq "$lun"
		}
		# Of the same size, but the LUN is another volume.
		head -c 64M /dev/urandom >"$scratch/precious"
		precious=$(md5sum <"$scratch/precious")
		"$tgt" kill "$target" KILL
		echo "$scratch/precious" >"$target/files"
		"$tgt" restart "$target"
		wait_until answers
		must_fail 3 'a LUN that is another volume by now: refused' timeout 120 "$VOLMIG" resume -q "$(jobs_of)"
		has 'a LUN that is another volume by now: why' 'another volume: serial-precious of' 'was serial-lun of'
		is 'a LUN that is another volume by now: nothing was written to it' "$(md5sum <"$scratch/precious")" "$precious"
		"$tgt" kill "$target" KILL
		echo "$scratch/lun" >"$target/files"
		"$tgt" restart "$target"
		wait_until answers
	else
		skip 'a LUN that is another volume by now: refused' 'needs iscsi-inq (libiscsi-bin)'
		"$tgt" kill "$target" CONT
	fi
	ok 'a target that answers again: resumed' timeout 120 "$VOLMIG" resume -q "$(jobs_of)"
	is 'a target that answers again: what is there is whole' "$(sum_of "$scratch/lun" "$size")" "$sum"
fi
done_testing
