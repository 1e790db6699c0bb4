/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSCSI LUNs that a command names: disks of this host's kernel where that can be, else QEMU's affair. */
#ifndef LUNS_H
#define LUNS_H

#include <stdbool.h>

#include "support/text.h"

struct err;
struct plan;
struct request;

struct luns {
	char *dir;			/* of the records */
	char *job;
	struct text_list attached;	/* by luns_attach(), for that job */
	struct text_list notes;		/* how each is reached, and why */
};

/*
 * The one place where it is decided.  The kernel's initiator is taken where it
 * can be, for what has been attached by it is seen to be in use, and what else
 * uses the LUN; then the LUN is attached, for the job, before it can be looked
 * at.  A dry run does not log in, and looks by way of QEMU.
 */
int luns_attach(const struct request *request, const char *job_id, const char *state_dir,
		bool dry_run, struct luns *ret, struct err *err);

/* The same for a job that goes on: the machine may have been restarted, or the LUN detached by hand. */
int luns_attach_again(const struct plan *plan, const char *job_id, const char *state_dir, struct err *err);

/* And the reverse for a job that was undone: it may have been killed before the step that attaches them was begun. */
int luns_let_go(const struct plan *plan, const char *job_id, const char *state_dir, struct err *err);

/* Does that plan go with LUNs that are attached for a job only?  Its notes become the plan's warnings. */
int luns_check(const struct luns *luns, struct plan *plan, struct err *err);

/* Nothing has come of it: let go of what was attached for the job. */
void luns_give_up(struct luns *luns);
void luns_free(struct luns *luns);

#endif
