/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs on disk: made, folded back from their journals, found by name, and kept from each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"
#include "journal.h"
#include "scratch.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"

#define ID1 "11111111-2222-4333-8444-555555555555"
#define ID2 "11112222-2222-4333-8444-555555555555"
#define ID3 "33333333-2222-4333-8444-555555555555"
#define STATE "state"

/* The steps of the plan that file_plan() makes. */
enum { CREATE, COPY, VERIFY, PUBLISH, COMMIT, REMOVE, STEPS };

/* ---- plans ---- */

static struct facts file_facts(const char *path, uint64_t ino)
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

/* Move the file of that path and inode; onto one that exists where its inode is not 0. */
static struct plan file_plan(const char *from, uint64_t from_ino, const char *to, uint64_t to_ino)
{
	struct request request = REQUEST_DEFAULTS;
	struct facts source = file_facts(from, from_ino), destination = file_facts(to, to_ino);
	struct err err = ERR_INIT;
	struct plan plan;

	request.source = from;
	request.destination = to;
	request.into_existing = to_ino != 0;
	assert_int_equal(plan_build(&request, ID1, &source, &destination, &plan, &err), 0);
	return plan;
}

static void create(const char *id, struct plan plan, struct job *job)
{
	struct err err = ERR_INIT;

	if (job_create(STATE, id, &plan, job, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
}

/* ---- the state directory ---- */

static int remove_all(const char *path)
{
	char *command = text_format("rm -rf '%s'", path);
	int status = system(command);

	free(command);
	return status;
}

static int fresh_state(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	remove_all(STATE);
	return job_state_dir_make(STATE, &err);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void assert_state_dir(const char *option, const char *wanted)
{
	char *dir = job_state_dir(option);

	assert_string_equal(dir, wanted);
	free(dir);
}

static void where_jobs_live(void **state)
{
	(void)state;
	setenv("VOLMIG_STATE_DIR", "/from/environment", 1);
	assert_state_dir("/from/option", "/from/option");
	assert_state_dir(NULL, "/from/environment");
	setenv("VOLMIG_STATE_DIR", "", 1);
	if (geteuid() == 0)
		assert_state_dir(NULL, "/var/lib/volmig");
	unsetenv("VOLMIG_STATE_DIR");
	if (geteuid() == 0) {
		assert_state_dir(NULL, "/var/lib/volmig");
	} else {
		setenv("HOME", "/home/me", 1);
		setenv("XDG_STATE_HOME", "/xdg", 1);
		assert_state_dir(NULL, "/xdg/volmig");
		/* Relative ones are to be passed over, says their specification. */
		setenv("XDG_STATE_HOME", "xdg", 1);
		assert_state_dir(NULL, "/home/me/.local/state/volmig");
		unsetenv("XDG_STATE_HOME");
		assert_state_dir(NULL, "/home/me/.local/state/volmig");
	}
}

static void state_dir_made(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	umask(0);
	assert_int_equal(job_state_dir_make("deep/er/st ate", &err), 0);
	assert_int_equal(mode_of("deep"), 0700);
	assert_int_equal(mode_of("deep/er/st ate/jobs"), 0700);
	assert_int_equal(job_state_dir_make("deep/er/st ate", &err), 0);
	assert_int_equal(job_state_dir_make("deep/er/st ate/", &err), 0);

	/* Where it cannot be: nothing was touched yet, so it is a refusal. */
	scratch_make("plain", 1);
	assert_int_equal(job_state_dir_make("plain/state", &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.next, "--state-dir"));
	assert_int_equal(job_state_dir_make("/proc/volmig", &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	if (geteuid() != 0) {
		assert_int_equal(chmod("deep/er/st ate/jobs", 0500), 0);
		assert_int_equal(job_state_dir_make("deep/er/st ate", &err), -1);
		assert_int_equal(err.class, ERR_REFUSED);
		assert_int_equal(chmod("deep/er/st ate/jobs", 0700), 0);
	}
	remove_all("deep");
}

/* ---- made and read back ---- */

static void made(void **state)
{
	struct plan plan = file_plan("/a/x", 10, "/b/x", 0);
	struct err err = ERR_INIT;
	struct job job, again;

	(void)state;
	assert_int_equal(job_create(STATE, ID1, &plan, &job, &err), 0);
	assert_int_equal(plan.step_count, 0);
	assert_null(plan.move.source.path);
	assert_string_equal(job.id, ID1);
	assert_true(job.same_boot && job.lock >= 0 && job.journal);
	assert_int_equal(job.plan.step_count, STEPS);
	assert_string_equal(job_state(&job), "planned");
	assert_false(job_committed(&job));
	assert_int_equal(mode_of(STATE "/jobs/" ID1), 0700);
	assert_int_equal(mode_of(STATE "/jobs/" ID1 "/journal.jsonl"), 0600);
	assert_int_equal(mode_of(STATE "/jobs/" ID1 "/lock"), 0600);

	/* It can be seen at once, by whoever looks. */
	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &again, &err), 0);
	assert_int_equal(again.lock, -1);
	assert_null(again.journal);
	assert_true(again.same_boot);
	assert_string_equal(again.plan.move.source.path, "/a/x");
	assert_string_equal(again.plan.move.name, "x");
	assert_true(*again.planned_at);
	assert_string_equal(again.planned_at, again.touched_at);
	job_close(&again);
	job_close(&job);
	job_close(&job);
}

static struct mark mark_of(uint64_t n)
{
	return (struct mark){ .offset = n, .bytes_data = n - 3, .bytes_zero = 3, .bytes_written = n - 4 };
}

/* Look at the job again and compare it with what this process has. */
static void assert_folds_to(const struct job *job, const char *state, bool committed)
{
	struct err err = ERR_INIT;
	struct job now;

	if (job_open(STATE, job->id, JOB_LOOK, &now, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
	assert_string_equal(job_state(job), state);
	assert_string_equal(job_state(&now), state);
	assert_int_equal(job_committed(&now), committed);
	assert_int_equal(job_committed(job), committed);
	assert_int_equal(now.steps_done, job->steps_done);
	assert_int_equal(now.step_begun, job->step_begun);
	assert_int_equal(now.written, job->written);
	assert_int_equal(now.aborting, job->aborting);
	assert_int_equal(now.ended, job->ended);
	assert_int_equal(now.aborted, job->aborted);
	assert_memory_equal(&now.record.mark, &job->record.mark, sizeof(struct mark));
	assert_int_equal(json_equal(now.stopped, job->stopped), job->stopped != NULL);
	assert_int_equal(json_equal(now.result, job->result), job->result != NULL);
	job_close(&now);
}

static void step(struct job *job, const char *begun, const char *done, bool committed)
{
	struct err err = ERR_INIT;

	assert_int_equal(job_begin_step(job, &err), 0);
	assert_folds_to(job, begun, job_committed(job));
	assert_int_equal(job_done_step(job, &err), 0);
	assert_folds_to(job, done, committed);
}

/* From planned to cleaned; each line is folded as soon as it is written. */
static void a_whole_life(void **state)
{
	struct err err = ERR_INIT, why = ERR_INIT;
	struct mark mark = mark_of(1 << 20);
	json_t *result = json_pack("{s:s}", "state", "cleaned");
	struct job job;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	assert_false(job.written);
	step(&job, "planned", "prepared", false);
	assert_int_equal(job_begin_step(&job, &err), 0);
	assert_true(job.written);
	assert_int_equal(job_note_durable(&job, &mark, 1000, &err), 0);
	assert_folds_to(&job, "copying", false);
	mark = mark_of(2 << 20);
	assert_int_equal(job_note_durable(&job, &mark, 1000, &err), 0);
	assert_folds_to(&job, "copying", false);

	err_set(&why, ERR_STOPPED, "/a/x\n\xff", "cannot read at byte %d", 7);
	assert_int_equal(job_note_stop(&job, &why, &err), 0);
	assert_folds_to(&job, "copying", false);
	assert_string_equal(json_get_string(job.stopped, "class"), "stopped");
	assert_string_equal(json_get_string(job.stopped, "message"), "/a/x\\n\\xff: cannot read at byte 7");

	/* Resumed: the step is begun again. */
	step(&job, "copying", "synced", false);
	step(&job, "synced", "verified", false);
	step(&job, "verified", "verified", false);
	step(&job, "verified", "committed", true);
	step(&job, "committed", "committed", true);
	assert_int_equal(job.steps_done, STEPS);

	scratch_make(STATE "/jobs/" ID1 "/leaves", 16);
	assert_int_equal(job_end(&job, false, result, &err), 0);
	assert_folds_to(&job, "cleaned", true);
	assert_false(exists(STATE "/jobs/" ID1 "/leaves"));
	json_decref(result);
	job_close(&job);
}

static size_t count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t lines = 0;

	assert_non_null(file);
	for (int c; (c = getc(file)) != EOF;)
		lines += c == '\n';
	fclose(file);
	return lines;
}

static void undone(void **state)
{
	struct err err = ERR_INIT;
	json_t *result = json_object();
	struct job job;
	size_t lines;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	step(&job, "planned", "prepared", false);
	step(&job, "copying", "synced", false);
	assert_int_equal(job_begin_step(&job, &err), 0);
	assert_int_equal(job_begin_abort(&job, &err), 0);
	assert_folds_to(&job, "synced", false);
	assert_true(job.aborting);
	/* Again, after a failure: it is noted once. */
	lines = count_lines(STATE "/jobs/" ID1 "/journal.jsonl");
	assert_int_equal(job_begin_abort(&job, &err), 0);
	assert_int_equal(count_lines(STATE "/jobs/" ID1 "/journal.jsonl"), lines);
	assert_int_equal(job_undone_step(&job, VERIFY, &err), 0);
	assert_folds_to(&job, "synced", false);
	assert_false(job.step_begun);
	assert_int_equal(job_undone_step(&job, COPY, &err), 0);
	assert_folds_to(&job, "prepared", false);
	assert_int_equal(job_undone_step(&job, CREATE, &err), 0);
	assert_folds_to(&job, "planned", false);
	assert_int_equal(job_end(&job, true, result, &err), 0);
	assert_folds_to(&job, "aborted", false);
	json_decref(result);
	job_close(&job);
}

/* What the steps have found out comes back, odd names and all. */
static void the_record(void **state)
{
	struct err err = ERR_INIT;
	struct job job, again;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	assert_null(job.record.target.kind);
	job.record.target = file_facts("/b/.volmig-\xff\n", 77);
	job.record.mark = mark_of(5 << 20);
	job.record.copy_ns = 123456789012;
	job.record.verify_ns = 5;
	job.record.resumed_at = 1 << 20;
	job.record.rewritten = 4096;
	job.record.allocated_after = 3 << 20;
	job.record.verified = true;
	job.record.cloned = true;
	strcpy(job.record.tree_hash, "0123456789abcdef0123456789abcdef");
	text_list_add(&job.record.notes, text_copy("one"));
	text_list_add(&job.record.notes, text_copy("two"));
	assert_int_equal(job_begin_step(&job, &err), 0);
	assert_int_equal(job_done_step(&job, &err), 0);

	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &again, &err), 0);
	assert_string_equal(again.record.target.path, "/b/.volmig-\xff\n");
	assert_int_equal(again.record.target.ino, 77);
	assert_memory_equal(&again.record.mark, &job.record.mark, sizeof(struct mark));
	assert_int_equal(again.record.copy_ns, 123456789012);
	assert_int_equal(again.record.verify_ns, 5);
	assert_int_equal(again.record.resumed_at, 1 << 20);
	assert_int_equal(again.record.rewritten, 4096);
	assert_int_equal(again.record.allocated_after, 3 << 20);
	assert_true(again.record.verified && again.record.cloned);
	assert_string_equal(again.record.tree_hash, job.record.tree_hash);
	assert_int_equal(again.record.notes.count, 2);
	assert_string_equal(again.record.notes.items[1], "two");
	job_close(&again);
	job_close(&job);
}

/* A volume that is there is the target from the beginning. */
static void target_of_an_existing_destination(void **state)
{
	struct err err = ERR_INIT;
	struct job job, again;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/y", 20), &job);
	assert_string_equal(job.record.target.path, "/b/y");
	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &again, &err), 0);
	assert_string_equal(again.record.target.path, "/b/y");
	assert_int_equal(again.record.target.ino, 20);
	job_close(&again);
	job_close(&job);
}

