/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A limit of bytes per second, kept by paying for each piece before it is issued. */
#ifndef ENGINES_PACE_H
#define ENGINES_PACE_H

#include <stdint.h>

struct pace {
	uint64_t bytes_per_second;	/* 0: no limit */
	uint64_t paid_until_ns;		/* when the time that was paid for is over */
};

void pace_init(struct pace *pace, uint64_t bytes_per_second, uint64_t now_ns);

/* From now on. */
void pace_set(struct pace *pace, uint64_t bytes_per_second);

/*
 * The most bytes to ask pace_take() for at once: about a twentieth of a
 * second's worth, in multiples of unit (a power of two), at most most.
 */
uint64_t pace_piece(const struct pace *pace, uint64_t unit, uint64_t most);

/*
 * May so many bytes be issued now?  0: yes, and they are paid; else ask again
 * after so many nanoseconds.
 *
 * The schedule is absolute (start + bytes / rate), so that lateness of a
 * moment is made up for; but a pause of more than a second is forgotten, and
 * not followed by a burst.
 */
uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns);

#endif
