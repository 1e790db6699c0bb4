/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of a plan file: which lines are moves, and what stands in front of them. */
#ifndef BATCH_PLAN_H
#define BATCH_PLAN_H

#include <stddef.h>

#include "job_limits.h"
#include "support/err.h"
#include "support/text.h"

/* One move: the arguments of volmig migrate, as they were written. */
struct batch_line {
	unsigned number;	/* in its file, from 1 */
	char *text;
};

struct batch_text {
	struct batch_line *lines;
	size_t count;
	char *defaults;		/* the options in front of those of each line; "" for none */
	struct limits limits;
};

/* What is wrong with a plan, line by line; number 0: with all of it. */
struct batch_fault {
	unsigned number;
	struct err err;
};

struct batch_faults {
	struct batch_fault *items;
	size_t count;
};

/* Note a fault; err is copied. */
void batch_fault(struct batch_faults *faults, unsigned number, const struct err *err);
void batch_faults_free(struct batch_faults *faults);

/*
 * Pure: take a plan file apart.  A line is a move, or begins with the word
 * "defaults" (options for all moves) or "limit" (KEY=N ...), which come before
 * the first move; "#" begins a comment at the start of a line or behind white
 * space outside of quotes.  A backslash at the end continues a line.  All that
 * is wrong goes to faults; what is understood is in *ret all the same.
 */
void batch_text_parse(const char *text, size_t length, struct batch_text *ret,
		      struct batch_faults *faults);
void batch_text_add(struct batch_text *plan, unsigned number, char *line);
void batch_text_free(struct batch_text *plan);

#endif
