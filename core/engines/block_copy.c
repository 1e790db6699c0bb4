/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying: read what is data, hash it, write what is not zero, or what differs. */
#include "engines/block_copy.h"

#include <assert.h>

#include "engines/data_map.h"
#include "engines/pipeline.h"
#include "engines/zeroing.h"
#include "support/inject.h"
#include "volumes/volume.h"

/* Zeroes within data are left out from so many blocks on (32 KiB): below, a write is cheaper. */
#define ZERO_RUN 8

struct copy {
	struct pipeline pipe;		/* files: the source, the destination */
	struct volume *src, *dst;
	struct leaves *leaves;
	struct data_map src_map, dst_map;
	struct zeroing zeroing;
	bool sparse, delta;
	bool keeps_small_holes;		/* a hole in dst smaller than ZERO_RUN is worth having */
	unsigned align_blocks;		/* of dst: what a write must be a multiple of, and ... */
	unsigned hole_blocks;		/* ... what a hole must be a multiple of to be one */
	uint64_t next;			/* the next item begins here */
	uint64_t rewritten;
};

static unsigned in_blocks(uint32_t bytes)
{
	if (bytes >= LEAF_BYTES)
		return LEAF_BLOCKS;
	return bytes > BLOCK_BYTES ? bytes / BLOCK_BYTES : 1;
}

/* What is written of a leaf of that length: in the last one, all of the last sector. */
static struct blocks whole(const struct copy *c, uint64_t length)
{
	struct blocks blocks = blocks_of_length(length);

	blocks_round_out(&blocks, c->align_blocks);
	return blocks;
}

/* Whole leaves of zeroes, down to end: as far as it goes in one step. */
static int next_hole(struct copy *c, struct item *item, uint64_t end, struct err *err)
{
	uint64_t from = c->next;
	bool write_zeroes = !c->sparse && !c->delta;

	/* With delta both ends have a hole here, so nothing differs. */
	if (c->sparse && !c->delta && !c->dst->fresh) {
		/* The last leaf takes the rest of the last sector along. */
		uint64_t zero_end = end == c->src->bytes ? c->pipe.files[1].end : end;
		int r = zeroing_some(&c->zeroing, from, zero_end, &zero_end, err);

		if (r < 0)
			return -1;
		write_zeroes = r > 0;
		if (r == 0)
			end = min_u64(zero_end, end);
	}
	if (write_zeroes) {
		end = min_u64(end, from + LEAF_BYTES);
		item->write_zeroes = true;
		item->write = whole(c, end - from);
	}
	item->length = end - from;
	if (c->sparse) {
		item->counts.bytes_zero = item->length;
	} else {
		item->counts.bytes_data = item->length;
		item->counts.bytes_written = write_zeroes ? item->length : 0;
	}
	c->next = end;
	if (!c->leaves)
		return 1;
	if (leaves_set_zeroes(c->leaves, from / LEAF_BYTES,
			      round_up(item->length, LEAF_BYTES) / LEAF_BYTES, err) < 0)
		return -1;
	return 1;
}

static int copy_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct copy *c = (struct copy *)p;
	uint64_t start, dst_start, end, leaf_end;

	item->offset = c->next;
	if (c->next >= c->src->bytes)
		return 0;
	if (data_map_next(&c->src_map, c->next, &start, &end, err) < 0)
		return -1;
	if (c->delta) {
		if (data_map_next(&c->dst_map, c->next, &dst_start, &end, err) < 0)
			return -1;
		start = min_u64(start, dst_start);
	}
	if (start >= c->src->bytes)
		return next_hole(c, item, c->src->bytes, err);
	start = round_down(start, LEAF_BYTES);
	if (start > c->next)
		return next_hole(c, item, start, err);

	leaf_end = min_u64(c->next + LEAF_BYTES, c->src->bytes);
	item->length = leaf_end - c->next;
	if (data_map_blocks(&c->src_map, c->next, c->next, leaf_end, &item->data,
			    &item->read[0], err) < 0)
		return -1;
	if (c->delta) {
		struct blocks data;

		if (leaf_end == c->src->bytes)
			leaf_end = p->files[1].end;
		if (data_map_blocks(&c->dst_map, c->next, c->next, leaf_end, &data,
				    &item->read[1], err) < 0)
			return -1;
	}
	c->next += item->length;
	return 1;
}

/* Which of the data is carried, when zeroes need not be. */
static struct blocks without_zero_runs(const struct copy *c, struct blocks data,
				       struct blocks nonzero, struct blocks all)
{
	struct blocks zero = blocks_except(all, nonzero), keep = nonzero;
	unsigned first, count;

