#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirtd is killed, or asked to end, around the pivot of a guest that writes: no flushed record is lost, no disk that QEMU uses is removed, and disagreement is never success.
#
# LIVE_PIVOT_KILLS instants (6; make check-live-long: 20), spread over the pivot's call.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
needs_guest
start_libvirtd

kills=${LIVE_PIVOT_KILLS:-6}
mkdir a b
truncate -s 64M a/web.img
define web -g 'test.blocks=2048' "$work/a/web.img"
ok 'a guest boots and writes' boot web

# Which of the two QEMU has for its disk, by its own word: a or b.
qemu_has() {
	virsh -q qemu-monitor-command web --hmp 'info block' 2>/dev/null |
		sed -n "s#.*$work/\\([ab]\\)/web.img.*#\\1#p" | head -n 1
}
job() {
	"$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 !~ /^JOB/ && $1 != "no" { print $1 }'
}

# The record that announces the pivot, by a move that is left alone.
ok 'a move that is left alone' "$VOLMIG" migrate -q "$work/a/web.img" "$work/b/"
announces=$(grep -n '"name":"pivot"' "$VOLMIG_STATE_DIR"/jobs/*/journal.jsonl | head -n 1 | cut -d : -f 1)

from=b
split=0
round=0
while [ $round -lt "$kills" ]; do
	round=$((round + 1))
	[ "$from" = a ] && to=b || to=a
	must_fail 137 "$round: mirrored, and killed before the pivot" \
		env VOLMIG_INJECT="kill-before-record:$announces" "$VOLMIG_INJECT_BIN" migrate -q \
		"$work/$from/web.img" "$work/$to/"
	job=$(job)
	"$VOLMIG" resume -q "$job" >resume.out 2>&1 &
	pid=$!
	# Each third time it is asked to end.
	[ $((round % 3)) = 0 ] && signal=TERM || signal=KILL
	# From when the pivot is announced until it must have been called for.
	perl -e '
		my ($journal, $delay, $libvirtd, $signal) = @ARGV;
		for (1 .. 20000) {
			open my $f, "<", $journal or die; local $/; my $t = <$f>;
			last if $t =~ /"rec":"begin"[^\n]*"name":"pivot"/;
			select undef, undef, undef, 0.001;
		}
		select undef, undef, undef, $delay;
		kill $signal => $libvirtd;
		while (kill 0, $libvirtd) { select undef, undef, undef, 0.02 }
	' "$VOLMIG_STATE_DIR/jobs/$job/journal.jsonl" \
		"$(echo "$round $kills" | awk '{ print 0.1 * ($1 - 1) / $2 }')" "$(cat "$virt/libvirtd.pid")" "$signal"
	start_libvirtd
	wait $pid
	status=$?
	at=$(qemu_has)
	diag "round $round: status $status, QEMU has ${at:-nothing that can be told}: $(tr '\n' ' ' <resume.out)"
	if [ -n "$at" ]; then
		ok "$round: the disk that QEMU has is there" test -e "$at/web.img"
		ok "$round: the guest writes on" writes_on web
		ok "$round: every flushed record is on it" intact web "$at/web.img"
	fi
	agrees=$(truth web vda >/dev/null && echo yes)
	if [ $status = 0 ]; then
		is "$round: it says done: all agree, on the new one" "$agrees $at" "yes $to"
		ok "$round: and the old one is gone" test ! -e "$from/web.img"
		from=$to
	elif [ $status = 4 ] || [ $status = 1 ]; then
		is "$round: it is not done: all agree" "$agrees" yes
		[ $status = 1 ] || ok "$round: it goes on" "$VOLMIG" resume -q "$job"
		ok "$round: all agree in the end" truth web vda
		[ "$(qemu_has)" = "$from" ] || from=$to
	else
		is "$round: unsure" "$status" 5
		ok "$round: both disks are kept" test -e a/web.img -a -e b/web.img
		if [ -n "$(job)" ] && "$VOLMIG" resume -q "$job" >again.out 2>&1; then
			ok "$round: it was passing, all agree in the end" truth web vda
			from=$to
		else
			# What nobody but an operator mends; the next round needs a guest that is whole.
			split=$((split + 1))
			must_fail 5 "$round: it stays unsure" "$VOLMIG" resume -q "$job"
			must_fail 5 "$round: and is not aborted" "$VOLMIG" abort -q "$job"
			ok "$round: status tells" "$VOLMIG" status "$job"
			has "$round: of the disagreement" 'domain'
			break
		fi
	fi
done
diag "$round kills, $split of them left a state in which libvirt and QEMU do not agree"

done_testing
