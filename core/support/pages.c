/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of memory. */
#include "support/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

int pages_make_present(void *memory, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page;
	uintptr_t end = ((uintptr_t)memory + size) / page * page;
	void *start = (void *)begin;

	if (begin >= end || madvise(start, end - begin, MADV_POPULATE_WRITE) < 0)
		return 0;
	/*
	 * A kernel that is a process itself (User-Mode Linux) has the pages by
	 * now, but shows each to the program only at a fault, which takes ten
	 * times as long as all else.  With a change of protection it shows all.
	 */
	if (mprotect(start, end - begin, PROT_READ) == 0 &&
	    mprotect(start, end - begin, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	return 0;
}
