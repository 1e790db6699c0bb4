/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is there room in a thin pool for what is to be written to it? */
#include "plan_parts.h"

#include <inttypes.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"
#include "volumes/lv.h"
#include "volumes/thin.h"

static int too_small(const char *pool, const char *what, uint64_t is_free, uint64_t needed,
		     uint64_t reserve, const char *extend, struct err *err)
{
	char have[TEXT_SIZE_MAX], need[TEXT_SIZE_MAX], left[TEXT_SIZE_MAX];

	err_set(err, ERR_REFUSED, pool,
		"too little space for %s in the thin pool: %s (%" PRIu64 " bytes) are free, and %s (%" PRIu64
		" bytes) are needed besides %s that are left alone",
		what, text_size(is_free, have), is_free, text_size(needed, need), needed,
		text_size(reserve, left));
	return err_next(err, "extend the pool (%s) or choose another one", extend);
}

/*
 * What the copy watches while it writes must hold before it begins, too.  An
 * inactive pool does not tell; then it is the copy that stops in time.
 */
int plan_pool_room(const struct lv_pool *pool, const struct facts *source, struct plan *plan,
		   struct err *err)
{
	bool certain = !pool->zeroes || source->allocated < source->bytes;
	uint64_t data = pool->zeroes ? source->allocated : source->bytes, metadata;
	uint64_t reserve = thin_pool_data_reserve(pool->bytes);
	char have[TEXT_SIZE_MAX], size[TEXT_SIZE_MAX];

	if (!pool->active || !pool->chunk_bytes)
		return 0;
	metadata = thin_meta_needed(data, pool->chunk_bytes);
	if (!pool->zeroes)
		text_list_add(&plan->warnings, text_format(
			"the thin pool %s does not zero what it hands out, so all of the volume is written: it will be fully allocated",
			pool->name));
	if (data + reserve > pool->free_bytes) {
		if (certain)
			return too_small(pool->name, "data", pool->free_bytes, data, reserve,
					 "lvextend", err);
		text_list_add(&plan->warnings, text_format(
			"the thin pool %s has %s free: it is enough only if much of the source's %s is zero",
			pool->name, text_size(pool->free_bytes, have), text_size(source->bytes, size)));
	}
	reserve = thin_pool_meta_reserve(pool->metadata_bytes);
	if (certain && metadata + reserve > pool->metadata_free_bytes)
		return too_small(pool->name, "metadata", pool->metadata_free_bytes, metadata, reserve,
				 "lvextend --poolmetadatasize", err);
	return 0;
}
