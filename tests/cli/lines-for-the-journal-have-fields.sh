#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Below systemd each line goes to its journal with the job, the command and the like as fields; without a journal it is written as ever.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
# shellcheck source=tests/moves.sh
. "$TOP/tests/moves.sh"
requires perl unshare mount
grep -q sd_journal_sendv "$VOLMIG" || skip_all 'built WITHOUT_SYSTEMD=1'

unshare -rm true 2>/dev/null || skip_all 'no mount namespace of its own is to be had'
perl -e 'use DynaLoader; exit !DynaLoader::dl_load_file("libsystemd.so.0", 0)' 2>/dev/null ||
	skip_all 'no libsystemd here'

# below JOURNAL COMMAND...: as systemd starts it: standard error is a socket, and
# JOURNAL_STREAM names it.  What came to a journal of our own, in a mount namespace,
# is in $scratch/journal (one field a line), what came to the socket in $scratch/stream.
# JOURNAL is "journal", or "none" for a host without one.
cat >"$scratch/below" <<'PERL'
use strict; use warnings;
use Socket; use IO::Socket::UNIX; use IO::Select;
my ($scratch, $kind, @command) = @ARGV;
my $journal;
if ($kind eq "journal") {
	mkdir "/run/systemd"; mkdir "/run/systemd/journal";
	$journal = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/run/systemd/journal/socket") or die "socket: $!";
}
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
my ($dev, $ino) = stat $theirs;
my $pid = fork;
if (!$pid) {
	$ENV{JOURNAL_STREAM} = "$dev:$ino";
	open STDERR, ">&", $theirs or die;
	close $ours; close $theirs; close $journal if $journal;
	exec @command or die;
}
close $theirs;
my $select = IO::Select->new($ours, $journal ? $journal : ());
open my $fields, ">", "$scratch/journal"; open my $stream, ">", "$scratch/stream";
my $open = 1;
while (1) {
	my @ready = $select->can_read($open ? 30 : 0.2) or last;
	for my $from (@ready) {
		my $text = "";
		if ($journal && $from == $journal) {
			recv $from, $text, 1 << 20, 0; print $fields $text, "--\n";
		} elsif (!sysread $from, $text, 65536) {
			$select->remove($from); $open = 0;
		} else {
			print $stream $text;
		}
	}
	last if !$select->count;
}
waitpid $pid, 0;
exit $? >> 8;
PERL
below() {
	status=0
	unshare -rm sh -c 'mount -t tmpfs none /run && exec perl "$@"' - "$scratch/below" "$scratch" "$@" || status=$?
}
field() {
	sed -n "s/^$1=//p" "$scratch/journal" | sort -u
}

id=11111111-2222-4333-8444-555555555555
mkdir a b
image a/v

below journal "$VOLMIG" -v migrate -q --job-id $id ./a/none ./b/
is 'an error has its exit status' "$status $(field VOLMIG_EXIT_STATUS)" '3 3'
is '... its priority' "$(field PRIORITY)" 3
is '... the command' "$(field VOLMIG_COMMAND)" migrate
is '... whose it is' "$(field SYSLOG_IDENTIFIER)" volmig
ok '... what it is about' test -n "$(field VOLMIG_OBJECT)"
is '... no job where there is none' "$(field VOLMIG_JOB)" ''
ok '... and a message without the program in front' grep -q '^MESSAGE=migrate: ' "$scratch/journal"
is '... once' "$(grep -c '^--$' "$scratch/journal") $(wc -c <"$scratch/stream")" '1 0'

below journal "$VOLMIG" -v migrate --job-id $id ./a/v ./b/ >/dev/null
is 'a move is told' "$status $(test -e b/v && echo moved)" '0 moved'
is '... with its job' "$(field VOLMIG_JOB)" $id
is '... and both ends' "$(field VOLMIG_SOURCE) $(field VOLMIG_DESTINATION)" './a/v ./b/'
is '... as what is being done' "$(field PRIORITY)" 6

mv b/v a/v
below none "$VOLMIG" migrate ./a/none ./b/
is 'without a journal' "$status $(wc -c <"$scratch/journal")" '3 0'
ok '... a line is written as ever, with its priority' grep -q '^<3>volmig: migrate: ' "$scratch/stream"

odd=$'./a/no\nne'
below journal "$VOLMIG" migrate "$odd" ./b/
is 'a name with a newline in it makes no field' "$status $(grep -ac '^ne=' "$scratch/journal")" '3 0'
done_testing
