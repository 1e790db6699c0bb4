# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154
# For tests with a Ceph cluster of their own, on top of lib.sh: tests/lab/ceph-lab.

ceph="$TOP/tests/lab/ceph-lab"
# volmig and the tools are told where the cluster is, by conf= and --conf.
unset CEPH_CONF CEPH_ARGS

# Why there is no cluster to be had; silent when there is.
no_ceph() {
	packages=$("$ceph" missing)
	if [ -n "$packages" ]; then
		echo "needs the packages $packages"
	elif ! qemu-img --help | grep -qw rbd; then
		echo 'needs the package qemu-block-extra'
	fi
}

requires_ceph() {
	lacking=$(no_ceph)
	[ -z "$lacking" ] || skip_all "$lacking"
}

# start_cluster [OPTIONS of ceph-lab start]: in $cluster, its configuration in $conf, until the script ends.
start_cluster() {
	cluster=$(mktemp -d /tmp/volmig-ceph.XXXXXX) || exit 99
	at_exit "'$ceph' stop '$cluster'"
	"$ceph" start "$cluster" "$@" >"$scratch/ceph" 2>&1 || { cat "$scratch/ceph"; exit 1; }
	conf=$cluster/ceph.conf
}

# The tool, which waits for ever where there is no answer.
rbd() {
	timeout 60 rbd --conf "$conf" "$@"
}

# rbd_sum IMAGE BYTES: the sum of the first of them.
rbd_sum() {
	rbd export --no-progress "$1" - 2>/dev/null | head -c "$2" | md5sum
}
