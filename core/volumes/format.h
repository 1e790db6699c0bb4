/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image formats that wrap a disk, told by their magic: pure, looks at the bytes it is given. */
#ifndef VOLUMES_FORMAT_H
#define VOLUMES_FORMAT_H

#include <stddef.h>

#define FORMAT_HEAD_BYTES 4096	/* as much of the beginning as is worth giving */
#define FORMAT_TAIL_BYTES 512

/*
 * The name ("qcow2", "vmdk", ...) of the container that begins with head, or
 * whose last bytes are tail; NULL: nothing known, so raw.  tail NULL: the end
 * is not to be looked at.  A magic alone decides, for a damaged container is
 * no raw image either.
 */
const char *format_detect(const void *head, size_t head_length,
			  const void *tail, size_t tail_length);

#endif
