/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who uses a file or a block device, as /proc and /sys tell. */
#ifndef SYS_USES_H
#define SYS_USES_H

#include <sys/types.h>

#include "support/text.h"

struct err;

/*
 * Both look from where the caller stands: what an ordinary user may not see
 * of others' processes is not found, and neither is what runs on other hosts.
 * What this process itself has open is no use.
 */

/*
 * Add one text for each user of a regular file (dev, ino): swap, loop back
 * end (and where the loop device is mounted or held), open or mapped for
 * writing by another process, or by one that is not visible to us, which the
 * kernel gives away by refusing a lease.
 */
void uses_of_file(const char *path, dev_t dev, ino_t ino, struct text_list *uses);

/*
 * The same for a block device: mounts in any mount namespace that can be seen
 * (also those of its partitions, of the disk it is a partition of, and of
 * multi-device file systems), swap, holders (md, dm with its kind: LVM, LUKS,
 * multipath), loop devices on top, open for writing by another process, an
 * O_EXCL claim that nothing else explains, and a SCSI reservation of another host.
 */
void uses_of_block(const char *path, dev_t rdev, struct text_list *uses);

/*
 * Has anybody the regular file behind fd open for writing, this process among
 * them?  fd is open for reading.  1 yes, 0 no, -1 not known.
 */
int uses_writers(int fd);

/* 0 when there are none; else ERR_REFUSED, with all of them named.  Frees them. */
int uses_refuse(const char *object, struct text_list *uses, struct err *err);

#endif
