/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs on disk, folded back from their journals. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job_holds.h"
#include "journal.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/journald.h"
#include "sys/uuid.h"

/* ---- who works on it ---- */

/*
 * A POSIX lock, because the kernel names its holder.  It is lost as soon as
 * this process closes any descriptor of the file, so nobody else in here may
 * open it: job_worker() is only asked about jobs that are not ours.
 */
static int take_lock(struct job *job, int flags, struct err *err)
{
	char *path = text_format("%s/lock", job->dir);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ret = -1;

	job->lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (job->lock < 0) {
		err_sys(err, errno, path, "cannot open the job's lock");
	} else if (fcntl(job->lock, F_SETLK, &lock) < 0) {
		struct flock holder = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		if (fcntl(job->lock, F_GETLK, &holder) < 0 || holder.l_type == F_UNLCK)
			holder.l_pid = 0;
		err_set(err, ERR_REFUSED, job->id, "the job is running (pid %d)", (int)holder.l_pid);
		err_next(err, "wait for it, or end it with volmig abort %s", job->id);
	} else {
		ret = 0;
	}
	free(path);
	return ret;
}

/* ---- folding the journal ---- */

struct progress_record *job_record(const struct job *job, size_t i)
{
	return i ? &job->more_records[i - 1] : (struct progress_record *)&job->record;
}

char *job_part_dir(const struct job *job, size_t i)
{
	return i ? text_format("%s/%zu", job->dir, i) : text_copy(job->dir);
}

/* All records, as members of a journal's record. */
static json_t *with_records(const struct job *job, json_t *record)
{
	json_t *more;

	json_put(record, "record", progress_record_to_json(&job->record));
	if (!job->plan.more_count)
		return record;
	more = json_array();
	for (size_t i = 0; i < job->plan.more_count; i++)
		json_array_append_new(more, progress_record_to_json(&job->more_records[i]));
	json_put(record, "more", more);
	return record;
}

static int records_from_json(struct job *job, const json_t *record, struct err *err)
{
	const json_t *more = json_object_get(record, "more");

	if (progress_record_from_json(&job->record, json_object_get(record, "record"), err) < 0)
		return -1;
	for (size_t i = 0; i < job->plan.more_count; i++)
		if (progress_record_from_json(&job->more_records[i], json_array_get(more, i), err) < 0)
			return -1;
	return 0;
}

