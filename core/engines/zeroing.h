/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zeroing ranges of a volume without sending data, a digestible piece at a time. */
#ifndef ENGINES_ZEROING_H
#define ENGINES_ZEROING_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct volume;

struct zeroing {
	struct volume *vol;
	bool cannot;			/* it has been tried */
	uint64_t chunk;
};

void zeroing_init(struct zeroing *zeroing, struct volume *vol);

/*
 * Zero as much from offset on as should take less than a second, at least
 * 1 MiB where there is so much, and give space back.  0: done up to *ret_end;
 * 1: the volume cannot; -1: error.
 */
int zeroing_some(struct zeroing *zeroing, uint64_t offset, uint64_t end, uint64_t *ret_end,
		 struct err *err);

#endif
