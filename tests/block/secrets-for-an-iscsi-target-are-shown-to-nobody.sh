#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# CHAP: the secrets go from a file that nobody else can read into the node record, and nowhere else.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
in_lab -n 1 -s 64M
. "$TOP/tests/iscsi.sh"
iscsi_requires

# shellcheck disable=SC2086 # a list of words
set -- $LAB_DISKS
target_up web-host very-secret-word
printf %s target-name >"$acl/auth/userid_mutual"
printf %s another-secret-word >"$acl/auth/password_mutual"
back_up 0 "$1"
map_lun 0 0
initiator_up

# Every command line of iscsiadm.
mkdir "$scratch/bin"
cat >"$scratch/bin/iscsiadm" <<END
#!/bin/sh
echo "\$@" >>"$scratch/command-lines"
exec $(command -v iscsiadm) "\$@"
END
chmod +x "$scratch/bin/iscsiadm"
PATH=$scratch/bin:$PATH

chap=$scratch/chap
cat >"$chap" <<END
# for the disks of web
username = web-host
password = very-secret-word
END

chmod 644 "$chap"
must_fail 3 'a file that others can read is refused' attach --chap-file="$chap" "$url/0"
has 'and what to do is said' "chmod 600 $chap"
chmod 620 "$chap"
must_fail 3 'so is one that others can write' attach --chap-file="$chap" "$url/0"
chmod 600 "$chap"
chown 65534 "$chap"
must_fail 3 'and one of somebody else' attach --chap-file="$chap" "$url/0"
chown 0 "$chap"
must_fail 3 'and no file at all' attach --chap-file="$scratch" "$url/0"
must_fail 3 'and one that is not there' attach --chap-file="$scratch/none" "$url/0"
printf 'username = a\npasword = very-secret-word\n' >"$scratch/odd"
chmod 600 "$scratch/odd"
must_fail 3 'a line that says nothing known is refused' attach --chap-file="$scratch/odd" "$url/0"
has 'and named' 'line 2'
has_not 'but not shown' very-secret-word
must_fail 2 'they are for LUNs only' attach --chap-file="$chap" "$1"
nothing_left 'after refusals'

must_fail 1 'without secrets the target refuses' attach "$url/0"
has 'and it is said why' 'the target refuses the name or the secret (CHAP)'
nothing_left 'after no secret'
sed 's/very-secret-word/wrong-secret-word/' "$chap" >"$scratch/wrong"
chmod 600 "$scratch/wrong"
must_fail 1 'with a wrong secret it does, too' attach --chap-file="$scratch/wrong" "$url/0"
has 'and it is said why' 'the target refuses the name or the secret (CHAP)'
nothing_left 'after a wrong secret'

ok 'with the right one the LUN is attached' attach --chap-file="$chap" "$url/0"
device=$(cat "$scratch/output")
ok 'and can be used' dd if=/dev/zero of="$device" bs=1M count=1 oflag=direct status=none
is 'the secret is in a record that only root can read' \
	"$(grep -rl very-secret-word /etc/iscsi/nodes | xargs stat -c %a)" 600
ok 'a session that is there needs none' attach "$url/0"
ok 'it is detached' detach "$url/0"
is 'the secret is gone' "$(grep -rl very-secret-word /etc/iscsi)" ''
nothing_left 'after that'

# Killed as it has just been written.
for way in detach attach; do
	must_fail 137 'killed with the secret written down' env VOLMIG_INJECT=kill-node:1 \
		"$VOLMIG_INJECT_BIN" attach -q --chap-file="$chap" "$url/0"
	ok 'it was' grep -rl very-secret-word /etc/iscsi
	[ $way = detach ] || ok 'attaching goes on' attach --chap-file="$chap" "$url/0"
	ok 'to be detached' detach "$url/0"
	is 'no file has it any more' "$(grep -rl very-secret-word /etc/iscsi)" ''
	nothing_left "killed, $way"
done

# Both ways.
printf 'username_in = target-name\npassword_in = another-secret-wrong\n' >>"$chap"
must_fail 1 'a target that does not prove itself is refused' attach --chap-file="$chap" "$url/0"
nothing_left 'after a target that did not prove itself'
sed -i 's/another-secret-wrong/another-secret-word/' "$chap"
ok 'one that does is used' attach --chap-file="$chap" "$url/0"
ok 'and let go of' detach "$url/0"
nothing_left 'after both ways'

ok 'iscsiadm was called' test -s "$scratch/command-lines"
is 'and never with a secret' "$(grep -c 'secret-word\|secret-wrong' "$scratch/command-lines")" 0
is 'nor is one in the state directory' "$(grep -rc 'secret-word' "$VOLMIG_STATE_DIR" | grep -vc ':0$')" 0
done_testing
