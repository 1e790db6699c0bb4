/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of other files in the headers of QEMU's images. */
#ifndef VOLUMES_BACKING_HEADER_H
#define VOLUMES_BACKING_HEADER_H

struct text_list;

/* A file that is shorter has none. */
#define BACKING_HEADER_LEAST 20

/*
 * The files, absolute, that the image at path, open as fd, names itself: the
 * backing file (qcow, qcow2, QED, VMDK), the external data file (qcow2), extents
 * (VMDK).  None where it is no such image.  What a guest has written may look
 * like one.  0, or -errno: it cannot be read.
 */
int backing_header_names(int fd, const char *path, struct text_list *ret);

#endif
