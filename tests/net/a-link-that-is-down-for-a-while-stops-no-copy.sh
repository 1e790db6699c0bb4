#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The link to an NBD server by TCP is down for five seconds, in the middle of a copy onto it and of one
# from it: the copy stands still meanwhile, and goes on by itself.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit ip ss jq cmp
[ "$(id -u)" = 0 ] || skip_all 'needs root, for network namespaces'
bytes=8388608
new_source

net=vl$$
ip netns add "$net-a" 2>/dev/null || skip_all 'needs network namespaces'
at_exit "ip netns del '$net-a'"
ip netns add "$net-b"
at_exit "ip netns del '$net-b'"
ip -n "$net-a" link add eth0 type veth peer name eth0 netns "$net-b" 2>/dev/null || skip_all 'needs veth'
ip -n "$net-a" addr add 10.98.0.1/24 dev eth0
ip -n "$net-b" addr add 10.98.0.2/24 dev eth0
for side in a b; do
	ip -n "$net-$side" link set lo up
	ip -n "$net-$side" link set eth0 up
done

# What runs on the one side, where this host's own network is out of reach.
printf '#!/bin/sh\nexec ip netns exec %s "%s" "$@"\n' "$net-a" "$VOLMIG" >"$scratch/volmig"
chmod +x "$scratch/volmig"
VOLMIG=$scratch/volmig
export_url=nbd://10.98.0.2:10809/

serve_by_tcp() {
	ip netns exec "$net-b" nbdkit -f -i 10.98.0.2 -p 10809 file "$1" >>"$scratch/tcp.log" 2>&1 &
	echo $! >"$work/tcp.pid"
	at_exit 'end_server tcp'
	wait_until sh -c "ip netns exec '$net-b' ss -tlnH 'sport = :10809' | grep -q ."
}

# goes_on WHAT SIDE: the link of that side is taken down, and is up again after a while.
goes_on() {
	ip -n "$net-$2" link set eth0 down
	sleep 5
	ok "$1: it is not through without the link" test ! -e "$scratch/ended"
	ip -n "$net-$2" link set eth0 up
	is "$1: it goes on by itself" "$(ended)" 0
	ok "$1: and both are whole" both_whole
	end_server tcp
}

new_target
serve_by_tcp dst.raw
begin_copy web.img "$export_url"
goes_on 'our link, onto an export' a

new_target
serve_by_tcp src.raw
begin_copy "$export_url" ./dst.raw
goes_on "the server's link, from an export" b
is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
