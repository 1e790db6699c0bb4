# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Hosts for tests: network namespaces on one switch, each with a sshd of its own
# that starts volmig serve, and with a state directory of its own.
#
#	hosts_make a b		make them, with 10.77.0.1, 10.77.0.2, ...
#	on a volmig ARGS...	run it there
#	link b down		take b's cable out, and "up" again
#	over_the_cable b	bytes that went over it so far
#
# $dir_a is a directory for a's volumes.  Nothing of the host's own network or
# ssh is used or changed.

requires ip ssh sshd ssh-keygen nbdkit
[ "$(id -u)" = 0 ] || skip_all 'needs root, for network namespaces'

hosts_all=
hosts_net="vt$$"

hosts_cleanup() {
	for host in $hosts_all; do
		eval "pid=\$sshd_$host"
		# shellcheck disable=SC2154
		[ -z "$pid" ] || kill "$pid"
		# What it has left running: only what is in this namespace.
		ip netns pids "$hosts_net-$host" | xargs -r kill -9
		ip netns del "$hosts_net-$host"
	done
	ip netns del "$hosts_net-sw"
}

# start_sshd HOST
# shellcheck disable=SC2154	# scratch is of lib.sh
start_sshd() {
	dir=$scratch/$1
	ip netns exec "$hosts_net-$1" sh -c '
		mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"' sh \
		"$(command -v sshd)" -D -f "$dir/sshd_config" -E "$dir/sshd.log" -h "$dir/host_key" &
	eval "sshd_$1=$!"
	tries=0
	until ip netns exec "$hosts_net-$1" ss -ltn 2>/dev/null | grep -q ':22 '; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.05
	done
}

# The forced command of a host: what the key may do there.
# allow HOST OPTIONS-OF-SERVE
allow() {
	host=$1
	shift
	printf 'restrict,command="%s" %s\n' \
		"env VOLMIG_STATE_DIR=$scratch/$host/state VOLMIG_CONFIG=none VOLMIG_HOOKS_DIR=none LIBVIRT_DEFAULT_URI= VOLMIG_INJECT=${far_inject:-} ${far_volmig:-$VOLMIG} --connect none serve --stdio $*" \
		"$(cat "$scratch/key.pub")" >"$scratch/$host/authorized_keys"
}

hosts_make() {
	at_exit hosts_cleanup
	ip netns add "$hosts_net-sw" 2>/dev/null || skip_all 'needs network namespaces'
	ip -n "$hosts_net-sw" link add sw type bridge || skip_all 'needs bridges'
	ip -n "$hosts_net-sw" link set sw up
	ssh-keygen -q -t ed25519 -N '' -f "$scratch/key"
	number=0
	for host in "$@"; do
		number=$((number + 1))
		dir=$scratch/$host
		mkdir "$dir" "$dir/vol"
		eval "dir_$host=\$dir/vol addr_$host=10.77.0.$number"
		ip netns add "$hosts_net-$host"
		hosts_all="$hosts_all $host"
		ip -n "$hosts_net-sw" link add "p-$host" type veth peer name eth0 netns "$hosts_net-$host"
		ip -n "$hosts_net-sw" link set "p-$host" master sw up
		ip -n "$hosts_net-$host" addr add "10.77.0.$number/24" dev eth0
		ip -n "$hosts_net-$host" link set eth0 up
		ip -n "$hosts_net-$host" link set lo up
		ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
		cat >"$dir/sshd_config" <<-CONFIG
			UsePAM no
			StrictModes no
			PermitRootLogin yes
			PasswordAuthentication no
			AuthorizedKeysFile $dir/authorized_keys
			PidFile none
			UseDNS no
		CONFIG
		allow "$host"
		start_sshd "$host" || skip_all "no sshd can be started: $(tail -n 1 "$dir/sshd.log")"
	done
}

