/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What earlier failures have left behind: jobs, files, attachments. */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/attach_record.h"
#include "engines/export_attach.h"
#include "engines/lun_record.h"
#include "job.h"
#include "perform.h"
#include "report.h"
#include "serve.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/uuid.h"
#include "volumes/guests.h"

#define FILE_PREFIX ".volmig-"
#define MARKER_PREFIX "volmig:"

/* ---- what checks use ---- */

void doctor_found(struct doctor *doctor, const char *check, const char *object, const char *job,
		  const char *what, const char *next, bool mended)
{
	json_t *json = json_object();

	json_put(json, "check", json_string(check));
	json_put(json, "object", json_text(object));
	json_put(json, "job", job ? json_string(job) : json_null());
	json_put(json, "what", json_text(what));
	json_put(json, "next", next && !mended ? json_text(next) : json_null());
	json_put(json, "mended", json_boolean(mended));
	json_array_append_new(doctor->findings, json);
	doctor->left += !mended;
}

void doctor_note(struct doctor *doctor, const char *check, const char *text)
{
	char *note = text_format("%s: %s", check, text);

	json_array_append_new(doctor->notes, json_text(note));
	free(note);
}

void doctor_method(struct doctor *doctor, const char *method, const char *missing, const char *package)
{
	json_t *json = json_object();

	json_put(json, "method", json_string(method));
	json_put(json, "usable", json_boolean(!missing));
	json_put(json, "missing", missing ? json_text(missing) : json_null());
	json_put(json, "package", missing && package ? json_string(package) : json_null());
	json_array_append_new(doctor->methods, json);
}

enum job_standing doctor_standing(const struct doctor *doctor, const char *text,
				  char ret_id[static JOB_ID_SIZE])
{
	char *dir;
	bool there;

	if (!uuid_canonical(text, ret_id))
		return STANDING_UNKNOWN;
	if (text_list_has(&doctor->unfinished, ret_id))
		return STANDING_UNFINISHED;
	dir = job_dir(doctor->state_dir, ret_id);
	there = access(dir, F_OK) == 0;
	free(dir);
	return there ? STANDING_ENDED : STANDING_UNKNOWN;
}

/* ---- the checks ---- */

/*
 * The part of another host's job: nothing to be done as long as that may come
 * back for it.  True: it is one.
 */
static bool check_served(struct doctor *doctor, const struct job *job)
{
	uint64_t left_ms = serve_lease_left(job);
	char time[TEXT_SIZE_MAX], *what;
	struct err err = ERR_INIT;

	if (!job->plan.serve)
		return false;
	what = text_format("a part of a job of another host, %s", serve_from(job));
	if (left_ms) {
		char *note = text_format("%s: %s, which may come back for it for %s more", job->id, what,
					 text_duration(left_ms / 1000, time));

		doctor_note(doctor, "jobs", note);
		free(note);
	} else {
		doctor_found(doctor, "jobs", job->id, job->id, what, "volmig doctor --fix, or volmig abort it",
			     doctor->fix && serve_expire(doctor->state_dir, job->id, &err) == 1);
	}
	free(what);
	return true;
}

/* By their journals: what is noted of them may be wrong, which is what one comes here for. */
static int list_unfinished(struct doctor *doctor, struct err *err)
{
	struct text_list ids = { 0 };
	int ret = job_list(doctor->state_dir, &ids, err);

	for (size_t i = 0; i < ids.count; i++)
		if (!job_ended_quickly(doctor->state_dir, ids.items[i]) &&
		    job_exists(doctor->state_dir, ids.items[i]))
			text_list_add(&doctor->unfinished, text_copy(ids.items[i]));
	text_list_free(&ids);
	return ret;
}

/* Each unfinished job, and what to do with it; one that is running is as it should be. */
static void check_jobs(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->unfinished.count; i++) {
		const char *id = doctor->unfinished.items[i];
		struct err err = ERR_INIT;
		struct job job;
		char *what, *next;

		if (job_worker(doctor->state_dir, id))
			continue;
		if (job_open(doctor->state_dir, id, JOB_LOOK, &job, &err) < 0) {
			doctor_found(doctor, "jobs", id, id, err.cause, *err.next ? err.next : NULL, false);
			continue;
		}
		what = text_format("unfinished (%s): %s -> %s", job_state(&job),
				   job.plan.more_count ? job.plan.set : job.plan.move.source.path,
				   job.plan.move.destination.path);
		if (check_served(doctor, &job)) {
			job_close(&job);
			continue;
		}
		if (job.aborting && !job.retreating)
			next = text_format("volmig abort %s", id);
		else if (job_committed(&job))
			next = text_format("volmig resume %s", id);
		else
			next = text_format("volmig resume %s, or volmig abort %s", id, id);
		doctor_found(doctor, "jobs", id, id, what, next, false);
		free(what);
		free(next);
		job_close(&job);
	}
}

