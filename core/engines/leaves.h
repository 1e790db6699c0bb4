/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hashes of a copy: one XXH3-128 leaf for each MiB of the source, and
 * their root.  They live in a file of the job's directory, so that memory does
 * not grow with the volume and a resumed job can still prove the whole.
 */
#ifndef ENGINES_LEAVES_H
#define ENGINES_LEAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/hash.h"

struct err;

#define LEAF_BYTES (1024 * 1024)

struct leaves;

/*
 * Open or create the file at path for a volume of so many bytes.  The file
 * holds 16 bytes a leaf; a leaf of zeroes only is a hole of 16 zero bytes in
 * it, so the file of a sparse volume is itself sparse.
 *
 * The one leaf of a small volume is kept in *single instead, if that is not
 * NULL: 16 zero bytes at first, written by leaves_sync(), and the caller's to
 * keep.  A file for it costs more than the volume.
 */
int leaves_open(struct leaves **ret, const char *path, uint64_t bytes, struct hash *single,
		struct err *err);

uint64_t leaves_count(const struct leaves *leaves);

/* The size of the volume they are of. */
uint64_t leaves_bytes(const struct leaves *leaves);

/* How long leaf i is: LEAF_BYTES, less for the last. */
uint32_t leaves_length(const struct leaves *leaves, uint64_t i);

/* data NULL: the leaf is all zeroes (which is found out, too, when it is not NULL). */
int leaves_set(struct leaves *leaves, uint64_t i, const void *data, struct err *err);

/* A hash as leaves_get() has it. */
int leaves_set_hash(struct leaves *leaves, uint64_t i, const struct hash *hash, struct err *err);

/* Leaves first to first + count - 1 are all zeroes; costs next to nothing, however many. */
int leaves_set_zeroes(struct leaves *leaves, uint64_t first, uint64_t count, struct err *err);

/* Does the leaf equal data (NULL: zeroes)?  1 yes, 0 no, -1 error. */
int leaves_match(struct leaves *leaves, uint64_t i, const void *data, struct err *err);

/* Is the leaf recorded as all zeroes?  1 yes, 0 no, -1 error. */
int leaves_zero(struct leaves *leaves, uint64_t i, struct err *err);

/* The leaf's hash; 16 zero bytes for one of zeroes. */
int leaves_get(struct leaves *leaves, uint64_t i, struct hash *ret, struct err *err);

/* The first leaf at or after i that is not recorded as all zeroes; leaves_count() for none. */
int leaves_next_data(struct leaves *leaves, uint64_t i, uint64_t *ret_leaf, struct err *err);

/* What was set survives a power cut. */
int leaves_sync(struct leaves *leaves, struct err *err);

/* XXH3-128 over all leaves' hashes in order, zero leaves with their true hash. */
int leaves_root(struct leaves *leaves, struct hash *ret_root, struct err *err);

void leaves_close(struct leaves *leaves);

#endif
