# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034
# What the tests with libvirt have in common, on top of lib.sh: a libvirtd, domains, a guest that writes.
#
# They need root, and touch nothing of the host's libvirt: see private-libvirtd.
# Disks are made in $work, the current directory, which is on a file system with
# direct I/O where $TOP is; $virt is short, for the names of sockets.

# A script that runs in the lab has it already.
[ -n "${scratch:-}" ] || . "$TOP/tests/lib.sh"

: "${LIVE_TOOLS:=$TOP/build/cc/live}"
guest_files=$TOP/build/guest
virtd=$TOP/tests/live/private-libvirtd

[ "$(id -u)" = 0 ] || skip_all "needs root, for a libvirtd of its own"
requires libvirtd virsh qemu-system-x86_64 unshare setsid perl

work=$(mktemp -d "$TOP/build/test.XXXXXX" 2>/dev/null || mktemp -d "$scratch/work.XXXXXX") || exit 99
at_exit "cd /; rm -rf '$work'"
cd "$work" || exit 99

virt=$(mktemp -d /tmp/volmig-virt.XXXXXX) || exit 99
at_exit "rm -rf --one-file-system '$virt'"

# start_libvirtd: also again after kill_libvirtd.  virsh and volmig find it by
# LIBVIRT_DEFAULT_URI.
start_libvirtd() {
	if [ -z "${LIBVIRT_DEFAULT_URI:-}" ] || [ "${libvirtd_is_ours:-}" != yes ]; then
		libvirtd_is_ours=yes
		LIBVIRT_DEFAULT_URI=$("$virtd" uri "$virt")
		export LIBVIRT_DEFAULT_URI
		at_exit "'$virtd' stop '$virt'"
	fi
	"$virtd" start "$virt" "$TOP/build/guest/qemu-cache" || exit 99
}

# kill_libvirtd [SIGNAL]: the daemon only, guests go on.
kill_libvirtd() {
	"$virtd" kill "$virt" "${1:-KILL}"
}

# disk_xml TARGET SOURCE [DRIVER_ATTRIBUTES] [ELEMENTS]: a raw disk, of a file or a device.
disk_xml() {
	case $1 in
	sd*) bus=scsi ;;
	*) bus=virtio ;;
	esac
	if [ -b "$2" ]; then
		echo "<disk type='block' device='disk'><source dev='$2'/>"
	else
		echo "<disk type='file' device='disk'><source file='$2'/>"
	fi
	cat <<-XML
		<driver name='qemu' type='raw' ${3-cache='none' io='native' discard='unmap'}/>
		<target dev='$1' bus='$bus'/><serial>test-$1</serial>${4:-}</disk>
	XML
}

# domain_xml NAME [-g CMDLINE] SOURCE_OR_XML...: disks vda, vdb, ... of the
# sources; what begins with '<' is put in as it is.  -g: with the test guest.
domain_xml() {
	name=$1
	shift
	memory=32 guest=
	if [ "${1:-}" = -g ]; then
		memory=128 guest=1 cmdline=$2
		shift 2
	fi
	cat <<-XML
		<domain type='qemu'>
		  <name>$name</name>
		  <memory unit='MiB'>$memory</memory>
		  <vcpu>1</vcpu>
		  <os>
		    <type arch='x86_64' machine='pc'>hvm</type>
	XML
	[ -z "$guest" ] || cat <<-XML
		    <kernel>$guest_files/vmlinuz</kernel>
		    <initrd>$LIVE_TOOLS/initrd.gz</initrd>
		    <cmdline>console=ttyS0 quiet panic=-1 $cmdline</cmdline>
	XML
	cat <<-XML
		  </os>
		  <features><acpi/></features>
		  <on_poweroff>destroy</on_poweroff>
		  <on_reboot>destroy</on_reboot>
		  <on_crash>destroy</on_crash>
		  <devices>
		    <emulator>$(command -v qemu-system-x86_64)</emulator>
		    <controller type='usb' model='none'/>
		    <memballoon model='none'/>
	XML
	letters=abcdefghijkl
	for disk; do
		letter=${letters%"${letters#?}"}
		letters=${letters#?}
		case $disk in
		'<'*) echo "$disk" ;;
		*) disk_xml "vd$letter" "$disk" ;;
		esac
	done
	[ -z "$guest" ] || cat <<-XML
		    <serial type='unix'>
		      <source mode='bind' path='$virt/$name.console'/>
		      <log file='$virt/$name.log' append='off'/>
		    </serial>
	XML
	echo '  </devices>'
	echo '</domain>'
}

# define NAME [-g CMDLINE] SOURCE_OR_XML...
define() {
	domain_xml "$@" >"$virt/$1.xml" && virsh -q define "$virt/$1.xml"
}

# start_paused NAME: of a domain that is defined; without a guest it is as good as running.
start_paused() {
	virsh -q start --paused "$1"
}

# disk_source NAME TARGET [--inactive]
disk_source() {
	virsh -q domblklist "$1" ${3:+"$3"} 2>/dev/null |
		awk -v disk="$2" '$1 == disk { sub(/^ *[^ ]+ +/, ""); sub(/ +$/, ""); print }'
}

