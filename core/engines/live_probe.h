/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer? */
#ifndef ENGINES_LIVE_PROBE_H
#define ENGINES_LIVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct step_context;

/*
 * Read the first block of the destination from the medium, and where write says
 * so write the same back and flush it (nobody else may use it then), all within
 * limit_ms.  What is on the network is asked by a connection of its own; where
 * the server takes only one at a time (it says so when nobody else has it),
 * nobody is asked once the mirror has that.
 */
int live_probe(struct step_context *ctx, bool write, uint64_t limit_ms, struct err *err);

#endif
