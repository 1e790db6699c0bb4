/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of jobs when they are over: totals that outlive them, as a
 * file for Prometheus' textfile collector, and how many receipts are kept.
 *
 * The totals are in STATE_DIR/totals.json, and are counted by those who were
 * asked for a file; after a crash at just the wrong moment a job is missing.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <jansson.h>
#include <stdint.h>

struct err;

struct history_options {
	const char *metrics;		/* the file, or NULL */
	uint64_t keep_count;		/* so many receipts; 0: all */
	uint64_t keep_ms;		/* for so long; 0: for ever */
};

/*
 * A command is over: receipt is the report of the job that it has brought to
 * its end, or NULL; failure what it failed of, or NULL.  Nothing in here fails
 * a move: what cannot be done is warned of.
 */
void history_note(const char *state_dir, const struct history_options *options,
		  const json_t *receipt, const struct err *failure);

#endif
