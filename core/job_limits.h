/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many jobs may use the same thing at once, whichever processes run them.
 *
 * There is no daemon.  Each running or waiting job has a ticket, a numbered
 * file in STATE_DIR/limits on which its process holds a lock; the kernel drops
 * that lock when the process dies, and who comes next removes the file.  A job
 * may run once fewer than N others that came before it, or run already, use
 * each thing that it uses.  So for every thing it goes by order of arrival, and
 * nobody waits for ever.  The least N counts that any of those concerned has
 * asked for: a limit that somebody has set holds for all.
 */
#ifndef JOB_LIMITS_H
#define JOB_LIMITS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;
struct plan;

enum limit_kind {
	LIMIT_JOBS,		/* "max-jobs": all jobs */
	LIMIT_DEVICE,		/* "device": a disk below LVM, dm, md, loop, partitions */
	LIMIT_VG,		/* "vg": a volume group */
	LIMIT_FS,		/* "fs": a file system that holds files of volumes */
	LIMIT_HOST,		/* "host": of network volumes and guests */
	LIMIT_KINDS,
};

struct limits {
	unsigned most[LIMIT_KINDS];	/* 0: no limit */
};

/* "device=1"; of two for the same key the later counts. */
int limits_add(struct limits *limits, const char *text, struct err *err);

/* Those of over where it has any, else those of under. */
struct limits limits_over(const struct limits *under, const struct limits *over);

/* {"device":1}, and back. */
json_t *limits_to_json(const struct limits *limits);
struct limits limits_from_json(const json_t *json);

/* What a move uses: "max-jobs", "device:sda", "fs:/srv", "vg:vg0", ...; free the list. */
void limits_things(const struct plan *plan, struct text_list *ret_things);

struct ticket;

/* Take a place in the queue; things is taken over on success. */
int limits_enter(const char *state_dir, const char *job_id, const struct limits *limits,
		 struct text_list *things, struct ticket **ret, struct err *err);

/* Order of arrival. */
uint64_t limits_number(const struct ticket *ticket);

/*
 * Wait until it is this job's turn.  waits (may be NULL) hears once what for.
 * ERR_STOPPED when asked to stop meanwhile.
 */
int limits_wait(struct ticket *ticket, void (*waits)(const char *what), struct err *err);

/* Give the place up; NULL is fine. */
void limits_leave(struct ticket *ticket);

/*
 * What a job waits for: "device sda, 1 job at most at once: used by job UUID";
 * NULL when it waits for nothing.  Free it.
 */
char *limits_waiting_for(const char *state_dir, const char *job_id);

/*
 * Tickets that no process holds: their paths, added to ret_paths.  remove: they
 * are removed, and only those that are gone are listed.
 */
int limits_left(const char *state_dir, bool remove, struct text_list *ret_paths, struct err *err);

#endif
