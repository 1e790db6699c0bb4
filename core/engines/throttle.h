/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast a job may go just now: by its own limit, by a profile over the day,
 * by what an operator has set since (volmig set), and by how long the requests
 * of others have to wait at its devices.
 */
#ifndef ENGINES_THROTTLE_H
#define ENGINES_THROTTLE_H

#include <stdint.h>

struct move;
struct pace;
struct throttle;

/*
 * control is the file that throttle_set() writes; rates (may be NULL) a profile
 * as calendar.h has it; max_latency_us 0: the devices are not looked at.
 */
struct throttle *throttle_new(const char *control, const struct move *move, const char *rates,
			      uint64_t max_latency_us);
void throttle_free(struct throttle *throttle);

/* What to give to an engine; NULL where throttle is. */
struct pace *throttle_pace(struct throttle *throttle);

/* Look around, if it is time to, and set the pace. */
void throttle_look(struct throttle *throttle, uint64_t now_ns, uint64_t bytes_done);

/* Just how many bytes per second would be right now, for engines that do not use a pace; 0: no limit. */
uint64_t throttle_rate(struct throttle *throttle);

#endif
