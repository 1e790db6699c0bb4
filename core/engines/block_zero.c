/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a range of a volume zero. */
#include "engines/block_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/data_map.h"
#include "engines/pipeline.h"
#include "engines/zeroing.h"
#include "volumes/volume.h"

struct zero {
	struct pipeline pipe;		/* its only file: the volume */
	struct data_map map;
	struct zeroing zeroing;
	bool overwrite;			/* by writing, not by the cheapest way */
	uint64_t next, end;
};

static int zero_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct zero *z = (struct zero *)p;
	uint64_t base = round_down(z->next, LEAF_BYTES);
	uint64_t leaf_end = min_u64(base + LEAF_BYTES, z->end);
	struct blocks unused;
	uint64_t start, end;
	int r = 1;

	item->offset = z->next;
	if (z->next >= z->end)
		return 0;
	if (!z->overwrite)
		r = zeroing_some(&z->zeroing, z->next, z->end, &end, err);
	if (r < 0)
		return -1;
	if (r > 0) {
		/* Write over what is data; holes are zero as they are. */
		if (data_map_next(&z->map, z->next, &start, &end, err) < 0)
			return -1;
		if (start < leaf_end) {
			if (data_map_blocks(&z->map, base, z->next, leaf_end, &item->write,
					    &unused, err) < 0)
				return -1;
			blocks_round_out(&item->write, p->files[0].vol->align / BLOCK_BYTES);
			item->write_zeroes = true;
			end = leaf_end;
		} else {
			end = min_u64(start, z->end);
		}
	}
	item->length = end - z->next;
	z->next = end;
	return 1;
}

static const struct pipeline_ops zero_ops = { .next = zero_next };

static int edge_error(struct err *err, const struct volume *vol, int number, uint64_t offset)
{
	err_sys(err, number, vol->path, "cannot zero at byte %llu", (unsigned long long)offset);
	err->class = ERR_STOPPED;
	return -1;
}

/*
 * Zero a part of one unit of direct I/O: by the cache where the volume has a
 * descriptor for that, else by reading, changing and writing the unit.
 */
static int zero_edge(struct volume *vol, uint64_t from, uint64_t end, uint64_t unit,
		     struct err *err)
{
	uint64_t base = round_down(from, unit);
	size_t length = (size_t)min_u64(unit, vol->bytes - base);
	unsigned char *data = NULL;
	int ret = -1;
	int64_t n;

	if (from >= end)
		return 0;
	if (posix_memalign((void **)&data, unit, unit)) {
		edge_error(err, vol, ENOMEM, from);
		goto out;
	}
	if (vol->fd_buffered >= 0) {
		memset(data, 0, unit);
		n = pwrite(vol->fd_buffered, data, end - from, (off_t)from);
		if (n < 0)
			n = -errno;
		if (n == (int64_t)(end - from))
			ret = 0;
	} else {
		n = volume_read(vol, data, length, base);
		if (n == (int64_t)length) {
			memset(data + (from - base), 0, end - from);
			n = volume_write(vol, data, length, base);
			if (n == (int64_t)length)
				ret = 0;
		}
	}
	if (ret < 0)
		edge_error(err, vol, n < 0 ? (int)-n : EIO, from);
out:
	free(data);
	return ret;
}

int block_zero(struct volume *vol, uint64_t offset, uint64_t end,
	       enum block_zero_how how, const struct block_copy_options *opt,
	       struct monitor *mon, struct err *err)
{
	uint64_t unit = vol->align > BLOCK_BYTES ? vol->align : BLOCK_BYTES;
	uint64_t from = min_u64(round_up(offset, unit), end);
	uint64_t to = end;
	struct zero z;

	/* The pipeline knows how to write up to the volume's very end. */
	if (end != vol->bytes && round_down(end, unit) >= from)
		to = round_down(end, unit);
	if (zero_edge(vol, offset, from, unit, err) < 0 || zero_edge(vol, to, end, unit, err) < 0)
		return -1;
	z = (struct zero){
		.pipe = {
			.ops = &zero_ops,
			.files[0] = { .vol = vol, .end = to, .short_class = ERR_STOPPED },
			.file_count = 1,
			.write_file = 0,
			.mark.offset = from,
			.done = (from - offset) + (end - to),
			.opt = opt,
			.mon = mon,
		},
		.overwrite = how == BLOCK_ZERO_WRITE,
		.next = from,
		.end = to,
	};
	data_map_init(&z.map, vol);
	zeroing_init(&z.zeroing, vol);
	return pipeline_run(&z.pipe, NULL, err);
}
