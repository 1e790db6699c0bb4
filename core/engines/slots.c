/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that leaves go through. */
#include "engines/slots.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engines/blocks.h"
#include "engines/leaves.h"
#include "support/pages.h"

#define HUGE_PAGE (2UL << 20)

/*
 * A small copy's memory is kept for the verification that comes next: having
 * the kernel clear another huge page takes a third of the time that reading a
 * MiB does.
 */
#define KEPT_MOST (4UL << 20)
static struct {
	unsigned char *memory;
	size_t size;
} kept;

static unsigned char *new_memory(size_t size)
{
	size_t used = (size - LEAF_BYTES + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	unsigned char *map, *start;

	map = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
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
	/* The zeroes may never be needed; but no huge page is split for them. */
	if (pages_make_present(start, used < size ? used : size) < 0) {
		munmap(start, size);
		return NULL;
	}
	return start;
}

/* The same in a file that has no name; no huge pages are to be had there. */
static unsigned char *new_shared_memory(size_t size, int *ret_fd)
{
	int fd = memfd_create("volmig-slots", MFD_CLOEXEC);
	void *map = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* All of it now: once it is in use it is too late to be told that there is none. */
	if (map != MAP_FAILED && madvise(map, size, MADV_DONTFORK) == 0 && fallocate(fd, 0, 0, (off_t)size) == 0 &&
	    pages_make_present(map, size) == 0) {
		*ret_fd = fd;
		return map;
	}
	if (map != MAP_FAILED)
		munmap(map, size);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* What a read fails to bring must not be taken for what was there from before. */
static void spoil(unsigned char *from, size_t length)
{
	for (size_t at = 0; at < length; at += BLOCK_BYTES)
		memset(from + at, 0xa5, sizeof(uint64_t));
}

static void drop_kept(void)
{
	if (kept.memory)
		munmap(kept.memory, kept.size);
	kept.memory = NULL;
	kept.size = 0;
}

int slots_init(struct slots *slots, unsigned count, unsigned leaves, bool shared)
{
	size_t size = ((size_t)count * leaves + 1) * LEAF_BYTES;
	unsigned char *start = NULL;
	int fd = -1;

	assert(count <= SLOTS_MOST);
	if (shared && size > KEPT_MOST)
		start = new_shared_memory(size, &fd);
	if (start) {
		/* Whoever cannot have that does without. */
	} else if (kept.size == size) {
		start = kept.memory;
		kept.memory = NULL;
		madvise(start, size, MADV_DONTFORK);
		spoil(start, size - LEAF_BYTES);
	} else {
		start = new_memory(size);
	}
	drop_kept();
	if (!start)
		return -ENOMEM;

	*slots = (struct slots){ .memory = start, .size = size, .fd = fd };
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
	if (slots->size > KEPT_MOST && slots->memory) {
		munmap(slots->memory, slots->size);
		if (slots->fd >= 0)
			close(slots->fd);
	} else if (slots->memory) {
		drop_kept();
		kept.memory = slots->memory;
		kept.size = slots->size;
		/*
		 * Nothing writes to it now.  And a kernel that is a process
		 * itself goes on showing the parent's pages to a child that
		 * does not have them, in place of what that maps there.
		 */
		madvise(kept.memory, kept.size, MADV_DOFORK);
	}
	*slots = (struct slots){ 0 };
}
