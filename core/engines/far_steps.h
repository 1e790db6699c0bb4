/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other steps need of those whose other end is on another host. */
#ifndef ENGINES_FAR_STEPS_H
#define ENGINES_FAR_STEPS_H

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
