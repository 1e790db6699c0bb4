/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of the 256 blocks of 4 KiB that a leaf (1 MiB) has: what is data, what
 * is to be read, what is to be written.
 */
#ifndef ENGINES_BLOCKS_H
#define ENGINES_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_BYTES 4096U
#define LEAF_BLOCKS 256U

struct blocks {
	uint64_t bits[LEAF_BLOCKS / 64];
};

#define BLOCKS_NONE ((struct blocks){ { 0 } })

void blocks_add(struct blocks *set, unsigned first, unsigned count);
void blocks_remove(struct blocks *set, unsigned first, unsigned count);

/* The blocks that hold any of the first so many bytes of a leaf. */
struct blocks blocks_of_length(uint64_t bytes);

struct blocks blocks_or(struct blocks a, struct blocks b);
struct blocks blocks_and(struct blocks a, struct blocks b);
struct blocks blocks_except(struct blocks a, struct blocks b);

bool blocks_empty(const struct blocks *set);

/* How many of the first length bytes of the leaf are in the set. */
uint64_t blocks_bytes(const struct blocks *set, uint64_t length);

/* The first run of blocks in the set at or after from; false when there is none. */
bool blocks_run(const struct blocks *set, unsigned from, unsigned *ret_first,
		unsigned *ret_count);

/* Grow every run outwards to multiples of unit blocks; unit is a power of two. */
void blocks_round_out(struct blocks *set, unsigned unit);

/* Take in the gaps between runs that are shorter than so many blocks. */
void blocks_fill_gaps(struct blocks *set, unsigned shorter_than);

/* Those blocks of data, within the set, that hold nothing but zeroes. */
struct blocks blocks_zero(const unsigned char *data, struct blocks within);

/* Those blocks, within the set, in which a and b differ. */
struct blocks blocks_differ(const unsigned char *a, const unsigned char *b,
			    struct blocks within);

/* Make every block of data that is not in the set zero. */
void blocks_clear_others(unsigned char *data, const struct blocks *set);

/* Is all of it zero? */
bool memory_is_zero(const void *data, size_t length);

#endif
