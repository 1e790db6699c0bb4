#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Other jobs' journals, other people's files and what was written meanwhile survive whatever a job does.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

work=$(mktemp -d "$TOP/build/test.XXXXXX") || exit 99
at_exit "chmod -R u+w '$work'; rm -rf '$work'"
cd "$work" || exit 99
export VOLMIG_STATE_DIR="$work/state"
id=11111111-2222-3333-4444-555555555555
job=state/jobs/$id

fresh() {
	rm -rf a b state
	mkdir a b
	head -c 3000001 /dev/urandom >a/v
	cp a/v original
}

# killed WHAT MOVE...: a move of that id that kills itself
killed() {
	VOLMIG_INJECT=$1 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id "$2" "$3" ${4:+"$4"} 2>err
	[ $? = 137 ]
}

fresh
cp a/v a/w
ok 'a job is left unfinished' killed kill-at-byte:1000000 ./a/v ./b/
before=$(sha256sum <$job/journal.jsonl)
(ulimit -n 5 && "$VOLMIG" migrate -q ./a/w ./b/w2) >output 2>&1
is 'want of descriptors for another job does not touch its journal' \
	"$(sha256sum <$job/journal.jsonl 2>&1)" "$before"
chmod 000 $job/journal.jsonl
if [ "$(id -u)" = 0 ]; then
	skip 'a journal that cannot be read refuses new jobs' 'root can read everything'
else
	must_fail 3 'a journal that cannot be read refuses new jobs' "$VOLMIG" migrate ./a/w ./b/w2
fi
chmod 600 $job/journal.jsonl
cp $job/journal.jsonl journal
sed -i '2s/"volmig"/"volmiG"/; 1s/"version":1/"version":2/' $job/journal.jsonl
must_fail 3 'what an unreadable job holds nobody knows: new ones are refused' "$VOLMIG" migrate ./a/w ./b/w2
has '... by its name' $id
cp journal $job/journal.jsonl
ok 'and the job goes on' "$VOLMIG" resume -q $id

fresh
echo mine >b/.volmig-$id
must_fail 3 'a file that has the temporary name already is not ours' \
	"$VOLMIG" migrate -q --job-id $id ./a/v ./b/
is '... and stays' "$(cat b/.volmig-$id)" mine
ok '... as the source does' cmp -s a/v original

fresh
ok 'killed right after the commit' killed kill-after-record:13 ./a/v ./b/ --wipe=zero
printf new | dd of=a/v conv=notrunc status=none
must_fail 4 'what was written to the source after the commit is not wiped' "$VOLMIG" resume $id
must_fail 4 '... however often one tries' "$VOLMIG" resume $id
is '... and is not called so' "$("$VOLMIG" status --json $id | jq -r .source.state)" untouched
is '... and stays' "$(head -c 3 a/v)" new

fresh
ok 'killed in the middle' killed kill-at-byte:1000000 ./a/v ./b/ --wipe=zero
ln a/v a/snapshot
must_fail 4 'a hard link that was made meanwhile is not wiped' "$VOLMIG" resume $id
has '... and the reason is told' 'hard links'
ok '... and stays' cmp -s a/snapshot original

fresh
ok 'killed once it is published' killed kill-after-record:11 ./a/v ./b/
ok '... under its name' test -e b/v
dd if=/dev/urandom of=b/v bs=1000 count=1 conv=notrunc status=none
must_fail 4 'a destination that was written to after it was proven is no reason to remove the source' \
	"$VOLMIG" resume $id
has '... and the reason is told' 'written to since it was verified'
ok '... so the source stays' cmp -s a/v original

fresh
mkdir -p state/jobs
cp a/v state/jobs/image
must_fail 3 'a volume in the state directory is refused' "$VOLMIG" migrate ./state/jobs/image ./b/
must_fail 3 'a place in the state directory is refused' "$VOLMIG" migrate ./a/v ./state/jobs/
rm state/jobs/image

fresh
ok 'killed in the middle' killed kill-at-byte:1000000 ./a/v ./b/
rm -rf b
must_fail 4 'an abort whose directory is gone does not pretend' "$VOLMIG" abort $id
has '... and says how it can be given up' 'abort --forget'
ok 'given up it ends' "$VOLMIG" abort --forget $id
has '... and names what may be left' 'left behind' ".volmig-$id"
mkdir b
ok 'and the source is free again' "$VOLMIG" migrate -q ./a/v ./b/

# A reader that does not read must not hold up a move.
fresh
mkfifo pipe
# shellcheck disable=SC2217 # it only holds it open
sleep 100 <pipe &
reader=$!
at_exit "kill $reader"
exec 7>pipe
dd if=/dev/zero bs=65536 count=16 of=pipe oflag=nonblock status=none 2>/dev/null
ok 'progress that nobody reads does not hold up a move' \
	timeout -s KILL 60 "$VOLMIG" migrate -q --progress=json --progress-fd=7 ./a/v ./b/
exec 7>&-

# Memory that cannot be had stops a job, it does not throw a copy away.
fresh
truncate -s 20M a/v
cp --sparse=always a/v original
ok 'killed in the middle' killed kill-at-byte:15000000 ./a/v ./b/
VOLMIG_IO=typo "$VOLMIG" resume -q $id >output 2>&1
ok 'a resume that cannot set up its I/O keeps the copy' test -e b/.volmig-$id
ok '... and it can go on' "$VOLMIG" resume -q $id
ok '... to an equal copy' cmp -s b/v original

done_testing
