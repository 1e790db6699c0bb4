#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# attach and detach with a domain: the guest sees the disk come and go, and what is not so is never said.

. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/live/lib.sh"
requires jq
needs_guest
start_libvirtd

truncate -s 16M root.img
for name in more other third; do
	truncate -s 4M $name.img
done
define writer -g 'test.blocks=256' "$work/root.img"
ok 'a guest runs' boot writer

ok 'a volume is attached' "$VOLMIG" attach --serial=s-1 ./more.img writer
has 'and the target is told' vdb
ok 'the guest sees it, with its serial number' patiently said writer '^DISK \+ vdb 4194304 ro=0 serial=s-1'
is 'it is in the definition too' "$(disk_source writer vdb --inactive)" "$work/more.img"
ok 'libvirt and QEMU agree' truth writer vdb
ok 'once more' "$VOLMIG" attach --json ./more.img writer
is 'changes nothing, and says so' "$(jq -r '.already, .domain.disk' "$scratch/output" | xargs)" 'true vdb'
must_fail 3 'in another way it is refused' "$VOLMIG" attach --readonly ./more.img writer
has 'and why is told' 'attached already, but for reading and writing'
must_fail 3 'it is in use now' "$VOLMIG" copy -n --into-existing ./other.img ./more.img
has 'by that disk' 'disk vdb of domain writer (running)'
define off "$work/third.img"
must_fail 3 'another domain does not get it' "$VOLMIG" attach ./more.img off
has 'either' 'disk vdb of domain writer'
must_fail 3 "nor does a guest get another domain's" "$VOLMIG" attach ./third.img writer
has 'even if that is shut off' 'disk vda of domain off (shut off)'
must_fail 3 'a target that is taken is refused' "$VOLMIG" attach --target=vda ./other.img writer
has 'and what has it is named' "vda is a disk already, $work/root.img"
ok 'read-only, on a target of choice, only while it runs' \
	"$VOLMIG" attach --live --readonly --target=vdd ./other.img writer
# The guest names it in its own order.
ok 'the guest sees it so' patiently said writer '^DISK \+ vdc 4194304 ro=1'
is 'it is not in the definition' "$(disk_source writer vdd --inactive)" ''
ok 'attached once more without --live' "$VOLMIG" attach --readonly ./other.img writer
is 'it is in the definition too' "$(disk_source writer vdd --inactive)" "$work/other.img"

ok 'a dry run' "$VOLMIG" detach -n ./more.img writer
is 'leaves it where it is' "$(disk_source writer vdb)" "$work/more.img"
ok 'it is detached' "$VOLMIG" detach --timeout=2m ./more.img writer
ok 'the guest has let go of it' patiently said writer '^DISK - vdb'
is 'it is gone from what runs' "$(disk_source writer vdb)" ''
is 'and from the definition' "$(disk_source writer vdb --inactive)" ''
ok 'once more' "$VOLMIG" detach ./more.img writer
has 'is no error' 'was not attached'
ok 'nobody has it any more' "$VOLMIG" copy -n --into-existing ./third.img ./more.img
ok 'by its target' "$VOLMIG" detach --timeout=2m vdd writer
is 'it is gone, too' "$(disk_source writer vdd)$(disk_source writer vdd --inactive)" ''
ok 'the guest writes on' writes_on writer
ok 'and all it wrote is there' intact writer root.img

# A domain that is not there, does not run, or is not defined.
must_fail 3 'no such domain' "$VOLMIG" attach ./more.img nobody
has 'is told' 'no such domain'
must_fail 3 'a domain that does not run' "$VOLMIG" attach --live ./more.img off
has 'has nothing live' 'the domain does not run'
ok 'its definition takes a disk' "$VOLMIG" attach ./more.img off
is 'there' "$(disk_source off vdb --inactive)" "$work/more.img"
ok 'on another bus, by the target' "$VOLMIG" attach --target=sda ./other.img off
virsh -q dumpxml off >"$scratch/output"
has 'as scsi' "<target dev='sda' bus='scsi'/>"
ok 'and it is released' "$VOLMIG" detach sda off
is 'from there' "$(disk_source off sda --inactive)" ''
must_fail 3 'what no volume is, is no disk' "$VOLMIG" attach ./nothing.img off
must_fail 2 'a domain'"'"'s options want a domain' "$VOLMIG" attach --target=vdb ./other.img
must_fail 2 'a bus that there is not' "$VOLMIG" attach --bus=floppy ./other.img off

# Nobody in it who could let go of anything.
ok 'a domain without a guest' start_paused off
must_fail 4 'it does not let go' "$VOLMIG" detach --timeout=100ms vdb off
has 'and that is said' 'has not let go of vdb' 'still in the running domain and in its definition' \
	'volmig detach vdb off'
is 'it is there' "$(disk_source off vdb)" "$work/more.img"
is 'and defined' "$(disk_source off vdb --inactive)" "$work/more.img"
must_fail 4 'asking again is no success either' "$VOLMIG" detach --timeout=100ms vdb off
must_fail 3 'and nobody takes it for free' "$VOLMIG" copy -n --into-existing ./third.img ./more.img

# A volume that a job moves.
truncate -s 1M moved.img
mkdir place
must_fail 137 'a job holds a volume' \
	env VOLMIG_INJECT=kill-after-record:3 "$VOLMIG_INJECT_BIN" migrate -q ./moved.img place/
must_fail 3 'which is not attached meanwhile' "$VOLMIG" attach ./moved.img off
has 'because of that' 'job'

# No job begins while one is attached, and none is attached while a job begins.
flock "$VOLMIG_STATE_DIR/jobs" sleep 60 &
holder=$!
wait_until sh -c "! flock -n '$VOLMIG_STATE_DIR/jobs' true"
"$VOLMIG" attach --config ./other.img off >out 2>&1 &
pid=$!
ok 'a job is about to begin: attach waits for it' wait_until grep -q -e "-> FLOCK.* $pid " /proc/locks
is 'nothing is attached yet' "$(disk_source off vdc --inactive)" ''
pkill -P $holder
wait $pid
is 'it has begun: then it is' "$? $(disk_source off vdc --inactive)" "0 $work/other.img"

done_testing
