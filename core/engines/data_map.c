/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a volume holds data and where it has holes. */
#include "engines/data_map.h"

#include "volumes/volume.h"

#define READ_GAP 16			/* blocks: 64 KiB */

void data_map_init(struct data_map *map, struct volume *vol)
{
	*map = (struct data_map){ .vol = vol };
	if (!vol->ops->next_data)
		map->end = vol->bytes;
}

int data_map_next(struct data_map *map, uint64_t offset, uint64_t *ret_start,
		  uint64_t *ret_end, struct err *err)
{
	uint64_t bytes = map->vol->bytes, start = bytes, end = bytes;

	if (offset < bytes && (offset < map->asked || offset >= map->end)) {
		if (map->vol->ops->next_data(map->vol, offset, &start, &end, err) < 0)
			return -1;
		/*
		 * A file that grows meanwhile is none of our business.  The
		 * answer must get us on, whatever the volume says.
		 */
		map->asked = offset;
		map->start = start < bytes ? start : bytes;
		map->end = end < bytes && end > offset ? end : bytes;
	}
	if (offset < bytes) {
		start = map->start > offset ? map->start : offset;
		end = map->end;
	}
	*ret_start = start;
	*ret_end = end;
	return 0;
}

int data_map_blocks(struct data_map *map, uint64_t base, uint64_t start, uint64_t end,
		    struct blocks *ret_data, struct blocks *ret_read, struct err *err)
{
	struct blocks set = BLOCKS_NONE;

	while (start < end) {
		uint64_t from, to;

		if (data_map_next(map, start, &from, &to, err) < 0)
			return -1;
		if (from >= end)
			break;
		if (to > end)
			to = end;
		from = (from - base) / BLOCK_BYTES;
		start = to;
		to = (to - base + BLOCK_BYTES - 1) / BLOCK_BYTES;
		blocks_add(&set, (unsigned)from, (unsigned)(to - from));
	}
	*ret_data = set;
	blocks_fill_gaps(&set, READ_GAP);
	blocks_round_out(&set, map->vol->align / BLOCK_BYTES);
	*ret_read = set;
	return 0;
}
