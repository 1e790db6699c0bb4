/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the far side does beside its steps. */
#ifndef ENGINES_SERVE_STEPS_H
#define ENGINES_SERVE_STEPS_H

#include <stdint.h>

struct err;
struct step_context;

/*
 * Hash this side's end, from byte start on (a multiple of 1 MiB), into the
 * job's leaves; for a delta, before its bytes are moved and while nobody else
 * has it open.  May be done again.
 */
int serve_survey(struct step_context *ctx, uint64_t start, struct err *err);

#endif
