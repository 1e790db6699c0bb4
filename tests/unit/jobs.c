/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs of made-up files, in a state directory below the test's scratch directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs.h"
#include "scratch.h"
#include "support/err.h"
#include "support/text.h"

struct facts jobs_facts(const char *path, uint64_t ino)
{
	return (struct facts){
		.spec = text_copy(path),
		.kind = ino ? "file" : NULL,
		.path = text_copy(path),
		.dev = ino ? 1 : 0,
		.ino = ino,
		.bytes = ino ? 8 << 20 : 0,
		.links = 1,
		.dir = text_format("%.*s", (int)(strrchr(path, '/') - path), path),
		.dir_dev = 1,
		.dir_ino = 100,
		.dir_free = 1 << 30,
		.dir_writable = true,
		.fs_type = text_copy("ext4"),
	};
}

struct plan jobs_plan(const char *from, uint64_t from_ino, const char *to, uint64_t to_ino)
{
	struct request request = REQUEST_DEFAULTS;
	struct facts source = jobs_facts(from, from_ino), destination = jobs_facts(to, to_ino);
	struct err err = ERR_INIT;
	struct plan plan;

	request.source = from;
	request.destination = to;
	request.into_existing = to_ino != 0;
	assert_int_equal(plan_build(&request, ID1, &source, &destination, &plan, &err), 0);
	return plan;
}

void jobs_create(const char *id, struct plan plan, struct job *job)
{
	struct err err = ERR_INIT;

	if (job_create(STATE, id, &plan, job, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
}

int jobs_remove(const char *path)
{
	char *command = text_format("rm -rf '%s'", path);
	int status = system(command);

	free(command);
	return status;
}

int jobs_fresh(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	jobs_remove(STATE);
	return job_state_dir_make(STATE, &err);
}

bool jobs_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}
int jobs_leave(void **state)
{
	return jobs_remove(STATE) || scratch_leave(state);
}
