#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# With --syslog each message goes to syslog as well, with its priority; without it none does.
# shellcheck source=tests/lib.sh
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
requires perl unshare mount
unshare -rm true 2>/dev/null || skip_all 'no mount namespace of its own is to be had'

# A /dev of its own, with a log that keeps what comes.
mkdir "$scratch/dev"
: >"$scratch/dev/null"
cat >"$scratch/with-log" <<'END'
use strict; use warnings;
use Socket; use IO::Socket::UNIX;
my ($scratch, @command) = @ARGV;
system("mount --bind /dev/null $scratch/dev/null && mount --rbind $scratch/dev /dev") == 0 or die;
unlink "/dev/log";
my $log = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/dev/log") or die "log: $!";
my $status = system @command;
$log->blocking(0);
open my $out, ">", "$scratch/log" or die;
while (defined recv $log, my $text, 65536, 0) {
	last if $text eq "";
	print $out $text, "\n";
}
exit $status >> 8;
END
logged() {
	unshare -rm perl "$scratch/with-log" "$scratch" "$@"
}

must_fail 2 'an error' logged "$VOLMIG" --syslog --state-dir "$scratch/state" status 11111111-2222-4333-8444-555555555555
has 'is on standard error' '11111111-2222-4333-8444-555555555555'
# facility daemon or user, priority error (3)
is 'and in syslog' "$(grep -c '^<[0-9]*> *.*volmig\[\{0,1\}[0-9]*\]\{0,1\}: .*11111111-2222-4333-8444-555555555555' "$scratch/log")" 1
is '... as an error' "$(($(sed -n 's/^<\([0-9]*\)>.*/\1/p' "$scratch/log") % 8))" 3
must_fail 2 'the same without' logged "$VOLMIG" --state-dir "$scratch/state" status 11111111-2222-4333-8444-555555555555
is '... is not' "$(cat "$scratch/log")" ''

done_testing
