/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state directory: which jobs there are, and who works on them. */
#ifndef JOB_STORE_H
#define JOB_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "support/text.h"

struct err;

#define JOB_ID_SIZE 37		/* a UUID's text and its NUL */

/*
 * The state directory: option, else VOLMIG_STATE_DIR, else /var/lib/volmig for
 * root and $XDG_STATE_HOME/volmig (~/.local/state/volmig) for others.  Free it.
 */
char *job_state_dir(const char *option);

/* What to do next is "volmig VERB ID"; with that directory where it is not the one that is used anyhow. */
void job_next_command(const char *state_dir, const char *verb, const char *id, struct err *err);

/* Make it where it is missing; ERR_REFUSED where it cannot be written to. */
int job_state_dir_make(const char *state_dir, struct err *err);

/*
 * The job that text means: a UUID, or the beginning of one (4 characters at
 * least).  1 found (ret_id), 0 no such job, -1 error (several, or no UUID).
 */
int job_find(const char *state_dir, const char *text, char ret_id[static JOB_ID_SIZE],
	     struct err *err);

/* All job ids, sorted by their journals' age; free the list. */
int job_list(const char *state_dir, struct text_list *ret_ids, struct err *err);

/*
 * The same with at most so many of those that have ended, the newest; and how
 * many that leaves out.  ended_only: without the unfinished ones.
 */
int job_list_newest(const char *state_dir, size_t most_ended, bool ended_only,
		    struct text_list *ret_ids, size_t *ret_left_out, struct err *err);

/* The process that works on it now, or 0; -1 where it is not to be known (other pid namespace). */
pid_t job_worker(const char *state_dir, const char *id);

/* STATE_DIR/jobs/ID; free it. */
char *job_dir(const char *state_dir, const char *id);

/*
 * Has it ended?  Looks at the last line of its journal only, so that thousands
 * of receipts cost little; a journal that does not end well counts as
 * unfinished.
 */
bool job_ended_quickly(const char *state_dir, const char *id);

/* Its receipt out of that line, or NULL where it is not there; not checked against damage. */
json_t *job_receipt_quickly(const char *state_dir, const char *id);

/*
 * All jobs that have not ended, in no order.  STATE_DIR/open has an entry for
 * each, so that receipts of years cost nothing here; one for a job that has
 * ended meanwhile may be there too, and goes away (learn: the caller holds the
 * lock).
 */
int job_list_unfinished(const char *state_dir, bool learn, struct text_list *ret_ids,
			struct err *err);

/*
 * The job is open: durable when this returns, and to be called before anything
 * of it is made.  ret_made: it was not marked before.  It has ended: to be called
 * after that is durable.
 */
int job_mark_open(const char *state_dir, const char *id, bool *ret_made, struct err *err);
void job_mark_ended(const char *state_dir, const char *id);

/* Under the lock, with the job's directory made: the lock file is the mark by another name, a file less to make and to remove. */
void job_lock_from_mark(const char *state_dir, const char *id);

/* The same for one that is gone on with, not under the lock: it is marked, but where that was removed or never was. */
int job_mark_open_again(const char *state_dir, const char *id, struct err *err);

/* Is there a job of that id, planned to its end? */
bool job_exists(const char *state_dir, const char *id);

/*
 * One process at a time looks for conflicts and makes its job: a descriptor
 * that holds the lock until it is closed, or -1.
 */
int job_lock_store(const char *state_dir, struct err *err);

/* Under that lock: remove what crashes left of jobs that were never planned to the end. */
void job_bury_stillborn(const char *state_dir);

#endif
