/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Do a job's steps in order, or take them back; the journal goes before every act. */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>

struct err;
struct job;
struct monitor;
struct step_ops;
struct throttle;

/*
 * From the first step that is not done to the end, as fast as throttle (NULL: as
 * planned) lets it.  mon hears of the progress.
 *
 * Returns 0 when the job is done and its end is ready to be journalled by
 * job_end().  Otherwise err->class tells:
 *   ERR_STOPPED, ERR_REFUSED  it stopped; the job is unfinished and resumable
 *   ERR_FAILED   rolled back: *ret_rolled_back is true; where job->retreating is
 *                too, job_go_on() makes the next method's plan the job's
 *   ERR_UNSURE   nothing more was touched; the job is unfinished
 */
int run_job(struct job *job, struct monitor *mon, struct throttle *throttle, bool *ret_rolled_back,
	    struct err *err);

/*
 * The same up to a step, which is not begun.  Nothing is called at its end:
 * for a job whose steps another host asks for.
 */
int run_until(struct job *job, const struct step_ops *before, struct monitor *mon,
	      bool *ret_rolled_back, struct err *err);

/*
 * Undo the steps, last first.  ERR_REFUSED past the point of no return.  May
 * be called again after a failure or a crash.  forget: what cannot be reached
 * any more is left behind, and noted.
 */
int run_undo(struct job *job, bool forget, struct monitor *mon, struct err *err);

#endif
