/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wait for what md does with the legs of a raid1 volume, and have it prove that they are equal. */
#ifndef ENGINES_LEG_SCRUB_H
#define ENGINES_LEG_SCRUB_H

#include <stdint.h>

#include "engines/step.h"

struct err;
struct online_now;

enum leg_action {
	LEG_SYNC,		/* the new leg becomes like the old one */
	LEG_CHECK,
	LEG_REPAIR,
};

/*
 * Wait until the action is over, telling how far it is.  STEP_UNDONE when the
 * new leg has failed; STEP_STOPPED when the old one has, when it was
 * interrupted, or when nothing moves.  ret_mismatches may be NULL.
 */
enum step_result leg_wait(struct step_context *ctx, const struct online_now *now, enum leg_action action,
			  uint64_t *ret_mismatches, struct err *err);

/*
 * Check, repair from the old leg, check again, up to a bound.  STEP_DONE: a
 * check has read all of each leg and found nothing that differs.
 */
enum step_result leg_scrub(struct step_context *ctx, const struct online_now *now, struct err *err);

/* The new leg is not there any more: says so, and returns what follows from it. */
enum step_result leg_lost(struct step_context *ctx, const struct online_now *now, struct err *err);

#endif
