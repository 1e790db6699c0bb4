/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a name as typed to facts. */
#ifndef INSPECT_H
#define INSPECT_H

#include "volumes/spec.h"

struct err;
struct facts;

/* Parse text against the working directory and look at what it names; flags as for volume_inspect(). */
int inspect_named(const char *text, enum spec_role role, unsigned flags,
		  struct facts *ret_facts, struct err *err);

#endif
