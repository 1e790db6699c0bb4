/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A monitor that draws a line on a terminal, or writes one JSON object a line. */
#ifndef SUPPORT_PROGRESS_H
#define SUPPORT_PROGRESS_H

#include <stdbool.h>

#include "support/monitor.h"

enum progress_mode {
	PROGRESS_AUTO,		/* PROGRESS_TTY where fd is a terminal, else PROGRESS_NONE */
	PROGRESS_TTY,
	PROGRESS_JSON,
	PROGRESS_NONE,
};

struct progress;

/* Writes to fd, which stays the caller's.  At most some five lines a second. */
struct progress *progress_open(enum progress_mode mode, int fd);

/* For the JSON lines; copied. */
void progress_set_job(struct progress *progress, const char *job_id);

struct monitor *progress_monitor(struct progress *progress);

/* Take a drawn line away (before other output), it comes back with the next advance. */
void progress_clear(struct progress *progress);

/* NULL is fine. */
void progress_close(struct progress *progress);

#endif
