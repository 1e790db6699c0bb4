#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A running domain's disk moves onto NBD exports and Ceph RBD images, between them and back, and nothing but its source changes.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
. "$TOP/tests/net.sh"
requires jq nbdkit qemu-nbd
start_libvirtd

without_source() {
	virsh dumpxml --inactive web | perl -0pe "s/<disk type='\\w+'/<disk/; s/\\s*<source [^>]*\\/>//; s/\\s*<source .*?<\\/source>//s;
		s/\\s*<backingStore\\/>//"
}
# moved FILE: QEMU writes through the device, and the bytes are in there.
moved() {
	mark=$((mark + 1))
	qemu_io web 0 "write -P $mark $((mark * 64))k 64k"
	qemu_io web 0 flush
	without_source >rest.after
	cmp rest.before rest.after &&
		cmp -n 2097152 data "$1" &&
		[ "$(od -A n -t x1 -N 1 -j $((mark * 65536)) "$1" | tr -d ' ')" = "$(printf %x $mark)" ]
}
on_network() {
	virsh dumpxml web "$@" | grep -q "<disk type='network'"
}
mark=64

dd if=/dev/urandom of=data bs=1M count=2 status=none
cp data a.raw
truncate -s 16M a.raw b.raw c.raw e.raw
truncate -s 20M d.raw
define web "$(disk_xml vda "$work/a.raw" "cache='none' discard='unmap'")"
start_paused web
virsh -q resume web
without_source >rest.before
nbdkit_on kit file "$work/b.raw"
qemu_nbd_on four -e 4 -f raw -x 'two words' "$work/c.raw"
qemu_nbd_on larger -e 4 -f raw "$work/d.raw"
qemu_nbd_on one -f raw "$work/e.raw"

ok 'a dry run' "$VOLMIG" swap -n web vda "$(uri kit)"
has 'tells the steps' 'mirror' 'compare' 'pivot'
ok 'a disk becomes an NBD export' "$VOLMIG" swap --json web vda "$(uri kit)"
cp "$scratch/output" receipt
ok 'libvirt and the definition say so' on_network
ok 'both' on_network --inactive
ok 'it has the bytes, and of the definition nothing else has changed' moved b.raw
ok 'the ends were compared' jq -e '.verify.bytes_compared == 2097152' receipt
is 'what it is' "$(jq -r .destination.kind receipt)" nbd
ok 'the file stays' cmp -n 2097152 data a.raw
ok 'from there onto another export, with a name' "$VOLMIG" swap -q web vda "$(uri four two%20words)"
ok 'it has the bytes' moved c.raw
ok 'onto a larger one' "$VOLMIG" swap web vda "$(uri larger)"
has 'what that means is said' 'cannot be resized'
ok 'it has the bytes, too' moved d.raw
ok 'onto a server that takes one client' "$VOLMIG" swap web vda "$(uri one)"
has 'nothing is compared then, and that is said' 'takes one client at a time'
ok 'it has the bytes as well' moved e.raw
must_fail 3 'from which it cannot be moved while it runs, for nobody else gets in' "$VOLMIG" swap --create web vda ./no.raw
virsh -q destroy web
virsh -q undefine web
end_server kit
truncate -s 0 a.raw b.raw
cp data a.raw
truncate -s 16M a.raw b.raw
nbdkit_on kit file "$work/b.raw"

define web "$(disk_xml vda "$work/a.raw" "cache='none' discard='unmap'")"
start_paused web
virsh -q resume web
without_source >rest.before
ok 'migrate does it, with a volume that exists' "$VOLMIG" migrate -q --into-existing ./a.raw "$(uri kit)"
ok 'the bytes are there' moved b.raw
ok 'and the file is gone' test ! -e a.raw
mkdir dir
ok 'and back into a file' "$VOLMIG" migrate --json --domain web ./dir/
cp "$scratch/output" receipt
back=$(jq -r .destination.path receipt)
ok 'all agree' truth web vda
is 'on that' "$(disk_source web vda)" "$back"
ok 'with the bytes' moved "$back"
is 'the export stays, which is said' "$(jq -r '.source.state' receipt)" untouched

