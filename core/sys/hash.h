/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XXH3-128 by libxxhash. */
#ifndef SYS_HASH_H
#define SYS_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 16
#define HASH_HEX (2 * HASH_BYTES + 1)

/* In the canonical, big-endian form that xxhsum prints. */
struct hash {
	uint8_t bytes[HASH_BYTES];
};

struct hash hash_of(const void *data, size_t length);

struct hash_stream;

struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *stream, const void *data, size_t length);
/* Ends and frees the stream. */
struct hash hash_stream_end(struct hash_stream *stream);

const char *hash_hex(const struct hash *hash, char buf[static HASH_HEX]);

/* False: hex is NULL or no hash, and *ret is as it was. */
bool hash_from_hex(const char *hex, struct hash *ret);

#endif