	for (unsigned at = 0; blocks_run(&zero, at, &first, &count); at = first + count) {
		struct blocks run = BLOCKS_NONE;

		if (count >= ZERO_RUN)
			continue;
		blocks_add(&run, first, count);
		keep = blocks_or(keep, c->keeps_small_holes ? blocks_and(run, data) : run);
	}
	blocks_round_out(&keep, c->hole_blocks);
	return blocks_and(keep, all);
}

/* Make blocks of the leaf zero; those where dst cannot are added to item->write. */
static int zero_blocks(struct copy *c, struct item *item, const struct blocks *blocks,
		       struct err *err)
{
	unsigned first, count;

	for (unsigned at = 0; blocks_run(blocks, at, &first, &count); at = first + count) {
		uint64_t from = item->offset + (uint64_t)first * BLOCK_BYTES;
		uint64_t end = min_u64(from + (uint64_t)count * BLOCK_BYTES, c->pipe.files[1].end);

		while (from < end) {
			int r = zeroing_some(&c->zeroing, from, end, &from, err);

			if (r < 0)
				return -1;
			if (r > 0) {
				blocks_add(&item->write, first, count);
				break;
			}
		}
	}
	return 0;
}

static int copy_loaded(struct pipeline *p, struct item *item, struct err *err)
{
	struct copy *c = (struct copy *)p;
	unsigned char *data = item->buffer[0];
	struct blocks all = whole(c, item->length), nonzero, keep, zero;
	uint64_t flip;

	nonzero = blocks_except(item->data, blocks_zero(data, item->data));
	if (c->leaves && leaves_set(c->leaves, item->offset / LEAF_BYTES,
				    blocks_empty(&nonzero) ? NULL : data, err) < 0)
		return -1;
	keep = c->sparse ? without_zero_runs(c, item->data, nonzero, all) : all;
	zero = c->dst->fresh ? BLOCKS_NONE : blocks_except(all, keep);
	item->write = keep;
	if (c->delta) {
		struct blocks differ = blocks_differ(data, item->buffer[1], all);

		c->rewritten += blocks_bytes(&differ, item->length);
		blocks_round_out(&differ, c->align_blocks);
		item->write = blocks_and(keep, differ);
		zero = blocks_and(blocks_except(all, keep), differ);
	}
	item->counts.bytes_data = blocks_bytes(&keep, item->length);
	item->counts.bytes_zero = item->length - item->counts.bytes_data;
	item->counts.bytes_written = blocks_bytes(&item->write, item->length);
	if (inject_number("flip-write", &flip) &&
	    inject_covers("flip-write", item->offset, item->length)) {
		data[flip - item->offset] ^= 1;
		blocks_add(&item->write, (unsigned)((flip - item->offset) / BLOCK_BYTES), 1);
	}
	return zero_blocks(c, item, &zero, err);
}

static int copy_durable(struct pipeline *p, const struct mark *mark, struct err *err)
{
	struct copy *c = (struct copy *)p;

	if (c->leaves && leaves_sync(c->leaves, err) < 0)
		return -1;
	return monitor_durable(p->mon, mark, err);
}

static const struct pipeline_ops copy_ops = {
	.next		= copy_next,
	.loaded		= copy_loaded,
	.durable	= copy_durable,
};

int block_copy(struct volume *src, struct volume *dst, struct leaves *leaves,
	       const struct block_copy_options *opt, struct monitor *mon,
	       struct block_copy_result *ret_result, struct err *err)
{
	struct copy c = {
		.pipe = {
			.ops = &copy_ops,
			.files = {
				{
					.vol = src,
					.end = src->bytes,
					.read_fault = "read-eio",
					.short_class = ERR_REFUSED,
				}, {
					.vol = dst,
					.end = min_u64(round_up(src->bytes, dst->align), dst->bytes),
					.short_class = ERR_STOPPED,
				},
			},
			.file_count = 2,
			.buffers = opt->delta ? 2 : 1,
			.write_file = 1,
			.grows = true,
			.mark = opt->start,
			.done = opt->start.offset,
			.opt = opt,
			.mon = mon,
		},
		.src = src,
		.dst = dst,
		.leaves = leaves,
		.sparse = opt->sparse,
		.delta = opt->delta,
		.keeps_small_holes = dst->fresh || (dst->ops->next_data && !dst->blind),
		.align_blocks = in_blocks(dst->align),
		.hole_blocks = in_blocks(dst->align > dst->granularity ? dst->align : dst->granularity),
		.next = opt->start.offset,
	};
	int ret;

	assert(dst->bytes >= src->bytes);
	assert(opt->start.offset % LEAF_BYTES == 0 || opt->start.offset == src->bytes);
	data_map_init(&c.src_map, src);
	data_map_init(&c.dst_map, dst);
	zeroing_init(&c.zeroing, dst);
	ret = pipeline_run(&c.pipe, ret_result, err);
	if (ret_result)
		ret_result->rewritten = c.rewritten;
	return ret;
}
