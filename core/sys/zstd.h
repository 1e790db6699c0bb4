/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of memory made smaller by zstd, each by itself, and back. */
#ifndef SYS_ZSTD_H
#define SYS_ZSTD_H

#include <stddef.h>

struct zstd;

/* Why this volmig cannot, or NULL. */
const char *zstd_missing(void);

/* Never NULL where nothing is missing. */
struct zstd *zstd_new(void);
void zstd_free(struct zstd *zstd);

/* The fastest way.  The length of what is in packed then; 0: it does not fit into room. */
size_t zstd_pack(struct zstd *zstd, void *packed, size_t room, const void *raw, size_t length);

/* packed, which may be anything, has to become just length bytes; else -1, and nothing beyond them was touched. */
int zstd_unpack(struct zstd *zstd, void *raw, size_t length, const void *packed, size_t packed_length);

#endif