/* An existing destination is its own target from the start. */
static int target_from_plan(struct job *job, struct err *err)
{
	job->more_records = text_alloc(job->plan.more_count + 1, sizeof(*job->more_records));
	for (size_t i = 0; i < plan_moves(&job->plan); i++) {
		const struct move *move = plan_move(&job->plan, i);
		json_t *json;
		int ret;

		if (move->create)
			continue;
		json = facts_to_json(&move->destination);
		ret = facts_from_json(&job_record(job, i)->target, json, err);
		json_decref(json);
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int fold_plan(struct job *job, const json_t *record, struct err *err)
{
	char boot[UUID_TEXT_SIZE];
	const char *was = json_get_string(record, "boot");

	if (job->plan.step_count)
		return err_set(err, ERR_REFUSED, job->id, "the journal holds two plans");
	if (plan_from_json(&job->plan, json_object_get(record, "plan"), err) < 0)
		return -1;
	uuid_of_boot(boot);
	job->same_boot = *boot && was && !strcmp(boot, was);
	snprintf(job->planned_at, sizeof(job->planned_at), "%s", json_get_string(record, "time") ?: "");
	return target_from_plan(job, err);
}

/* Nothing is left of the plan before. */
static int take_next_plan(struct job *job, struct err *err)
{
	progress_record_free(&job->record);
	free(job->more_records);
	job->more_records = NULL;
	plan_go_on(&job->plan, job->go_on, job->failure);
	job->steps_done = 0;
	job->step_begun = job->written = false;
	job->aborting = job->retreating = false;
	return target_from_plan(job, err);
}

static int fold(const json_t *record, void *data, struct err *err)
{
	struct job *job = data;
	const char *rec = json_get_string(record, "rec");

	snprintf(job->touched_at, sizeof(job->touched_at), "%s", json_get_string(record, "time") ?: "");
	if (!rec)
		return json_object_get(record, "journal") ? 0 :
		       err_set(err, ERR_REFUSED, job->id, "the journal has a record without a kind");
	if (!strcmp(rec, "plan"))
		return fold_plan(job, record, err);
	if (!job->plan.step_count)
		return err_set(err, ERR_REFUSED, job->id, "the journal does not begin with a plan");
	if (job->ended)
		return err_set(err, ERR_REFUSED, job->id, "the journal goes on after its end");

	if (!strcmp(rec, "begin") || !strcmp(rec, "done")) {
		if (json_get_u64(record, "step") != job->steps_done ||
		    job->steps_done >= job->plan.step_count)
			return err_set(err, ERR_REFUSED, job->id, "the journal's steps are out of order");
		job->step_begun = !strcmp(rec, "begin");
		if (job->step_begun) {
			job->written |= job->plan.steps[job->steps_done]->doing != NULL;
			return 0;
		}
		job->steps_done++;
		return records_from_json(job, record, err);
	}
	if (!strcmp(rec, "durable")) {
		struct progress_record *now;

		if (json_get_u64(record, "move") >= plan_moves(&job->plan))
			return err_set(err, ERR_REFUSED, job->id, "the journal speaks of a move that its plan has not");
		now = job_record(job, json_get_u64(record, "move"));
		now->mark = mark_from_json(json_object_get(record, "mark"));
		now->copy_ns = json_get_u64(record, "copy_ns");
		hash_from_hex(json_get_string(record, "leaf"), &now->leaf);
	} else if (!strcmp(rec, "note")) {
		return records_from_json(job, record, err);
	} else if (!strcmp(rec, "stop")) {
		json_decref(job->stopped);
		job->stopped = json_deep_copy(json_object_get(record, "error"));
		return records_from_json(job, record, err);
	} else if (!strcmp(rec, "terms")) {
		json_decref(job->terms);
		job->terms = json_deep_copy(json_object_get(record, "terms"));
	} else if (!strcmp(rec, "keep-source")) {
		job->keep_source = true;
	} else if (!strcmp(rec, "abort")) {
		job->aborting = true;
		job->retreating = false;
	} else if (!strcmp(rec, "retreat")) {
		job->aborting = job->retreating = true;
		free(job->failure);
		job->failure = text_copy(json_get_string(record, "failure") ?: "");
		job->go_on = json_get_bool(record, "proving") ? GO_ON_PROVING : GO_ON_ANY;
	} else if (!strcmp(rec, "next")) {
		if (!job->retreating || !plan_has_next(&job->plan, job->go_on))
			return err_set(err, ERR_REFUSED, job->id, "the journal goes on with a plan that it has not");
		return take_next_plan(job, err);
	} else if (!strcmp(rec, "undone")) {
		if (json_get_u64(record, "step") > job->steps_done)
			return err_set(err, ERR_REFUSED, job->id, "the journal's steps are out of order");
		job->steps_done = json_get_u64(record, "step");
		job->step_begun = false;
	} else if (!strcmp(rec, "rewind")) {
		if (json_get_u64(record, "step") > job->steps_done)
			return err_set(err, ERR_REFUSED, job->id, "the journal's steps are out of order");
		job->steps_done = json_get_u64(record, "step");
		job->step_begun = false;
		return records_from_json(job, record, err);
	} else if (!strcmp(rec, "end")) {
		job->ended = true;
		job->aborted = json_get_bool(record, "aborted");
		job->result = json_deep_copy(json_object_get(record, "result"));
	} else {
		return err_set(err, ERR_REFUSED, job->id, "the journal has a record of unknown kind: %s", rec);
	}
	return 0;
}

const char *job_state(const struct job *job)
{
	const char *state = "planned";

	if (job->ended)
		return job->aborted ? "aborted" : "cleaned";
	for (size_t i = 0; i < job->steps_done; i++)
		if (job->plan.steps[i]->state)
			state = job->plan.steps[i]->state;
	if (job->step_begun && job->plan.steps[job->steps_done]->doing)
		state = job->plan.steps[job->steps_done]->doing;
	return state;
}

bool job_committed(const struct job *job)
{
	for (size_t i = 0; i < job->steps_done; i++)
		if (job->plan.steps[i]->irrevocable)
			return true;
	return false;
}

/* ---- opening and making ---- */

static int job_open_at(const char *state_dir, const char *id, enum job_open_mode mode,
		       struct job *job, struct err *err)
{
	char *path;
	int ret = -1;

	*job = (struct job){ .lock = -1 };
	memcpy(job->id, id, JOB_ID_SIZE);
	job->state_dir = text_copy(state_dir);
	job->dir = job_dir(state_dir, id);
	path = text_format("%s/journal.jsonl", job->dir);
	if (mode == JOB_LOOK) {
		ret = journal_read(path, fold, job, err);
	} else if (take_lock(job, 0, err) == 0) {
		ret = journal_open(&job->journal, path, fold, job, err);
	}
	free(path);
	/* It has no fault of its own, but says what is not known here. */
	if (ret < 0 && err->class == ERR_REFUSED && !*err->next)
		err_next(err, "use the volmig that wrote it; neither volume is touched because of it");
	if (ret == 0 && !job->plan.step_count)
		ret = err_set(err, ERR_REFUSED, id, "the job was never planned to its end: nothing was touched");
	/* It always is, but for one of a version before, and where somebody has removed that. */
	if (ret == 0 && mode == JOB_WORK && !job->ended)
		ret = job_mark_open_again(state_dir, id, err);
	if (ret < 0 && !*err->object)
		snprintf(err->object, sizeof(err->object), "%s", id);
	/* What the system has against it: nothing was touched, and the job is as it was. */
	if (ret < 0 && err->class == ERR_FAILED && err->number) {
		err->class = ERR_REFUSED;
		err_next(err, "mend that, then try again");
	}
	return ret;
}

/* Whatever is said from here on is about it: a process works on one job at most. */
static void name_for_log(const struct job *job)
{
	journald_field("VOLMIG_JOB", job->id);
	journald_field("VOLMIG_SOURCE", job->plan.move.source.spec);
	journald_field("VOLMIG_DESTINATION", job->plan.move.destination.spec);
}

int job_open(const char *state_dir, const char *id, enum job_open_mode mode,
	     struct job *ret_job, struct err *err)
{
	if (job_open_at(state_dir, id, mode, ret_job, err) < 0) {
		job_close(ret_job);
		return -1;
	}
	if (mode == JOB_WORK)
		name_for_log(ret_job);
	return 0;
}

void job_close(struct job *job)
{
	pulse_end(&job->pulse);
	journal_close(job->journal);
	if (job->lock >= 0)
		close(job->lock);
	free(job->state_dir);
	free(job->dir);
	for (size_t i = 0; job->more_records && i < job->plan.more_count; i++)
		progress_record_free(&job->more_records[i]);
	free(job->more_records);
	plan_free(&job->plan);
	progress_record_free(&job->record);
	json_decref(job->result);
	json_decref(job->stopped);
	json_decref(job->terms);
	free(job->failure);
	*job = (struct job){ .lock = -1 };
}

static int sync_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0 || fsync(fd) < 0)
		ret = err_sys(err, errno, path, "cannot sync the directory");
	if (fd >= 0)
		close(fd);
	return ret;
}

