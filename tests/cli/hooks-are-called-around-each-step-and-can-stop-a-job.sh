#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Hooks see each step before and after it, with the job; one that fails or hangs stops the job before the step.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires jq

id=11111111-2222-4333-8444-555555555555
export VOLMIG_HOOKS_DIR=$scratch/hooks.d CALLS=$scratch/calls
mkdir -m 755 "$VOLMIG_HOOKS_DIR"

fresh() {
	rm -rf a b "$VOLMIG_STATE_DIR" "$CALLS" "${VOLMIG_HOOKS_DIR:?}"/*
	mkdir a b
	image a/v
	sum=$(sum_of a/v)
}

# hook NAME: a hook of the site; its text is on standard input.
hook() {
	{ echo '#!/bin/sh'; cat; } >"$VOLMIG_HOOKS_DIR/$1"
	chmod 755 "$VOLMIG_HOOKS_DIR/$1"
}

moved() {
	[ ! -e a/v ] && [ "$(sum_of b/v)" = "$sum" ] && nothing_left "$work"
}

untouched() {
	[ "$(sum_of a/v)" = "$sum" ] || echo 'the source is not whole'
	[ ! -e b/v ] || echo 'there is a destination'
}

# --- which, when, and what they are told

fresh
hook 20-second <<'END'
echo "20 $VOLMIG_HOOK" >>"$CALLS"
END
hook 10-first <<'END'
echo "10 $VOLMIG_HOOK" >>"$CALLS"
[ "$1" = "$VOLMIG_HOOK" ] || echo "argument $1" >>"$CALLS"
jq -r --arg job "$VOLMIG_JOB" 'select(.job != $job or .source.kind != "file") | "odd"' >>"$CALLS"
END
for name in .hidden 30-old~ 30-x.dpkg-old 30-x.dpkg-dist; do
	echo 'echo leftover >>"$CALLS"' | hook "$name"
done
echo 'echo data >>"$CALLS"' | hook 40-data
chmod 644 "$VOLMIG_HOOKS_DIR/40-data"
mkdir "$VOLMIG_HOOKS_DIR/50-directory"
ok "a move with hooks" "$VOLMIG" migrate -q ./a/v ./b/ \
	--hook 'echo "cmd1 $VOLMIG_HOOK" >>"$CALLS"' --hook 'echo "cmd2 $VOLMIG_HOOK" >>"$CALLS"'
is "they are called before and after each step, in order" "$(cat "$CALLS")" \
	"$(for step in create-file copy verify publish commit remove-source; do
		for when in pre post; do
			for who in 10 20 cmd1 cmd2; do
				echo "$who $when-$step"
			done
		done
	done)"
is "the move is done" "$(moved)" ""

fresh
hook 10-what <<'END'
echo to stdout
ls -l /proc/self/fd | sed -n "s/.* \([0-9]*\) -> /fd \1 /p" >>"$CALLS"
grep -E "^Sig(Blk|Ign)" /proc/self/status >>"$CALLS"
END
ok "results on standard output" sh -c '"$VOLMIG" migrate --json ./a/v ./b/ 2>/dev/null 3<"$VOLMIG" |
	jq -e ".exit_status == 0"'
is "hooks have no descriptor of ours" "$(grep '^fd' "$CALLS" | grep -v '^fd [012] ' | grep -v 'fd 3 /proc/')" ""
# 32 and 33 are of the C library, which never touches them.
is "and no signal blocked or ignored" "$(grep '^Sig' "$CALLS" | grep -vE '(0{16}|0000000180000000)$')" ""

# --- one that fails

fresh
must_fail 4 "a pre-commit hook that fails stops the job" "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ \
	--hook 'echo "$VOLMIG_HOOK" >>"$CALLS"; [ "$VOLMIG_HOOK" != pre-commit ] || exit 7'
has "it is named, and the way on is" 'hook pre-commit: it ended with status 7' "volmig resume $id" \
	'source untouched'
is "before the point of no return" "$(sum_of a/v)" "$sum"
is "the hooks hear of the stop" "$(tail -n 1 "$CALLS")" "stopped"
must_fail 4 "a resume calls it, too" "$VOLMIG" resume -q $id
ok "an abort is not held up by it" "$VOLMIG" abort -q $id
is "which it hears of" "$(tail -n 2 "$CALLS" | tr '\n' ' ')" "pre-undo post-undo "
is "the source is as it was" "$(untouched; nothing_left "$work")" ""

fresh
echo '[ "$VOLMIG_HOOK" != pre-verify ] || [ -e "$CALLS.open" ]' | hook 10-gate
must_fail 4 "a site's hook that fails stops the job" "$VOLMIG" migrate -q --job-id $id ./a/v ./b/
has "it is named" "$VOLMIG_HOOKS_DIR/10-gate: hook pre-verify"
is "it is as before the step" "$("$VOLMIG" status --json $id | jq -r .state)" synced
touch "$CALLS.open"
ok "once it agrees the job goes on" "$VOLMIG" resume -q $id
is "to its end" "$(moved)" ""

fresh
ok "a post hook that fails is only warned of" "$VOLMIG" migrate ./a/v ./b/ --hook 'case $VOLMIG_HOOK in post-*) exit 1; esac'
has "it is warned of" 'warning: ' 'hook post-commit: it ended with status 1'
is "the move is done" "$(moved)" ""

fresh
must_fail 4 "one that fails past the commit" "$VOLMIG" migrate -q --job-id $id ./a/v ./b/ \
	--hook 'echo "$VOLMIG_HOOK" >>"$CALLS"; [ "$VOLMIG_HOOK" != pre-remove-source ]'
has "can be left out" "volmig resume $id, with --no-hook"
must_fail 4 "it would fail for ever" "$VOLMIG" resume -q --keep-source $id
rm "$CALLS"
echo 'echo "site $VOLMIG_HOOK" >>"$CALLS"' | hook 10-site
ok "without it the job is ended" "$VOLMIG" resume -q --no-hook $id
is "and those of the site are called" "$(cat "$CALLS")" "$(printf 'site %s\n' post-commit pre-remove-source post-remove-source)"
is "the source stays, as it was said before" "$(sum_of a/v) $(sum_of b/v)" "$sum $sum"

# --- one that hangs

fresh
must_fail 4 "a hook that hangs is killed" "$VOLMIG" migrate -q --job-id $id --hook-timeout 300ms ./a/v ./b/ \
	--hook 'trap "" TERM; [ "$VOLMIG_HOOK" != pre-copy ] || { sleep 1000 & echo $! >"$CALLS"; sleep 1000; }'
has "and named" 'hook pre-copy: it did not end within 0.300 s and was killed' 'sleep 1000'
gone() {
	! kill -0 "$(cat "$CALLS")"
}
ok "with all that it has started" wait_until gone
ok "the job can be undone" "$VOLMIG" abort -q $id
is "completely" "$(untouched; nothing_left "$work")" ""

fresh
"$VOLMIG" migrate -q --job-id $id ./a/v ./b/ --hook '[ "$VOLMIG_HOOK" != pre-copy ] || { echo $$ >"$CALLS"; exec sleep 1000; }' 2>"$scratch/stderr" &
child=$!
started() {
	[ -s "$CALLS" ]
}
ok "a hook is running" wait_until started
kill -TERM $child
status=0
wait $child || status=$?
is "SIGTERM ends the hook, and stops the job" "$status" 4
ok "it is gone" gone
ok "and the job is undone" "$VOLMIG" abort -q $id

# --- whom to trust

fresh
echo : | hook 10-writable
chmod 777 "$VOLMIG_HOOKS_DIR/10-writable"
must_fail 3 "a hook that others can write to is refused" "$VOLMIG" migrate -q ./a/v ./b/
has "and named" "$VOLMIG_HOOKS_DIR/10-writable" "chmod go-w"
chmod 755 "$VOLMIG_HOOKS_DIR/10-writable"
chmod 777 "$VOLMIG_HOOKS_DIR"
must_fail 3 "so is a directory" "$VOLMIG" migrate -q ./a/v ./b/
is "nothing was touched" "$(untouched; jobs_of)" ""

# --- a crash between a step and its hook

fresh
chmod 755 "$VOLMIG_HOOKS_DIR"
rm -f "$CALLS"
# Records: first line, plan, begin and done of create-file; killed before its post hook.
VOLMIG_INJECT=kill-after-record:4 "$VOLMIG_INJECT_BIN" migrate -q --job-id $id ./a/v ./b/ \
	--hook 'echo "$VOLMIG_HOOK" >>"$CALLS"' 2>/dev/null
is "killed before the hook was called" "$(cat "$CALLS")" pre-create-file
ok "the resume" "$VOLMIG" resume -q $id
is "calls it" "$(sed -n 2,3p "$CALLS" | tr '\n' ' ')" "post-create-file pre-copy "

done_testing
