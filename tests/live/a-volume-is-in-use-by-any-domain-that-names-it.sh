#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Running or shut off, by whatever name, as a disk, below one, or beside them: who uses a volume is found and named.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires qemu-img losetup

mkdir place
image() {
	truncate -s 1M "$1"
}

image lone.img
must_fail 3 'a libvirtd that was named and is not there is a refusal' \
	"$VOLMIG" --connect="qemu+unix:///system?socket=$virt/nobody" migrate -n ./lone.img place/
has 'which says what can be done' 'cannot ask which domains use' '--connect=none'
ok 'who is told to ask nobody asks nobody' "$VOLMIG" --connect=none migrate -n ./lone.img place/

start_libvirtd

# in_use DESCRIPTION VOLUME TEXT...: it cannot be moved, nor be overwritten.
in_use() {
	case=$1 volume=$2
	shift 2
	must_fail 3 "$case: it is not moved" "$VOLMIG" migrate -n "$volume" place/
	has "$case: the user is named" "$@"
	must_fail 3 "$case: it is not overwritten" "$VOLMIG" copy -n --into-existing ./lone.img "$volume"
	has "$case: for that reason" "$@"
}

# runs_on DESCRIPTION VOLUME TEXT...: it is moved under the guest, and not overwritten.
runs_on() {
	case=$1 volume=$2
	shift 2
	ok "$case: it is moved live" "$VOLMIG" migrate -n "$volume" place/
	has "$case: that is said" 'method      live'
	must_fail 3 "$case: it is not overwritten" "$VOLMIG" copy -n --into-existing ./lone.img "$volume"
	has "$case: the user is named" "$@"
}

image running.img
define runs "$work/running.img"
start_paused runs
runs_on 'a running domain' ./running.img 'disk vda of domain runs (running)'
ln -s running.img link.img
runs_on 'by a symbolic link' ./link.img 'domain runs'
ln running.img hard.img
runs_on 'by a hard link' ./hard.img 'domain runs'
must_fail 3 'it is not attached to this host' "$VOLMIG" attach --readonly ./running.img
has 'for that reason too' 'domain runs'

image off.img
define off "$work/off.img"
must_fail 3 'what a shut-off domain has is not overwritten' \
	"$VOLMIG" copy -n --into-existing ./lone.img ./off.img
has 'and the domain is named' 'disk vda of domain off (shut off)'
ok 'it can be copied' "$VOLMIG" copy -n --create ./off.img ./off-copy.img
has 'and that is said' 'disk vda of domain off (shut off); it stays so'
ok 'it can be attached to this host' "$VOLMIG" attach -n --readonly ./off.img

# A definition that differs from what runs.
image then.img
image now.img
define both "$work/now.img"
start_paused both
domain_xml both "$work/then.img" |
	sed "s|<name>|<uuid>$(virsh domuuid both)</uuid>&|" >both.xml
virsh -q define both.xml
must_fail 3 'what runs, but is not so defined, is not overwritten' \
	"$VOLMIG" copy -n --into-existing ./lone.img ./now.img
has 'and that is said' 'domain both (running, not so defined)'
in_use 'what is defined only' ./then.img 'domain both (running without it, but so defined)'

# Backing files, told by the XML of what runs, and by the headers of what does not.
image base.img
qemu-img create -q -f qcow2 -b base.img -F raw middle.qcow2
qemu-img create -q -f qcow2 -b "$work/middle.qcow2" -F qcow2 top.qcow2
define chain "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
	<source file='$work/top.qcow2'/><target dev='vda' bus='virtio'/></disk>"
in_use 'the base of a shut-off chain' ./base.img 'disk vda of domain chain (shut off, standing on it)'
start_paused chain
in_use 'the base of a running chain' ./base.img 'domain chain (running' 'standing on it'

# Devices.
image below.img
loop_device "$work/below.img"
define device "$loop"
must_fail 3 'a file below the loop device that a domain has is not overwritten' \
	"$VOLMIG" copy -n --into-existing ./lone.img ./below.img
has 'and both are named' "attached to $loop" 'disk vda of domain device (shut off)'
must_fail 3 'a device of a shut-off domain is not overwritten' \
	"$VOLMIG" copy -n --into-existing ./lone.img "$loop"
has 'and the domain is named' 'domain device (shut off)'