/* There is no job that could be gone on with. */
static void no_room(struct err *err)
{
	if (err->class != ERR_STOPPED)
		return;
	err->class = ERR_REFUSED;
	err_next(err, "make room there, or choose another place with --state-dir");
}

/* Under the state directory's lock.  Leaves nothing behind when it fails. */
static int make_job(const char *state_dir, const char *id, struct plan *plan,
		    struct job *job, struct err *err)
{
	char boot[UUID_TEXT_SIZE];
	char *jobs = text_format("%s/jobs", state_dir);
	char *path = NULL, *lock = NULL;
	bool marked = false;
	int ret = -1;

	*job = (struct job){ .lock = -1, .same_boot = true };
	memcpy(job->id, id, JOB_ID_SIZE);
	job->state_dir = text_copy(state_dir);
	job->dir = job_dir(state_dir, id);
	path = text_format("%s/journal.jsonl", job->dir);
	lock = text_format("%s/lock", job->dir);
	if (job_mark_open(state_dir, id, &marked, err) < 0) {
		no_room(err);
		goto out;
	}
	if (mkdir(job->dir, 0700) < 0) {
		if (errno == EEXIST)
			err_set(err, ERR_REFUSED, id, "there is a job of that id already");
		else
			err_sys(err, errno, job->dir, "cannot make the job's directory");
		goto out;
	}
	job->plan = *plan;
	if (marked)
		job_lock_from_mark(state_dir, id);
	if (take_lock(job, O_CREAT, err) < 0 ||
	    journal_create(&job->journal, path, err) < 0 ||
	    target_from_plan(job, err) < 0 ||
	    journal_append(job->journal,
			   json_pack("{s:s, s:s, s:s, s:o}", "rec", "plan", "job", id, "boot",
				     uuid_of_boot(boot), "plan", plan_to_json(plan)), err) < 0 ||
	    sync_dir(job->dir, err) < 0 || sync_dir(jobs, err) < 0) {
		unlink(path);
		unlink(lock);
		rmdir(job->dir);
		job->plan = (struct plan){ 0 };		/* stays the caller's */
		no_room(err);
		goto out;
	}
	*plan = (struct plan){ 0 };
	snprintf(job->planned_at, sizeof(job->planned_at), "%s", journal_last_time(job->journal));
	name_for_log(job);
	ret = 0;
out:
	free(path);
	free(lock);
	free(jobs);
	if (ret < 0 && marked)
		job_mark_ended(state_dir, id);
	if (ret < 0)
		job_close(job);
	return ret;
}

