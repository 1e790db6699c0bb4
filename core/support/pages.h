/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of memory. */
#ifndef SUPPORT_PAGES_H
#define SUPPORT_PAGES_H

#include <stddef.h>

/*
 * Make the whole pages of private memory that is about to be used present, all
 * at once, which takes less than a fault for each.  A kernel that cannot does
 * nothing, and they come by faults.  0, or a negative errno: then the memory
 * is not to be used.
 */
int pages_make_present(void *memory, size_t size);

#endif
