#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Two hosts, each a guest of its own, share a volume group by lvmlockd and sanlock:
# what one of them has active the other one does not move.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires lvmlockd sanlock

# locks HOST-ID: the daemons.  No watchdog resets a guest of a test.
locks() {
	printf 'global { use_lvmlockd = 1 }\nlocal { host_id = %s }\n' "$1" >>/etc/lvm/lvmlocal.conf
	export DM_DISABLE_UDEV=1
	mkdir -p /run/sanlock
	sanlock daemon -w 0 -h 0 -U root -G root
	lvmlockd -g sanlock -o 2
	wait_until lvmlockctl -i >/dev/null
}

# The other host does what it is told to: peer COMMAND..., with the status of that.
peer() {
	peer_count=$((${peer_count:-0} + 1))
	echo "$*" >"$kept/do.new"
	mv "$kept/do.new" "$kept/do.$peer_count"
	wait_until test -e "$kept/done.$peer_count" || return 99
	cat "$kept/said.$peer_count" >"$scratch/peer"
	return "$(cat "$kept/done.$peer_count")"
}

if [ "${1:-}" = other-host ]; then
	tap_done=1
	locks 2
	while :; do
		peer_count=$((${peer_count:-0} + 1))
		until [ -e "$kept/do.$peer_count" ]; do sleep 0.1; done
		sh "$kept/do.$peer_count" >"$kept/said.$peer_count" 2>&1
		echo $? >"$kept/done.new"
		mv "$kept/done.new" "$kept/done.$peer_count"
	done
fi

if [ -z "${VOLMIG_IN_LAB:-}" ]; then
	requires linux.uml cc
	truncate -s 768M "$scratch/one" "$scratch/two"
	(cd "$scratch" && exec "$TOP/tests/lab/lab-uml" -n 0 -d "$scratch/one" -d "$scratch/two" -t 600 \
		env VOLMIG_IN_LAB=1 TOP="$TOP" sh "$TOP/tests/lvm/${0##*/}" other-host) >"$scratch/console" 2>&1 &
	at_exit "kill $!; wait $!"
fi
in_lab -n 1 -s 64M -d "$scratch/one" -d "$scratch/two" -t 400
requires vgcreate dmsetup jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
locks 1
own=$1
one=$2
two=$3
# The first shared group has the lock that is needed to make any other.
vgcreate -qq --shared vg "$one" "$two" >/dev/null
vgcreate -qq own "$own" >/dev/null
# The first time the node of the leases is there a moment too late, for there is no udev.
ok 'two hosts have a volume group in common' peer 'vgchange --lockstart vg; sleep 1; vgchange --lockstart vg'

# fill GROUP/NAME: with random data; its sum is in $sum.
fill() {
	dd if=/dev/urandom of="/dev/$1" bs=1M conv=fsync status=none 2>/dev/null
	sum=$(sum_of "$1")
}
sum_of() { dd if="/dev/$1" bs=1M iflag=direct status=none | sha256sum; }
# lock NAME: what this host has of it, by lvmlockd: "ex", "sh", "un" or nothing.
lock() {
	uuid=$(lvs --noheadings -o uuid "vg/$1" | tr -d ' ')
	lvmlockctl -i | sed -n "s/^LK LV \\([a-z]*\\) $uuid.*/\\1/p"
}
volumes() { lvs --noheadings -o vg_name,lv_name own vg | xargs; }
left() { "$VOLMIG" status | grep -vE '^(JOB|no jobs)| (cleaned|aborted) '; lvs --noheadings -o lv_tags own vg | grep volmig; }

lvcreate -qq -y -Wn -Zn -L 16M -n web vg >/dev/null
fill vg/web

# --- what another host has

lvchange -an vg/web
ok 'the other host has the volume active' peer lvchange -aey vg/web
ok 'the plan tells of the lock' "$VOLMIG" migrate --dry-run vg/web own
has '... and what it means' 'shared with other hosts (sanlock)' 'activate'
must_fail 3 'it is not moved' "$VOLMIG" migrate vg/web own
has '... because it is active there' 'is active on another host' 'lvchange -an vg/web'
is '... and nothing has changed' "$(volumes)$(left)" 'vg web'
truncate -s 16M "$scratch/zeroes"
must_fail 3 'nothing is copied over it' "$VOLMIG" copy "$scratch/zeroes" vg/web
has '... for the same reason' 'is active on another host'
is '... and it stays inactive here' "$(lvs --noheadings -o lv_active vg/web | xargs)$(left)" ''