# A server that dies under the mirror (no write of it is answered sooner), or before, or does not answer at the end.
nbdkit_on slow --filter=delay file "$work/b.raw" wdelay=4 delay-zero=4
"$VOLMIG" swap -q --into-existing web vda "$(uri slow)" >one 2>&1 &
child=$!
mirrored() {
	virsh dumpxml web | grep -q '<mirror '
}
ok 'a mirror runs' wait_until mirrored
end_server slow
status=0
wait $child || status=$?
is 'its server dies: the move has failed' $status 1
ok 'the guest has its disk' moved "$back"
nbdkit_on bad --filter=error file "$work/b.raw" error-pwrite=EIO error-pwrite-rate=100% "error-pwrite-file=$work/trigger"
"$VOLMIG" swap -q --cutover=manual --into-existing web vda "$(uri bad)" >one 2>&1
is 'a mirror is held' $? 4
job=$("$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 ~ /-/ { print $1 }')
: >trigger
mark=$((mark + 1))
qemu_io web 0 "write -P $mark $((mark * 64))k 64k"
must_fail 1 'a write to it fails, and so the move' "$VOLMIG" resume -q "$job"
has 'as far as anybody is told why' 'QEMU has given the mirror'
ok 'the guest has its disk, and what it wrote' moved "$back"
must_fail 3 'a server that is not there' "$VOLMIG" swap web vda "$(uri slow)"
must_fail 3 'certificates' "$VOLMIG" swap web vda "nbds+unix:///?socket=$work/kit.sock"
must_fail 3 'an image with a format of its own' sh -c "qemu-img create -q -f qcow2 x.qcow2 16M; exec '$VOLMIG' swap --into-existing web vda qcow2:$work/x.qcow2"
ok 'one that is held, mirrored' sh -c "'$VOLMIG' swap -q --cutover=manual --stall-timeout=5s --into-existing web vda '$(uri kit)'; test \$? = 4"
job=$("$VOLMIG" status | awk '$3 != "cleaned" && $3 != "aborted" && $1 ~ /-/ { print $1 }')
ok 'status of it' "$VOLMIG" status "$job"
has 'tells that it is ready' 'the mirror is ready'
signal_server STOP kit
must_fail 4 'its server stands still: nothing is pivoted' "$VOLMIG" resume -q "$job"
signal_server CONT kit
ok 'it goes on' "$VOLMIG" resume -q "$job"
ok 'and the disk has moved' moved b.raw

# Large enough for several connections, which this server would leave waiting.
truncate -s 64M f.raw g.raw
qemu_nbd_on few -e 3 -f raw "$work/g.raw"
define big "$(disk_xml vda "$work/f.raw" "cache='none'")"
start_paused big
began=$(date +%s)
ok 'onto a server that takes three clients' "$VOLMIG" swap -q big vda "$(uri few)"
ok 'none of ours waits for a place there' test $(($(date +%s) - began)) -lt 20
virsh -q destroy big
end_server few

# ---- Ceph ----

lacking=$("$TOP/tests/lab/ceph-lab" missing)
if [ -n "$lacking" ]; then
	skip "disks on Ceph: not installed: $lacking"
	done_testing
	exit
fi
"$TOP/tests/lab/ceph-lab" start "$virt/ceph" -a cephx >ceph.log 2>&1 || { cat ceph.log; exit 99; }
at_exit "'$TOP/tests/lab/ceph-lab' stop '$virt/ceph'"
export CEPH_CONF="$virt/ceph/ceph.conf"
key=$(ceph-authtool -p -n client.admin "$virt/ceph/keyring")
secret=$(cat /proc/sys/kernel/random/uuid)
cat >secret.xml <<XML
<secret ephemeral='no' private='yes'><uuid>$secret</uuid><usage type='ceph'><name>client.admin of the lab</name></usage></secret>
XML
virsh -q secret-define secret.xml >/dev/null
virsh -q secret-set-value "$secret" --base64 "$key" >/dev/null 2>&1

ok 'a disk becomes a new RBD image' "$VOLMIG" swap -q --create --ceph-secret="$secret" web vda "rbd:rbd/web:conf=$CEPH_CONF"
ok 'libvirt says so' sh -c "virsh dumpxml web | grep -q \"protocol='rbd' name='rbd/web'\""
ok 'the definition, too, with its secret' sh -c "virsh dumpxml --inactive web | grep -q \"type='ceph' uuid='$secret'\""
mark=$((mark + 1))
qemu_io web 0 "write -P $mark 1M 64k"
qemu_io web 0 flush
ok 'and back into a file: the image is removed' "$VOLMIG" migrate -q --domain web ./dir/
is 'it is' "$(timeout 20 rbd ls)" ''
ok 'all agree on the file' truth web vda
file=$(disk_source web vda)
is 'what was written is in it' "$(od -A n -t x1 -N 1 -j 1048576 "$file" | tr -d ' ')" "$(printf %x $mark)"
must_fail 3 'a user without a secret' "$VOLMIG" swap --create web vda "rbd:rbd/web:conf=$CEPH_CONF:id=admin"
has 'is told what to name' '--ceph-secret'
is 'and nothing is made' "$(timeout 20 rbd ls)" ''

done_testing