/* What was copied of a source that is there no more may be all that there is of it; of one elsewhere nobody can tell. */
static bool source_stands(const struct facts *was, bool same_boot)
{
	struct err err = ERR_INIT;
	struct facts now = { 0 };
	char *why = NULL;
	bool stands = !facts_is_far(was) && volume_inspect_again(was, INSPECT_OUTSIDE, &now, &err) == 0 &&
		      now.kind && !(why = facts_not_same(was, &now, same_boot)) && now.bytes >= was->bytes;

	free(why);
	facts_free(&now);
	return stands;
}

/*
 * A file of a job that has ended is removed if it is the very one that the
 * journal speaks of, and its job was undone: a job that is done has given its
 * file a name, and what is called so now is something else.
 */
static bool remove_file(const struct doctor *doctor, const char *path, const char *id, size_t of)
{
	struct err err = ERR_INIT;
	struct facts now = { 0 };
	struct job job;
	bool removed = false;
	char *why = NULL;

	if (job_open(doctor->state_dir, id, JOB_LOOK, &job, &err) < 0)
		return false;
	if (job.aborted && of < plan_moves(&job.plan) && plan_move(&job.plan, of)->create &&
	    job_record(&job, of)->target.kind && source_stands(&plan_move(&job.plan, of)->source, job.same_boot) &&
	    volume_inspect_path(path, INSPECT_USES, &now, &err) == 0 && now.kind && !now.uses.count) {
		/* An image, too, which is a file for now. */
		why = facts_not_same_file(&job_record(&job, of)->target, &now, job.same_boot);
		removed = !why && unlink(path) == 0;
	}
	free(why);
	facts_free(&now);
	job_close(&job);
	return removed;
}

static void look_into(struct doctor *doctor, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char id[JOB_ID_SIZE], *file, text[JOB_ID_SIZE], *rest;
		enum job_standing standing;
		size_t of;

		if (strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)))
			continue;
		/* UUID, or of a further move of that job UUID.NUMBER */
		snprintf(text, sizeof(text), "%s", entry->d_name + strlen(FILE_PREFIX));
		rest = entry->d_name + strlen(FILE_PREFIX) + strlen(text);
		of = *rest == '.' ? strtoul(rest + 1, &rest, 10) : 0;
		if (*rest || !uuid_canonical(text, id))
			continue;
		standing = doctor_standing(doctor, id, id);
		if (standing == STANDING_UNFINISHED)
			continue;
		file = text_format("%s/%s", path, entry->d_name);
		if (standing == STANDING_UNKNOWN)
			doctor_found(doctor, "files", file, id, "an unfinished copy of a job that is not known here",
				     "look for its state directory; if there is none, remove it", false);
		else
			doctor_found(doctor, "files", file, id, "left by a job that has ended",
				     "volmig doctor --fix, or remove it",
				     doctor->fix && remove_file(doctor, file, id, of));
		free(file);
	}
	if (dir)
		closedir(dir);
}

/* The directories that jobs have made files in. */
static void check_files(struct doctor *doctor)
{
	struct text_list ids = { 0 }, dirs = { 0 };
	struct err err = ERR_INIT;

	if (job_list(doctor->state_dir, &ids, &err) < 0)
		doctor_note(doctor, "files", err.cause);
	for (size_t i = 0; i < ids.count; i++) {
		json_t *receipt = job_receipt_quickly(doctor->state_dir, ids.items[i]);
		const json_t *end = json_object_get(receipt, "destination");
		const char *path = json_get_bool(end, "created") ? json_get_string(end, "path") : NULL;
		struct job job;

		if (path && *path == '/') {
			char *dir = text_format("%.*s", (int)(strrchr(path, '/') - path), path);

			if (!text_list_has(&dirs, dir))
				text_list_add(&dirs, text_copy(dir));
			free(dir);
		} else if ((!receipt || json_object_get(receipt, "disks")) &&
			   job_open(doctor->state_dir, ids.items[i], JOB_LOOK, &job, &err) == 0) {
			for (size_t k = 0; k < plan_moves(&job.plan); k++) {
				const char *dir = plan_move(&job.plan, k)->destination.dir;

				if (dir && !text_list_has(&dirs, dir))
					text_list_add(&dirs, text_copy(dir));
			}
			job_close(&job);
		}
		json_decref(receipt);
	}
	for (size_t i = 0; i < dirs.count; i++)
		look_into(doctor, dirs.items[i]);
	text_list_free(&ids);
	text_list_free(&dirs);
}

struct loop_search {
	struct doctor *doctor;
	const struct attach_record *record;	/* look for the loop device of this one, ... */
	const struct text_list *markers;	/* ... or for ours with none of these */
	bool found;
};

static int match_loop(const struct loopdev *loop, void *data)
{
	struct loop_search *search = data;

	if (search->record) {
		search->found = search->found || attach_record_is_of(search->record, loop);
	} else if (!strncmp(loop->marker, MARKER_PREFIX, strlen(MARKER_PREFIX)) &&
		   !text_list_has(search->markers, loop->marker)) {
		char *device = text_format("/dev/loop%u", loop->number);
		char *next = text_format("losetup -d %s, if no other state directory knows of it", device);

		doctor_found(search->doctor, "attachments", device, NULL,
			     "a loop device made by volmig attach, of which there is no record here", next, false);
		free(device);
		free(next);
	}
	return 0;
}