# A volume of a storage pool.
mkdir pool
image pool/pooled.img
virsh -q pool-create-as storage dir --target "$work/pool" >/dev/null
define pooled "<disk type='volume' device='disk'><driver name='qemu' type='raw'/>
	<source pool='storage' volume='pooled.img'/><target dev='vda' bus='virtio'/></disk>"
must_fail 3 'a volume of a pool is not overwritten' \
	"$VOLMIG" copy -n --into-existing ./lone.img ./pool/pooled.img
has 'and its domain is named' 'disk vda of domain pooled (shut off)'
ok 'it is moved' "$VOLMIG" migrate -q ./pool/pooled.img place/
is 'and the definition names a file' "$(disk_source pooled vda --inactive)" "$work/place/pooled.img"
virsh -q undefine pooled
virsh -q pool-destroy storage >/dev/null

# More than one user, media, and what is no disk at all.
image shared.img
define one "$(disk_xml vda "$work/shared.img" "cache='none'" '<shareable/>')"
define two "$(disk_xml vda "$work/shared.img" "cache='none'" '<shareable/>')"
in_use 'two domains' ./shared.img 'domain one (shut off, shareable)' 'domain two (shut off, shareable)'
image medium.iso
define viewer "<disk type='file' device='cdrom'><source file='$work/medium.iso'/>
	<target dev='hda' bus='ide'/><readonly/></disk>"
in_use 'a removable medium' ./medium.iso 'disk hda of domain viewer (shut off)'
image kernel.img
domain_xml boots | sed "s|</type>|&<kernel>$work/kernel.img</kernel>|" >boots.xml
virsh -q define boots.xml
in_use 'a kernel' ./kernel.img 'kernel of domain boots (shut off)'
ok 'and nobody else uses what no domain names' "$VOLMIG" migrate -n ./lone.img place/

# Another libvirtd, with domains of its own.
image theirs.img
"$virtd" start "$virt/2" "$TOP/build/guest/qemu-cache" || exit 99
at_exit "'$virtd' stop '$virt/2'"
second=$("$virtd" uri "$virt/2")
domain_xml far "$work/theirs.img" >far.xml
virsh -q -c "$second" define far.xml
ok 'one libvirt knows nothing of what the domains of another use' "$VOLMIG" migrate -n ./theirs.img place/
both="$LIBVIRT_DEFAULT_URI $second"
must_fail 3 'of two both are asked' "$VOLMIG" --connect="$both" migrate -n ./theirs.img place/
has 'and which it is is told' "in use: disk vda of domain far (shut off) at $second"
must_fail 3 'the first as before' "$VOLMIG" --connect="$second  $LIBVIRT_DEFAULT_URI" copy -n --into-existing ./lone.img ./shared.img
has 'by its users' 'disk vda of domain one (shut off, shareable) at'
ok 'a volume that nobody of either has' "$VOLMIG" --connect="$both" migrate -n ./lone.img place/
"$virtd" stop "$virt/2"
must_fail 3 'one of them is gone: nobody can tell' "$VOLMIG" --connect="$both" migrate -n ./lone.img place/
has 'which is said' 'cannot ask which domains use'

# Each call is a round trip, and there may be hundreds of domains: their XML is asked for, and no more.
# calls: made to libvirt while a volume is looked at
calls() {
	LIBVIRT_LOG_FILTERS=1:rpc.netclient LIBVIRT_LOG_OUTPUTS="1:file:$scratch/calls.$1" \
		"$VOLMIG" migrate -n ./lone.img place/ >/dev/null || return
	grep -c 'RPC_CLIENT_MSG_TX_QUEUE' "$scratch/calls.$1"
}
before=$(calls before)
for n in $(seq 20); do
	define "many$n" "$work/many$n.img"
done
after=$(calls after)
ok 'calls are counted' test "$before" -gt 0
ok "20 domains more are 40 calls more at most (they are $((after - before)))" test $((after - before)) -le 40

# A daemon that hangs is not the same as none.
kill -STOP "$(cat "$virt/libvirtd.pid")"
at_exit "kill -CONT $(cat "$virt/libvirtd.pid")"
must_fail 3 'a libvirtd that does not answer is a refusal' \
	env VOLMIG_INJECT=virt-limit:500 "$VOLMIG_INJECT_BIN" migrate -n ./lone.img place/
has 'which says so' 'cannot ask which domains use' 'no answer'
kill -CONT "$(cat "$virt/libvirtd.pid")"

done_testing
