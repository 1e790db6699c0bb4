#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --connect takes qemu+ssh and qemu+tls: a disk is moved, its mirror resumed and undone, by a libvirtd on the other end of either.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires certtool ssh sshd ssh-keygen jq

port=$(perl -MIO::Socket::INET -e '
	my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") } 1, 2;
	print join " ", map { $_->sockport } @s')
ssh_port=${port% *} LIBVIRTD_TLS=${port#* }
export LIBVIRTD_TLS

# ---- certificates: RSA, for libvirt wants key encipherment of them ----
mkdir "$virt/pki"
(
	cd "$virt/pki" || exit 1
	printf 'cn = "the tests"\nca\ncert_signing_key\n' >ca.info
	printf 'organization = "the tests"\ncn = "localhost"\ndns_name = "localhost"\nip_address = "127.0.0.1"\ntls_www_server\nencryption_key\nsigning_key\n' >server.info
	printf 'organization = "the tests"\ncn = "client"\ntls_www_client\nencryption_key\nsigning_key\n' >client.info
	for name in ca server client other; do
		certtool --generate-privkey --bits 2048 --outfile ${name}key.pem
	done
	certtool --generate-self-signed --load-privkey cakey.pem --template ca.info --outfile cacert.pem
	certtool --generate-self-signed --load-privkey otherkey.pem --template ca.info --outfile other.pem
	for name in server client; do
		certtool --generate-certificate --load-privkey ${name}key.pem --load-ca-certificate cacert.pem \
			--load-ca-privkey cakey.pem --template $name.info --outfile ${name}cert.pem
	done
	mkdir stranger
	cp other.pem stranger/cacert.pem
	cp clientcert.pem clientkey.pem stranger/
) >/dev/null 2>&1
ok 'there are certificates' test -s "$virt/pki/clientcert.pem"

# ---- a sshd of our own; on its far side a relay to the socket, as netcat is one ----
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/hostkey"
cat >sshd_config <<CONF
Port $ssh_port
ListenAddress 127.0.0.1
HostKey $work/hostkey
AuthorizedKeysFile $work/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
CONF
cat >relay <<'PERL'
#!/usr/bin/perl
use strict; use IO::Socket::UNIX; use IO::Select;
open my $pids, '>>', "$0.pids" or die; print $pids "$$\n"; close $pids;
my $s = IO::Socket::UNIX->new(Peer => $ARGV[-1]) or die "$ARGV[-1]: $!\n";
my $select = IO::Select->new(\*STDIN, $s);
while (my @ready = $select->can_read) {
	for my $from (@ready) {
		my $to = $from == $s ? \*STDOUT : $s;
		my $got = sysread $from, my $data, 65536;
		exit 0 unless $got;
		while (length $data) { substr $data, 0, syswrite($to, $data) // exit(1), '' }
	}
}
PERL
chmod +x relay
mkdir -p /run/sshd
"$(command -v sshd)" -D -e -f "$work/sshd_config" 2>sshd.log &
sshd=$!
at_exit "kill $sshd"

start_libvirtd
mkdir a b
dd if=/dev/urandom of=a/web.img bs=1M count=2 status=none
truncate -s 24M a/web.img
cp --sparse=always a/web.img data
define web "$work/a/web.img"
start_paused web
local_uri=$LIBVIRT_DEFAULT_URI

is_on() {
	[ "$(disk_source web vda)" = "$work/$1/web.img" ] && truth web vda && cmp data "$1/web.img"
}
unfinished() {
	"$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 ~ /-/ { print $1 }'
}

# over NAME URI: a move there and back, one that is killed and resumed, one that is undone.
over() {
	uri=$2
	ok "$1: a dry run" "$VOLMIG" --connect "$uri" migrate -n ./a/web.img ./b/
	has "$1: it knows the domain" 'web, disk vda'
	ok "$1: the disk moves" "$VOLMIG" --connect "$uri" migrate -q ./a/web.img ./b/
	ok "$1: it has" is_on b
	ok "$1: the disks of the domain, by its name" "$VOLMIG" --connect "$uri" migrate -q --domain web ./a/
	ok "$1: it is back" is_on a
	"$VOLMIG" --connect "$uri" swap -q --create --cutover=manual web vda ./b/ >one 2>&1
	is "$1: it is held" $? 4
	job=$(unfinished)
	ok "$1: status asks the same libvirt" "$VOLMIG" status "$job"
	has "$1: the mirror is ready" 'the mirror is ready'
	ok "$1: it is undone without being told again whose it is" "$VOLMIG" abort -q "$job"
	ok "$1: nothing has moved" is_on a
	ok "$1: and nothing is left" test ! -e b/web.img
	rm -rf "$VOLMIG_STATE_DIR"
}

# Nobody but --connect tells.
unset LIBVIRT_DEFAULT_URI
wait_until sh -c "ssh-keyscan -p $ssh_port 127.0.0.1 2>/dev/null | grep -q ."
ssh="qemu+ssh://root@127.0.0.1:$ssh_port/system?socket=$virt/sock/libvirt-sock&keyfile=$work/key&no_verify=1&no_tty=1&netcat=$work/relay&proxy=netcat"
tls="qemu+tls://127.0.0.1:$LIBVIRTD_TLS/system?pkipath=$virt/pki"

LIBVIRT_DEFAULT_URI=$local_uri
export LIBVIRT_DEFAULT_URI
over ssh "$ssh"
over tls "$tls"

must_fail 1 'a server of a stranger' "$VOLMIG" --connect "qemu+tls://127.0.0.1:$LIBVIRTD_TLS/system?pkipath=$virt/pki/stranger" \
	swap --create web vda ./b/
must_fail 1 'nobody listens there' "$VOLMIG" --connect "qemu+tls://127.0.0.1:1/system?pkipath=$virt/pki" swap --create web vda ./b/
ssh-keygen -q -t ed25519 -N '' -f "$work/wrong"
must_fail 1 'a key that is not let in' "$VOLMIG" --connect "$(echo "$ssh" | sed "s|keyfile=$work/key|keyfile=$work/wrong|")" \
	swap --create web vda ./b/
ok 'all is as it was' is_on a

# The connection is lost in the middle of a mirror: it is made again.
"$VOLMIG" --connect "$ssh" migrate -q --bwlimit=8M ./a/web.img ./b/ >one 2>&1 &
child=$!
mirrored() {
	virsh dumpxml web | grep -q '<mirror '
}
ok 'a mirror runs' wait_until mirrored
ok 'there are connections to lose' test -s relay.pids
while read -r pid; do
	[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -cF "$work/relay")" = 0 ] || kill "$pid"
done <relay.pids
status=0
wait $child || status=$?
[ $status = 0 ] || diag "$(cat one)"
is 'lost, and made anew: the disk has moved' $status 0
ok 'it has' is_on b

done_testing
