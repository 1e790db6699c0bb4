/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a thin volume back without its map: by the kernel's count of its chunks. */
#include "engines/verify_count.h"

#include "engines/leaves.h"
#include "volumes/thin_volume.h"

int verify_by_count(struct volume *vol, struct leaves *leaves,
		    const struct block_copy_options *opt, struct monitor *mon,
		    struct block_copy_result *ret_result, bool *ret_data, struct err *err)
{
	uint64_t chunk, mapped, pieces, mapped_after;

	*ret_data = false;
	/* A chunk of two leaves would be counted twice; one that ends beyond the leaves is looked at by its map. */
	if (vol->bytes != leaves_bytes(leaves) || !thin_count(vol, &chunk, &mapped) || LEAF_BYTES % chunk)
		return 0;
	if (block_verify_data(vol, leaves, chunk, opt, mon, ret_result, &pieces, err) < 0)
		return -1;
	*ret_data = true;
	return pieces * chunk == mapped && thin_count(vol, &chunk, &mapped_after) && mapped_after == mapped;
}