int job_create(const char *state_dir, const char *id, struct plan *plan,
	       struct job *ret_job, struct err *err)
{
	int lock = job_lock_store(state_dir, err);
	pid_t worker;
	int ret;

	if (lock < 0)
		return -1;
	job_bury_stillborn(state_dir);
	ret = job_find_conflict(state_dir, id, plan, true, &worker, err);
	if (ret == 0)
		ret = make_job(state_dir, id, plan, ret_job, err);
	close(lock);
	return ret;
}

/* ---- writing ---- */

/* The kind comes first: job_ended_quickly() looks for it there. */
int job_begin_step(struct job *job, struct err *err)
{
	const struct step_ops *step = job->plan.steps[job->steps_done];
	json_t *record = json_pack("{s:s, s:I, s:s}", "rec", "begin", "step", (json_int_t)job->steps_done,
				   "name", step->name);

	if ((step->looks_only ? journal_note : journal_append)(job->journal, record, err) < 0)
		return -1;
	job->step_begun = true;
	job->written |= job->plan.steps[job->steps_done]->doing != NULL;
	return 0;
}

int job_sync(struct job *job, struct err *err)
{
	return journal_sync(job->journal, err);
}

int job_note_durable(struct job *job, const struct mark *mark, uint64_t copy_ns, struct err *err)
{
	size_t of = job->plan.step_moves[job->steps_done];
	/* The last one comes right before the end of the step, and is synced with what comes then. */
	bool last = mark->offset >= plan_move(&job->plan, of)->source.bytes;
	char leaf[HASH_HEX];
	json_t *record = json_pack("{s:s, s:I, s:o, s:I, s:s}", "rec", "durable", "move", (json_int_t)of,
				   "mark", mark_to_json(mark), "copy_ns", (json_int_t)copy_ns,
				   "leaf", hash_hex(&job_record(job, of)->leaf, leaf));

	if ((last ? journal_note : journal_append)(job->journal, record, err) < 0)
		return -1;
	job_record(job, of)->mark = *mark;
	return 0;
}

int job_note_records(struct job *job, struct err *err)
{
	return journal_note(job->journal, with_records(job, json_pack("{s:s}", "rec", "note")), err);
}

int job_done_step(struct job *job, struct err *err)
{
	/* What comes next, a step that begins, a stop or the end, makes it durable before anything is done. */
	if (journal_note(job->journal, with_records(job,
			 json_pack("{s:s, s:I, s:s}", "rec", "done", "step",
				   (json_int_t)job->steps_done,
				   "name", job->plan.steps[job->steps_done]->name)), err) < 0)
		return -1;
	job->steps_done++;
	job->step_begun = false;
	return 0;
}

int job_note_stop(struct job *job, const struct err *why, struct err *err)
{
	char *message = text_format("%s%s%s", why->object, *why->object ? ": " : "", why->cause);
	json_t *error = json_pack("{s:s, s:o}", "class", err_class_name(why->class),
				  "message", json_text(message));

	free(message);
	json_decref(job->stopped);
	job->stopped = json_incref(error);
	return journal_append(job->journal, with_records(job, json_pack("{s:s, s:o}", "rec", "stop",
									"error", error)), err);
}

