#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# attach makes an NBD device of the kernel of an export, known by its mark alone; detach takes away that one and no other.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 64M
requires nbdkit qemu-nbd nbd-client modprobe mkfs.ext4 debugfs jq
work=$scratch
. "$TOP/tests/net.sh"
records=$VOLMIG_STATE_DIR/attached

attach() {
	"$VOLMIG" attach -q "$@"
}

detach() {
	"$VOLMIG" detach -q "$@"
}

# The devices that are connected, each with its mark's first word.
devices() {
	for pid in /sys/block/nbd*/pid; do
		[ ! -e "$pid" ] || printf '%s ' "$(basename "${pid%/pid}"):$(cut -d: -f1 "${pid%pid}backend" 2>/dev/null)"
	done
}

nothing_left() {
	is "$1: nothing is left" "devices '$(devices)', records '$(ls -A "$records" 2>/dev/null)'" "devices '', records ''"
}

# A device that is disconnected while somebody looks at it goes a moment later.
gone() {
	wait_until test -z "$(devices)"
}

truncate -s 64M "$scratch/disk"
# One thread: with more, nbdkit (1.32) may end by an assertion when a client is killed.
nbdkit_on disk -t 1 file "$scratch/disk"
uri=$(uri disk)

# Without the module; a kernel that has none is tried with a modprobe that finds none.
mkdir "$scratch/bin"
printf '#!/bin/sh\nexit 1\n' >"$scratch/bin/modprobe"
chmod +x "$scratch/bin/modprobe"
must_fail 3 'a kernel without NBD is said to have none' env PATH="$scratch/bin:$PATH" "$VOLMIG" attach "$uri"
has 'by the module'\''s name' 'the kernel has no NBD client (module nbd)'
"$VOLMIG" doctor --json >"$scratch/output" 2>&1
is 'doctor knows that it can be loaded' \
	"$(grep '^{' "$scratch/output" | jq -c '.methods[] | select(.method == "nbd-device") | .usable')" true
is 'and does not load it' "$(ls -d /sys/module/nbd 2>/dev/null)" ''
ok 'nor does a dry run' "$VOLMIG" attach -n "$uri"
is 'and it has not' "$(ls -d /sys/module/nbd 2>/dev/null)" ''

# A device of somebody else, by a number of his choice.
modprobe nbd
truncate -s 8M "$scratch/other"
nbdkit_on other file "$scratch/other"
nbd-client -unix "$scratch/other.sock" /dev/nbd0 >/dev/null 2>&1
is 'somebody has a device' "$(devices)" 'nbd0: '

# From nothing to nothing.
ok 'an export is attached' attach "$uri"
device=$(cat "$scratch/output")
is 'its device is printed, and it is ours' "$(devices)" "nbd0: ${device#/dev/}:volmig "
is 'of its size' "$(blockdev --getsize64 "$device")" 67108864
ok 'attaching it again succeeds' "$VOLMIG" attach --json "$uri"
is 'with the same device' "$(jq -c '[.device, .already, .source.kind, .loop]' "$scratch/output")" \
	"[\"$device\",true,\"nbd\",false]"
must_fail 3 'read-only is refused now' attach --readonly "$uri"
head -c 64M /dev/zero >"$scratch/source"
must_fail 3 'what is attached is not written to by a job' "$VOLMIG" copy -q --into-existing "$scratch/source" "$uri"
has 'and its device is named' "in use: attached to this host as $device"
must_fail 3 'nor attached once more, by another state directory' env VOLMIG_STATE_DIR="$scratch/state2" "$VOLMIG" attach "$uri"
has 'which says so, too' "in use: attached to this host as $device"
ok 'it can be used' mkfs.ext4 -q "$device"
mkdir "$scratch/mnt"
mount "$device" "$scratch/mnt"
must_fail 3 'detach while it is mounted is refused' detach "$uri"
has 'and where it is mounted is named' "$device: in use: mounted on $scratch/mnt"
must_fail 3 'a dry run says so' "$VOLMIG" detach -n "$uri"
echo precious >"$scratch/mnt/file"
umount "$scratch/mnt"
sleep 30 9<"$device" &
reader=$!
must_fail 3 'so is detach while it is only read' detach "$uri"
has 'and who does is named' "open by sleep (pid $reader)"
kill $reader
wait $reader 2>/dev/null
ok 'detach releases it' detach "$uri"
is 'and no other' "$(devices)" 'nbd0: '
is 'no record is left' "$(ls -A "$records")" ''
ok 'the server has what was written' debugfs -R 'cat /file' "$scratch/disk"
has 'all of it' precious
ok 'detach again succeeds' "$VOLMIG" detach "$uri"
has 'and says that there is nothing to do' 'was not attached'
ok 'a device of others is not released' "$VOLMIG" detach /dev/nbd0
is 'and stays' "$(devices)" 'nbd0: '
nbd-client -d /dev/nbd0 >/dev/null 2>&1
gone
nothing_left 'after that'

