/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves of a logical volume inside its own group: what there is now of a job. */
#ifndef ONLINE_H
#define ONLINE_H

#include <jansson.h>

struct err;
struct job;

/* Is what the job needs still there?  Nobody's use of the volume is in the way. */
int online_check(const struct job *job, struct err *err);

/* Add what is there now to the report of an unfinished job. */
void online_report_now(const struct job *job, json_t *report);

#endif