/* Records without their loop device, and loop devices of ours without a record. */
static void check_attachments(struct doctor *doctor)
{
	char *path = text_format("%s/attached", doctor->state_dir);
	int dirfd_ = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dirfd_ >= 0 ? opendir(path) : NULL;
	struct text_list markers = { 0 };
	struct loop_search rest = { .doctor = doctor, .markers = &markers };
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct err err = ERR_INIT;
		struct attach_record record;
		struct loop_search search = { .record = &record };
		char *file;

		/* LUNs and sessions have a check of their own, and so have exports. */
		if (entry->d_name[0] == '.' ||
		    !strncmp(entry->d_name, EXPORT_RECORD_PREFIX, strlen(EXPORT_RECORD_PREFIX)) ||
		    !strncmp(entry->d_name, LUN_RECORD_PREFIX, strlen(LUN_RECORD_PREFIX)) ||
		    !strncmp(entry->d_name, SESSION_RECORD_PREFIX, strlen(SESSION_RECORD_PREFIX)))
			continue;
		file = text_format("%s/%s", path, entry->d_name);
		if (attach_record_read(dirfd_, entry->d_name, &record, &err) != 1) {
			doctor_found(doctor, "attachments", file, NULL, err.cause, "look at it", false);
			free(file);
			continue;
		}
		if (record.loop)
			loopdev_each(match_loop, &search);
		text_list_add(&markers, text_copy(record.marker));
		/* Nothing is behind it that could be lost: the record is all there is of it. */
		if (!search.found && (record.loop || !attach_record_is_current(&record)))
			doctor_found(doctor, "attachments", record.path, NULL, attach_record_is_current(&record) ?
				     "recorded as attached, but its loop device is gone" :
				     "recorded as attached before the machine was restarted",
				     "volmig doctor --fix, or volmig detach it", doctor->fix &&
				     attach_record_remove(dirfd_, entry->d_name, &err) == 0);
		attach_record_free(&record);
		free(file);
	}
	loopdev_each(match_loop, &rest);
	if (dir)
		closedir(dir);
	if (dirfd_ >= 0)
		close(dirfd_);
	text_list_free(&markers);
	free(path);
}

/* What processes that died have left in the state directory. */
static void check_state(struct doctor *doctor)
{
	static const char *const files[] = { "now.json", "now.json.new", "leaves" };
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;

	if (job_list(doctor->state_dir, &ids, &err) < 0)
		doctor_note(doctor, "state", err.cause);
	for (size_t i = 0; i < ids.count; i++) {
		bool ended = !text_list_has(&doctor->unfinished, ids.items[i]);

		for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
			char *file = text_format("%s/jobs/%s/%s", doctor->state_dir, ids.items[i], files[k]);

			/* An unfinished job needs its leaves. */
			if (access(file, F_OK) == 0 && (ended || strcmp(files[k], "leaves")) &&
			    !job_worker(doctor->state_dir, ids.items[i]))
				doctor_found(doctor, "state", file, ids.items[i],
					     "left by a process that died; of no use any more",
					     "volmig doctor --fix", doctor->fix && unlink(file) == 0);
			free(file);
		}
	}
	text_list_free(&ids);
}

static const struct {
	const char *name;		/* stable: "check" of what is found */
	void (*run)(struct doctor *doctor);
} checks[] = {
	{ "jobs", check_jobs },
	{ "state", check_state },
	{ "files", check_files },
	{ "images", doctor_images },
	{ "attachments", check_attachments },
	{ "attachments", doctor_luns },
	{ "attachments", doctor_exports },
	{ "limits", doctor_limits },
	{ "batches", doctor_batches },
	{ "legs", doctor_legs },
	{ "lvm", doctor_lvm },
	{ "block-jobs", doctor_block_jobs },
	{ "versions", doctor_versions },
	{ "methods", doctor_methods },
};

int perform_doctor(bool fix, const struct perform_options *options, json_t **ret_report,
		   struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct doctor doctor = {
		.state_dir = state_dir,
		.connect = options->connect,
		.fix = fix,
		.findings = json_array(),
		.notes = json_array(),
		.methods = json_array(),
	};
	json_t *report = report_failure("doctor", NULL);
	int ret;

	guests_set_uri(options->connect);
	ret = list_unfinished(&doctor, err);
	for (size_t i = 0; ret == 0 && i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i].run(&doctor);
	if (ret == 0 && doctor.left) {
		ret = err_set(err, ERR_FAILED, NULL, "%zu thing%s need%s somebody to look at %s", doctor.left,
			      doctor.left == 1 ? "" : "s", doctor.left == 1 ? "s" : "",
			      doctor.left == 1 ? "it" : "them");
		if (!fix)
			err_next(err, "--fix mends what is provably volmig's");
	}
	json_put(report, "findings", doctor.findings);
	json_put(report, "notes", doctor.notes);
	json_put(report, "methods", doctor.methods);
	*ret_report = report;
	text_list_free(&doctor.unfinished);
	text_list_free(&doctor.legs);
	free(state_dir);
	return ret;
}
