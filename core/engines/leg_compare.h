/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compare the legs of a raid1 volume byte for byte while it is suspended for a moment. */
#ifndef ENGINES_LEG_COMPARE_H
#define ENGINES_LEG_COMPARE_H

#include "engines/step.h"

struct err;
struct online_now;

/*
 * For volumes that are written to so that scrubbing them never ends well: who
 * changes a buffer that is being written may well leave two legs that differ
 * and are both right.  What differs is copied from the old leg and read back.
 *
 * STEP_DONE: the legs are equal.  STEP_UNDONE: the new one does not keep what
 * it is given.  STEP_STOPPED: the time that the volume may be suspended was
 * not enough.
 */
enum step_result leg_compare(struct step_context *ctx, const struct online_now *now, struct err *err);

#endif