# on HOST COMMAND...
on() {
	host=$1
	shift
	[ "$1" != volmig ] || { shift; set -- "${near_volmig:-$VOLMIG}" --connect none "$@"; }
	ip netns exec "$hosts_net-$host" env VOLMIG_STATE_DIR="$scratch/$host/state" \
		VOLMIG_SSH="ssh -F none -i $scratch/key -oUserKnownHostsFile=$scratch/known -oStrictHostKeyChecking=no -oLogLevel=ERROR" \
		"$@"
}

# link HOST up|down
link() {
	ip -n "$hosts_net-sw" link set "p-$1" "$2"
}

# over_the_cable HOST: how many bytes have gone to it and from it so far.
over_the_cable() {
	ip netns exec "$hosts_net-sw" cat "/sys/class/net/p-$1/statistics/rx_bytes" \
		"/sys/class/net/p-$1/statistics/tx_bytes" | awk '{ sum += $1 } END { print sum }'
}

# nothing_left HOST: neither unfinished copies nor processes of a job.
nothing_left() {
	[ -z "$(find "$scratch/$1/vol" -name '.volmig-*')" ] || return 1
	tries=0
	while ip netns pids "$hosts_net-$1" | while read -r pid; do
		tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null
	done | grep -Eq 'serve --stdio|nbdkit'; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
	on "$1" volmig doctor >"$scratch/output" 2>&1
}

# ---- the near side, a, is killed and comes back when b's lease is over ----

unfinished() {
	on "$1" volmig status --all --json |
		jq -r '.jobs[] | select(.state != "cleaned" and .state != "aborted") | .job'
}

# Nobody works on a job there any more, and its lease is over.
all_ended() {
	[ -z "$(unfinished b)" ]
}

# killed WHERE NUMBER SOURCE PLACE: a move, killed there.  False: it came to its end before.
killed() {
	status=0
	on a env VOLMIG_INJECT="$1:$2" "$VOLMIG_INJECT_BIN" --connect none migrate -q "$3" "$4" \
		>"$scratch/output" 2>&1 || status=$?
	[ $status = 137 ]
}

# never_back WHAT SOURCE-FILE DESTINATION-FILE SOURCE PLACE
never_back() {
	number=1
	while :; do
		rm -f "$2" "$3"
		cp "$scratch/data" "$2"
		if ! killed kill-after-record $number "$4" "$5"; then
			is "$1, killed at no record, it is moved" "$status" 0
			break
		fi
		if ! wait_until all_ended; then
			fail "$1, killed at record $number: the other host does not end its part"
			diag "$(on b volmig status)"
		fi
		if cmp -s "$scratch/data" "$2" || cmp -s "$scratch/data" "$3"; then
			pass "$1, killed at record $number: there is a whole copy"
		else
			fail "$1, killed at record $number: there is a whole copy"
		fi
		for job in $(unfinished a); do
			on a volmig resume -q "$job" >"$scratch/output" 2>&1 ||
				on a volmig abort -q "$job" >>"$scratch/output" 2>&1 ||
				diag "$job: $(cat "$scratch/output")"
		done
		is '... the job here comes to its end' "$(unfinished a)" ''
		whole=
		if cmp -s "$scratch/data" "$2"; then
			whole=source
		fi
		if cmp -s "$scratch/data" "$3"; then
			whole=$whole.destination
		fi
		case $whole in
		source.destination)
			# The source stays where nobody told its host to remove it.
			is '... and leaves the source only where it was given up' \
				"${may_stay:-no} $(on b volmig status --json | jq -r '.jobs[-1].state')" 'yes aborted' ;;
		source | .destination) pass '... and leaves one whole copy' ;;
		*)
			fail '... and leaves one whole copy'
			diag "whole: $whole"
			diag "$(on a volmig status; on b volmig status)" ;;
		esac
		# A process that was killed cannot give its place in the queue back.
		on a volmig doctor --fix >"$scratch/output" 2>&1
		ok '... nothing is left here' nothing_left a
		ok '... nothing is left there' nothing_left b
		number=$((number + 1))
	done
	ok "$1: there were records" test $number -gt 6
}
