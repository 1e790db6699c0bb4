/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading only: hash a volume, compare it with its hashes, look for what is not zero. */
#include "engines/block_copy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "engines/data_map.h"
#include "engines/pipeline.h"
#include "volumes/volume.h"

struct look {
	struct pipeline pipe;		/* its only file: the volume */
	struct data_map map;
	struct leaves *leaves;
	uint64_t next;			/* the next item begins here, ... */
	uint64_t end;			/* ... the last one ends here */
	uint64_t differing, first;	/* leaves that differ, and the lowest of them */
	uint64_t piece, pieces;		/* of what was read: pieces of that size that are not zero; 0: not counted */
};

/*
 * The next item: leaves that are holes by the volume's map, of which nothing
 * is read, or one leaf.  The first and the last may be parts of leaves.
 */
static int look_next(struct look *l, struct item *item, struct err *err)
{
	uint64_t base = round_down(l->next, LEAF_BYTES);
	uint64_t leaf_end = min_u64(base + LEAF_BYTES, l->end);
	uint64_t start, end;

	item->offset = l->next;
	if (l->next >= l->end)
		return 0;
	if (data_map_next(&l->map, l->next, &start, &end, err) < 0)
		return -1;
	if (start < leaf_end) {
		if (data_map_blocks(&l->map, base, l->next, leaf_end, &item->data,
				    &item->read[0], err) < 0)
			return -1;
		end = leaf_end;
		item->counts.bytes_data = end - l->next;
	} else {
		end = start < l->end ? round_down(start, LEAF_BYTES) : l->end;
		item->counts.bytes_zero = end - l->next;
	}
	item->length = end - l->next;
	l->next = end;
	return 1;
}

/* For what begins at the start of a leaf. */
static uint64_t first_leaf(const struct item *item)
{
	return item->offset / LEAF_BYTES;
}

static uint64_t end_leaf(const struct item *item)
{
	return round_up(item->offset + item->length, LEAF_BYTES) / LEAF_BYTES;
}

static int hash_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;
	int more = look_next(l, item, err);

	if (more > 0 && blocks_empty(&item->data) &&
	    leaves_set_zeroes(l->leaves, first_leaf(item), end_leaf(item) - first_leaf(item),
			      err) < 0)
		return -1;
	return more;
}

static int hash_loaded(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;

	return leaves_set(l->leaves, first_leaf(item), item->buffer[0], err);
}

static void note_difference(struct look *l, uint64_t leaf)
{
	if (!l->differing++ || leaf < l->first)
		l->first = leaf;
}

static int verify_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;
	int more = look_next(l, item, err);
	uint64_t leaf;

	if (more <= 0 || !blocks_empty(&item->data))
		return more;
	/* A hole: whatever of it was not zero at the source differs. */
	for (leaf = first_leaf(item); ; leaf++) {
		if (leaves_next_data(l->leaves, leaf, &leaf, err) < 0)
			return -1;
		if (leaf >= end_leaf(item))
			return 1;
		note_difference(l, leaf);
	}
}

/* Leaves up to end are none of this part's. */
static int pass_over(struct look *l, struct item *item, uint64_t end)
{
	item->offset = l->next;
	item->length = end - l->next;
	item->counts.bytes_zero = item->length;
	l->next = end;
	return 1;
}

static int verify_data_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;
	uint64_t leaf;

	if (l->next >= l->end)
		return 0;
	if (leaves_next_data(l->leaves, l->next / LEAF_BYTES, &leaf, err) < 0)
		return -1;
	leaf = min_u64(leaf * LEAF_BYTES, l->end);
	return leaf > l->next ? pass_over(l, item, leaf) : look_next(l, item, err);
}

static int verify_rest_next(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;
	int zero = l->next < l->end ? leaves_zero(l->leaves, l->next / LEAF_BYTES, err) : 1;

	if (zero < 0)
		return -1;
	return zero ? verify_next(p, item, err) : pass_over(l, item, min_u64(l->next + LEAF_BYTES, l->end));
}

static int verify_loaded(struct pipeline *p, struct item *item, struct err *err)
{
	struct look *l = (struct look *)p;
	int match = leaves_match(l->leaves, first_leaf(item), item->buffer[0], err);

	if (match == 0)
		note_difference(l, first_leaf(item));
	for (uint64_t at = 0; l->piece && at < item->length; at += l->piece)
		l->pieces += !memory_is_zero(item->buffer[0] + at, min_u64(l->piece, item->length - at));
	return match < 0 ? -1 : 0;
}

static int zero_next(struct pipeline *p, struct item *item, struct err *err)
{
	return look_next((struct look *)p, item, err);
}

static int differs(struct err *err)
{
	err->number = BLOCK_DIFFERS;
	return -1;
}

static int zero_loaded(struct pipeline *p, struct item *item, struct err *err)
{
	const unsigned char *data = item->buffer[0] + item->offset % LEAF_BYTES;
	uint64_t i = 0;

	if (memory_is_zero(data, item->length))
		return 0;
	while (!data[i])
		i++;
	err_set(err, ERR_FAILED, p->files[0].vol->path, "does not read back as zero at byte %llu",
		(unsigned long long)(item->offset + i));
	return differs(err);
}