/* Written by a volmig of before the last boot, for all that the journal tells. */
static void another_boot(void **state)
{
	struct plan plan = file_plan("/a/x", 10, "/b/x", 0);
	struct err err = ERR_INIT;
	struct journal *journal;
	struct job job;

	(void)state;
	assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
	assert_int_equal(journal_create(&journal, STATE "/jobs/" ID1 "/journal.jsonl", &err), 0);
	assert_int_equal(journal_append(journal, json_pack("{s:s, s:s, s:o}", "rec", "plan", "boot",
		"00000000-1111-4222-8333-444444444444", "plan", plan_to_json(&plan)), &err), 0);
	journal_close(journal);
	plan_free(&plan);
	assert_int_equal(job_open(STATE, ID1, JOB_LOOK, &job, &err), 0);
	assert_false(job.same_boot);
	job_close(&job);
}

/* ---- what is no job's journal ---- */

static json_t *plan_record(void)
{
	struct plan plan = file_plan("/a/x", 10, "/b/x", 0);
	json_t *record = json_pack("{s:s, s:s, s:o}", "rec", "plan", "boot", "", "plan", plan_to_json(&plan));

	plan_free(&plan);
	return record;
}

/* Records in order; "PLAN" stands for one. */
static const struct {
	const char *records[6];
	const char *cause;		/* NULL: it is one */
} journals[] = {
	{ { "PLAN" }, NULL },
	{ { "PLAN", "{\"rec\":\"begin\",\"step\":0}", "{\"rec\":\"begin\",\"step\":0}" }, NULL },
	{ { "PLAN", "{\"rec\":\"begin\",\"step\":0}", "{\"rec\":\"done\",\"step\":0}",
	    "{\"rec\":\"begin\",\"step\":1}" }, NULL },
	{ { "PLAN", "{\"rec\":\"abort\"}", "{\"rec\":\"end\",\"aborted\":true}" }, NULL },
	{ { NULL }, "never planned" },
	{ { "PLAN", "PLAN" }, "two plans" },
	{ { "{\"rec\":\"begin\",\"step\":0}", "PLAN" }, "does not begin with a plan" },
	{ { "{\"rec\":\"end\"}" }, "does not begin with a plan" },
	{ { "PLAN", "{}" }, "without a kind" },
	{ { "PLAN", "{\"rec\":7}" }, "without a kind" },
	{ { "PLAN", "{\"rec\":\"teleport\"}" }, "unknown kind: teleport" },
	{ { "PLAN", "{\"rec\":\"begin\",\"step\":1}" }, "out of order" },
	{ { "PLAN", "{\"rec\":\"done\",\"step\":4}" }, "out of order" },
	{ { "PLAN", "{\"rec\":\"begin\",\"step\":-1}" }, "out of order" },
	{ { "PLAN", "{\"rec\":\"undone\",\"step\":1}" }, "out of order" },
	{ { "PLAN", "{\"rec\":\"end\",\"aborted\":false}", "{\"rec\":\"begin\",\"step\":0}" }, "after its end" },
	{ { "PLAN", "{\"rec\":\"end\",\"aborted\":false}", "{\"rec\":\"abort\"}" }, "after its end" },
	{ { "{\"rec\":\"plan\",\"plan\":{}}" }, "does not know" },
	{ { "{\"rec\":\"plan\"}" }, "does not know" },
};

