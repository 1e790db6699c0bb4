/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD devices of the kernel, /dev/nbdN: its generic netlink family "nbd", and
 * what sysfs tells of them.  That family is asked by hand, for it takes two
 * messages; nbd-client (3.24) can neither leave a mark nor limit a wait.
 */
#ifndef SYS_NBDDEV_H
#define SYS_NBDDEV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct nbd_info;

#define NBDDEV_MARKER_SIZE 128

struct nbddev {
	unsigned number;		/* N of /dev/nbdN */
	dev_t dev;
	uint64_t bytes;
	char marker[NBDDEV_MARKER_SIZE];	/* what its maker left; may be empty */
};

/* Why this host has none to offer, or NULL.  load: have the module loaded where it is not. */
const char *nbddev_missing(bool load);

/*
 * A free one over a connected socket, which the kernel has from then on, too.
 * It carries marker from its first moment on.  A request that the server has
 * not answered after seconds fails, and so does each one after it: the
 * connection is never made anew.
 */
int nbddev_connect(int socket, const struct nbd_info *info, uint32_t sector, bool readonly,
		   unsigned seconds, const char *marker, struct nbddev *ret, struct err *err);

/*
 * Let go of that one, if it still is that one, and wait until it is gone;
 * flush: once all that was written is on the server's stable storage, else
 * what is not there is lost.  Nobody mounts it meanwhile.  ERR_REFUSED: it is
 * claimed by somebody, with EBUSY in err->number; ERR_FAILED with ETIME: it
 * took too long.  1: released, but somebody has it open still.
 */
int nbddev_disconnect(const struct nbddev *device, bool flush, struct err *err);

/* Does the server behind it answer? */
bool nbddev_answers(const struct nbddev *device);

/* A mark like no other, by which a device of that export is known to be one of volmig's. */
void nbddev_mark(const char *uri, char ret_marker[static NBDDEV_MARKER_SIZE]);
bool nbddev_marked(const struct nbddev *device);

/* The device that volmig, by whatever state directory, has made of that export, if there is one. */
bool nbddev_of_export(const char *uri, struct nbddev *ret);

/* The device of that number, if it is connected. */
bool nbddev_of(unsigned number, struct nbddev *ret);

/* Call each(), until it returns non-zero, for every one that is connected; that is returned, or 0. */
int nbddev_each(int (*each)(const struct nbddev *device, void *data), void *data);

#endif
