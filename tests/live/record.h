/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test guest writes and the host verifies.
 *
 * Every 4 KiB block is one record: a header naming the sequence number and the
 * block it was meant for, a payload that follows from both, and a checksum over
 * all of it.  A torn, lost, misplaced or stale block can be told from a good one.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

#define RECORD_SIZE 4096
#define RECORD_MAGIC 0x314345525651534cULL

struct record {
	uint64_t magic;
	uint64_t sequence;
	uint64_t block;
	uint64_t checksum;	/* FNV-1a 64 of the block with this field zero */
	uint64_t payload[(RECORD_SIZE - 32) / 8];
};

static inline uint64_t record_checksum(const struct record *r)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	const uint64_t head[] = { r->magic, r->sequence, r->block, 0 };

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		hash = (hash ^ head[i]) * 0x100000001b3ULL;
	for (size_t i = 0; i < sizeof(r->payload) / sizeof(r->payload[0]); i++)
		hash = (hash ^ r->payload[i]) * 0x100000001b3ULL;
	return hash;
}

static inline void record_fill(struct record *r, uint64_t sequence, uint64_t block)
{
	uint64_t x = sequence * 0x9e3779b97f4a7c15ULL + block + 1;

	r->magic = RECORD_MAGIC;
	r->sequence = sequence;
	r->block = block;
	for (size_t i = 0; i < sizeof(r->payload) / sizeof(r->payload[0]); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		r->payload[i] = x;
	}
	r->checksum = record_checksum(r);
}

/*
 * Where record n goes: a fixed odd stride walks every block of a region of a
 * power of two blocks once before it comes back, in an order that is not
 * sequential.
 */
static inline uint64_t record_place(uint64_t sequence, uint64_t blocks)
{
	return (sequence * 2654435761ULL) & (blocks - 1);
}

#endif