# Read-only, and by the name of the device.
ok 'an export is attached read-only' attach --readonly "$uri"
device=$(cat "$scratch/output")
must_fail 1 'it cannot be written to' dd if=/dev/zero of="$device" bs=4096 count=1 oflag=direct
must_fail 3 'nor attached for writing' attach "$uri"
ok 'it is detached by the name of the device' detach "$device"
nothing_left 'after read-only'
must_fail 137 'a copy onto an export is killed' env VOLMIG_INJECT=kill-at-byte:1048576 "$VOLMIG_INJECT_BIN" \
	copy -q --into-existing --job-id 11111111-2222-4333-8444-555555555551 "$scratch/source" "$uri"
must_fail 3 'what an unfinished job holds is not attached' attach "$uri"
has 'and the job is named' 11111111-2222-4333-8444-555555555551
ok 'it is given up' "$VOLMIG" abort -q 11111111-2222-4333-8444-555555555551

# What no device can be made of.
nbdkit_on ro -r memory 1M
must_fail 3 'an export that is read-only is refused' attach "$(uri ro)"
has 'and what to do is said' 'attach it with --readonly'
nbdkit_on odd memory 1000001
ok 'an odd size is cut' "$VOLMIG" attach "$(uri odd)"
has 'and said' 'the last 65 bytes are no whole sector and not part of the device'
is 'just so' "$(blockdev --getsize64 /dev/nbd0)" 999936
ok 'and released' detach "$(uri odd)"
nbdkit_on strict --filter=blocksize-policy memory 1M blocksize-minimum=8192 blocksize-preferred=8192 \
	blocksize-maximum=1M blocksize-error-policy=error
must_fail 3 'blocks that the kernel does not have are refused' attach "$(uri strict)"
has 'and named' 'the server wants blocks of 8192 bytes'
nbdkit_on short --filter=blocksize-policy memory 1M blocksize-minimum=512 blocksize-preferred=4096 \
	blocksize-maximum=65536 blocksize-error-policy=error
must_fail 3 'so is a server that takes too little at a time' attach "$(uri short)"
has 'and what it takes is said' 'the server takes no more than 65536 bytes at a time'
if nbdkit --dump-config | grep -q '^tls=yes' && command -v psktool >/dev/null; then
	psktool -u lab -p "$scratch/psk" >/dev/null 2>&1
	nbdkit_on tls --tls=require --tls-psk="$scratch/psk" memory 1M
	must_fail 3 'TLS is refused' attach "nbds+unix://lab@/?socket=$scratch/tls.sock&tls-psk-file=$scratch/psk"
	has 'and what to do is said' 'speaks no TLS; have a program of yours do that'
else
	skip 'TLS is refused' 'needs nbdkit with TLS and psktool'
fi
must_fail 3 'a server that is not there is refused' attach "nbd+unix:///?socket=$scratch/none"
qemu-img create -q -f qcow2 "$scratch/image" 1M
qemu_nbd_on image -f raw "$scratch/image"
must_fail 3 'an image that looks like a container is refused' attach "$(uri image)"
ok 'unless it is said to be raw' attach --format=raw "$(uri image)"
ok 'it is released' detach "$(uri image)"
nothing_left 'after refusals'

