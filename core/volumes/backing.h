/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What images stand on, as their own headers say; and what stands on a file. */
#ifndef VOLUMES_BACKING_H
#define VOLUMES_BACKING_H

#include <stdint.h>

struct text_list;

/*
 * The paths, absolute, of what the image at path keeps elsewhere: the backing
 * file, and the external data file of qcow2; and what those stand on in turn.
 * None where it is no such image, or cannot be read.
 */
void backing_all(const char *path, struct text_list *ret);

/*
 * The files in that directory that stand on the file of that dev and ino,
 * directly or not, by whatever name they call it.  *ret_unseen: why there may be
 * more than could be looked into, or NULL; free it.
 *
 * A file is read once, and again only when it has changed; a directory is
 * believed for half a second.
 */
void backing_overlays(const char *dir, uint64_t dev, uint64_t ino, struct text_list *ret, char **ret_unseen);

/* Before what cannot be taken back: directories are to be read anew. */
void backing_forget(void);

/* For processes that will be forked soon: know the directories that were read once, which they would all read. */
void backing_look_ahead(void);

#endif
