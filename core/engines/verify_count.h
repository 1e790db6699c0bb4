/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a thin volume back without its map: by the kernel's count of its chunks. */
#ifndef ENGINES_VERIFY_COUNT_H
#define ENGINES_VERIFY_COUNT_H

#include <stdbool.h>

#include "engines/block_copy.h"

/*
 * Compare vol with leaves, as block_verify() does.  A chunk that is not mapped
 * reads as zero, so each one that was read and holds something is mapped; where
 * the kernel counts no more than these, all others are not, and need no look.
 *
 * 1: all is proven.  0: not in this way, but nothing differs so far; *ret_data:
 * what holds something was read and is right, which leaves block_verify_rest().
 * -1: as block_verify(), and when it differs there may be more than is said.
 */
int verify_by_count(struct volume *vol, struct leaves *leaves,
		    const struct block_copy_options *opt, struct monitor *mon,
		    struct block_copy_result *ret_result, bool *ret_data, struct err *err);

#endif
