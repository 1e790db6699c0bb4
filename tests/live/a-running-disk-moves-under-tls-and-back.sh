#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The disk of a guest that writes moves onto NBD exports under TLS and back; where QEMU's certificates or the server's do not fit it stays.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
. "$TOP/tests/net.sh"
requires jq nbdkit nbdinfo qemu-nbd openssl
needs_guest
certificates pki >pki.log 2>&1 || { cat pki.log; exit 99; }
certificates other >pki.log 2>&1 || { cat pki.log; exit 99; }
# Volmig's own are the same ones in another place, so that each is seen to use its own.
cp -r pki own
export LIBVIRTD_NBD_TLS="$work/pki"
start_libvirtd

# says ATTRIBUTES: does the source in both XMLs?
says() {
	virsh dumpxml writer | grep -q "<source $1 index=" && virsh dumpxml --inactive writer | grep -q "<source $1>"
}
# whole IMAGE: the guest goes on, and every record that it has flushed is in there.
whole() {
	writes_on writer && intact writer "$1"
}
without_source() {
	virsh dumpxml --inactive writer | perl -0pe "s/<disk type='\\w+'/<disk/; s/\\s*<source [^>]*\\/>//; s/\\s*<source protocol.*?<\\/source>//s;
		s/\\s*<backingStore\\/>//"
}

truncate -s 64M a.raw b.raw c.raw d.raw
define writer -g 'test.blocks=4096' "$work/a.raw"
ok 'a guest boots and writes' boot writer
without_source >rest.before
nbdkit_tls_on tcp pki file b.raw
tcp=nbds://localhost:$port
qemu_nbd_on unix -e 4 -f raw -x web --tls-creds t \
	--object "tls-creds-x509,id=t,endpoint=server,dir=$work/pki,verify-peer=yes" c.raw
unix="nbds+unix:///web?socket=$work/unix.sock&tls-certificates=own"

ok 'a dry run' "$VOLMIG" swap -n writer vda "$tcp/?tls-certificates=own"
has 'tells whose certificates are used for what' 'nbd_tls_x509_cert_dir' "with those in $work/own"
ok 'the disk becomes an export under TLS' "$VOLMIG" swap --json writer vda "$tcp/?tls-certificates=own"
ok 'the ends were compared' jq -e '.verify.bytes_compared >= 2097152' "$scratch/output"
ok 'libvirt and the definition say so' says "protocol='nbd' tls='yes'"
ok 'every record is there' whole b.raw
must_fail 3 'a socket whose server has no name' "$VOLMIG" swap writer vda "$unix"
has 'is refused with what to write' 'tls-hostname=NAME'
ok 'with the name, from the one onto the other' "$VOLMIG" swap -q --sync-writes writer vda "$unix&tls-hostname=localhost"
ok 'libvirt and the definition have it' says "protocol='nbd' name='web' tls='yes' tlsHostname='localhost'"
ok 'every record is there, too' whole c.raw
mkdir dir
ok 'and back into a file' "$VOLMIG" migrate --json --domain writer ./dir/
cp "$scratch/output" moved
file=$(jq -r .destination.path moved)
is 'volmig has read it by the certificates of its QEMU' \
	"$(jq -r .source.path moved)" "nbds+unix:///web?socket=$work/unix.sock&tls-certificates=$work/pki&tls-hostname=localhost"
ok 'all agree on the file' truth writer vda
ok 'and every record is there' whole "$file"
without_source >rest.after
ok 'of the definition nothing else has changed' cmp rest.before rest.after

# ---- a domain that is shut off: libvirt writes its definition where it moves the disk ----
head -c 1M /dev/urandom >e.raw
truncate -s 16M e.raw f.raw
cp e.raw e.before
define off "$work/e.raw"
qemu_nbd_on off -e 4 -f raw --tls-creds t \
	--object "tls-creds-x509,id=t,endpoint=server,dir=$work/pki,verify-peer=yes" f.raw
off="nbds+unix:///?socket=$work/off.sock&tls-certificates=own&tls-hostname=localhost"
must_fail 3 'the disk of a domain that is shut off' "$VOLMIG" migrate --into-existing ./e.raw "$off"
has 'is refused with what does it' 'virsh start --paused off' "volmig swap off vda $off"
start_paused off
ok 'with its vCPUs halted it moves' "$VOLMIG" swap -q off vda "$off"
virsh -q destroy off
ok 'the definition says where it is' \
	sh -c "virsh dumpxml --inactive off | grep -q \"<source protocol='nbd' tls='yes' tlsHostname='localhost'>\""
ok 'where all of it is' cmp e.before f.raw
must_fail 3 'back from there it does not move shut off either' "$VOLMIG" migrate --domain off --disk vda ./dir/
has 'with what does it, too' 'virsh start --paused off'
start_paused off
ok 'but so' "$VOLMIG" migrate -q --domain off ./dir/off
virsh -q destroy off
is 'the definition says that, too' "$(disk_source off vda --inactive)" "$work/dir/off"
ok 'and all of it is there' cmp e.before dir/off
virsh -q undefine off
end_server off

