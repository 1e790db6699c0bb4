/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: made, and folded back from their journals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs.h"
#include "journal.h"
#include "scratch.h"
#include "support/err.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"

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
	jobs_remove("deep");
}

/* ---- made and read back ---- */

static void made(void **state)
{
	struct plan plan = jobs_plan("/a/x", 10, "/b/x", 0);
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
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
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
	assert_false(jobs_exists(STATE "/jobs/" ID1 "/leaves"));
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
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
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
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/x", 0), &job);
	assert_null(job.record.target.kind);
	job.record.target = jobs_facts("/b/.volmig-\xff\n", 77);
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
	jobs_create(ID1, jobs_plan("/a/x", 10, "/b/y", 20), &job);
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
	struct plan plan = jobs_plan("/a/x", 10, "/b/x", 0);
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
	struct plan plan = jobs_plan("/a/x", 10, "/b/x", 0);
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
	jobs_remove(STATE "/jobs/" ID1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_jobs_live),
		cmocka_unit_test(state_dir_made),
		cmocka_unit_test_setup(made, jobs_fresh),
		cmocka_unit_test_setup(a_whole_life, jobs_fresh),
		cmocka_unit_test_setup(undone, jobs_fresh),
		cmocka_unit_test_setup(the_record, jobs_fresh),
		cmocka_unit_test_setup(target_of_an_existing_destination, jobs_fresh),
		cmocka_unit_test_setup(another_boot, jobs_fresh),
		cmocka_unit_test_setup(records_in_order, jobs_fresh),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, scratch_enter, jobs_leave);
}
