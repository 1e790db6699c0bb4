/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer? */
#ifndef ENGINES_LIVE_PROBE_H
#define ENGINES_LIVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct step_context;

/*
 * Read the first block of the destination from the medium, write the same back
 * and flush it, all within limit_ms; nobody else may use it yet.  What is on the
 * network is asked by a connection of its own.
 */
int live_probe(struct step_context *ctx, uint64_t limit_ms, struct err *err);

/*
 * Of two that QEMU has: read the destination's first block, and have all that
 * was written to either so far made durable.  QEMU flushes both while the guest waits for
 * the pivot, so that here it is found whether that would take long, and what
 * of it can be is done before.  Where a server takes one client at a time, and
 * that is QEMU, it is not asked.
 */
int live_flush(struct step_context *ctx, uint64_t limit_ms, struct err *err);

#endif
