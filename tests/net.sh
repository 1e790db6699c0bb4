# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154
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

# certificates DIR: an authority's, and those of a server and of a client that it has signed, called as everybody calls them.
certificates() {
	mkdir -p "$1" &&
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=lab' -keyout "$1/ca-key.pem" \
			-out "$1/ca-cert.pem" || return 1
	for end in server client; do
		printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%sAuth\n' "$end" >"$1/ext"
		openssl req -newkey rsa:2048 -nodes -subj "/CN=$end" -keyout "$1/$end-key.pem" -out "$1/req" &&
			openssl x509 -req -days 2 -in "$1/req" -CA "$1/ca-cert.pem" -CAkey "$1/ca-key.pem" \
				-CAcreateserial -extfile "$1/ext" -out "$1/$end-cert.pem" || return 1
	done
}

# nbdkit_tls_on NAME DIR ARGUMENTS...: nbdkit on a free $port of loopback that requires TLS, and
# of its clients certificates by the authority of those in DIR.
nbdkit_tls_on() {
	server=$1
	pki=$2
	shift 2
	port=$((20000 + $$ % 20000))
	while nbdinfo "nbd://127.0.0.1:$port" 2>&1 | grep -qv refused; do
		port=$((port + 1))
	done
	nbdkit -f -i 127.0.0.1 -p $port --tls=require --tls-certificates="$(realpath "$pki")" --tls-verify-peer \
		"$@" >>"$scratch/$server.log" 2>&1 &
	echo $! >"$work/$server.pid"
	at_exit "end_server $server"
	wait_until sh -c "nbdinfo nbd://127.0.0.1:$port 2>&1 | grep -v refused"
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

# For copies that something happens to half-way: web.img and src.raw are the source,
# web.orig what it has to stay, dst.raw the destination, all of $bytes.
id=11111111-2222-4333-8444-555555555555
bytes=5000192

new_source() {
	head -c $bytes /dev/urandom >web.img
	cp web.img web.orig
	cp web.img src.raw
}

# begin_copy FROM TO [OPTIONS]: in the background, at 4 MiB a second; its status comes to
# $scratch/ended.  Comes back once a quarter is through.
begin_copy() {
	from=$1
	to=$2
	shift 2
	rm -rf "$VOLMIG_STATE_DIR" "$scratch/ended" "$scratch/progress"
	(
		result=0
		"$VOLMIG" copy --into-existing -q --bwlimit 3M --job-id $id --progress=json "$@" "$from" "$to" \
			>"$scratch/copied" 2>&1 || result=$?
		echo $result >"$scratch/ended"
	) &
	copier=$!
	wait_until quarter
}

quarter() {
	[ -e "$scratch/ended" ] && return
	"$VOLMIG" status --json $id 2>/dev/null | jq -e '.. | .bytes_done? // 0 | numbers | select(. > 1000000)'
}

# The status of the copy, once it has ended; not later than after a minute.
ended() {
	tries=0
	while [ ! -e "$scratch/ended" ] && [ $tries -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	wait "$copier"
	cat "$scratch/ended"
}

new_target() {
	head -c $bytes /dev/urandom >dst.raw
}

# Is the source as it was, and the destination its like?
both_whole() {
	cmp web.orig web.img && cmp web.orig src.raw && cmp web.orig dst.raw
}

finish_by_resume() {
	ok "$1: it is resumed" "$VOLMIG" resume -q $id
	ok "$1: and both are whole" both_whole
}
