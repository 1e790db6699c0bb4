/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loop devices: ioctls of /dev/loop-control and /dev/loopN. */
#ifndef SYS_LOOPDEV_H
#define SYS_LOOPDEV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define LOOPDEV_MARKER_SIZE 64	/* of the name that the kernel keeps for whoever made it */

struct loopdev {
	unsigned number;		/* N of /dev/loopN */
	dev_t dev;			/* its own device number */
	dev_t backing_dev;		/* st_dev of the file, or of the node of the device, behind it */
	ino_t backing_ino;
	dev_t backing_rdev;		/* where a block device is behind it, else 0 */
	bool read_only;
	bool direct;
	uint64_t diskseq;		/* tells this attachment from the next on the same number */
	char marker[LOOPDEV_MARKER_SIZE];	/* what its maker left; empty where we may not ask */
};

/*
 * Make a free loop device over fd, whole, with direct I/O where the kernel can
 * (ret->direct tells).  sector is the logical sector it shall have; fd must be
 * open without O_DIRECT, for the kernel then asks for that itself.  It carries
 * marker from its first moment on, before Linux 5.8 from right after that.
 */
int loopdev_attach(int fd, bool readonly, uint32_t sector, const char *marker,
		   struct loopdev *ret, struct err *err);

/*
 * Release it if it still is that attachment, and wait until it is gone.  One
 * that is in use is left as it was: ERR_REFUSED, with EBUSY in err->number.
 * One that is gone already is success.
 */
int loopdev_detach(const struct loopdev *loop, struct err *err);

/* Is rdev a loop device (or a partition of one) with something behind it? */
bool loopdev_of(dev_t rdev, struct loopdev *ret);

/*
 * Call each(), until it returns non-zero, for every loop device that has
 * something behind it.  Returns what the last each() returned, or 0.
 */
int loopdev_each(int (*each)(const struct loopdev *loop, void *data), void *data);

#endif
