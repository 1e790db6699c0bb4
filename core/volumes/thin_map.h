/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which chunks of a thin volume are mapped: read from thin_dump's XML as it
 * comes, and kept as one bit for each chunk, or for several where that would
 * take more than 16 MiB.
 */
#ifndef VOLUMES_THIN_MAP_H
#define VOLUMES_THIN_MAP_H

#include <stdint.h>
#include <stdio.h>

struct err;
struct thin_map;

/* What the map has to agree with. */
struct thin_map_expect {
	uint64_t id;			/* of the volume */
	uint64_t chunk;			/* bytes */
	uint64_t bytes;			/* the volume's size; what is mapped beyond is left out */
	uint64_t mapped;		/* bytes, as the kernel counts them */
};

/*
 * Read to the end of f.  Everything that is not just as it should be (another
 * volume, a word that is not known, ranges out of order, an end that comes too
 * soon, another sum than the kernel's) is ERR_FAILED: such a map proves nothing.
 */
int thin_map_read(FILE *f, const struct thin_map_expect *expect, struct thin_map **ret,
		  struct err *err);

/* The map of a volume of which nothing is mapped. */
struct thin_map *thin_map_empty(const struct thin_map_expect *expect);

/* The next range at or after offset that is mapped; both are the size when there is none. */
void thin_map_next(const struct thin_map *map, uint64_t offset, uint64_t *ret_start,
		   uint64_t *ret_end);

/* NULL is fine. */
void thin_map_free(struct thin_map *map);

#endif
