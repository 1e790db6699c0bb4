#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Between hosts, in both directions: the far side is killed at its records and the near side goes on by itself; the near
# side is killed at its records, and resumed or aborted at once; and either is killed at any instant.  There is always one
# whole copy, and nothing is left on both sides.
#
# Files, and images there (push_image, pull_image).  HOSTS_KILLS=full does so at every record and 40 times at random; else only a few of each.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq qemu-img qemu-storage-daemon

hosts_make a b
head -c 3M /dev/urandom >"$scratch/data"
# A fault for the one that comes first, and for no other.
faulty() {
	far_volmig=$VOLMIG_INJECT_BIN far_inject="\$(cat $scratch/fault 2>&-; rm -f $scratch/fault)" allow b
}

# The ends of a move: from here, or to here.
push() {
	# shellcheck disable=SC2154
	from=$dir_a/x.img to=$dir_b/x.img source=$dir_a/x.img place=ssh://10.77.0.2/$dir_b/
}
pull() {
	from=$dir_b/x.img to=$dir_a/x.img source=ssh://10.77.0.2/$dir_b/x.img place=$dir_a/
}
push_image() {
	from=$dir_a/x.img to=$dir_b/x.qcow2 source=$dir_a/x.img place=ssh://10.77.0.2/qcow2:$dir_b/
}
pull_image() {
	from=$dir_b/x.qcow2 to=$dir_a/x.img source=ssh://10.77.0.2/qcow2:$dir_b/x.qcow2 place=$dir_a/x.img
}

fresh() {
	rm -f "$from" "$to"
	case $from in
	*.qcow2) qemu-img convert -q -f raw -O qcow2 "$scratch/data" "$from" ;;
	*) cp "$scratch/data" "$from" ;;
	esac
}

# whole FILE: is all of it there?
whole() {
	case $1 in
	*.qcow2) qemu-img convert -q -f qcow2 -O raw "$1" "$scratch/raw" 2>&- && cmp -s "$scratch/raw" "$scratch/data" ;;
	*) cmp -s "$1" "$scratch/data" ;;
	esac
}

no_workers() {
	[ -z "$(workers a 'none (migrate|resume)')" ]
}

# ended WHAT: what there is in the end; one line of TAP for all of it.
ended() {
	why=
	if [ "$2" = aborted ]; then
		whole "$from" || why='the source is not whole'
		[ ! -e "$to" ] || why="$why; the destination is there"
	else
		whole "$to" || why='the destination is not whole'
		[ ! -e "$from" ] || why="$why; the source is there"
	fi
	[ -z "$(unfinished a)" ] || why="$why; the job here is unfinished"
	[ -z "$(unfinished b)" ] || why="$why; the job there is unfinished"
	# A process that was killed cannot give its place in the queue back.
	on a volmig doctor --fix >"$scratch/output" 2>&1
	on b volmig doctor --fix >"$scratch/output" 2>&1
	wait_until no_workers || why="$why; processes are left here: $(workers a 'none (migrate|resume)')"
	nothing_left a || why="$why; something is left here: $(cat "$scratch/output")"
	nothing_left b || why="$why; something is left there: $(cat "$scratch/output")"
	if [ -z "$why" ]; then
		pass "$1"
	else
		fail "$1"
		diag "$why"
		diag "$(cat "$scratch/said")"
	fi
}

# end_by resume|abort: the job that was left, by that.  After the commit there is no abort.
end_by() {
	outcome=moved
	job=$(unfinished a)
	# It had no time to begin, or came to its end.
	if [ -z "$job" ]; then
		whole "$from" && outcome=aborted
		# What was begun there ends with its lease, or is this host's to end.
		for job in $(unfinished b); do
			on b volmig abort -q "$job" >>"$scratch/said" 2>&1
		done
		return
	fi
	if [ "$1" = abort ] && on a volmig abort -q "$job" >>"$scratch/said" 2>&1; then
		outcome=aborted
		return
	fi
	on a volmig resume -q "$job" >>"$scratch/said" 2>&1
}

# far_killed WHERE NUMBER WAY: the first volmig serve is killed at that record of its own.
far_killed() {
	$3
	fresh
	echo "$1:$2" >"$scratch/fault"
	status=0
	on a volmig migrate -q "$source" "$place" >"$scratch/said" 2>&1 || status=$?
	is "$3: the far side is killed at record $2 ($1): it goes on by itself" "$status $(ls "$scratch/fault" 2>&-)" '0 '
	ended '... and ends well' moved
}