/* That there is such a job is known before anything of it is made. */
static void mark_open(const char *id)
{
	struct err err = ERR_INIT;
	bool made;

	assert_int_equal(job_mark_open(STATE, id, &made, &err), 0);
}

static void write_journal(const char *const *records, size_t count)
{
	struct err err = ERR_INIT;
	struct journal *journal;
	int fd;

	mark_open(ID1);
	remove_all(STATE "/jobs/" ID1);
	assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
	fd = open(STATE "/jobs/" ID1 "/lock", O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(journal_create(&journal, STATE "/jobs/" ID1 "/journal.jsonl", &err), 0);
	for (size_t i = 0; i < count && records[i]; i++)
		assert_int_equal(journal_append(journal, strcmp(records[i], "PLAN") ?
			json_loads(records[i], 0, NULL) : plan_record(), &err), 0);
	journal_close(journal);
}

static void records_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(journals) / sizeof(journals[0]); i++) {
		for (enum job_open_mode mode = JOB_LOOK; mode <= JOB_WORK; mode++) {
			struct err err = ERR_INIT;
			struct job job;
			int ret;

			write_journal(journals[i].records, 6);
			ret = job_open(STATE, ID1, mode, &job, &err);
			if (!journals[i].cause) {
				if (ret < 0)
					fail_msg("journal %zu: %s", i, err.cause);
				job_close(&job);
				continue;
			}
			if (ret == 0)
				fail_msg("journal %zu is read as %s", i, job_state(&job));
			assert_int_equal(err.class, ERR_REFUSED);
			assert_true(*err.object);
			if (!strstr(err.cause, journals[i].cause))
				fail_msg("journal %zu: %s", i, err.cause);
		}
	}
}

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

		create(ids[i], file_plan(from, (uint64_t)(10 + i), to, 0), &job);
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
	assert_false(exists("nowhere"));
	scratch_make("plain", 1);
	assert_int_equal(job_list("plain", &list, &err), -1);
}

