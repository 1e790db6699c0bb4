/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of the 4 KiB blocks of a leaf. */
#include "engines/blocks.h"

#include <string.h>

#define WORDS (LEAF_BLOCKS / 64)

static bool has(const struct blocks *set, unsigned i)
{
	return set->bits[i / 64] >> (i % 64) & 1;
}

/* The first block at or after from that is in the set (or is not); LEAF_BLOCKS for none. */
static unsigned find(const struct blocks *set, unsigned from, bool in)
{
	while (from < LEAF_BLOCKS) {
		uint64_t word = in ? set->bits[from / 64] : ~set->bits[from / 64];

		word >>= from % 64;
		if (word)
			return from + (unsigned)__builtin_ctzll(word);
		from = (from / 64 + 1) * 64;
	}
	return LEAF_BLOCKS;
}

void blocks_add(struct blocks *set, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		set->bits[i / 64] |= 1ULL << (i % 64);
}

void blocks_remove(struct blocks *set, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		set->bits[i / 64] &= ~(1ULL << (i % 64));
}

struct blocks blocks_of_length(uint64_t bytes)
{
	struct blocks set = BLOCKS_NONE;

	blocks_add(&set, 0, (unsigned)((bytes + BLOCK_BYTES - 1) / BLOCK_BYTES));
	return set;
}

struct blocks blocks_or(struct blocks a, struct blocks b)
{
	for (unsigned i = 0; i < WORDS; i++)
		a.bits[i] |= b.bits[i];
	return a;
}

struct blocks blocks_and(struct blocks a, struct blocks b)
{
	for (unsigned i = 0; i < WORDS; i++)
		a.bits[i] &= b.bits[i];
	return a;
}

struct blocks blocks_except(struct blocks a, struct blocks b)
{
	for (unsigned i = 0; i < WORDS; i++)
		a.bits[i] &= ~b.bits[i];
	return a;
}

bool blocks_empty(const struct blocks *set)
{
	return find(set, 0, true) == LEAF_BLOCKS;
}

uint64_t blocks_bytes(const struct blocks *set, uint64_t length)
{
	struct blocks whole = blocks_and(*set, blocks_of_length(length));
	uint64_t bytes = 0;

	for (unsigned i = 0; i < WORDS; i++)
		bytes += (uint64_t)__builtin_popcountll(whole.bits[i]) * BLOCK_BYTES;
	/* The last block may reach beyond the end. */
	if (length % BLOCK_BYTES && has(set, (unsigned)(length / BLOCK_BYTES)))
		bytes -= BLOCK_BYTES - length % BLOCK_BYTES;
	return bytes;
}

bool blocks_run(const struct blocks *set, unsigned from, unsigned *ret_first,
		unsigned *ret_count)
{
	unsigned first = find(set, from, true);

	if (first == LEAF_BLOCKS)
		return false;
	*ret_first = first;
	*ret_count = find(set, first, false) - first;
	return true;
}

void blocks_round_out(struct blocks *set, unsigned unit)
{
	unsigned first, count, end = 0;

	if (unit <= 1)
		return;
	while (blocks_run(set, end, &first, &count)) {
		end = (first + count + unit - 1) / unit * unit;
		first = first / unit * unit;
		blocks_add(set, first, end - first);
	}
}

void blocks_fill_gaps(struct blocks *set, unsigned shorter_than)
{
	unsigned first, count, end;

	if (!blocks_run(set, 0, &first, &count))
		return;
	for (end = first + count; blocks_run(set, end, &first, &count); end = first + count)
		if (first - end < shorter_than)
			blocks_add(set, end, first - end);
}

bool memory_is_zero(const void *data, size_t length)
{
	const unsigned char *p = data;
	size_t head = length < 16 ? length : 16;

	for (size_t i = 0; i < head; i++)
		if (p[i])
			return false;
	/* The rest equals what is 16 bytes before it, and so on down to the head. */
	return length == head || !memcmp(p, p + head, length - head);
}

struct blocks blocks_zero(const unsigned char *data, struct blocks within)
{
	struct blocks zero = BLOCKS_NONE;

	for (unsigned i = find(&within, 0, true); i < LEAF_BLOCKS; i = find(&within, i + 1, true))
		if (memory_is_zero(data + i * BLOCK_BYTES, BLOCK_BYTES))
			blocks_add(&zero, i, 1);
	return zero;
}

struct blocks blocks_differ(const unsigned char *a, const unsigned char *b,
			    struct blocks within)
{
	struct blocks differ = BLOCKS_NONE;

	for (unsigned i = find(&within, 0, true); i < LEAF_BLOCKS; i = find(&within, i + 1, true))
		if (memcmp(a + i * BLOCK_BYTES, b + i * BLOCK_BYTES, BLOCK_BYTES) != 0)
			blocks_add(&differ, i, 1);
	return differ;
}

void blocks_clear_others(unsigned char *data, const struct blocks *set)
{
	unsigned end = 0;

	while (end < LEAF_BLOCKS) {
		unsigned first = find(set, end, false);

		end = find(set, first, true);
		memset(data + first * BLOCK_BYTES, 0, (size_t)(end - first) * BLOCK_BYTES);
	}
}
