/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that leaves go through: one block, for io_uring to know beforehand. */
#ifndef ENGINES_SLOTS_H
#define ENGINES_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#define SLOTS_MOST 16

struct slots {
	unsigned char *memory;		/* page-aligned; NULL: none */
	size_t size;
	int fd;				/* what another process can map it by; or -1 */
	unsigned char *zeroes;		/* a leaf of zeroes, in the same memory */
	unsigned char *spare[SLOTS_MOST];
	unsigned spare_count;
};

/*
 * So many slots of so many leaves each.  shared: there is a use for fd, where it
 * can be had and there is more than a little.  0, or a negative errno.
 */
int slots_init(struct slots *slots, unsigned count, unsigned leaves, bool shared);

/* A slot; the caller knows that there is one. */
unsigned char *slots_take(struct slots *slots);

/* NULL is fine. */
void slots_give(struct slots *slots, unsigned char *slot);

/* The kernel must not have any of it in use. */
void slots_free(struct slots *slots);

#endif
