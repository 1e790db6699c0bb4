/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs of the site or the user that are called before and after each step
 * of a job, with the job as JSON on standard input.
 *
 * Those of the site are the executables of a directory, as they are when they
 * are called.  Those of the user are commands, journalled with the job, so
 * that a resume calls them as well.
 *
 * A hook may be called more than once for the same thing: before a step each
 * time that the step is begun, also again after a crash; after a step, also
 * once more by a resume, since nobody knows whether the process that died had
 * come to it.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <jansson.h>
#include <stdint.h>

#include "support/text.h"

struct err;
struct job;

#define HOOKS_TIMEOUT_MS 300000

/* The user's, part of a plan. */
struct hook_options {
	struct text_list commands;	/* for the shell */
	uint64_t timeout_ms;		/* for each hook; 0: no limit */
};

json_t *hook_options_to_json(const struct hook_options *hooks);
void hook_options_from_json(struct hook_options *hooks, const json_t *json);

/* Can the site's hooks be trusted and read?  ERR_REFUSED where not. */
int hooks_check(struct err *err);

/*
 * Call all hooks with VOLMIG_HOOK=WHEN-WHAT ("pre-copy"), or WHEN alone where
 * what is NULL.  The first that fails ends it: ERR_STOPPED, and the object is
 * its name.
 */
int hooks_call(struct job *job, const char *when, const char *what, struct err *err);

/* The same where a failure changes nothing: it becomes a warning. */
void hooks_tell(struct job *job, const char *when, const char *what);

#endif
