/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planning a move whose other end is on another host: that host plans its part. */
#ifndef FAR_PLAN_H
#define FAR_PLAN_H

#include <stdbool.h>

#include "engines/far_move.h"
#include "support/text.h"

struct err;
struct facts;
struct request;

struct far_plan {
	struct far_move move;
	bool removes;			/* the source there goes away in the end */
	struct text_list warnings;
};

/*
 * Where one of the ends is on another host, ask that for its part, fill in its
 * facts, and *ret; request->far is to point to it then.  1: it is so; 0: both
 * are here.  ERR_REFUSED for what that host refuses; nothing is changed there.
 */
int far_plan_ask(const struct request *request, const char *job_id, unsigned flags,
		 struct facts *source, struct facts *destination, struct far_plan *ret, struct err *err);

void far_plan_free(struct far_plan *far);

#endif
