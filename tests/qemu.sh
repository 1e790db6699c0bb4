# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154
# For tests of volumes that QEMU opens, on top of lib.sh and moves.sh.

# Processes that serve a volume of this test, one a line; silent when there is none.
# One that was told to end may still be at it.
servers() {
	for process in /proc/[0-9]*; do
		arguments=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline")
		case $arguments in
		*qemu-storage-daemon*"$work"*'"fd"'* | *qemu-storage-daemon*rbd*"${cluster:-$work}"*'"fd"'*)
			echo "${process#/proc/} $arguments" ;;
		esac
	done
}

no_servers() {
	[ -z "$(servers)" ]
}

# allocated FILE: in KiB
allocated() {
	du -k "$1" | cut -f1
}

# begin STALL COMMAND...: run it slowly in the background, until it has copied something.
begin() {
	stall=$1
	shift
	rm -rf "$VOLMIG_STATE_DIR"
	# Never longer than this, whatever happens.
	timeout 120 "$VOLMIG" "$@" --stall-timeout="$stall" --bwlimit=4M --json >"$scratch/result" 2>"$scratch/stderr" &
	job_pid=$!
	wait_until sh -c "cat '$VOLMIG_STATE_DIR'/jobs/*/journal.jsonl | grep -q '\"begin\".*\"copy\"'"
	sleep 1
}

# Wait for it; $status is how it ended.
end() {
	status=0
	wait "$job_pid" || status=$?
	cat "$scratch/stderr" "$scratch/result" >"$scratch/output"
}
