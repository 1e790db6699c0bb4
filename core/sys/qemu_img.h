/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image files of QEMU's formats, by qemu-img: looked at and made. */
#ifndef SYS_QEMU_IMG_H
#define SYS_QEMU_IMG_H

#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;

struct qemu_image {
	uint64_t bytes;			/* what the guest sees; a multiple of 512 */
	uint64_t cluster;		/* the format's unit, or 0 */
	uint64_t snapshots;		/* kept within the image: a copy has none of them */
	struct text_list chain;		/* paths of what it stands on, the nearest first */
	char *unusable;			/* why it cannot be read or written: "encrypted", ...; or NULL */
};

void qemu_image_free(struct qemu_image *image);

/*
 * Look at the image of that format at that absolute path, though others may
 * have it open.  ERR_REFUSED when it is none, or cannot be made sense of.
 */
int qemu_img_look(const char *format, const char *path, struct qemu_image *ret_image, struct err *err);

/*
 * Make an image in the file that is open there for writing, whatever its name is
 * another's by now: path is for errors.  cluster: 0 is the format's own choice.
 */
int qemu_img_create(const char *format, int fd, const char *path, uint64_t bytes, uint64_t cluster, struct err *err);

#endif
