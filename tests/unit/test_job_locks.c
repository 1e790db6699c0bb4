/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that are kept from each other: by what they hold, and by who works on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs.h"
#include "scratch.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"

/* ---- who holds what ---- */

static int create_beside(struct plan plan, struct err *err)
{
	struct job job = { .lock = -1 };
	int checked, ret;

	*err = (struct err)ERR_INIT;
	checked = job_check_conflicts(STATE, ID3, &plan, 0, err);
	*err = (struct err)ERR_INIT;
	ret = job_create(STATE, ID3, &plan, &job, err);
	assert_int_equal(checked, ret);
	if (ret < 0) {
		assert_int_equal(err->class, ERR_REFUSED);
		assert_false(jobs_exists(STATE "/jobs/" ID3));
		plan_free(&plan);
	}
	job_close(&job);
	jobs_remove(STATE "/jobs/" ID3);
	return ret;
}

/* Beside an unfinished job from /a/x (10) to a new /b/x, and one from /a/y (11) onto /b/y (21). */
static void conflicts(void **state)
{
	static const struct {
		const char *from;
		uint64_t from_ino;
		const char *to;
		uint64_t to_ino;
		const char *holder;		/* NULL: nobody */
	} table[] = {
		{ "/a/z", 12, "/b/z", 0, NULL },
		{ "/a/z", 12, "/b/z", 22, NULL },
		{ "/a/x", 10, "/c/x", 0, ID1 },
		{ "/other name", 10, "/c/x", 0, ID1 },
		{ "/a/x", 13, "/c/x", 0, NULL },	/* another file under that name */
		{ "/a/y", 11, "/c/y", 0, ID2 },
		{ "/a/z", 12, "/b/x", 0, ID1 },
		{ "/a/z", 12, "/b/x", 23, ID1 },	/* which it has made already */
		{ "/a/z", 12, "/b/y", 21, ID2 },
		{ "/a/z", 12, "/other name", 21, ID2 },
		{ "/b/y", 21, "/c/y", 0, ID2 },
		{ "/a/z", 12, "/a/x", 10, ID1 },
		{ "/a/z", 12, "/a/y", 11, ID2 },
	};
	struct err err = ERR_INIT;
	struct job job, other;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	jobs_create(ID2, jobs_plan("/a/y", 11, "/b/y", 21), &job);
	job_close(&job);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int ret = create_beside(jobs_plan(table[i].from, table[i].from_ino,
						  table[i].to, table[i].to_ino), &err);

		if (ret != (table[i].holder ? -1 : 0))
			fail_msg("%s -> %s: %d %s", table[i].from, table[i].to, ret, err.cause);
		if (ret == 0)
			continue;
		assert_non_null(strstr(err.cause, table[i].holder));
		assert_non_null(strstr(err.cause, "not running"));
		assert_non_null(strstr(err.next, "resume"));
		assert_non_null(strstr(err.next, table[i].holder));
	}

	/* Its own id is no other job. */
	{
		struct plan plan = jobs_plan("/a/x", 10, "/b/x", 0);

		assert_int_equal(job_check_conflicts(STATE, ID1, &plan, 0, &err), 0);
		plan_free(&plan);
	}

	/* Once they have ended, whichever way, all is free. */
	for (int i = 0; i < 2; i++) {
		json_t *result = json_object();

		assert_int_equal(job_open(STATE, i ? ID2 : ID1, JOB_WORK, &other, &err), 0);
		assert_int_equal(job_end(&other, i, result, &err), 0);
		json_decref(result);
		job_close(&other);
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(create_beside(jobs_plan(table[i].from, table[i].from_ino,
							 table[i].to, table[i].to_ino), &err), 0);
}

static void step(struct job *job)
{
	struct err err = ERR_INIT;

	assert_int_equal(job_begin_step(job, &err), 0);
	assert_int_equal(job_done_step(job, &err), 0);
}

/* The file that an unfinished job has made is held, too, under whatever name it is by now. */
static void what_a_job_has_made_is_held(void **state)
{
	struct err err = ERR_INIT;
	struct job job;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	step(&job);
	job.record.target = jobs_facts("/b/.volmig-" ID1, 30);
	step(&job);
	assert_int_equal(create_beside(jobs_plan("/b/.volmig-" ID1, 30, "/c/x", 0), &err), -1);
	free(job.record.target.path);
	job.record.target.path = text_copy("/b/x");
	step(&job);
	step(&job);
	assert_int_equal(create_beside(jobs_plan("/b/x", 30, "/c/x", 0), &err), -1);
	assert_non_null(strstr(err.cause, ID1));
	step(&job);
	assert_int_equal(create_beside(jobs_plan("/b/x", 30, "/c/x", 0), &err), -1);
	assert_int_equal(create_beside(jobs_plan("/a/z", 12, "/other name", 30), &err), -1);
	job_close(&job);
}

