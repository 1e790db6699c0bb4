#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor finds volumes, tags, a pvmove and a metadata snapshot that jobs left in LVM; --fix removes tags of ended jobs only.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 2 -s 200M
requires vgcreate dmsetup jq

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
export DM_DISABLE_UDEV=1
known=11111111-2222-4333-8444-555555555555
unknown=99999999-2222-4333-8444-555555555555
moved=77777777-2222-4333-8444-555555555555
cd "$scratch" || exit 99
truncate -s 1M v
mkdir b
"$VOLMIG" copy -q --create --job-id $known ./v ./b/

pvcreate -qq "$1" "$2"
vgcreate -qq doc "$1" "$2"

# findings [OPTION]: OBJECT: WHAT, one a line; those that were mended have a + in front.
findings() {
	"$VOLMIG" doctor --json "$@" 2>/dev/null >json
	jq -r '.findings[] | (if .mended then "+" else "" end) + .object + ": " + .what' json | sort
}

is 'in a group without anything of ours nothing is found' "$(findings)" ''
is '... and LVM was looked at' "$(jq -r '.notes[]' json | grep -v '^versions: ')" ''
case $(lvm version 2>/dev/null | sed -n 's/^ *LVM version: *\([0-9.]*\).*/\1/p') in
2.03.1[1-9] | 2.03.2[0-5]) known_of=2 ;;
2.03.2[6-9] | 2.03.3[0-5]) known_of=1 ;;
*) known_of=0 ;;
esac
is '... and what is known of its version is told' "$(jq -r '.notes[]' json | grep -c '^versions: LVM .* see github.com/')" $known_of
is '... and can be used' "$(jq -r '.methods[] | select(.usable).method' json | grep -cx -e pvmove -e lvconvert -e thin)" 3

lvcreate -qq -y -L 8M -n web --addtag volmig.job.$known doc >/dev/null 2>&1
lvcreate -qq -y -L 8M -n volmig_$unknown --addtag volmig.job.$unknown doc >/dev/null 2>&1
lvcreate -qq -y -L 8M -n other --addtag volmig.jobless doc >/dev/null 2>&1
is 'tagged volumes are found' "$(findings)" "doc/volmig_$unknown: made by a job that is not known here
doc/web: tagged by a job that has ended"
is '--fix takes the tag of a job that has ended away' "$(findings --fix)" "+doc/web: tagged by a job that has ended
doc/volmig_$unknown: made by a job that is not known here"
is '... and no volume' "$(lvs --noheadings -o lv_name doc | tr -d ' ' | sort | tr '\n' ' ')" "other volmig_$unknown web "
is '... nor another tag' "$(lvs --noheadings -o lv_tags doc | tr -d ' ' | sort | tr '\n' ' ')" \
	" volmig.job.$unknown volmig.jobless "
lvremove -qq -y doc/volmig_$unknown >/dev/null 2>&1

lvcreate -qq -y --type thin-pool -L 40M -n pool doc >/dev/null 2>&1
lvcreate -qq -y -V 20M --thinpool doc/pool -n thin >/dev/null 2>&1
dmsetup message doc-pool-tpool 0 reserve_metadata_snap
is 'a metadata snapshot is found' "$(findings)" 'doc/pool: holds a metadata snapshot'
has_release() {
	jq -e '.findings[0].next | contains("dmsetup message doc-pool-tpool 0 release_metadata_snap")' json
}
ok '... with the way to release it' has_release
is '... which --fix does not do' "$(findings --fix)" 'doc/pool: holds a metadata snapshot'
dmsetup message doc-pool-tpool 0 release_metadata_snap

lvcreate -qq -y -L 100M -n big doc "$1" >/dev/null 2>&1
pvmove -b -i 600 "$1" "$2" >/dev/null 2>&1
is 'a pvmove that nobody goes on with is found' "$(findings)" \
	'doc/pvmove0: a pvmove that has not come to its end'
pvmove --abort >/dev/null 2>&1
is 'then all is clean' "$(findings)" ''

# A volume that was there before a job of another state directory marked it is nothing to remove.
lvchange -qq --addtag volmig.job.$unknown doc/web >/dev/null 2>&1
is 'a volume with a tag of an unknown job is found' "$(findings)" 'doc/web: tagged by a job that is not known here'
is '... and nobody is told to remove it' "$(jq -r '.findings[].next' json | grep -c lvremove)" 0
lvchange -qq --deltag volmig.job.$unknown doc/web >/dev/null 2>&1

# Legs: of a job that was killed, and of one that has ended.
lvremove -qq -y doc/big >/dev/null 2>&1
lvcreate -qq -y -L 8M -n leg doc "$1" >/dev/null 2>&1
for record in 5 6 7 8 9; do
	VOLMIG_INJECT="kill-before-record:$record" "$VOLMIG_INJECT_BIN" migrate -q --method=lvconvert \
		--job-id $moved doc/leg "$2" >/dev/null 2>&1
	lvs -a doc | grep -q leg_rimage_1 && break
	"$VOLMIG" abort -q $moved >/dev/null 2>&1
	rm -rf "$VOLMIG_STATE_DIR/jobs/$moved"
done
is 'a leg of a job that was killed is found' "$(findings | grep '^doc/leg')" \
	'doc/leg: has a leg more, of a job that no process works on'
is '... and stays' "$(findings --fix | grep '^doc/leg')" 'doc/leg: has a leg more, of a job that no process works on'
ok '... until the job is aborted' "$VOLMIG" abort -q $moved
is 'then all is clean again' "$(findings --fix | grep -v '^+')" ''
lvconvert -qq -y --type raid1 -m 1 doc/leg "$2" >/dev/null 2>&1
is 'a leg that somebody has made there since is nobody else'"'"'s' "$(findings)" ''
lvchange -qq --addtag volmig.job.$moved doc/leg >/dev/null 2>&1
is 'one with the mark of the job is its' "$(findings)" 'doc/leg: has a leg more, of a job that has ended'
is '... and --fix drops it' "$(findings --fix)" '+doc/leg: has a leg more, of a job that has ended'
is '... it alone' "$(lvs --noheadings -o segtype,devices,lv_tags doc/leg | tr -s ' ')" " linear $1(0) "
is 'then all is clean once more' "$(findings)" ''

done_testing
