#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The same for a volume that comes from another host: its source there is removed only when the near side has
# committed, and is there to be used again when it has not.
. "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"
. "$TOP/tests/hosts.sh"
requires jq

hosts_make a b
allow b --lease=1s
head -c 3M /dev/urandom >"$scratch/data"

export may_stay=yes
# shellcheck disable=SC2154
never_back 'from the other host' "$dir_b/y.img" "$dir_a/y.img" "ssh://10.77.0.2/$dir_b/y.img" "$dir_a/"

done_testing
