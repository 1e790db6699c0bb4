/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer? */
#ifndef ENGINES_LIVE_PROBE_H
#define ENGINES_LIVE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Read its first block from the medium, and where write says so write the same
 * back and flush it (nobody else may use it then), all within limit_ms.
 */
int live_probe(const char *path, bool write, uint64_t limit_ms, struct err *err);

#endif