peer lvchange -an vg/web
ok 'both have it, by a shared lock' lvchange -asy vg/web
ok '... the other one as well' peer lvchange -asy vg/web
must_fail 3 'it is not moved either' "$VOLMIG" migrate vg/web own
has '... because it is active there' 'is active on another host'
must_fail 3 'nor inside the group' "$VOLMIG" migrate vg/web "$two"
has '... for the same reason' 'is active on another host'
is '... and its lock is what it was' "$(lock web)$(left)" sh
peer lvchange -an vg/web

# --- what this host has

must_fail 4 'a copy is stopped in its middle' env VOLMIG_INJECT=write-eio:8388608 "$VOLMIG_INJECT_BIN" migrate vg/web own
is '... with the lock for this host alone' "$(lock web)" ex
must_fail 5 'the other one does not get it' peer lvchange -ay vg/web
ok 'the job goes on' "$VOLMIG" resume "$("$VOLMIG" status | sed -n 's/^\([0-9a-f-]\{36\}\) .* copying .*/\1/p')"
is '... to its end' "$(volumes)$(left)" 'own web'
is '... whole' "$(sum_of own/web)" "$sum"
ok 'and back' "$VOLMIG" migrate -q own/web vg
is '... whole' "$(volumes) $(sum_of vg/web)$(left)" "vg web $sum"
is '... for this host alone' "$(lock web)" ex
must_fail 5 'the other one does not get it' peer lvchange -ay vg/web

lvchange -an vg/web
ok 'one that no host has is moved, too' "$VOLMIG" migrate -q vg/web own
is '... and is as inactive as it was' "$(lvs --noheadings -o vg_name,lv_active own/web | xargs)" own
ok 'and back' "$VOLMIG" migrate -q own/web vg/site
ok 'the other host gets it, for here it is not active' peer lvchange -ay vg/site
peer sha256sum /dev/vg/site
is '... and reads what was in it' "$(cut -d' ' -f1 "$scratch/peer")" "${sum%% *}"
peer lvchange -an vg/site

# --- inside the group

ok 'it is activated here' lvchange -ay vg/site
place=$(lvs --noheadings -o devices vg/site | sed 's/(.*//' | xargs)
other=$([ "$place" = "$one" ] && echo "$two" || echo "$one")
ok 'by lvconvert to another physical volume' "$VOLMIG" migrate -q vg/site "$other"
is '... whole' "$(lvs --noheadings -o devices vg/site | sed 's/(.*//' | xargs) $(sum_of vg/site)" "$other $sum"
must_fail 3 'pvmove is not chosen' "$VOLMIG" migrate --method=pvmove vg/site "$place"
has '... for it would need lvmpolld' lvmpolld
is '... nothing is left' "$(left)" ''
is '... for this host alone' "$(lock site)" ex

# --- a restart behind the commit, while the source is still there

# kill-after-record:15 is behind the commit.
VOLMIG_INJECT=kill-after-record:15 "$VOLMIG_INJECT_BIN" migrate vg/site own >/dev/null 2>&1
job=$("$VOLMIG" status | sed -n 's/^\([0-9a-f-]\{36\}\) .* committed .*/\1/p')
# What a restart comes to: nothing is active, and the boot is another.
lvchange -an vg/site
cat /proc/sys/kernel/random/uuid >"$scratch/boot"
mount --bind "$scratch/boot" /proc/sys/kernel/random/boot_id
ok 'the other host goes on with the source' peer 'lvchange -aey vg/site && dd if=/dev/urandom of=/dev/vg/site bs=1M count=1 oflag=direct && lvchange -an vg/site'
must_fail 4 'it is not removed' "$VOLMIG" resume "$job"
has '... and it says why' 'another host may have written to it' '--keep-source'
ok 'it can be kept' "$VOLMIG" resume --keep-source "$job"
is '... both are there' "$(volumes)$(left)" 'own site vg site'
umount /proc/sys/kernel/random/boot_id
lvremove -qq -y own/site >/dev/null

# --- no locks

lvchange -an vg/site
vgchange --lockstop vg 2>/dev/null
must_fail 3 'without the locks of the group nothing is moved' "$VOLMIG" migrate vg/site own
has '... and it says how to get them' 'vgchange --lockstart vg'
is '... and nothing has changed' "$(lvs --noheadings -o lv_name own 2>/dev/null | xargs)$(left 2>/dev/null)" ''

done_testing
