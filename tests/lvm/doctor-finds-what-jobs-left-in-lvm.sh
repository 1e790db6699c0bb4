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
is '... and LVM was looked at' "$(jq -r '.notes[]' json)" ''
is '... and can be used' "$(jq -r '.methods[] | select(.usable).method' json | grep -cx -e pvmove -e lvconvert -e thin)" 3

lvcreate -qq -y -L 8M -n web --addtag volmig.job.$known doc >/dev/null 2>&1
lvcreate -qq -y -L 8M -n lost --addtag volmig.job.$unknown doc >/dev/null 2>&1
lvcreate -qq -y -L 8M -n other --addtag volmig.jobless doc >/dev/null 2>&1
is 'tagged volumes are found' "$(findings)" 'doc/lost: made by a job that is not known here
doc/web: tagged by a job that has ended'
is '--fix takes the tag of a job that has ended away' "$(findings --fix)" '+doc/web: tagged by a job that has ended
doc/lost: made by a job that is not known here'
is '... and no volume' "$(lvs --noheadings -o lv_name doc | tr -d ' ' | sort | tr '\n' ' ')" 'lost other web '
is '... nor another tag' "$(lvs --noheadings -o lv_tags doc | tr -d ' ' | sort | tr '\n' ' ')" \
	" volmig.job.$unknown volmig.jobless "
lvremove -qq -y doc/lost >/dev/null 2>&1

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

done_testing
