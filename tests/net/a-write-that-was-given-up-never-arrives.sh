#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Who has given a connection up, or is dead, has nothing on its way to the server any more, which
# would write it when it is back: over what others have written by then.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit ss jq cmp

bytes=33554432
port=$((20000 + $$ % 10000))
new_source

# tcp_server: dst.raw by TCP, since what closes a unix socket leaves to the other end is as good as there.
tcp_server() {
	# By one thread: nbdkit 1.32 fails an assertion when a client is killed that several answer.
	nbdkit -t 1 -f -i 127.0.0.1 -p $port file dst.raw >>"$scratch/tcp.log" 2>&1 &
	echo $! >"$work/tcp.pid"
	at_exit 'end_server tcp'
	wait_until listens
}
listens() {
	[ -n "$(ss -tlnH "sport = :$port")" ]
}
# Connections to the server, with what was not taken from us yet.
on_its_way() {
	ss -tnaH "dport = :$port" | awk '$3 > 0 { print $1, $3 }'
}

new_target
tcp_server
begin_copy web.img "nbd://127.0.0.1:$port/" --stall-timeout 2s --bwlimit 12M
signal_server STOP tcp
is 'a server that is stopped: the copy stops' "$(ended)" 4
is 'and nothing is on its way to it' "$(on_its_way)" ''
signal_server CONT tcp
# The server finds out in its own time that its client is gone.
ok 'it is resumed' wait_until "$VOLMIG" resume -q $id
ok 'and both are whole' both_whole

new_target
begin_copy web.img "nbd://127.0.0.1:$port/" --bwlimit 12M
signal_server STOP tcp
ok 'much waits for the server' wait_until sh -c "ss -tnaH 'dport = :$port' | grep -Eq '^ESTAB +0 +[1-9]'"
kill -KILL "$("$VOLMIG" status --json $id | jq '.. | .pid? // empty' | head -n 1)"
is 'killed' "$(ended)" 137
is 'killed: nothing is on its way to it' "$(on_its_way)" ''
signal_server CONT tcp
ok 'killed: it is resumed' wait_until "$VOLMIG" resume -q $id
ok 'killed: and both are whole' both_whole
end_server tcp

rm "$scratch/tcp.log"
tcp_server
ok 'a copy to its end' "$VOLMIG" copy -q --into-existing web.img "nbd://127.0.0.1:$port/"
end_server tcp TERM
is 'which breaks nothing off' "$(cat "$scratch/tcp.log")" ''
done_testing
