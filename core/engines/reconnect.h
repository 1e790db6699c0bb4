/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a step does when the connection to an end of its move is lost: open it
 * again, after pauses that get longer, and go on from what is durable.  An end
 * may be a server that was restarted, and what was written to it and not
 * flushed may be gone; so nothing but the last durable mark counts.
 */
#ifndef ENGINES_RECONNECT_H
#define ENGINES_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/step.h"

struct err;

struct reconnect {
	bool opened;			/* the step sets it: both ends have been opened in this attempt */
	uint64_t reached;		/* and how far the attempt has read, where it writes nothing */
	unsigned attempts;		/* that were made after the first */
	uint64_t since_ns;		/* none has got any further since; 0: the first attempt */
	uint64_t mark;			/* up to where, durable or read, one had by then */
	unsigned pause_ms;
};

/*
 * An attempt has ended with result and err.  True: it was the connection, the
 * pause is over, and another attempt is due.  False: what the step comes to is
 * in *result and err, which says so when the connection did not come back
 * within the move's stall_ms.
 */
bool reconnect_again(struct reconnect *state, struct step_context *ctx, enum step_result *result,
		     struct err *err);

#endif