int job_note_terms(struct job *job, json_t *terms, uint64_t ticket, struct err *err)
{
	if (job->terms != terms) {
		json_decref(job->terms);
		job->terms = json_incref(terms);
	}
	return journal_note(job->journal, json_pack("{s:s, s:I, s:o}", "rec", "terms", "ticket",
						    (json_int_t)ticket, "terms", terms), err);
}

int job_keep_source(struct job *job, struct err *err)
{
	if (!job->keep_source &&
	    journal_append(job->journal, json_pack("{s:s}", "rec", "keep-source"), err) < 0)
		return -1;
	job->keep_source = true;
	return 0;
}

int job_begin_abort(struct job *job, struct err *err)
{
	if ((!job->aborting || job->retreating) &&
	    journal_append(job->journal, json_pack("{s:s}", "rec", "abort"), err) < 0)
		return -1;
	job->aborting = true;
	job->retreating = false;
	return 0;
}

int job_begin_retreat(struct job *job, const struct err *why, struct err *err)
{
	char *failure = text_format("%s%s%s", why->object, *why->object ? ": " : "", why->cause);

	job->go_on = job->record.go_on;
	if (journal_append(job->journal, json_pack("{s:s, s:o, s:b}", "rec", "retreat", "failure", json_text(failure),
						   "proving", job->go_on == GO_ON_PROVING), err) < 0) {
		free(failure);
		return -1;
	}
	free(job->failure);
	job->failure = failure;
	job->aborting = job->retreating = true;
	return 0;
}

int job_go_on(struct job *job, struct err *err)
{
	if (journal_append(job->journal, json_pack("{s:s}", "rec", "next"), err) < 0)
		return -1;
	return take_next_plan(job, err);
}

int job_undone_step(struct job *job, size_t step, struct err *err)
{
	if (journal_append(job->journal, json_pack("{s:s, s:I}", "rec", "undone",
						   "step", (json_int_t)step), err) < 0)
		return -1;
	job->steps_done = step;
	job->step_begun = false;
	return 0;
}

int job_rewind(struct job *job, size_t step, bool from_zero, struct err *err)
{
	struct progress_record *record = job_record(job, job->plan.step_moves[step]);
	const char *name = job->plan.steps[step]->name;

	/* It may have been taken back further already, for another of its moves. */
	if (step > job->steps_done)
		step = job->steps_done;
	if (from_zero)
		record->mark = (struct mark){ 0 };
	record->verified = false;
	record->tree_hash[0] = '\0';
	text_list_add(&record->notes, text_format("after a restart of the machine %s began anew", name));
	if (journal_append(job->journal, with_records(job,
			   json_pack("{s:s, s:I}", "rec", "rewind", "step", (json_int_t)step)), err) < 0)
		return -1;
	job->steps_done = step;
	job->step_begun = false;
	return 0;
}

int job_end(struct job *job, bool aborted, json_t *result, struct err *err)
{
	char *control = text_format("%s/control", job->dir);
	static const char *const served[] = { "data", "lease" };
	char *survey = text_format("%s/survey", job->dir);

	for (size_t i = 0; job->plan.serve && i < sizeof(served) / sizeof(served[0]); i++) {
		char *path = text_format("%s/%s", job->dir, served[i]);

		unlink(path);
		free(path);
	}
	/* They prove a copy to its own job only; the receipt has their root. */
	for (size_t i = 0; i < plan_moves(&job->plan); i++) {
		char *dir = job_part_dir(job, i), *leaves = text_format("%s/leaves", dir);

		unlink(leaves);
		if (i)
			rmdir(dir);
		free(leaves);
		free(dir);
	}
	unlink(control);
	unlink(survey);		/* of a process that was killed before it had taken its name away */
	free(control);
	free(survey);
	if (journal_append(job->journal, json_pack("{s:s, s:b, s:O}", "rec", "end", "aborted", aborted,
						   "result", result), err) < 0)
		return -1;
	journal_trim(job->journal);
	job_mark_ended(job->state_dir, job->id);
	job->ended = true;
	job->ended_here = true;
	job->aborted = aborted;
	json_decref(job->result);
	job->result = json_incref(result);
	return 0;
}