# SIGKILL at any instant: the same command, the other one, or doctor ends it.
for at in 1 2; do
	for way in attach detach doctor; do
		must_fail 137 "attach killed at $at" env VOLMIG_INJECT=kill-attach:$at "$VOLMIG_INJECT_BIN" attach -q "$uri"
		is 'a device there is or not' "$(devices | wc -w)" $((at - 1))
		case $way in
		attach)
			ok 'attaching goes on' attach "$uri"
			is 'with one device' "$(devices)" 'nbd0:volmig '
			ok 'to be detached' detach "$uri"
			;;
		detach)
			ok 'detach undoes it' detach "$uri"
			;;
		doctor)
			[ $at = 2 ] || {
				must_fail 1 'doctor finds it' "$VOLMIG" doctor
				has 'and names it' "$uri" 'no NBD device of the kernel is it'
				"$VOLMIG" doctor --fix -q
			}
			[ $at = 1 ] || detach "$uri"
			;;
		esac
		nothing_left "attach killed at $at, $way"
	done
done
ok 'an export is attached' attach "$uri"
must_fail 137 'detach is killed' env VOLMIG_INJECT=kill-detach:1 "$VOLMIG_INJECT_BIN" detach -q "$uri"
ok 'detach goes on' detach "$uri"
nothing_left 'detach killed'

# The device was disconnected by somebody, and its number is another's by now.
ok 'an export is attached' attach "$uri"
nbd-client -d /dev/nbd0 >/dev/null 2>&1
gone
nbd-client -unix "$scratch/other.sock" /dev/nbd0 >/dev/null 2>&1
ok 'detach finds nothing of ours' "$VOLMIG" detach "$uri"
has 'and says so' 'was not attached'
is 'the other stays' "$(devices)" 'nbd0: '
nbd-client -d /dev/nbd0 >/dev/null 2>&1
gone
ok 'an export is attached' attach "$uri"
rm "$records"/nbd-*
must_fail 1 'doctor finds a device without a record' "$VOLMIG" doctor --fix
has 'and names it' '/dev/nbd0' 'of which there is no record here'
is 'which is not its to mend' "$(devices)" 'nbd0:volmig '
nbd-client -d /dev/nbd0 >/dev/null 2>&1
gone

# The server dies: errors, no hang, and what is lost is said.
ok 'an export is attached' attach "$uri"
end_server disk
must_fail 1 'without its server the device gives errors' dd if=/dev/nbd0 of=/dev/null bs=4096 count=1 iflag=direct
must_fail 1 'it does not count as attached' attach "$uri"
has 'and what to do is said' 'the device never comes back to it: volmig detach /dev/nbd0'
ok 'it can be detached' "$VOLMIG" detach "$uri"
has 'and what is lost is said' 'the server had gone: what was not on its stable storage by then is lost'
nothing_left 'after the death of a server'
nbdkit_on disk file "$scratch/disk"

# The server is silent.
ok 'an export is attached' env VOLMIG_INJECT=nbd-silence:2 "$VOLMIG_INJECT_BIN" attach "$uri"
is 'with that limit for each request' "$(cat /sys/block/nbd0/queue/io_timeout)" 2000
dd if=/dev/urandom of=/dev/nbd0 bs=4096 count=4 conv=fsync 2>/dev/null
signal_server STOP disk
dd if=/dev/zero of=/dev/nbd0 bs=4096 count=4 2>/dev/null
ok 'with a silent server it can be detached' "$VOLMIG" detach "$uri"
has 'and what is lost is said' 'the server had gone'
signal_server CONT disk
nothing_left 'after a silent server'

# The server lives, but takes nothing: the device stays.
nbdkit_on full --filter=error memory 16M error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$scratch/full"
ok 'an export is attached' attach "$(uri full)"
: >"$scratch/full"
dd if=/dev/urandom of=/dev/nbd0 bs=4096 count=4 2>/dev/null
must_fail 1 'what a living server does not take keeps its device' detach "$(uri full)"
has 'and it is said' 'cannot be flushed, so it stays attached'
is 'which stays' "$(devices)" 'nbd0:volmig '
rm "$scratch/full"
ok 'it is detached in the end' detach "$(uri full)"
nothing_left 'after a full server'
done_testing
