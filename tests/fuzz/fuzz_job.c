/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any records, with right checksums, as the journal of a job: what is read back
 * is a job that holds together, or it is refused with a reason.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "job.h"
#include "seal.h"
#include "support/err.h"

#define ID "b1a1cf4c-6f0e-4f8e-9a5e-0d1f6a3d2c11"

static char state_dir[64];
static char journal[160];

static void remove_state(void)
{
	char path[128];

	unlink(journal);
	snprintf(path, sizeof(path), "%s/jobs/" ID, state_dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/jobs", state_dir);
	rmdir(path);
	rmdir(state_dir);
}

/* Memory where there is some: this is written a thousand times a second. */
static void make_state(void)
{
	char path[128];

	snprintf(state_dir, sizeof(state_dir), "%s/volmig-fuzz.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(state_dir))
		abort();
	atexit(remove_state);
	snprintf(path, sizeof(path), "%s/jobs", state_dir);
	if (mkdir(path, 0700) < 0)
		abort();
	snprintf(path, sizeof(path), "%s/jobs/" ID, state_dir);
	if (mkdir(path, 0700) < 0)
		abort();
	snprintf(journal, sizeof(journal), "%s/journal.jsonl", path);
}

static void write_journal(const char *text, size_t length)
{
	int fd = open(journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || close(fd) < 0)
		abort();
}

static void check_job(const struct job *job)
{
	struct plan again;
	struct err err = ERR_INIT;
	json_t *json, *json_again;

	assert(job->plan.step_count > 0 && job->plan.step_count <= PLAN_STEPS_MAX);
	assert(job->steps_done <= job->plan.step_count);
	assert(job_state(job)[0]);
	job_committed(job);

	/* What was read is written and read again as the same. */
	json = plan_to_json(&job->plan);
	assert(plan_from_json(&again, json, &err) == 0);
	json_again = plan_to_json(&again);
	assert(json_equal(json, json_again));
	json_decref(json_again);
	json_decref(json);
	plan_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct job job;
	struct err err = ERR_INIT;
	size_t length = 0, last = 0;
	char *text;

	if (!*state_dir)
		make_state();
	text = seal(data, size, &length, &last);
	write_journal(text, length);
	free(text);

	if (job_open(state_dir, ID, JOB_LOOK, &job, &err) == 0) {
		check_job(&job);
		job_close(&job);
	} else {
		assert(err.class == ERR_REFUSED);
		assert(err.cause[0]);
	}
	return 0;
}