/* A receipt of any length is seen for one. */
static void long_receipts(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (size_t length = 65000; length < 66000; length += 200) {
		char *text = text_alloc(length + 1, 1);
		json_t *result;
		struct job job;

		memset(text, 'x', length);
		result = json_pack("{s:s}", "warning", text);
		jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
		assert_int_equal(job_end(&job, false, result, &err), 0);
		job_close(&job);
		assert_int_equal(create_beside(jobs_plan("/a/x", 10, "/b/x", 0), &err), 0);
		json_decref(result);
		free(text);
		jobs_remove(STATE "/jobs/" ID1);
	}
}

/* ---- locks ---- */

/*
 * A process that works on the job; it says so on a pipe, and ends the job when
 * it is told to by another, or dies with it.
 */
struct worker {
	pid_t pid;
	int tell;
};

static struct worker start_worker(const char *id)
{
	int up[2], down[2];
	struct worker worker;
	char byte = 0;

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	worker.pid = fork();
	assert_true(worker.pid >= 0);
	if (worker.pid == 0) {
		struct err err = ERR_INIT;
		json_t *result = json_object();
		struct job job;

		close(down[1]);
		if (job_open(STATE, id, JOB_WORK, &job, &err) < 0 || write(up[1], &byte, 1) != 1)
			_exit(1);
		if (read(down[0], &byte, 1) == 1 && job_end(&job, false, result, &err) < 0)
			_exit(2);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	close(up[0]);
	worker.tell = down[1];
	return worker;
}

static void end_worker(struct worker *worker, bool finish)
{
	int status;

	if (finish)
		assert_int_equal(write(worker->tell, "x", 1), 1);
	else
		kill(worker->pid, SIGKILL);
	assert_int_equal(waitpid(worker->pid, &status, 0), worker->pid);
	if (finish)
		assert_int_equal(status, 0);
	close(worker->tell);
}

static void one_works_others_look(void **state)
{
	struct err err = ERR_INIT;
	struct worker worker;
	struct job job;
	char *text;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	assert_int_equal(job_worker(STATE, ID1), 0);

	worker = start_worker(ID1);
	assert_int_equal(job_worker(STATE, ID1), worker.pid);
	assert_int_equal(job_open(STATE, ID1, JOB_WORK, &job, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	text = text_format("running (pid %d)", (int)worker.pid);
	assert_non_null(strstr(err.cause, text));
	free(text);
	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &job, &err), 0);
	job_close(&job);
	/* The attempts have not taken its lock away. */
	assert_int_equal(job_worker(STATE, ID1), worker.pid);

	assert_int_equal(create_beside(jobs_plan("/a/x", 10, "/c/x", 0), &err), -1);
	assert_non_null(strstr(err.cause, ", running)"));
	assert_non_null(strstr(err.next, "--wait-lock"));

	/* With the process its lock goes, however it ends. */
	end_worker(&worker, false);
	assert_int_equal(job_worker(STATE, ID1), 0);
	assert_int_equal(job_open(STATE, ID1, JOB_WORK, &job, &err), 0);
	job_close(&job);
}

/* Ends a job that runs, after a while. */
static pid_t end_later(const struct worker *worker)
{
	pid_t pid = fork();

	if (pid == 0) {
		usleep(300000);
		if (write(worker->tell, "x", 1) != 1)
			_exit(1);
		_exit(0);
	}
	return pid;
}

static void waiting(void **state)
{
	struct err err = ERR_INIT;
	struct worker worker;
	struct plan plan;
	uint64_t began;
	struct job job;
	pid_t helper;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	plan = jobs_plan("/a/x", 10, "/c/x", 0);

	/* Nobody works on it: waiting would be for nothing. */
	began = clock_ns();
	assert_int_equal(job_check_conflicts(STATE, ID2, &plan, 3600000, &err), -1);
	assert_true(clock_ns() - began < 60000000000);
	assert_int_equal(err.class, ERR_REFUSED);

	/* Not for ever. */
	worker = start_worker(ID1);
	assert_int_equal(job_check_conflicts(STATE, ID2, &plan, 1, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);

	/* Nor when the user has had enough. */
	interrupt_request();
	assert_int_equal(job_check_conflicts(STATE, ID2, &plan, 3600000, &err), -1);
	assert_non_null(strstr(err.cause, "interrupted"));
	interrupt_reset();

	helper = end_later(&worker);
	assert_int_equal(job_check_conflicts(STATE, ID2, &plan, 3600000, &err), 0);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	assert_int_equal(waitpid(worker.pid, NULL, 0), worker.pid);
	close(worker.tell);
	plan_free(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(conflicts, jobs_fresh),
		cmocka_unit_test_setup(what_a_job_has_made_is_held, jobs_fresh),
		cmocka_unit_test_setup(long_receipts, jobs_fresh),
		cmocka_unit_test_setup(one_works_others_look, jobs_fresh),
		cmocka_unit_test_setup(waiting, jobs_fresh),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, scratch_enter, jobs_leave);
}
