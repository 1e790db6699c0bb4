# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154
# What the tests of volumes on other machines have in common, on top of moves.sh:
# servers, on unix sockets in $work or on loopback, each ended by its process id.

# serve NAME COMMAND...: start a server in the foreground of a process of its own that
# makes the socket $work/NAME.sock, and wait for that.  Its id is in $work/NAME.pid.
serve() {
	server=$1
	shift
	rm -f "$work/$server.sock"
	"$@" >>"$scratch/$server.log" 2>&1 &
	echo $! >"$work/$server.pid"
	at_exit "end_server $server"
	if ! wait_until test -S "$work/$server.sock"; then
		diag "$* does not start:"
		diag "$(cat "$scratch/$server.log")"
		return 1
	fi
}

# nbdkit_on NAME ARGUMENTS...: nbdkit, with the filters and the plugin in ARGUMENTS.
nbdkit_on() {
	name=$1
	shift
	serve "$name" nbdkit -f -U "$work/$name.sock" "$@"
}

# qemu_nbd_on NAME ARGUMENTS...
qemu_nbd_on() {
	name=$1
	shift
	serve "$name" qemu-nbd -t -k "$work/$name.sock" "$@"
}

# storage_daemon_on NAME FILE: qemu-storage-daemon, with a raw file.
storage_daemon_on() {
	serve "$1" qemu-storage-daemon \
		--blockdev "driver=file,node-name=f,filename=$2,discard=unmap" \
		--blockdev driver=raw,node-name=r,file=f,discard=unmap \
		--nbd-server "addr.type=unix,addr.path=$work/$1.sock,max-connections=8" \
		--export type=nbd,id=e,node-name=r,writable=on,name=
}

# signal_server SIGNAL NAME
signal_server() {
	[ ! -e "$work/$2.pid" ] || kill "-$1" "$(cat "$work/$2.pid")" 2>/dev/null
}

# end_server NAME [SIGNAL]: and wait for it.
end_server() {
	signal_server "${2:-KILL}" "$1"
	signal_server CONT "$1"
	[ ! -e "$work/$1.pid" ] || wait "$(cat "$work/$1.pid")" 2>/dev/null
	rm -f "$work/$1.pid" "$work/$1.sock"
}

# uri NAME [EXPORT [SCHEME]]
uri() {
	echo "${3:-nbd}+unix:///${2:-}?socket=$work/$1.sock"
}

# receipt JQ-EXPRESSION: of the JSON that the last run wrote.
receipt() {
	jq -r "$1" "$scratch/stdout"
}