# near_killed WHERE NUMBER WAY resume|abort: false when it came to its end before.
near_killed() {
	$3
	fresh
	killed "$1" "$2" "$source" "$place" || return 1
	cp "$scratch/output" "$scratch/said"
	end_by "$4"
	ended "$3: killed at record $2 ($1) and then: $4" "$outcome"
}

# The processes of a job on a host.
workers() {
	ip netns pids "$hosts_net-$1" | while read -r pid; do
		! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -Eq "$2" || echo "$pid"
	done
}

# random_kill ROUND
random_kill() {
	if [ $(($1 % 2)) = 0 ]; then push; else pull; fi
	fresh
	# Up to two seconds and a half; the copy alone takes one.
	delay=$(od -An -N2 -tu2 /dev/urandom | awk '{ printf "%.3f", $1 / 65536 * 2.5 }')
	compress=
	[ $(($1 % 3)) = 0 ] || compress=--compress
	# shellcheck disable=SC2086 # an option or none
	on a volmig migrate -q --bwlimit=3M $compress "$source" "$place" >"$scratch/said" 2>&1 &
	move=$!
	sleep "$delay"
	if [ $(($1 / 2 % 2)) = 0 ]; then
		# All that is there of it, watcher and all.
		workers b 'serve --stdio|nbdkit' | xargs -r kill -9 2>/dev/null
		status=0
		wait $move || status=$?
		# A host that goes before anything is begun is refused.
		outcome=moved
		[ $status = 0 ] || end_by resume
		[ $status != 3 ] || diag "$(cat "$scratch/said")"
		ended "killed there after $delay s $compress: status $status, $outcome" "$outcome"
	else
		workers a 'none migrate' | xargs -r kill -9 2>/dev/null
		wait $move 2>/dev/null
		if [ $(($1 / 4 % 2)) = 0 ]; then end_by resume; else end_by abort; fi
		ended "killed here after $delay s $compress: $outcome" "$outcome"
	fi
}

# The second line, which is for the bytes, ends before it is one; or finds that the first has just been killed.
cat >"$scratch/b/started" <<-STARTED
	#!/bin/sh
	starts=\$(cat $scratch/b/starts 2>&-)
	echo x\$starts >$scratch/b/starts
	case \$starts,\$(cat $scratch/b/then) in
	,*) echo \$\$ >$scratch/b/first ;;
	x,end) exit 1 ;;
	x,kill) kill -9 \$(cat $scratch/b/first) ;;
	esac
	exec $VOLMIG "\$@"
STARTED
chmod +x "$scratch/b/started"
for way in push pull; do
	how='kill'
	[ $way = pull ] || how=end
	$way
	fresh
	rm -f "$scratch/b/starts"
	echo "$how" >"$scratch/b/then"
	far_volmig=$scratch/b/started allow b
	status=0
	on a volmig migrate -q "$source" "$place" >"$scratch/said" 2>&1 || status=$?
	is "$way: the line for the bytes fails at first ($how): it goes on by itself" "$status" 0
	ok '... with more lines' test "$(cat "$scratch/b/starts")" != xx
	ended '... and ends well' moved
done
faulty

if [ "${HOSTS_KILLS:-}" = full ]; then
	for way in push pull push_image pull_image; do
		number=1
		while [ $number -lt 16 ]; do
			far_killed kill-after-record $number $way
			far_killed kill-torn-record $number $way
			number=$((number + 1))
		done
		for how in resume abort; do
			number=1
			while near_killed kill-after-record $number $way $how; do
				near_killed kill-torn-record $number $way $how
				number=$((number + 1))
			done
			ok "$way, $how: there were records" test $number -gt 12
		done
	done
	rounds=40
else
	far_killed kill-after-record 2 push
	far_killed kill-torn-record 5 pull
	# The last: it has ended, and who watches over it does not know.
	far_killed kill-after-record 14 push
	near_killed kill-after-record 5 push abort
	near_killed kill-torn-record 14 push resume
	near_killed kill-after-record 9 pull abort
	near_killed kill-torn-record 18 pull resume
	far_killed kill-after-record 3 push_image
	near_killed kill-after-record 6 push_image abort
	near_killed kill-torn-record 11 push_image resume
	near_killed kill-after-record 9 pull_image resume
	rounds=4
fi
round=0
while [ $round -lt $rounds ]; do
	random_kill $round
	round=$((round + 1))
done

done_testing
