/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes that QEMU opens, open: NBD exports of a process that lives as long as they do. */
#include "volumes/qemu.h"

#include <unistd.h>

#include "support/err.h"
#include "sys/nbd.h"
#include "sys/qemu_daemon.h"
#include "volumes/nbd_volume.h"
#include "volumes/volume.h"

static int qemu_open(struct volume *vol, const struct facts *facts, unsigned flags, uint64_t patience_ms,
		     struct err *err)
{
	struct nbd *nbd = NULL;
	int fd, ring = -1;

	/* Its name may be another's by now; and who waits for a lock is not to be taken for stuck. */
	if (qemu_is_rbd(facts)) {
		const struct rbd_name name = qemu_rbd_name(facts);

		if (rbd_image_check_id(&name, facts->qemu->id, flags & OPEN_WRITE, err) < 0)
			return -1;
	}
	/* Others are not as fast that the way there would count. */
	if (qemu_serve(facts, flags & OPEN_WRITE, patience_ms, true, &vol->daemon, &fd,
		       qemu_is_rbd(facts) ? &ring : NULL, err) < 0)
		return -1;
	if (nbd_export_open_socket(&nbd, fd, "", facts->path, patience_ms, err) < 0) {
		if (ring >= 0)
			close(ring);
		qemu_daemon_runs(vol->daemon, err);
		return -1;
	}
	nbd_export_set_ring(nbd, ring);
	if (nbd_volume_setup(vol, nbd, flags, patience_ms, err) < 0) {
		qemu_daemon_runs(vol->daemon, err);
		return -1;
	}
	/* Every format that we make, and RBD: what was never written is zero. */
	vol->fresh = flags & OPEN_FRESH;
	return 0;
}

static void qemu_release(struct volume *vol)
{
	qemu_daemon_stop(vol->daemon);
	vol->daemon = NULL;
}

/* Each driver is a kind of volume, and all are served alike. */
#define QEMU_VOLUME_OPS(driver, spec) { \
	.kind		= driver, \
	.spec_kind	= spec, \
	.inspect	= look_for_qemu, \
	.open		= qemu_open, \
	.next_data	= nbd_volume_next_data, \
	.zero		= nbd_volume_zero, \
	.release	= qemu_release, \
}

const struct volume_ops qcow2_volume_ops = QEMU_VOLUME_OPS("qcow2", SPEC_QEMU);
const struct volume_ops vmdk_volume_ops = QEMU_VOLUME_OPS("vmdk", SPEC_QEMU);
const struct volume_ops vhdx_volume_ops = QEMU_VOLUME_OPS("vhdx", SPEC_QEMU);
const struct volume_ops vdi_volume_ops = QEMU_VOLUME_OPS("vdi", SPEC_QEMU);
const struct volume_ops rbd_volume_ops = QEMU_VOLUME_OPS("rbd", SPEC_QEMU);
const struct volume_ops lun_volume_ops = QEMU_VOLUME_OPS("iscsi", SPEC_ISCSI);

bool volume_ops_is_qemu(const char *kind)
{
	const struct volume_ops *ops = volume_ops_by_kind(kind);

	return ops && ops->open == qemu_open;
}
