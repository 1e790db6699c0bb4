/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zeroing ranges of a volume without sending data. */
#include "engines/zeroing.h"

#include "support/clock.h"
#include "volumes/volume.h"

#define MIB (1024ULL * 1024)
#define CHUNK_LEAST MIB
#define CHUNK_FIRST (64 * MIB)
#define CHUNK_MOST (1024 * MIB)
#define QUICK_NS 100000000ULL
#define SLOW_NS 1000000000ULL

void zeroing_init(struct zeroing *zeroing, struct volume *vol)
{
	*zeroing = (struct zeroing){ .vol = vol, .cannot = !vol->ops->zero, .chunk = CHUNK_FIRST };
}

int zeroing_some(struct zeroing *zeroing, uint64_t offset, uint64_t end, uint64_t *ret_end,
		 struct err *err)
{
	uint64_t length = end - offset, start_ns = clock_ns(), took_ns;
	int r;

	if (zeroing->cannot)
		return 1;
	if (length > zeroing->chunk)
		length = zeroing->chunk;
	r = zeroing->vol->ops->zero(zeroing->vol, offset, length, ZERO_FREE, err);
	if (r < 0)
		return -1;
	if (r > 0) {
		zeroing->cannot = true;
		return 1;
	}
	/* Punching a hole takes no time, writing zeroes inside a disk does. */
	took_ns = clock_ns() - start_ns;
	if (took_ns > SLOW_NS && zeroing->chunk > CHUNK_LEAST)
		zeroing->chunk /= 2;
	else if (took_ns < QUICK_NS && length == zeroing->chunk && zeroing->chunk < CHUNK_MOST)
		zeroing->chunk *= 2;
	*ret_end = offset + length;
	return 0;
}