static const struct pipeline_ops hash_ops = { .next = hash_next, .loaded = hash_loaded };
static const struct pipeline_ops verify_ops = { .next = verify_next, .loaded = verify_loaded };
static const struct pipeline_ops data_ops = { .next = verify_data_next, .loaded = verify_loaded };
static const struct pipeline_ops rest_ops = { .next = verify_rest_next, .loaded = verify_loaded };
static const struct pipeline_ops zero_ops = { .next = zero_next, .loaded = zero_loaded };

static void look_init(struct look *l, const struct pipeline_ops *ops, struct volume *vol,
		      uint64_t offset, uint64_t end, const struct block_copy_options *opt,
		      struct monitor *mon)
{
	*l = (struct look){
		.pipe = {
			.ops = ops,
			.files[0] = {
				.vol = vol,
				.end = end,
				.read_fault = "verify-eio",
				.short_class = ERR_STOPPED,
			},
			.file_count = 1,
			.buffers = 1,
			.write_file = -1,
			.mark.offset = offset,
			.opt = opt,
			.mon = mon,
		},
		.next = offset,
		.end = end,
	};
	data_map_init(&l->map, vol);
}

int block_hash(struct volume *src, struct leaves *leaves,
	       const struct block_copy_options *opt, struct monitor *mon,
	       struct block_copy_result *ret_result, struct err *err)
{
	struct look l;

	look_init(&l, &hash_ops, src, opt->start.offset, leaves_bytes(leaves), opt, mon);
	l.pipe.files[0].read_fault = "read-eio";
	l.pipe.files[0].short_class = ERR_REFUSED;
	l.leaves = leaves;
	if (pipeline_run(&l.pipe, ret_result, err) < 0)
		return -1;
	return leaves_sync(leaves, err);
}

static int verify(const struct pipeline_ops *ops, struct volume *vol, struct leaves *leaves,
		  const struct block_copy_options *opt, struct monitor *mon,
		  struct block_copy_result *ret_result, uint64_t piece, uint64_t *ret_pieces,
		  struct err *err)
{
	uint64_t bytes = leaves_bytes(leaves);
	struct look l;

	if (vol->bytes < bytes) {
		err_set(err, ERR_FAILED, vol->path,
			"is %llu bytes long, but %llu were read from the source",
			(unsigned long long)vol->bytes, (unsigned long long)bytes);
		return differs(err);
	}
	volume_drop_cache(vol, 0, bytes);
	look_init(&l, ops, vol, 0, bytes, opt, mon);
	l.leaves = leaves;
	l.piece = piece;
	if (pipeline_run(&l.pipe, ret_result, err) < 0)
		return -1;
	if (ret_pieces)
		*ret_pieces = l.pieces;
	if (l.differing == 0)
		return 0;
	err_set(err, ERR_FAILED, vol->path,
		"read back differs from what was read from the source at byte %llu "
		"(%llu of %llu MiB differ)",
		(unsigned long long)(l.first * LEAF_BYTES), (unsigned long long)l.differing,
		(unsigned long long)leaves_count(leaves));
	return differs(err);
}

int block_verify(struct volume *vol, struct leaves *leaves,
		 const struct block_copy_options *opt, struct monitor *mon,
		 struct block_copy_result *ret_result, struct err *err)
{
	return verify(&verify_ops, vol, leaves, opt, mon, ret_result, 0, NULL, err);
}

int block_verify_data(struct volume *vol, struct leaves *leaves, uint64_t piece,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct block_copy_result *ret_result, uint64_t *ret_pieces, struct err *err)
{
	assert(piece && LEAF_BYTES % piece == 0);
	return verify(&data_ops, vol, leaves, opt, mon, ret_result, piece, ret_pieces, err);
}

int block_verify_rest(struct volume *vol, struct leaves *leaves,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct block_copy_result *ret_result, struct err *err)
{
	return verify(&rest_ops, vol, leaves, opt, mon, ret_result, 0, NULL, err);
}

int block_verify_zero(struct volume *vol, uint64_t offset, uint64_t end,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct err *err)
{
	struct look l;

	volume_drop_cache(vol, offset, end - offset);
	look_init(&l, &zero_ops, vol, offset, end, opt, mon);
	return pipeline_run(&l.pipe, NULL, err);
}

int block_check_leaf(struct volume *vol, struct leaves *leaves, uint64_t offset,
		     struct err *err)
{
	uint64_t leaf = (offset - 1) / LEAF_BYTES, base = leaf * LEAF_BYTES;
	size_t length, want, got = 0;
	void *data = NULL;
	int ret = -1;

	if (offset == 0)
		return 1;
	length = leaves_length(leaves, leaf);
	want = round_up(length, vol->align);
	volume_drop_cache(vol, base, want);
	if (posix_memalign(&data, LEAF_BYTES, LEAF_BYTES)) {
		err_set(err, ERR_STOPPED, NULL, "no memory to read with");
		goto out;
	}
	while (got < length) {
		int64_t n = volume_read(vol, (char *)data + got, want - got, base + got);

		if (n < 0) {
			err_sys(err, (int)-n, vol->path, "cannot read at byte %llu",
				(unsigned long long)(base + got));
			err->class = ERR_STOPPED;
			goto out;
		}
		if (n == 0) {
			/* It has become shorter: then it is not what we left. */
			ret = 0;
			goto out;
		}
		got += (size_t)n;
	}
	ret = leaves_match(leaves, leaf, data, err);
out:
	free(data);
	return ret;
}
