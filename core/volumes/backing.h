/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an image stands on, as its own header says. */
#ifndef VOLUMES_BACKING_H
#define VOLUMES_BACKING_H

/*
 * The path of the file or device that a qcow2 image at path keeps what it does
 * not hold itself in, absolute, or NULL: it has none, is no qcow2, or cannot
 * be read.  Free it.
 */
char *backing_of(const char *path);

#endif
