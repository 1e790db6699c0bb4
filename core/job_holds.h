/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volumes unfinished jobs hold. */
#ifndef JOB_HOLDS_H
#define JOB_HOLDS_H

#include <stdbool.h>
#include <sys/types.h>

struct err;
struct plan;

/*
 * Does another unfinished job hold a volume of that plan?  -1 and ERR_REFUSED where
 * one does, or where it cannot be told; *ret_worker: its process, 0 when it is not
 * running.  learn: take the mark from those that are seen to have ended.
 */
int job_find_conflict(const char *state_dir, const char *id, const struct plan *plan,
		      bool learn, pid_t *ret_worker, struct err *err);

#endif