# is_state NAME STATE
is_state() {
	[ "$(virsh -q domstate "$1" 2>/dev/null)" = "$2" ]
}

# truth NAME TARGET: what the disk is in the live XML, in the definition, and for
# QEMU itself.  Succeeds if all that are there agree; after a libvirtd that died
# while it pivoted the first two can be wrong.
truth() {
	live=$(disk_source "$1" "$2")
	inactive=$(disk_source "$1" "$2" --inactive)
	alias=$(virsh dumpxml "$1" | awk -v target="<target dev='$2'" '
		/<disk / { mine = 0 }
		index($0, target) { mine = 1 }
		mine && /<alias name=/ { split($0, part, "\047"); print part[2]; exit }')
	qemu=$(virsh -q qemu-monitor-command "$1" --hmp 'info block' | tr -d '\r' |
		awk -v path="/$alias/" '
			/^[^ ].*: / { sub(/^[^:]*: /, ""); sub(/ \([^(]*\)$/, ""); file = $0 }
			/Attached to:/ && index($0, path) { print file; exit }')
	echo "live=$live definition=$inactive qemu=$qemu"
	[ -n "$qemu" ] && [ "$live" = "$qemu" ] &&
		{ [ -z "$inactive" ] || [ "$inactive" = "$qemu" ]; }
}

# qemu_io NAME NUMBER COMMAND: qemu-io on virtio disk NUMBER (0 is the first)
# through the domain's device, so that a mirror sees it: qemu_io d 0 'write -P 0xa1 0 64k'.
# It says nothing about success; look at the image.
qemu_io() {
	virsh -q qemu-monitor-command "$1" --hmp \
		"qemu-io -d /machine/peripheral/virtio-disk$2/virtio-backend \"$3\"" >/dev/null
}

# ---- the guest ----

# needs_guest: skip the script where there is none to boot.
needs_guest() {
	[ -e "$guest_files/vmlinuz" ] ||
		skip_all "no guest to boot: $(cat "$guest_files/absent" 2>/dev/null || echo 'make programs-live')"
	[ -e "$LIVE_TOOLS/initrd.gz" ] || skip_all 'no guest to boot: make programs-live'
}

# patiently COMMAND...: like wait_until, but up to two minutes, for what a guest does
# on a machine that is busy.
patiently() {
	patience=0
	until "$@" >/dev/null 2>&1; do
		patience=$((patience + 1))
		[ $patience -lt 1200 ] || return 1
		sleep 0.1
	done
}

# said NAME PATTERN: has the guest written such a line?
said() {
	grep -aqE "$2" "$virt/$1.log"
}

# The number of the record that the guest has last said to be flushed.
acked() {
	grep -aE '^(ACK|PAUSED|BYE) [0-9]+.$' "$virt/$1.log" | tail -n 1 | tr -dc 0-9
}

has_acked() {
	[ "$(acked "$1")" -gt "${2:-0}" ]
}

# boot NAME: start a domain with the guest and wait until it writes.
boot() {
	virsh -q start "$1" && patiently has_acked "$1"
}

# press NAME KEYS: on the guest's console.
press() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n";
		print $s $ARGV[1]; $s->flush; shutdown($s, 1);' "$virt/$1.console" "$2"
}

# answer NAME KEY WORD: press it, wait for the line that begins with WORD, print it.
answer() {
	seen=$(grep -acE "^$3 " "$virt/$1.log")
	press "$1" "$2"
	patience=0
	until [ "$(grep -acE "^$3 [0-9 ]+.$" "$virt/$1.log")" -gt "$seen" ]; do
		patience=$((patience + 1))
		[ $patience -lt 1200 ] || return 1
		sleep 0.1
	done
	grep -aE "^$3 " "$virt/$1.log" | tail -n 1 | tr -d '\r'
}

# writes_on NAME: does it go on writing from here?
writes_on() {
	patiently has_acked "$1" "$(acked "$1")"
}

# blocks_of NAME: how many blocks the guest writes to.
blocks_of() {
	sed -n 's/^READY .*blocks=\([0-9]*\).*/\1/p' "$virt/$1.log"
}

# intact NAME IMAGE: is every record that was flushed so far on IMAGE, whole, in its
# place, and not replaced by an older one?  The guest may go on writing.
intact() {
	"$LIVE_TOOLS/verify" "$2" "$(blocks_of "$1")" "$(acked "$1")"
}

# release_loop DEVICE INODE: if it is still over that file, and not somebody else's by now.
release_loop() {
	[ "$(losetup -n -O BACK-INO "$1" | tr -d ' ')" != "$2" ] || losetup -d "$1"
}

# loop_device FILE: a loop device over it until the script ends, in $loop.  libvirt and
# QEMU want one of the host's: a free one is taken, as anybody would.
loop_device() {
	loop=$(losetup -f --show "$1") || return 1
	at_exit "release_loop '$loop' '$(stat -c %i "$1")'"
}
