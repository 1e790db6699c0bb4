/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A limit of bytes per second. */
#include "engines/pace.h"

#define SECOND 1000000000ULL

void pace_init(struct pace *pace, uint64_t bytes_per_second, uint64_t now_ns)
{
	pace->bytes_per_second = bytes_per_second;
	pace->paid_until_ns = now_ns;
}

void pace_set(struct pace *pace, uint64_t bytes_per_second)
{
	pace->bytes_per_second = bytes_per_second;
}

uint64_t pace_piece(const struct pace *pace, uint64_t unit, uint64_t most)
{
	uint64_t piece = pace->bytes_per_second / 20 / unit * unit;

	if (!pace->bytes_per_second || piece > most)
		return most;
	return piece ? piece : unit;
}

uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns)
{
	uint64_t due;

	if (!pace->bytes_per_second) {
		pace->paid_until_ns = now_ns;
		return 0;
	}
	/* At most a leaf, 2^20 bytes, is asked for, so this cannot wrap. */
	due = pace->paid_until_ns + bytes * SECOND / pace->bytes_per_second;
	if (now_ns < due)
		return due - now_ns;
	pace->paid_until_ns = now_ns - due > SECOND ? now_ns : due;
	return 0;
}
