/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that leaves go through. */
#include "engines/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "engines/leaves.h"

#define HUGE_PAGE (2UL << 20)

int slots_init(struct slots *slots, unsigned count, unsigned leaves)
{
	size_t size = ((size_t)count * leaves + 1) * LEAF_BYTES;
	unsigned char *map, *start;

	assert(count <= SLOTS_MOST);
	map = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	/*
	 * A leaf within one huge page is one piece of memory to the disk; in
	 * 256 pages of 4 KiB, many a driver takes several requests for it.
	 */
	start = map + (HUGE_PAGE - (uintptr_t)map % HUGE_PAGE) % HUGE_PAGE;
	if (start > map)
		munmap(map, (size_t)(start - map));
	munmap(start + size, (size_t)(map + HUGE_PAGE - start));
	madvise(start, size, MADV_HUGEPAGE);
	/* A forked child must not share, and thereby split, what the disk writes to. */
	madvise(start, size, MADV_DONTFORK);

	*slots = (struct slots){ .memory = start, .size = size };
	while (slots->spare_count < count) {
		slots->spare[slots->spare_count++] = start;
		start += leaves * LEAF_BYTES;
	}
	slots->zeroes = start;
	return 0;
}

unsigned char *slots_take(struct slots *slots)
{
	assert(slots->spare_count > 0);
	return slots->spare[--slots->spare_count];
}

void slots_give(struct slots *slots, unsigned char *slot)
{
	if (slot)
		slots->spare[slots->spare_count++] = slot;
}

void slots_free(struct slots *slots)
{
	if (slots->memory)
		munmap(slots->memory, slots->size);
	*slots = (struct slots){ 0 };
}
