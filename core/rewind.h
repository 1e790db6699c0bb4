/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a job has to be done again after the machine was restarted. */
#ifndef REWIND_H
#define REWIND_H

struct err;
struct job;

/*
 * Before a job goes on whose ends are as they were: take it back, in the journal,
 * to the step from which on all is still proven.  Where nothing could have
 * changed without being told that is where it stands.
 */
int rewind_unproven(struct job *job, struct err *err);

/*
 * Does the domain whose definition the job has begun to change run on the old
 * volumes, while it is defined with the new ones?  ERR_REFUSED: undoing the job
 * gives it its definition back.
 */
int rewind_check_definition(const struct job *job, struct err *err);

#endif
