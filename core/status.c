/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig status: what the journals tell, held against what is there now. */
#include "perform.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "job_limits.h"
#include "live.h"
#include "online.h"
#include "pulse.h"
#include "report.h"
#include "support/err.h"
#include "support/json.h"

/* How many of the jobs that have ended are shown, and read in full. */
#define NEWEST 20

/* What is at path now, against what was recorded: "there", "not there", "another file: ...". */
static json_t *now_there(const struct facts *was, const char *path, bool same_boot, bool whole)
{
	struct facts now = { 0 };
	struct err err = ERR_INIT;
	char *why, *text;
	json_t *json;

	/* Of who asked us for it. */
	if (was->kind && !strcmp(was->kind, peer_volume_ops.kind))
		return json_string("on another host");
	if ((was->lv ? volume_inspect_again(was, INSPECT_USES, &now, &err) :
		       volume_inspect_path(path, INSPECT_USES, &now, &err)) < 0)
		return json_text(err.cause);
	if (!now.kind) {
		json = json_string("not there");
	} else if ((why = facts_not_same(was, &now, same_boot))) {
		text = text_format("another volume is at that path: %s", why);
		json = json_text(text);
		free(text);
		free(why);
	} else if (whole && (why = facts_changed(was, &now, same_boot))) {
		text = text_format("there, but changed: %s", why);
		json = json_text(text);
		free(text);
		free(why);
	} else if (now.uses.count) {
		char *uses = text_list_join(&now.uses);

		text = text_format("there, in use: %s", uses);
		json = json_text(text);
		free(text);
		free(uses);
	} else {
		json = json_string("there");
	}
	facts_free(&now);
	return json;
}

static void add_worker(json_t *report, const char *state_dir, const struct job *job)
{
	pid_t worker = job->ended ? 0 : job_worker(state_dir, job->id);

	json_t *now = worker ? pulse_read(job->dir) : NULL;
	char *waits = worker ? limits_waiting_for(state_dir, job->id) : NULL;

	json_put(report, "running", json_boolean(worker != 0));
	if (now)
		json_put(report, "progress", now);
	if (waits)
		json_put(report, "waits_for", json_text(waits));
	free(waits);
	if (worker > 0)
		json_put(report, "pid", json_integer(worker));
}

static void add_next(json_t *report, const struct perform_options *options, const struct job *job)
{
	char *dir, *next;

	if (job->ended || json_is_true(json_object_get(report, "running")))
		return;
	/* It is gone on with from there. */
	if (job->plan.serve && !job->aborting && !job_committed(job)) {
		next = text_format("volmig resume %s on the other host; or here, to give this part up, volmig abort %s",
				   job->id, job->id);
		json_put(report, "next", json_text(next));
		free(next);
		return;
	}
	dir = options->state_dir ? text_shell_word(options->state_dir) : NULL;
	next = text_format("volmig %s%s%s%s %s", dir ? "--state-dir " : "", dir ? dir : "", dir ? " " : "",
			   job->aborting && !job->retreating ? "abort" : "resume", job->id);
	if (!job->aborting && !job_committed(job)) {
		char *both = text_format("%s, or abort in place of resume", next);

		free(next);
		next = both;
	}
	json_put(report, "next", json_text(next));
	free(next);
	free(dir);
}

/* The ends of an unfinished job, looked at now. */
static void add_ends_of(json_t *report, const struct job *job, size_t of)
{
	const struct move *move = plan_move(&job->plan, of);
	const struct facts *target = &job_record(job, of)->target;

	json_put(json_object_get(report, "source"), "now",
		 now_there(&move->source, move->source.path, job->same_boot,
			   move->wipe == WIPE_NONE && !move->live.uuid));
	if (move->live.uuid) {
		char *text = live_now(&move->live);

		json_put(job->plan.more_count ? report : json_object_get(report, "domain"), "now",
			 json_text(text));
		free(text);
	}
	if (target->kind) {
		json_t *now = now_there(target, target->path, job->same_boot, false);

		/* A crash can come between the rename and its record. */
		if (move->create && !strcmp(json_string_value(now) ?: "", "not there")) {
			char *final_path = move_final_path(move);

			json_decref(now);
			now = now_there(target, final_path, job->same_boot, false);
			free(final_path);
		}
		json_put(json_object_get(report, "destination"), "now", now);
	}
}

static void add_ends(json_t *report, const struct job *job)
{
	json_t *disks = json_object_get(report, "disks");

	if (job->ended)
		return;
	if (!disks)
		add_ends_of(report, job, 0);
	for (size_t i = 0; i < json_array_size(disks); i++)
		add_ends_of(json_array_get(disks, i), job, i);
}

/* quickly: of one that has ended, the receipt without reading all that comes before it. */
static json_t *job_row(const char *state_dir, const char *id, bool quickly)
{
	struct err err = ERR_INIT;
	struct job job;
	json_t *report = quickly ? job_receipt_quickly(state_dir, id) : NULL;

	if (json_is_object(report)) {
		json_put(report, "running", json_false());
		return report;
	}
	json_decref(report);
	if (job_open(state_dir, id, JOB_LOOK, &job, &err) < 0) {
		report = report_failure(NULL, id);
		report_set_error(report, &err, 0);
		json_object_del(report, "exit_status");
		return report;
	}
	report = report_job(&job);
	add_worker(report, state_dir, &job);
	job_close(&job);
	return report;
}

int perform_status(const char *text, const struct perform_options *options,
		   json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct text_list ids = { 0 };
	struct job job = { .lock = -1 };
	char id[JOB_ID_SIZE];
	int ret = -1;

	if (!text) {
		json_t *jobs = json_array();
		size_t left_out = 0;

		ret = job_list_newest(state_dir, options->all ? SIZE_MAX : NEWEST, false, &ids,
				      &left_out, err);
		for (size_t i = 0; i < ids.count; i++)
			json_array_append_new(jobs, job_row(state_dir, ids.items[i],
							    ids.count - i > NEWEST));
		*ret_report = json_pack("{s:i, s:o, s:I}", "volmig", 1, "jobs", jobs,
					"left_out", (json_int_t)left_out);
		goto out;
	}
	ret = job_find(state_dir, text, id, err);
	if (ret == 0) {
		err_set(err, ERR_USAGE, text, "no such job in %s", state_dir);
		err_next(err, "volmig status");
	}
	ret = ret == 1 ? job_open(state_dir, id, JOB_LOOK, &job, err) : -1;
	if (ret < 0)
		goto out;
	*ret_report = report_job(&job);
	add_worker(*ret_report, state_dir, &job);
	if (job.plan.move.online.vg)
		online_report_now(&job, *ret_report);
	else
		add_ends(*ret_report, &job);
	add_next(*ret_report, options, &job);
out:
	text_list_free(&ids);
	job_close(&job);
	free(state_dir);
	return ret;
}