/* ---- jobs that a crash has kept from being made ---- */

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
	const char *const records[] = { "PLAN" };
	char text[65536], *newline;
	struct text_list list = { 0 };
	struct err err = ERR_INIT;
	size_t length, first;
	struct job job;
	FILE *file;

	(void)state;
	write_journal(records, 1);
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
	for (int stage = 0; stage < 5; stage++) {
		remove_all(STATE "/jobs/" ID1);
		mark_open(ID1);
		if (stage > 0)
			assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
		if (stage > 1)
			write_text(STATE "/jobs/" ID1 "/lock", "", 0);
		if (stage > 2)
			write_text(STATE "/jobs/" ID1 "/journal.jsonl", text, stage > 3 ? length - 1 : first);
		/* Another one is made, and then one of that very id. */
		create(ID2, file_plan("/a/y", 11, "/b/y", 0), &job);
		job_close(&job);
		assert_false(exists(STATE "/jobs/" ID1));
		assert_false(exists(STATE "/open/" ID1));
		remove_all(STATE "/jobs/" ID2);
		create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
		job_close(&job);
	}
	/* What is not ours, or has more in it, stays. */
	remove_all(STATE "/jobs/" ID1);
	assert_int_equal(mkdir(STATE "/jobs/notes", 0700), 0);
	mark_open(ID1);
	assert_int_equal(mkdir(STATE "/jobs/" ID1, 0700), 0);
	write_text(STATE "/jobs/" ID1 "/other", "x", 1);
	create(ID2, file_plan("/a/y", 11, "/b/y", 0), &job);
	job_close(&job);
	assert_true(exists(STATE "/jobs/notes"));
	assert_true(exists(STATE "/jobs/" ID1 "/other"));
}

