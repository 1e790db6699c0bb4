/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thin volumes to be read and written; see thin_volume.h. */
#include "volumes/thin_volume.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "support/err.h"
#include "volumes/thin.h"
#include "volumes/thin_map.h"
#include "volumes/thin_snapshot.h"

#define GRANULARITY_MOST (1U << 20)

struct thin_io {
	struct thin_pool pool;
	bool discards;
	struct thin_map *map;
};

uint64_t thin_allocated(dev_t dev, uint64_t bytes)
{
	struct err ignored = ERR_INIT;
	struct thin_volume thin;

	if (thin_look(dev, &thin, &ignored) != 1 || thin.pool.fails || thin.mapped > bytes)
		return bytes;
	return thin.mapped;
}

int thin_setup(struct volume *vol, unsigned flags, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct thin_volume thin;
	struct stat st;
	int is_thin;

	if (fstat(vol->fd, &st) < 0)
		return err_sys(err, errno, vol->path, "cannot look at the device");
	/* Who may not ask device-mapper takes it for any device: all is data, nothing is zero. */
	is_thin = thin_look(st.st_rdev, &thin, &ignored);
	if (is_thin <= 0)
		return 0;
	vol->thin = calloc(1, sizeof(*vol->thin));
	if (!vol->thin)
		abort();
	vol->thin->pool = thin.pool;
	vol->thin->discards = thin.pool.discards;
	vol->fresh = (flags & OPEN_FRESH) && thin.pool.zeroes;
	/* A hole within a chunk saves nothing: the largest power of two that divides it. */
	while (vol->granularity < GRANULARITY_MOST &&
	       thin.pool.chunk % (vol->granularity * UINT64_C(2)) == 0)
		vol->granularity *= 2;
	return 0;
}

bool thin_count(const struct volume *vol, uint64_t *ret_chunk, uint64_t *ret_mapped)
{
	struct err ignored = ERR_INIT;
	struct thin_volume thin;
	struct stat st;

	if (!vol->thin || fstat(vol->fd, &st) < 0 || thin_look(st.st_rdev, &thin, &ignored) != 1 ||
	    thin.pool.fails || thin.origin_outside)
		return false;
	*ret_chunk = thin.pool.chunk;
	*ret_mapped = thin.mapped;
	return true;
}

int thin_load_map(struct volume *vol, const char *record, struct err *err)
{
	struct thin_map *map = NULL;
	struct stat st;
	int r;

	if (!vol->thin || vol->thin->map)
		return 0;
	if (fstat(vol->fd, &st) < 0)
		return err_sys(err, errno, vol->path, "cannot look at the device");
	r = thin_snapshot_map(st.st_rdev, vol->fd, vol->bytes, record, &map, err);
	if (r < 0)
		return -1;
	vol->thin->map = map;
	vol->blind = !map;
	return 0;
}

int thin_next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
		   struct err *err)
{
	(void)err;
	*ret_start = offset < vol->bytes ? offset : vol->bytes;
	*ret_end = vol->bytes;
	if (vol->thin && vol->thin->map)
		thin_map_next(vol->thin->map, offset, ret_start, ret_end);
	return 0;
}

int thin_has_room(struct volume *vol, struct err *err)
{
	if (!vol->thin)
		return 0;
	if (thin_pool_look_again(&vol->thin->pool, err) < 0) {
		err->class = ERR_STOPPED;
		return -1;
	}
	return thin_pool_has_room(&vol->thin->pool, err);
}

void thin_release(struct volume *vol)
{
	if (vol->thin)
		thin_map_free(vol->thin->map);
	free(vol->thin);
	vol->thin = NULL;
}

/*
 * dm-thin unmaps the chunks that are wholly in a discarded range, at once, and
 * leaves the edges as they are, also where the volume ends within a chunk; an unmapped chunk reads as zero, whether the
 * pool zeroes or not.
 */
int thin_zero(struct volume *vol, uint64_t offset, uint64_t length,
	      int (*keep)(struct volume *vol, uint64_t offset, uint64_t length,
			  enum zero_how how, struct err *err),
	      struct err *err)
{
	uint64_t chunk = vol->thin->pool.chunk, end = offset + length;
	uint64_t from = (offset + chunk - 1) / chunk * chunk, to = end / chunk * chunk;
	uint64_t range[2];
	int rc;

	if (!vol->thin->discards || from >= to)
		return keep(vol, offset, length, ZERO_KEEP, err);
	rc = from > offset ? keep(vol, offset, from - offset, ZERO_KEEP, err) : 0;
	if (rc == 0 && end > to)
		rc = keep(vol, to, end - to, ZERO_KEEP, err);
	if (rc)
		return rc;
	range[0] = from;
	range[1] = to - from;
	do {
		rc = ioctl(vol->fd, BLKDISCARD, range);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EINVAL)
		return err_sys(err, errno, vol->path, "cannot discard %llu bytes at offset %llu",
			       (unsigned long long)range[1], (unsigned long long)from);
	vol->thin->discards = false;
	return keep(vol, from, to - from, ZERO_KEEP, err);
}
