#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A volume goes to another host, and the near side is killed at every record of its journal and comes back only when
# the lease is over: there is always one whole copy, each side ends its part, and nothing is left.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
allow b --lease=1s
head -c 3M /dev/urandom >"$scratch/data"

# shellcheck disable=SC2154
never_back 'to the other host' "$dir_a/x.img" "$dir_b/x.img" "$dir_a/x.img" "ssh://10.77.0.2/$dir_b/"

done_testing