static void not_made(void **state)
{
	struct rlimit limit, none;
	struct err err = ERR_INIT;
	struct plan plan;
	struct job job;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);

	/* An id is given once. */
	plan = file_plan("/a/y", 11, "/b/y", 0);
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
		assert_false(exists(STATE "/jobs/" ID2));
	}
	assert_int_equal(job_create(STATE, ID2, &plan, &job, &err), 0);
	job_close(&job);
}

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
		assert_false(exists(STATE "/jobs/" ID3));
		plan_free(&plan);
	}
	job_close(&job);
	remove_all(STATE "/jobs/" ID3);
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
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	create(ID2, file_plan("/a/y", 11, "/b/y", 21), &job);
	job_close(&job);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int ret = create_beside(file_plan(table[i].from, table[i].from_ino,
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
		struct plan plan = file_plan("/a/x", 10, "/b/x", 0);

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
		assert_int_equal(create_beside(file_plan(table[i].from, table[i].from_ino,
							 table[i].to, table[i].to_ino), &err), 0);
}

/* The file that an unfinished job has made is held, too, under whatever name it is by now. */
static void what_a_job_has_made_is_held(void **state)
{
	struct err err = ERR_INIT;
	struct job job;

	(void)state;
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	step(&job, "planned", "prepared", false);
	job.record.target = file_facts("/b/.volmig-" ID1, 30);
	step(&job, "copying", "synced", false);
	assert_int_equal(create_beside(file_plan("/b/.volmig-" ID1, 30, "/c/x", 0), &err), -1);
	free(job.record.target.path);
	job.record.target.path = text_copy("/b/x");
	step(&job, "synced", "verified", false);
	step(&job, "verified", "verified", false);
	assert_int_equal(create_beside(file_plan("/b/x", 30, "/c/x", 0), &err), -1);
	assert_non_null(strstr(err.cause, ID1));
	step(&job, "verified", "committed", true);
	assert_int_equal(create_beside(file_plan("/b/x", 30, "/c/x", 0), &err), -1);
	assert_int_equal(create_beside(file_plan("/a/z", 12, "/other name", 30), &err), -1);
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
		create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
		assert_int_equal(job_end(&job, false, result, &err), 0);
		job_close(&job);
		assert_int_equal(create_beside(file_plan("/a/x", 10, "/b/x", 0), &err), 0);
		json_decref(result);
		free(text);
		remove_all(STATE "/jobs/" ID1);
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
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
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

	assert_int_equal(create_beside(file_plan("/a/x", 10, "/c/x", 0), &err), -1);
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
	create(ID1, file_plan("/a/x", 10, "/b/x", 0), &job);
	job_close(&job);
	plan = file_plan("/a/x", 10, "/c/x", 0);

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

static int leave(void **state)
{
	return remove_all(STATE) || scratch_leave(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_jobs_live),
		cmocka_unit_test(state_dir_made),
		cmocka_unit_test_setup(made, fresh_state),
		cmocka_unit_test_setup(a_whole_life, fresh_state),
		cmocka_unit_test_setup(undone, fresh_state),
		cmocka_unit_test_setup(the_record, fresh_state),
		cmocka_unit_test_setup(target_of_an_existing_destination, fresh_state),
		cmocka_unit_test_setup(another_boot, fresh_state),
		cmocka_unit_test_setup(records_in_order, fresh_state),
		cmocka_unit_test_setup(found, fresh_state),
		cmocka_unit_test(no_state_directory),
		cmocka_unit_test_setup(stillborn, fresh_state),
		cmocka_unit_test_setup(not_made, fresh_state),
		cmocka_unit_test_setup(conflicts, fresh_state),
		cmocka_unit_test_setup(what_a_job_has_made_is_held, fresh_state),
		cmocka_unit_test_setup(long_receipts, fresh_state),
		cmocka_unit_test_setup(one_works_others_look, fresh_state),
		cmocka_unit_test_setup(waiting, fresh_state),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, scratch_enter, leave);
}