# ---- what does not fit ----

# stays: the guest has its disk, without a mirror.
stays() {
	truth writer vda && ! virsh dumpxml writer | grep -q '<mirror' && whole "$file"
}
cp c.raw c.before
must_fail 3 'a key shared beforehand' "$VOLMIG" swap writer vda "$tcp/?tls-psk-file=$work/none"
echo "lab:$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >keys.psk
nbdkit_on psk --tls=require --tls-psk=keys.psk file c.raw
must_fail 3 'nor where the server would take it' \
	"$VOLMIG" swap --into-existing writer vda "nbds+unix://lab@/?socket=$work/psk.sock&tls-psk-file=keys.psk"
has 'is refused with what to do' 'certificates only' 'tls-certificates=DIR'
ok 'before anything is touched' cmp c.before c.raw
end_server psk
must_fail 3 'certificates of volmig that the server does not know' \
	"$VOLMIG" swap --into-existing writer vda "$tcp/?tls-certificates=other"
must_fail 3 'no TLS where the server requires it' "$VOLMIG" swap --into-existing writer vda "nbd://localhost:$port"
nbdkit_tls_on other other file d.raw
must_fail 1 'a server of an authority that QEMU does not know' \
	"$VOLMIG" swap writer vda "nbds://localhost:$port/?tls-certificates=other"
has 'is told with where its certificates are' 'nbd_tls_x509_cert_dir' 'source untouched'
ok 'the guest has its disk' stays
ok 'nothing was written there' cmp -n 67108864 d.raw /dev/zero
kill_libvirtd
LIBVIRTD_NBD_TLS=$work/nowhere
mkdir nowhere
start_libvirtd
must_fail 1 'a libvirt that has no certificates for QEMU' \
	"$VOLMIG" swap --into-existing writer vda "$tcp/?tls-certificates=own"
has 'is told, too' 'nbd_tls_x509_cert_dir' 'source untouched'
ok 'the guest has its disk, too' stays

# ---- a libvirt for which TLS is what nbd means ----

kill_libvirtd
LIBVIRTD_NBD_TLS=$work/pki
export LIBVIRTD_NBD_TLS_ALWAYS=1
start_libvirtd
nbdkit_on plain file d.raw
must_fail 1 'an export without TLS, where libvirt has it for all' "$VOLMIG" swap writer vda "$(uri plain)"
has 'is told what that hangs on' 'nbd_tls = 1'
ok 'and the guest has its disk' stays
virsh -q destroy writer
virsh -q undefine writer
define writer -g 'test.blocks=4096' "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>
	<source protocol='nbd'><host name='localhost' port='${tcp##*:}'/></source><target dev='vda' bus='virtio'/></disk>"
ok 'a guest with such a disk boots, and nothing in its XML tells of TLS' boot writer
ok 'from that into a file as well' "$VOLMIG" swap --json --create writer vda ./dir/again
has 'for QEMU says that it is under TLS' "nbds://localhost:${tcp##*:}/?tls-certificates=$work/pki"
ok 'every record is there' whole dir/again

# ---- a key with a passphrase, which nobody but QEMU is told ----
kill_libvirtd
cp -r pki locked
openssl pkcs8 -topk8 -in pki/client-key.pem -out locked/client-key.pem -passout pass:lab
LIBVIRTD_NBD_TLS=$work/locked LIBVIRTD_NBD_TLS_SECRET=$(cat /proc/sys/kernel/random/uuid)
export LIBVIRTD_NBD_TLS_SECRET
start_libvirtd
echo "<secret ephemeral='no' private='yes'><uuid>$LIBVIRTD_NBD_TLS_SECRET</uuid>
	<usage type='tls'><name>of the lab</name></usage></secret>" >secret.xml
virsh -q secret-define secret.xml >/dev/null
virsh -q secret-set-value "$LIBVIRTD_NBD_TLS_SECRET" --base64 "$(printf lab | base64)" >/dev/null 2>&1
cp e.before e.raw
truncate -s 16M g.raw
define locked "$work/e.raw"
start_paused locked
nbdkit_tls_on locked pki file g.raw
ok 'QEMU has the passphrase' "$VOLMIG" swap -q locked vda "nbds://localhost:$port/?tls-certificates=own"
ok 'and the export all bytes' cmp e.before g.raw
must_fail 3 'volmig cannot use that key' "$VOLMIG" migrate --domain locked ./dir/locked
has 'and says what it can use' '--tls-certificates=DIR'
must_fail 3 'a directory that is not there' "$VOLMIG" migrate --tls-certificates nothing --domain locked ./dir/locked
ok 'with others it reads the disk' "$VOLMIG" migrate -q --tls-certificates own --domain locked ./dir/locked
ok 'which is whole' cmp e.before dir/locked
ok 'and all agree on it' truth locked vda

done_testing
