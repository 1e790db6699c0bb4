/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thin volumes as volumes to be read and written: what struct volume_ops wants,
 * for those kinds that may be thin volumes.  On a device that is none of them
 * each does what is right for any device.
 */
#ifndef VOLUMES_THIN_VOLUME_H
#define VOLUMES_THIN_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "volumes/volume.h"

struct err;

/* What a thin volume has mapped; otherwise, of any device: bytes. */
uint64_t thin_allocated(dev_t dev, uint64_t bytes);

/*
 * vol is open; fills vol->thin, granularity, and fresh: OPEN_FRESH is believed
 * where the pool zeroes what it hands out.
 */
int thin_setup(struct volume *vol, unsigned flags, struct err *err);

/*
 * vol is open: the size of its chunks, and how many bytes the kernel has mapped
 * of it just now, of which all else reads as zero.  false: it is no thin volume,
 * or it is not so.
 */
bool thin_count(const struct volume *vol, uint64_t *ret_chunk, uint64_t *ret_mapped);

int thin_load_map(struct volume *vol, const char *record, struct err *err);
int thin_next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
		   struct err *err);
int thin_has_room(struct volume *vol, struct err *err);
void thin_release(struct volume *vol);

/*
 * Zero a range and give back the chunks that are wholly in it; what is left of
 * it, at its edges, by keep() with ZERO_KEEP.  Returns as volume_ops.zero() does.
 */
int thin_zero(struct volume *vol, uint64_t offset, uint64_t length,
	      int (*keep)(struct volume *vol, uint64_t offset, uint64_t length,
			  enum zero_how how, struct err *err),
	      struct err *err);

#endif
