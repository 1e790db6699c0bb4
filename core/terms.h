/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which terms a job runs: beside how many others, when, how fast, how
 * politely.  They are journalled with the job, and hold when it is resumed.
 */
#ifndef TERMS_H
#define TERMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "job_limits.h"

struct err;
struct job;
struct throttle;
struct ticket;

/* Strings are those of support/calendar.h, checked, and belong to the caller; or NULL. */
struct terms {
	struct limits limits;
	const char *windows;
	const char *rates;
	bool nice;			/* I/O priority: idle */
	uint64_t max_latency_us;	/* 0: whatever it is */
};

json_t *terms_to_json(const struct terms *terms);
/* The strings are json's. */
struct terms terms_from_json(const json_t *json);

/*
 * A job that is ours takes its place in the queue; its terms are journalled, if
 * it is new.  waits hears what it waits for later.
 */
int terms_enter(const char *state_dir, struct job *job, const struct terms *terms,
		struct ticket **ret, struct err *err);

/*
 * Go on once it may: ERR_STOPPED outside of its windows, and when asked to stop
 * while it waits.  From here on it stops by itself at the end of a window.
 * any_time: it has none, this time.
 */
int terms_wait(const struct job *job, struct ticket *ticket, bool any_time, void (*waits)(const char *what),
	       struct err *err);

/* Is now in the windows (NULL: always)?  ERR_STOPPED when not.  Stops us at their end. */
int terms_window(const char *windows, const char *object, struct err *err);

/* The throttle for its steps. */
struct throttle *terms_throttle(const struct job *job);

/* volmig set: change the rate of a job, running or not; 0: no limit. */
int terms_set_rate(const struct job *job, uint64_t bytes_per_second, struct err *err);

#endif
