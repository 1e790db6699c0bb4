/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other steps need of those whose other end is on another host. */
#ifndef ENGINES_FAR_STEPS_H
#define ENGINES_FAR_STEPS_H

#include <stdint.h>

#include "support/monitor.h"

struct err;
struct facts;
struct leaves;
struct step_context;

/*
 * Is the end that is on another host as it has to be before the commit?  That
 * host looks; asked by one, 0: what is there is for that one to know.
 */
int far_check(struct step_context *ctx, const struct facts *end, struct err *err);

/*
 * Delta: have the end that is there hashed, from byte start on (a multiple of
 * 1 MiB), and take the hashes over; *ret is the caller's.  No channel for its
 * bytes may be open.  They are those of now: of what was written later they
 * tell nothing, so a copy that goes on asks anew.  ERR_STOPPED where that host
 * cannot be reached for so long that it was given up.
 */
int far_survey(struct step_context *ctx, uint64_t start, struct leaves **ret, struct err *err);

/*
 * Have the destination there read back from its medium, and compare: as
 * block_verify(), but only hashes cross the line.
 */
int far_verify(struct step_context *ctx, struct leaves *leaves, struct err *err);

/* ctx->mon, that also tells the other host now and then that we are still there. */
struct far_monitor {
	struct monitor base;
	struct monitor *to;
	const char *host;
};

struct monitor *far_monitor(struct far_monitor *self, const struct step_context *ctx);

#endif
