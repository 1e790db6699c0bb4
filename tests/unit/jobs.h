/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs of made-up files, in a state directory below the test's scratch directory. */
#ifndef TESTS_UNIT_JOBS_H
#define TESTS_UNIT_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

#define ID1 "11111111-2222-4333-8444-555555555555"
#define ID2 "11112222-2222-4333-8444-555555555555"
#define ID3 "33333333-2222-4333-8444-555555555555"
#define STATE "state"

/* The steps of the plan that jobs_plan() makes of a new file. */
enum { CREATE, COPY, VERIFY, PUBLISH, COMMIT, REMOVE, STEPS };

/* What there is of a file of that path and inode; 0: there is none. */
struct facts jobs_facts(const char *path, uint64_t ino);

/* Move the file of that path and inode; onto one that exists where its inode is not 0. */
struct plan jobs_plan(const char *from, uint64_t from_ino, const char *to, uint64_t to_ino);

/* Make the job, which takes the plan over. */
void jobs_create(const char *id, struct plan plan, struct job *job);

/* For cmocka: an empty state directory, and at the end of the group none and no scratch directory. */
int jobs_fresh(void **state);
int jobs_leave(void **state);

int jobs_remove(const char *path);
bool jobs_exists(const char *path);

#endif
