#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# volmig-fleet(7): its jq expressions on real receipts, the Slurm script, the Ansible playbook.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires jq uuidgen
page=$TOP/man/volmig-fleet.7
examples=$TOP/packaging/examples
cd "$scratch" || exit 99
mkdir bin receipts
ln -s "$VOLMIG" bin/volmig
PATH=$scratch/bin:$PATH

# ---- job ids

mkdir a b
truncate -s 1M a/web.img
eval "$(sed -n 's/^# \(id=\$(uuidgen.*\)/\1/p' "$page" | head -n 1)"
is 'the id is a UUID, and always the same' "$id" "$(uuidgen --sha1 --namespace @url --name volmig:host1:/srv/a/web.img)"
must_fail 2 'an id that is not known cannot be resumed' volmig resume -q "$id"
# The page's own lines, for "$volume" and "$place".
sed -n '/^volmig resume -q "\$id"/,/^}/p' "$page" >once
ok 'the page says how to repeat it' test -s once
volume=./a/web.img place=./b/ export volume place id
ok 'it moves' sh once
ok 'and moves once' sh once
is 'it has moved' "$(echo a/* b/*)" 'a/* b/web.img'

# ---- merged receipts, of three hosts

host() {
	VOLMIG_STATE_DIR=$scratch/state-$1
	export VOLMIG_STATE_DIR
}
for n in 1 2 3; do
	host $n
	truncate -s ${n}M a/v$n
	ok "host$n moves a volume" volmig migrate -q ./a/v$n ./b/
	truncate -s ${n}M a/w$n
	ok "and copies one without proof" volmig copy -q --create --verify=none ./a/w$n ./b/
done
truncate -s 1M a/x
ok 'host3 has one that is unfinished' test "$(
	VOLMIG_INJECT=kill-at-byte:1 "$VOLMIG_INJECT_BIN" migrate -q --job-id=11111111-2222-4333-8444-555555555555 \
		./a/x ./b/ >/dev/null 2>&1
	echo $?)" = 137
for n in 1 2 3; do
	host $n
	volmig status --all --json >receipts/host$n.json
done

# expression N: the Nth command of jq's in the page.
expression() {
	awk -v want="$1" '
		/^# jq /  { n++; on = n == want; if (on) print substr($0, 3); next }
		/^\.Ed/   { on = 0 }
		on        { print }' "$page" | sed 's/\\e/\\/g'
}
run() {
	expression "$1" >expression.sh
	sh expression.sh
}
is 'the page has five of them' "$(grep -c '^# jq ' "$page")" 5
ok 'receipts are merged' run 1
is 'all of them' "$(jq -r '[.[] | .host] | join(" ")' fleet.json)" 'host1 host1 host2 host2 host3 host3 host3'
is 'states are counted' "$(run 2)" 'cleaned 6
copying 1'
is 'what is unfinished is named' "$(run 3)" 'host3: volmig resume 11111111-2222-4333-8444-555555555555'
is 'what is proven is summed up' "$(run 4)" 'host1 1048576
host2 2097152
host3 3145728'
is 'what is not proven is named' "$(run 5 | cut -d' ' -f1 | tr '\n' ' ')" 'host1 host2 host3 '

# ---- Slurm

host slurm
truncate -s 1M a/s
ok 'the Slurm script moves' sh "$examples/volmig.sbatch" ./a/s ./b/
ok 'and does nothing more when it is begun anew' sh "$examples/volmig.sbatch" ./a/s ./b/
has 'but give the receipt' '"state":"cleaned"'
cat >bin/scontrol <<END
#!/bin/sh
echo "scontrol \$*" >"$scratch/requeued"
END
chmod +x bin/scontrol
head -c 8M /dev/urandom >a/t
sum=$(md5sum <a/t)
SLURM_JOB_ID=7 sh "$examples/volmig.sbatch" ./a/missing ./b/ >/dev/null 2>&1
is 'what is refused is not put into the queue again' "$(ls requeued 2>/dev/null)" ''
sed 's/migrate --json/migrate --json --bwlimit=1M/' "$examples/volmig.sbatch" >slow.sbatch
SLURM_JOB_ID=7 sh slow.sbatch ./a/t ./b/ >/dev/null 2>&1 &
job=$!
wait_until sh -c 'volmig status --json | grep -q "\"state\":\"copying\""'
kill -TERM $job
status=0
wait $job || status=$?
is 'SIGTERM stops it, resumable' $status 4
is 'and it is in the queue again' "$(cat requeued)" 'scontrol requeue 7'
ok 'where it goes on' sh "$examples/volmig.sbatch" ./a/t ./b/
is 'to a whole copy' "$(md5sum <b/t)" "$sum"

# ---- Ansible

if ! command -v ansible-playbook >/dev/null; then
	for what in 'the syntax of the playbook' 'the playbook moves' 'and moves once'; do
		skip "$what" 'needs ansible-playbook (Debian package ansible-core)'
	done
	done_testing
	exit
fi
export HOME="$scratch" ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_NOCOWS=1 LC_ALL=C.UTF-8
unset VOLMIG_STATE_DIR
cat >inventory <<END
all:
  hosts:
    host1: { volmig_moves: [ { volume: $scratch/a/p1, place: $scratch/b/ } ], volmig_program: $scratch/bin/on1 }
    host2: { volmig_moves: [ { volume: $scratch/a/p2, place: $scratch/b/, options: [--bwlimit=1G] } ], volmig_program: $scratch/bin/on2 }
  vars: { ansible_connection: local, volmig_become: false, volmig_receipts: $scratch/collected, ansible_python_interpreter: /usr/bin/python3 }
END
for n in 1 2; do
	truncate -s 1M a/p$n
	printf '#!/bin/sh\nVOLMIG_STATE_DIR=%s/state-p%s exec volmig "$@"\n' "$scratch" $n >bin/on$n
	chmod +x bin/on$n
done
ok 'the syntax of the playbook' ansible-playbook -i inventory --syntax-check "$examples/fleet.yml"
ok 'a dry run of it' ansible-playbook -i inventory --check "$examples/fleet.yml"
is 'moves nothing' "$(echo a/p*)" 'a/p1 a/p2'
ok 'the playbook moves' ansible-playbook -i inventory "$examples/fleet.yml"
is 'on both hosts' "$(echo b/p*)" 'b/p1 b/p2'
has 'and says that it has changed them' 'changed=1'
is 'the receipts are here' "$(jq -r '.jobs[].state' collected/host1.json collected/host2.json | tr '\n' ' ')" 'cleaned cleaned '
ok 'it may be run again' ansible-playbook -i inventory "$examples/fleet.yml"
has 'and changes nothing' 'changed=0'
truncate -s 1M a/p3
sed -i "s,a/p1,a/p3,; s,a/p2,a/none," inventory
must_fail 2 'where one host refuses' ansible-playbook -i inventory "$examples/fleet.yml"
is 'none is moved' "$(echo a/p*)" 'a/p3'
done_testing
