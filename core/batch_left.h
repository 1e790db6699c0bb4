/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Batches that are not done and that no process works on. */
#ifndef BATCH_LEFT_H
#define BATCH_LEFT_H

#include <stdbool.h>

#include "job_store.h"

struct err;

struct batch_left {
	char id[JOB_ID_SIZE];
	char *journal;		/* its path */
	char *plan;		/* the plan's file, "-", or "FROM -> TO"; NULL: not known */
	bool from;		/* it is FROM -> TO */
	bool empty;		/* a crash came before it was whole, and before anything was done */
	struct err *damage;	/* its journal cannot be read; or NULL */
};

/* Calls hear for each; nothing is locked or changed. */
void batch_each_left(const char *state_dir, void (*hear)(const struct batch_left *left, void *data),
		     void *data);

/* Remove the journal of one that is empty, if it still is and nobody has it by now. */
bool batch_bury_empty(const char *state_dir, const char *id);

#endif
