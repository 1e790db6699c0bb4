/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What earlier failures have left behind, and what this host can do.  Each
 * check is one function in the table of doctor.c; it looks, adds what it finds,
 * and with fix mends what is provably ours.  A check that cannot look says so.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "job_store.h"
#include "support/text.h"

struct doctor {
	const char *state_dir;
	const char *connect;		/* libvirt's URI, or NULL */
	bool fix;
	struct text_list unfinished;	/* the jobs' ids, oldest first */
	json_t *findings, *notes, *methods;
	size_t left;			/* findings that are not mended */
	struct text_list legs;		/* jobs whose leg is left: their mark on the volume stays */
};

/* Where a job that text may name stands: its id goes to ret_id if it is one. */
enum job_standing {
	STANDING_UNKNOWN,		/* not in this state directory */
	STANDING_UNFINISHED,
	STANDING_ENDED,
};
enum job_standing doctor_standing(const struct doctor *doctor, const char *text,
				  char ret_id[static JOB_ID_SIZE]);

/* what: in words; next: what would mend it, or NULL; mended: it has been. */
void doctor_found(struct doctor *doctor, const char *check, const char *object, const char *job,
		  const char *what, const char *next, bool mended);

/* Something could not be looked at, or is worth knowing of this host. */
void doctor_note(struct doctor *doctor, const char *check, const char *text);

/* A method of moving; missing NULL: it can be used here.  package: Debian's, or NULL. */
void doctor_method(struct doctor *doctor, const char *method, const char *missing, const char *package);

void doctor_limits(struct doctor *doctor);
void doctor_batches(struct doctor *doctor);
void doctor_luns(struct doctor *doctor);
void doctor_exports(struct doctor *doctor);
void doctor_images(struct doctor *doctor);
void doctor_legs(struct doctor *doctor);	/* before doctor_lvm() */
void doctor_lvm(struct doctor *doctor);
void doctor_block_jobs(struct doctor *doctor);
void doctor_versions(struct doctor *doctor);
void doctor_methods(struct doctor *doctor);

#endif
