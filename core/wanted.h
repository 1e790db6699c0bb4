/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one host asks another for: its part of a move, in which one end is a
 * volume there.  Made by who asks, and read by who is asked, who believes
 * nothing: each member has a type and a range.
 */
#ifndef WANTED_H
#define WANTED_H

#include <jansson.h>
#include <stdbool.h>

#include "plan.h"
#include "volumes/volume.h"

struct err;

struct wanted {
	enum command_kind command;
	bool is_source;		/* the volume there is the source of the move */
	char *name;		/* what it, or its place, is called there */
	char *from;		/* the host that asks, as it calls itself */
	bool create, into_existing, raw, keep_source, thick, sparse, verify;
	char *thin_pool;	/* or NULL */
	enum wipe_mode wipe;
	struct facts peer;	/* the other end, kind "peer": what there is to know of it */
};

/* here: the end that is on this host; NULL for what is not known (a source that was only looked at). */
json_t *wanted_to_json(const struct request *request, bool is_source, const char *name,
		       const struct facts *here);

/* ERR_REFUSED, and *ret untouched, for everything that does not fit. */
int wanted_from_json(struct wanted *ret, const json_t *json, struct err *err);

void wanted_free(struct wanted *wanted);

/* As a request for plan_build(); its strings are wanted's. */
struct request wanted_request(const struct wanted *wanted);

#endif
