/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner fed with words: what is asked for, and what is there. */
#ifndef TESTS_UNIT_PLANNING_H
#define TESTS_UNIT_PLANNING_H

#include "plan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"

/*
 * Plan it.  A request is words like "migrate keep wipe=zero"; of an end the first
 * word is what there is (file, block, dir, nothing), and the others change it, as
 * "file links=2"; a '_' in a value stands for a space.  planning.c has them all.
 *
 * 0 when there is a plan, which then was looked at for what no plan may be without.
 * Else it is made sure that the facts are still whole, and the caller's.
 */
int planning_build(const char *request, const char *source, const char *destination,
		   struct plan *plan, struct err *err);

/* The names of its steps, as one text; free it. */
char *planning_steps(const struct plan *plan);

#endif
