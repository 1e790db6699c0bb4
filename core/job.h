/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs on disk: STATE_DIR/jobs/UUID/journal.jsonl, read back into what is
 * planned and how far it has come; and who holds which volume.
 *
 * An unfinished job holds its source and its destination, running or not:
 * nobody else may move them until it is resumed or aborted.  The journals
 * themselves are the locks, so that there is nothing to go stale.  A process
 * that works on a job holds a POSIX lock on jobs/UUID/lock; the kernel drops
 * it when the process dies, and tells who has it.
 */
#ifndef JOB_H
#define JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "engines/step.h"
#include "job_store.h"
#include "plan.h"
#include "pulse.h"

struct err;
struct journal;

struct job {
	char id[JOB_ID_SIZE];
	char *state_dir;
	char *dir;
	int lock;			/* -1: only looked at */
	struct journal *journal;	/* NULL: only looked at */
	struct pulse pulse;		/* while its steps are being done */

	struct plan plan;
	bool same_boot;			/* planned since the machine started */

	/* Folded from the journal. */
	struct progress_record record;
	struct progress_record *more_records;	/* of plan.more */
	size_t steps_done;
	bool step_begun;		/* steps[steps_done] was begun */
	bool written;			/* the destination was, or may have been, written to */
	bool aborting;			/* an abort was begun */
	bool retreating;		/* ... to go on by plan.next, and not to give up */
	bool keep_source;		/* asked for since: it is neither wiped nor removed */
	char *failure;			/* retreating: why its method failed */
	enum go_on go_on;		/* retreating: which method may go on */
	bool ended;
	bool ended_here;		/* by this process */
	bool aborted;			/* ended by roll-back */
	char planned_at[40], touched_at[40];	/* RFC 3339 */
	json_t *result;			/* of an ended job: its receipt; else NULL */
	json_t *terms;			/* see terms.h; or NULL */
	json_t *stopped;		/* why it stopped last: {"class","message"}; or NULL */
};

/*
 * Record a new job: its journal with the plan is durable when this returns.
 * The plan is taken over on success.  ERR_REFUSED when another unfinished job
 * holds the source or the destination.
 */
int job_create(const char *state_dir, const char *id, struct plan *plan,
	       struct job *ret_job, struct err *err);

/*
 * Only look whether job_create() would be refused.  A job in the way that is
 * running is waited for, up to wait_ms; the facts that the plan was made of are
 * no longer true then.
 */
int job_check_conflicts(const char *state_dir, const char *id, const struct plan *plan,
			uint64_t wait_ms, struct err *err);

enum job_open_mode {
	JOB_LOOK,		/* for reports: nothing is locked or changed */
	JOB_WORK,		/* to go on with it or undo it: ERR_REFUSED while another process does */
};

int job_open(const char *state_dir, const char *id, enum job_open_mode mode,
	     struct job *ret_job, struct err *err);

void job_close(struct job *job);

/* Where the steps of plan_move(i) keep what is theirs; free it. */
char *job_part_dir(const struct job *job, size_t i);

/* What has become of plan_move(i). */
struct progress_record *job_record(const struct job *job, size_t i);

/* "planned", "copying", ...: stable words, see ARCHITECTURE. */
const char *job_state(const struct job *job);

/* Is it past its point of no return? */
bool job_committed(const struct job *job);

/* Journal what happens; each is durable when it returns. */
int job_begin_step(struct job *job, struct err *err);
/* The records as they are now; not synced. */
int job_note_records(struct job *job, struct err *err);
/* All that was noted so far is durable when this returns. */
int job_sync(struct job *job, struct err *err);
int job_note_durable(struct job *job, const struct mark *mark, uint64_t copy_ns, struct err *err);
int job_done_step(struct job *job, struct err *err);
int job_note_stop(struct job *job, const struct err *why, struct err *err);
/* From here on the source is neither wiped nor removed, whatever the plan says; durable when it returns. */
int job_keep_source(struct job *job, struct err *err);
/* Takes terms over; durable with the next record. */
int job_note_terms(struct job *job, json_t *terms, uint64_t ticket, struct err *err);
int job_begin_abort(struct job *job, struct err *err);
/*
 * Its method has failed, and another one will go on once all is undone: what
 * begins is an abort that ends in job_go_on(), or in job_begin_abort() after all.
 */
int job_begin_retreat(struct job *job, const struct err *why, struct err *err);
/* All is undone: go on by the next plan, from its first step. */
int job_go_on(struct job *job, struct err *err);
int job_undone_step(struct job *job, size_t step, struct err *err);
/*
 * Take steps back to be done again, from this one on; nothing is undone for
 * it.  from_zero: what was copied does not count any more.
 */
int job_rewind(struct job *job, size_t step, bool from_zero, struct err *err);
int job_end(struct job *job, bool aborted, json_t *result, struct err *err);

#endif
