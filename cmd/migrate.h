/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of migrate and what they ask for: a line of a batch has the same. */
#ifndef MIGRATE_H
#define MIGRATE_H

#include "options.h"

/* As popt leaves them. */
struct migrate_options {
	struct run_options run;
	int force_host_copy, keep_source, compress, into_existing, thick;
	char *method, *fallback, *thin, *wipe, *format, *max_pause;
	char *domain, **disks, *ceph_secret, *tls_certificates;
	char *domain_source;		/* what the domain's disks are called together */
};

#define MIGRATE_TABLE_SIZE 17

/* Fill a popt table that writes into move, and the one that it includes. */
void migrate_table(struct migrate_options *move, struct poptOption running[static RUN_TABLE_SIZE],
		   struct poptOption table[static MIGRATE_TABLE_SIZE]);

/*
 * Check what was typed, and say what it asks for: request and frame->perform.
 * Their strings belong to frame and move.  Returns -1 with frame->err set.
 */
int migrate_request(struct frame *frame, struct migrate_options *move,
		    struct request *request);

void migrate_options_free(struct migrate_options *move);

#endif
