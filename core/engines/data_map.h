/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a volume holds data and where it has holes, asked for in order of offset. */
#ifndef ENGINES_DATA_MAP_H
#define ENGINES_DATA_MAP_H

#include <stdint.h>

#include "engines/blocks.h"

struct err;
struct volume;

/*
 * The extent that was found last: a hole from asked to start, data from start
 * to end.  Asking along a volume costs one call to the volume for each extent,
 * not for each leaf.
 */
struct data_map {
	struct volume *vol;
	uint64_t asked, start, end;
};

void data_map_init(struct data_map *map, struct volume *vol);

/*
 * The next data at or after offset; *ret_start is the volume's size when there
 * is none.  A volume without a map is all data.
 */
int data_map_next(struct data_map *map, uint64_t offset, uint64_t *ret_start,
		  uint64_t *ret_end, struct err *err);

/*
 * The blocks of the leaf at base that hold data between the offsets start and
 * end, and those to be read to have them: aligned as the volume wants it, and
 * with holes that are smaller than what another request would cost.
 */
int data_map_blocks(struct data_map *map, uint64_t base, uint64_t start, uint64_t end,
		    struct blocks *ret_data, struct blocks *ret_read, struct err *err);

#endif
