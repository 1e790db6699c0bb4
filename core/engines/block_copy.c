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

/* So many leaves of dst are looked at before they are zeroed: what zeroing_some() does at once at most. */
#define HOLE_LEAVES 1024ULL

struct copy {
	struct pipeline pipe;		/* files: the source, the destination */
	struct volume *src, *dst;
	struct leaves *leaves;
	struct data_map src_map, dst_map;
	struct zeroing zeroing;
	bool sparse, delta;
	enum block_known knows;		/* delta: the end of which known are the hashes */
	struct leaves *known;
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

/*
 * Whole leaves of zeroes, down to end: as far as it goes in one step.  both:
 * dst is known to have them already.
 */
static int next_hole(struct copy *c, struct item *item, uint64_t end, bool both, struct err *err)
{
	uint64_t from = c->next;
	bool write_zeroes = !c->sparse && !both;

	if (c->sparse && !both && !c->dst->fresh) {
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
		if (c->knows == BLOCK_KNOWS_DESTINATION)
			c->rewritten += end - from;
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

/* Where does the leaf begin that holds the next data of src, or src end? */
static int next_in_src(struct copy *c, uint64_t *ret_start, struct err *err)
{
	uint64_t start, end;

	if (data_map_next(&c->src_map, c->next, &start, &end, err) < 0)
		return -1;
	*ret_start = start < c->src->bytes ? round_down(start, LEAF_BYTES) : c->src->bytes;
	return 0;
}

/* The same of dst, down to the end of src. */
static int next_in_dst(struct copy *c, uint64_t *ret_start, struct err *err)
{
	uint64_t start, end;

	if (c->knows == BLOCK_KNOWS_DESTINATION) {
		if (leaves_next_data(c->known, c->next / LEAF_BYTES, &start, err) < 0)
			return -1;
		start *= LEAF_BYTES;
	} else if (data_map_next(&c->dst_map, c->next, &start, &end, err) < 0) {
		return -1;
	}
	*ret_start = start < c->src->bytes ? round_down(start, LEAF_BYTES) : c->src->bytes;
	return 0;
}

/* Down to where does dst hold something in each leaf, by its hashes? */
static int end_in_dst(struct copy *c, uint64_t *end, struct err *err)
{
	uint64_t leaf = c->next / LEAF_BYTES;
	int zero = 0;

	*end = min_u64(*end, c->next + HOLE_LEAVES * LEAF_BYTES);
	while (leaf * LEAF_BYTES < *end && (zero = leaves_zero(c->known, leaf, err)) == 0)
		leaf++;
	*end = min_u64(*end, leaf * LEAF_BYTES);
	return zero < 0 ? -1 : 0;
}

/* Where src is known, it is read only when dst turns out to differ. */
static int put_off_source(struct copy *c, struct item *item, struct err *err)
{
	int zero;

	item->later = item->read[0];
	if (!blocks_empty(&item->read[1])) {
		item->read[0] = BLOCKS_NONE;
		return 0;
	}
	/* Of dst there is nothing to be read: it is zeroes. */
	zero = leaves_zero(c->known, item->offset / LEAF_BYTES, err);
	if (zero > 0) {
		item->read[0] = BLOCKS_NONE;
		item->counts.bytes_zero = item->length;
		if (c->leaves && leaves_set(c->leaves, item->offset / LEAF_BYTES, NULL, err) < 0)
			return -1;
	}
	return zero < 0 ? -1 : 0;
}

static int copy_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct copy *c = (struct copy *)p;
	uint64_t in_src, in_dst, start, leaf_end;

	item->offset = c->next;
	if (c->next >= c->src->bytes)
		return 0;
	if (next_in_src(c, &in_src, err) < 0)
		return -1;
	start = in_src;
	if (c->delta) {
		if (next_in_dst(c, &in_dst, err) < 0)
			return -1;
		start = min_u64(in_src, in_dst);
	}
	if (start > c->next)
		return next_hole(c, item, start, c->delta, err);
	/* In dst it is data, and that is not read. */
	if (in_src > c->next && c->knows == BLOCK_KNOWS_DESTINATION)
		return end_in_dst(c, &in_src, err) < 0 ? -1 : next_hole(c, item, in_src, false, err);

	leaf_end = min_u64(c->next + LEAF_BYTES, c->src->bytes);
	item->length = leaf_end - c->next;
	if (data_map_blocks(&c->src_map, c->next, c->next, leaf_end, &item->data,
			    &item->read[0], err) < 0)
		return -1;
	if (c->delta && c->knows != BLOCK_KNOWS_DESTINATION) {
		struct blocks data;

		if (leaf_end == c->src->bytes)
			leaf_end = p->files[1].end;
		if (data_map_blocks(&c->dst_map, c->next, c->next, leaf_end, &data,
				    &item->read[1], err) < 0)
			return -1;
	}
	if (c->knows == BLOCK_KNOWS_SOURCE && put_off_source(c, item, err) < 0)
		return -1;
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

/* Has the end that was read the hash of the other?  0 also where the source had to be read to know. */
static int is_same(struct copy *c, const struct item *item, struct err *err)
{
	bool of_source = c->knows == BLOCK_KNOWS_SOURCE;

	if (!c->known || (of_source && !blocks_empty(&item->have[0])))
		return 0;
	return leaves_match(c->known, item->offset / LEAF_BYTES, item->buffer[of_source], err);
}

static int copy_loaded(struct pipeline *p, struct item *item, struct err *err)
{
	struct copy *c = (struct copy *)p;
	unsigned char *data = item->buffer[0];
	struct blocks all = whole(c, item->length), nonzero, keep, zero;
	bool unread = blocks_empty(&item->have[0]) && !blocks_empty(&item->later);
	int same = is_same(c, item, err);
	uint64_t flip;

	if (same < 0)
		return -1;
	if (unread && !same) {
		item->read[0] = item->later;
		return 0;
	}
	if (unread)
		data = item->buffer[1];
	nonzero = blocks_except(item->data, blocks_zero(data, item->data));
	if (c->leaves && leaves_set(c->leaves, item->offset / LEAF_BYTES,
				    blocks_empty(&nonzero) ? NULL : data, err) < 0)
		return -1;
	keep = c->sparse ? without_zero_runs(c, item->data, nonzero, all) : all;
	zero = c->dst->fresh ? BLOCKS_NONE : blocks_except(all, keep);
	item->write = keep;
	if (same) {
		item->write = zero = BLOCKS_NONE;
	} else if (c->knows == BLOCK_KNOWS_DESTINATION) {
		c->rewritten += blocks_bytes(&keep, item->length);
	} else if (c->delta) {
		struct blocks differ = blocks_differ(data, item->buffer[1], all);

		c->rewritten += blocks_bytes(c->known ? &item->later : &differ, item->length);
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
			.buffers = opt->delta && opt->knows != BLOCK_KNOWS_DESTINATION ? 2 : 1,
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
		.knows = opt->knows,
		.known = opt->known,
		.keeps_small_holes = dst->fresh || (dst->ops->next_data && !dst->blind),
		.align_blocks = in_blocks(dst->align),
		.hole_blocks = in_blocks(dst->align > dst->granularity ? dst->align : dst->granularity),
		.next = opt->start.offset,
	};
	int ret;

	assert(dst->bytes >= src->bytes);
	assert(!opt->knows == !opt->known && (!opt->known || opt->delta));
	assert(opt->start.offset % LEAF_BYTES == 0 || opt->start.offset == src->bytes);
	data_map_init(&c.src_map, src);
	data_map_init(&c.dst_map, dst);
	zeroing_init(&c.zeroing, dst);
	ret = pipeline_run(&c.pipe, ret_result, err);
	if (ret_result)
		ret_result->rewritten = c.rewritten;
	return ret;
}
