/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs in their directory: found by name, and those that a crash has kept from being made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs.h"
#include "scratch.h"
#include "support/err.h"
#include "support/log.h"
#include "support/text.h"

/* ---- by name ---- */

static int find(const char *text, struct err *err, char id[static JOB_ID_SIZE])
{
	*err = (struct err)ERR_INIT;
	strcpy(id, "unchanged");
	return job_find(STATE, text, id, err);
}

static void found(void **state)
{
	static const struct {
		const char *text;
		int ret;
		const char *id, *cause;
	} table[] = {
		{ ID1, 1, ID1, NULL },
		{ "11111", 1, ID1, NULL },
		{ "11112", 1, ID2, NULL },
		{ "1111-", 0, NULL, NULL },
		{ "abcdef01", 1, "abcdef01-2222-4333-8444-555555555555", NULL },
		{ "ABCDEF01-2222-4333-8444-555555555555", 1, "abcdef01-2222-4333-8444-555555555555", NULL },
		{ "aBcD", 1, "abcdef01-2222-4333-8444-555555555555", NULL },
		{ "1111", -1, NULL, "means 2 jobs" },
		{ "9999", 0, NULL, NULL },
		{ ID1 "0", 0, NULL, NULL },
		{ "111", -1, NULL, "is no job" },
		{ "", -1, NULL, "is no job" },
		{ "web.img", -1, NULL, "is no job" },
		{ "1111/..", -1, NULL, "is no job" },
		{ "../jobs/" ID1, -1, NULL, "is no job" },
		{ "11111111 2222", -1, NULL, "is no job" },
		{ "11111*", -1, NULL, "is no job" },
		{ "gggg", -1, NULL, "is no job" },
	};
	static const char *const ids[] = { ID1, ID2, "abcdef01-2222-4333-8444-555555555555" };
	char id[JOB_ID_SIZE];
	struct text_list list = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(find("1111", &err, id), 0);
	for (int i = 0; i < 3; i++) {
		struct job job;
		char *from = text_format("/a/%d", i), *to = text_format("/b/%d", i);

		jobs_create(ids[i], jobs_plan(from, (uint64_t)(10 + i), to, 0), &job);
		job_close(&job);
		free(from);
		free(to);
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int ret = find(table[i].text, &err, id);

		if (ret != table[i].ret)
			fail_msg("\"%s\": %d, %s", table[i].text, ret, err.cause);
		if (ret == 1)
			assert_string_equal(id, table[i].id);
		else
			assert_true(ret < 0 || !strcmp(id, "unchanged"));
		assert_int_equal(err.class, ret < 0 ? ERR_USAGE : ERR_NONE);
		if (table[i].cause)
			assert_non_null(strstr(err.cause, table[i].cause));
	}

	/* By age. */
	assert_int_equal(job_list(STATE, &list, &err), 0);
	assert_int_equal(list.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(list.items[i], ids[i]);
	text_list_free(&list);
}

static void no_state_directory(void **state)
{
	struct text_list list = { 0 };
	struct err err = ERR_INIT;
	char id[JOB_ID_SIZE];

	(void)state;
	assert_int_equal(job_list("nowhere", &list, &err), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(job_find("nowhere", ID1, id, &err), 0);
	assert_int_equal(job_worker("nowhere", ID1), 0);
	assert_false(jobs_exists("nowhere"));
	scratch_make("plain", 1);
	assert_int_equal(job_list("plain", &list, &err), -1);
}

/* ---- jobs that a crash has kept from being made ---- */

/* That there is such a job is known before anything of it is made. */
static void mark_open(const char *id)
{
	struct err err = ERR_INIT;
	bool made;

	assert_int_equal(job_mark_open(STATE, id, &made, &err), 0);
}

static void write_text(const char *path, const char *text, size_t length)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	fclose(file);
}

/* Any length of journal short of a whole plan: no job, and it goes away with the next that is made. */
static void stillborn(void **state)
{
	char text[65536], *newline, *long_text;
	struct text_list list = { 0 };
	struct err err = ERR_INIT;
	size_t length, first;
	struct job job;
	FILE *file;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	file = fopen(STATE "/jobs/" ID1 "/journal.jsonl", "rb");
	length = fread(text, 1, sizeof(text), file);
	fclose(file);
	newline = memchr(text, '\n', length);
	first = (size_t)(newline - text) + 1;

	for (size_t cut = 0; cut <= length; cut += cut > first && cut < length - 40 ? 37 : 1) {
		write_text(STATE "/jobs/" ID1 "/journal.jsonl", text, cut);
		assert_int_equal(job_list(STATE, &list, &err), 0);
		assert_int_equal(list.count, cut == length);
		text_list_free(&list);
	}
	/* The plan of many volumes is long, and may be torn behind any of its bytes. */
	long_text = text_alloc(1 << 20, 1);
	memset(long_text, 'x', 1 << 20);
	memcpy(long_text, text, first);
	for (size_t cut = 60000; cut <= 1 << 20; cut += 330000) {
		write_text(STATE "/jobs/" ID1 "/journal.jsonl", long_text, cut);
		assert_int_equal(job_list(STATE, &list, &err), 0);
		assert_int_equal(list.count, 0);
	}
	long_text[(1 << 20) - 1] = '\n';
	write_text(STATE "/jobs/" ID1 "/journal.jsonl", long_text, 1 << 20);
	assert_int_equal(job_list(STATE, &list, &err), 0);
	assert_int_equal(list.count, 1);
	text_list_free(&list);
	free(long_text);
	for (int stage = 0; stage < 5; stage++) {
		jobs_remove(STATE "/jobs/" ID1);
		mark_open(ID1);
		if (stage > 0)
			assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
		if (stage > 1)
			write_text(STATE "/jobs/" ID1 "/lock", "", 0);
		if (stage > 2)
			write_text(STATE "/jobs/" ID1 "/journal.jsonl", text, stage > 3 ? length - 1 : first);
		/* Another one is made, and then one of that very id. */
		jobs_create(ID2, jobs_plan("/a/y", 11, "/b/y", 0), &job);
		job_close(&job);
		assert_false(jobs_exists(STATE "/jobs/" ID1));
		assert_false(jobs_exists(STATE "/open/" ID1));
		jobs_remove(STATE "/jobs/" ID2);
		jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
		job_close(&job);
	}
	/* What is not ours, or has more in it, stays. */
	jobs_remove(STATE "/jobs/" ID1);
	assert_int_equal(mkdir(STATE "/jobs/notes", 0700), 0);
	mark_open(ID1);
	assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
	write_text(STATE "/jobs/" ID1 "/other", "x", 1);
	jobs_create(ID2, jobs_plan("/a/y", 11, "/b/y", 0), &job);
	job_close(&job);
	assert_true(jobs_exists(STATE "/jobs/notes"));
	assert_true(jobs_exists(STATE "/jobs/" ID1 "/other"));
}

static void not_made(void **state)
{
	struct rlimit limit, none;
	struct err err = ERR_INIT;
	struct plan plan;
	struct job job;

	(void)state;
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);

	/* An id is given once. */
	plan = jobs_plan("/a/y", 11, "/b/y", 0);
	assert_int_equal(job_create(STATE, ID1, &plan, &job, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, "of that id already"));
	assert_string_equal(plan.move.source.path, "/a/y");
	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &job, &err), 0);
	assert_string_equal(job.plan.move.source.path, "/a/x");
	job_close(&job);

	/* No room for the journal's first line, and none for the plan: nothing is left of it. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &none), 0);
	for (rlim_t room = 10; room < 1000; room += 500) {
		limit = none;
		limit.rlim_cur = room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(job_create(STATE, ID2, &plan, &job, &err), -1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
		assert_int_equal(err.number, EFBIG);
		assert_string_equal(plan.move.source.path, "/a/y");
		assert_false(jobs_exists(STATE "/jobs/" ID2));
	}
	assert_int_equal(job_create(STATE, ID2, &plan, &job, &err), 0);
	job_close(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(found, jobs_fresh),
		cmocka_unit_test(no_state_directory),
		cmocka_unit_test_setup(stillborn, jobs_fresh),
		cmocka_unit_test_setup(not_made, jobs_fresh),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, scratch_enter, jobs_leave);
}
