/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running job is doing this very second, for other processes to see:
 * jobs/UUID/now.json, replaced at most once a second while somebody works on
 * the job.  It is worth nothing once that process is gone: the journal is what
 * counts.
 */
#ifndef PULSE_H
#define PULSE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/monitor.h"

#define PULSE_SAMPLES 16

struct pulse {
	char *path, *new_path;		/* NULL: nobody is told */
	char phase[24];
	size_t step, steps;		/* which of how many, from 1 */
	uint64_t total, done;
	struct waits waits;		/* of this phase */
	uint64_t written_ns;
	bool seen;			/* the file is there */
	struct {
		uint64_t ns, done;
	} samples[PULSE_SAMPLES];
	unsigned sample_count;
};

void pulse_begin(struct pulse *pulse, const char *job_dir);
void pulse_step(struct pulse *pulse, size_t step, size_t steps, const char *name);
void pulse_phase(struct pulse *pulse, const char *name, uint64_t total);
void pulse_advance(struct pulse *pulse, uint64_t done);

/* Takes the file away. */
void pulse_end(struct pulse *pulse);

/* Shares of what was waited for, of all the time or of the sum, whichever is more; null: nothing was. */
json_t *waits_to_json(const struct waits *waits, uint64_t all_ns);

/* What is there, or NULL; only to be believed while the job's process lives. */
json_t *pulse_read(const char *job_dir);

#endif
