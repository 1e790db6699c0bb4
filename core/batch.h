/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many moves, one after another or side by side, each a job of its own.
 *
 * A batch is known by what it is about: the plan file's path and what is in it.
 * The same command again goes on with it where it was, and a batch that is
 * done is done.  STATE_DIR/batches/UUID/journal.jsonl holds its lines; which
 * of them are done the jobs themselves tell, whose ids follow from the batch's
 * id and the line, so that no crash can make a line run twice; and where their
 * receipts have been removed since, what that journal says of them.
 */
#ifndef BATCH_H
#define BATCH_H

#include <jansson.h>
#include <stdbool.h>

#include "batch_plan.h"
#include "job_store.h"
#include "perform.h"
#include "terms.h"

struct err;
struct journal;

/* A line, read: what perform_move() takes.  Strings are own's. */
struct batch_move {
	struct request request;
	struct perform_options perform;
	void *own;
};

/* Reads lines; in cmd/, where the options of migrate are known. */
struct batch_reader {
	/* defaults stand in front of text; ERR_USAGE where it makes no sense. */
	int (*read)(const char *defaults, const char *text, struct batch_move *ret, struct err *err);
	void (*release)(struct batch_move *move);
};

struct batch_options {
	const char *state_dir;		/* as given, or NULL */
	const char *connect;
	const char *plan;		/* a file, or "-"; or NULL, and then: */
	const char *from, *to;		/* all volumes in from ... */
	const char *select;		/* ... that match, or NULL */
	const char *defaults;		/* more options for each line, or NULL */
	bool again;			/* anew, whatever was done of it before */
	bool dry_run;
	bool fail_fast;
	bool nice;			/* all lines, where they do not say so themselves */
	unsigned retries;
	struct terms terms;		/* of all lines, where they have none of their own */
	struct history_options history;	/* counts a plan that is refused; that of a line is in its perform */
	struct progress *progress;
	const struct batch_reader *reader;
	void (*waits)(const char *what);

	/* Hears of each line that fails, and of what is wrong with a plan: "PLAN:12". */
	void (*fault)(const char *where, const struct err *err);
};

/*
 * 0: every move is done.  Otherwise err is about the batch as a whole, and its
 * class the worst of any line: ERR_UNSURE, ERR_STOPPED (go on with the same
 * command), ERR_FAILED, ERR_REFUSED; with ERR_USAGE or ERR_REFUSED about the
 * plan itself nothing was touched.
 */
int perform_batch(const struct batch_options *options, json_t **ret_report, struct err *err);

/* ---- between the files of a batch ---- */

enum batch_state {
	BATCH_WAITS,			/* not begun by this run */
	BATCH_RUNS,
	BATCH_DONE,
	BATCH_FAILED,			/* err tells */
	BATCH_LEFT,			/* not begun, because of --fail-fast or a stop */
};

struct batch_item {
	unsigned number;		/* the line's */
	char *text;
	char job_id[JOB_ID_SIZE];
	enum batch_state state;
	bool begun;			/* there is such a job, unfinished */
	unsigned tries;
	uint64_t not_before_ns;		/* a retry has to wait until then */
	uint64_t bytes;
	char *source, *destination;	/* as the plan, or the report, names them; or NULL */
	enum err_class class;
	char *message, *next;
	json_t *plan;			/* of a dry run */
};

struct batch {
	const struct batch_options *options;
	char *state_dir;
	char id[JOB_ID_SIZE];
	char *dir;
	char *name;			/* of the plan, canonical */
	const char *shown;		/* ... for messages */
	char *cwd;
	int lock;
	struct journal *journal;
	bool known;			/* begun by an earlier run */
	bool ended;
	struct text_list jobs_done, jobs_tried;	/* of its lines by earlier runs, as its journal tells */
	char *defaults;
	struct limits limits;
	struct batch_item *items;
	size_t count;
	struct batch_faults faults;
};

/* The id of the line's next or present job; *ret_begun: there is one, unfinished.  true: it is done. */
bool batch_find_job(const struct batch *batch, struct batch_item *item, struct err *err);

/* Read, inspect and plan every line that has no job yet, and hold them against each other. */
void batch_check(struct batch *batch);

/* Run what is to be done; item->state tells of each. */
void batch_run(struct batch *batch);

/*
 * In a process of its own: once a byte comes by gate, move the item and write the
 * report to out.  If gate is closed before, nothing was ever done.
 */
_Noreturn void batch_child(const struct batch *batch, const struct batch_item *item, int gate, int out);

void batch_item_failed(struct batch_item *item, const struct err *err);

#endif
