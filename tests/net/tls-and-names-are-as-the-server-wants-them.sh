#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# TLS with keys and with certificates, the names of exports, and what is said when they do not fit.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
# shellcheck source=tests/net.sh
. "$TOP/tests/net.sh"
requires nbdkit cmp
image web.img 1300001

must_fail 3 'no server' "$VOLMIG" copy --create "$(uri nobody)" ./x.img
has 'is no such socket' 'nobody.sock' 'No such file or directory'
must_fail 3 'nobody at a port' "$VOLMIG" copy --create nbd://127.0.0.1:1/x ./x.img
has 'is a refused connection' 'Connection refused'
must_fail 2 'a password in a name' "$VOLMIG" copy --create nbds://user:geheim@127.0.0.1/x ./x.img
has 'is refused' 'there is a password in that name'
has_not 'and not repeated' geheim

if command -v qemu-nbd >/dev/null; then
	qemu_nbd_on named -e 4 -f raw -x disk0 web.img
	must_fail 3 'no such export' "$VOLMIG" copy --create "$(uri named other)" ./x.img
	has 'is said to be none' "no export named 'other'"
	ok 'the right name' "$VOLMIG" copy -q --create "$(uri named disk0)" ./x.img
	ok 'leads to it' cmp -n 1300001 web.img x.img
	rm x.img
	end_server named
else
	skip 'exports by name' 'needs qemu-utils'
fi

nbdkit_on plain file web.img
must_fail 3 'TLS where the server has none' "$VOLMIG" copy --create "$(uri plain '' nbds)" ./x.img
has 'is refused' 'TLS'
end_server plain

# ---- keys ----
key=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
echo "lab:$key" >keys.psk
echo "lab:$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >wrong.psk
if nbdkit --dump-config 2>/dev/null | grep -q '^tls=yes' && nbdkit_on psk --tls=require --tls-psk=keys.psk file web.img; then
	psk() {
		echo "nbds+unix://${2:-lab}@/?socket=psk.sock&tls-psk-file=$1"
	}
	must_fail 3 'no TLS where the server requires it' "$VOLMIG" copy --create "$(uri psk)" ./x.img
	has 'is refused, with what to write' TLS 'nbds'
	must_fail 3 'a wrong key' "$VOLMIG" copy --create "$(psk wrong.psk)" ./x.img
	must_fail 3 'a user without a key' "$VOLMIG" copy --create "$(psk keys.psk nobody)" ./x.img
	ok 'the right key, in files called from here' "$VOLMIG" copy -q --create "$(psk keys.psk)" ./x.img
	ok 'opens it' cmp web.img x.img
	is 'and is in no file of the job' "$(grep -rl "$key" "$VOLMIG_STATE_DIR")" ''
	rm x.img
	end_server psk
else
	skip 'TLS with keys' 'needs an nbdkit with TLS'
fi

# ---- certificates ----
if command -v openssl >/dev/null && command -v nbdinfo >/dev/null && certificates pki >pki.log 2>&1 &&
	certificates other >pki.log 2>&1; then
	nbdkit_tls_on tls pki file web.img
	ok 'certificates, called from here' \
		"$VOLMIG" copy -q --create "nbds://localhost:$port/?tls-certificates=pki" ./x.img
	ok 'open it' cmp web.img x.img
	must_fail 3 'those of another authority' \
		"$VOLMIG" copy --create "nbds://localhost:$port/?tls-certificates=other" ./y.img
	has 'are refused' 'cannot connect'
	end_server tls
else
	skip 'TLS with certificates' 'needs openssl and nbdinfo'
fi

is 'nothing is left behind' "$(nothing_left .)" ''
done_testing
