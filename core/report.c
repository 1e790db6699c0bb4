/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is planned, what was done and what is, as JSON and, from the same rows, as text. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan.h"
#include "report_disks.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/qemu.h"

/* ---- building ---- */

static json_t *source_report(const struct facts *source)
{
	json_t *json = json_object();

	json_put(json, "spec", json_text(source->spec));
	json_put(json, "path", json_text(source->path));
	json_put(json, "kind", json_string(facts_there(source)->kind));
	json_put(json, "bytes", json_u64(source->bytes));
	json_put(json, "allocated_before", json_u64(source->allocated));
	json_put(json, "holds", json_text(source->signature));
	return json;
}

static json_t *destination_report(const struct move *move)
{
	json_t *json = json_object();
	char *path = move_final_path(move);
	const struct facts *dst = &move->destination;

	json_put(json, "spec", json_text(dst->spec));
	json_put(json, "path", json_text(path));
	json_put(json, "kind", json_string(move->online.vg ? "pv" : move->lvm.create ? "lv" :
					   move->create ? (dst->qemu ? dst->qemu->driver : "file") :
					   move->far.makes ? move->far.makes :
					   facts_there(dst)->kind ? facts_there(dst)->kind : "file"));
	json_put(json, "bytes", json_u64(move->online.vg ? move->source.bytes :
					  move->lvm.create ? move->lvm.bytes :
					  move->create ? move_new_bytes(move) : dst->bytes));
	json_put(json, "created", json_boolean(move->create || move->far.makes));
	free(path);
	return json;
}

static json_t *steps_report(const struct plan *plan)
{
	json_t *steps = json_array();
	bool seen = false;

	for (size_t i = 0; i < plan->step_count; i++) {
		const struct step_ops *step = plan->steps[i];
		char *object = report_step_object(plan, i);
		json_t *json = json_object();

		json_put(json, "step", json_string(step->name));
		json_put(json, "object", json_text(object));
		json_put(json, "irrevocable", json_boolean(step->irrevocable));
		json_put(json, "point_of_no_return", json_boolean(step->irrevocable && !seen));
		seen = seen || step->irrevocable;
		json_array_append_new(steps, json);
		free(object);
	}
	return steps;
}

static json_t *domain_report(const struct move *move)
{
	return json_pack("{s:o, s:s, s:o}", "name", json_text(move->live.domain), "uuid", move->live.uuid,
			 "disk", json_text(move->live.target));
}

/* The head that every report of a move has. */
static json_t *head(const struct plan *plan, const char *job_id, const char *state)
{
	json_t *json = json_object(), *not_moved = json_array(), *warnings = json_array();

	for (size_t i = 0; i < plan->not_moved_count; i++)
		json_array_append_new(not_moved, json_pack("{s:s, s:o}",
			"method", plan->not_moved[i].method,
			"reason", json_text(plan->not_moved[i].reason)));
	for (size_t i = 0; i < plan->warnings.count; i++)
		json_array_append_new(warnings, json_text(plan->warnings.items[i]));
	json_put(json, "volmig", json_integer(1));
	json_put(json, "job", json_string(job_id));
	json_put(json, "command", json_string(command_name(plan->command)));
	json_put(json, "state", json_string(state));
	json_put(json, "method", json_string(plan->method));
	json_put(json, "not_moved", not_moved);
	json_put(json, "source", source_report(&plan->move.source));
	json_put(json, "destination", destination_report(&plan->move));
	if (plan->move.live.uuid)
		json_put(json, "domain", domain_report(&plan->move));
	if (plan->move.far.compress)
		json_put(json, "wire", json_pack("{s:s}", "compression", "zstd"));
	json_put(json, "warnings", warnings);
	return json;
}

static const char *after_source(const struct move *move)
{
	if (move->online.vg)
		return "moved: its old extents are free";
	if (move->remove)
		return move->wipe == WIPE_ZERO ? "overwritten with zeroes and removed" :
		       move->wipe == WIPE_DISCARD ? "discarded and removed" : "removed";
	return move->wipe == WIPE_ZERO ? "overwritten with zeroes" :
	       move->wipe == WIPE_DISCARD ? "discarded" : "kept";
}

/* A disk in use is compared in part, see the live methods. */
static const char *verify_mode(const struct move *move)
{
	return move->verify == VERIFY_NONE ? "none" : move->live.uuid ? "sample" : "full";
}

/* How the move is proven; NULL: it is not, or by no hash. */
static const char *algorithm(const struct move *move)
{
	if (move->verify != VERIFY_FULL || move->live.uuid)
		return NULL;
	return move->online.vg ? "raid1-scrub" : "xxh3-128";
}

static json_t *ends_report(const struct move *move)
{
	return json_pack("{s:o, s:o}", "source", source_report(&move->source),
			 "destination", destination_report(move));
}

json_t *report_plan(const struct plan *plan, const char *job_id)
{
	json_t *json = head(plan, job_id, "planned"), *fallback = json_array();

	json_put(json, "plan", steps_report(plan));
	for (const struct plan *next = plan->next; next; next = next->next)
		json_array_append_new(fallback, json_string(next->method));
	json_put(json, "fallback", fallback);
	json_put(json, "bytes_to_move", json_u64(!strcmp(plan->method, "reflink") ? 0 :
						 plan->move.source.allocated < plan->move.source.bytes ?
						 plan->move.source.allocated : plan->move.source.bytes));
	for (size_t i = 0; plan->more_count && i < plan_moves(plan); i++)
		report_add_disk(json, plan_move(plan, i), ends_report(plan_move(plan, i)));
	report_sum_disks(json, plan);
	json_put(json, "verify", json_pack("{s:s, s:s?}", "mode", verify_mode(&plan->move),
					   "algorithm", algorithm(&plan->move)));
	json_put(json, "source_after", json_string(after_source(&plan->move)));
	return json;
}

/* Is the plan's step i that one, of that of its moves? */
static bool is_step(const struct job *job, size_t i, const struct step_ops *step, size_t of)
{
	return job->plan.steps[i] == step && (step->joint || job->plan.step_moves[i] == of);
}

static bool step_is_done(const struct job *job, const struct step_ops *step, size_t of)
{
	for (size_t i = 0; i < job->steps_done; i++)
		if (is_step(job, i, step, of))
			return true;
	return false;
}

static bool step_is_begun(const struct job *job, const struct step_ops *step, size_t of)
{
	return job->step_begun && is_step(job, job->steps_done, step, of);
}

static const char *source_state(const struct job *job, size_t of)
{
	const struct progress_record *record = job_record(job, of);

	if (job->plan.move.online.vg)
		return step_is_done(job, &drop_leg_step, of) || step_is_done(job, &end_pvmove_step, of) ? "moved" :
		       job_committed(job) ? "moved, its old extents are being freed" : "in place";
	if (!record->source_stays &&
	    (step_is_done(job, &remove_source_step, of) ||
	     (facts_is_far(&plan_move(&job->plan, of)->source) && plan_move(&job->plan, of)->remove &&
	      step_is_done(job, &finish_far_step, of))))
		return "removed";
	if (step_is_begun(job, &remove_source_step, of))
		return "being removed";
	if (step_is_done(job, &wipe_source_step, of) && !record->wipe_skipped)
		return "wiped";
	if (record->wipe_begun)
		return "wiped in part";
	return "untouched";
}

static const char *destination_state(const struct job *job, size_t of)
{
	const struct move *move = plan_move(&job->plan, of);
	bool online = move->online.vg != NULL;
	bool whole = step_is_done(job, &copy_step, of) || step_is_done(job, &serve_step, of) ||
		     step_is_done(job, &reflink_step, of) || step_is_done(job, &mirror_step, of);

	if (online)
		return step_is_done(job, &sync_leg_step, of) || step_is_done(job, &pvmove_step, of) ? "complete" :
		       job->steps_done || job->step_begun ? "unfinished" : "untouched";
	if (move->far.makes)
		return step_is_done(job, &publish_far_step, of) ? "complete" :
		       step_is_done(job, &prepare_far_step, of) ? "unfinished" : "absent";
	if (move->create) {
		if (!job_record(job, of)->target.kind)
			return step_is_begun(job, &create_file_step, of) || step_is_begun(job, &create_image_step, of) ?
			       "unfinished" : "absent";
		return step_is_done(job, &publish_step, of) && whole ? "complete" : "unfinished";
	}
	return whole ? "complete" : job->written ? "overwritten in part" : "untouched";
}

/* What has become of one of the moves: into json, which has its ends. */
static void add_outcome(json_t *json, const struct job *job, size_t of)
{
	const struct progress_record *record = job_record(job, of);
	const struct move *move = plan_move(&job->plan, of);

	json_put(json_object_get(json, "source"), "state", json_string(source_state(job, of)));
	json_put(json_object_get(json, "destination"), "state", json_string(destination_state(job, of)));
	json_put(json_object_get(json, "destination"), "allocated_after",
		 record->allocated_after ? json_u64(record->allocated_after) : json_null());
	json_put(json, "copy", json_pack("{s:I, s:I, s:I, s:f, s:I, s:I, s:b}",
		"bytes_data", (json_int_t)record->mark.bytes_data,
		"bytes_zero", (json_int_t)record->mark.bytes_zero,
		"bytes_written", (json_int_t)record->mark.bytes_written,
		"seconds", (double)record->copy_ns / 1e9,
		"resumed_at", (json_int_t)record->resumed_at,
		"durable_offset", (json_int_t)record->mark.offset,
		"shared_extents", record->cloned));
	/* Not what is written, which may be less. */
	if (move->delta && move->far.host)
		json_put(json_object_get(json, "copy"), "bytes_carried", json_u64(record->rewritten));
	json_put(json_object_get(json, "copy"), "waited_for",
		 waits_to_json(&record->waits, record->copy_ns));
	json_put(json, "verify", json_pack("{s:s, s:s?, s:s?, s:s?, s:f}",
		"mode", verify_mode(move),
		"algorithm", algorithm(move),
		"tree_hash", record->verified && !move->online.vg ? record->tree_hash : NULL,
		"result", record->verified ? "equal" : NULL,
		"seconds", (double)record->verify_ns / 1e9));
	if (move->live.uuid) {
		json_put(json_object_get(json, "verify"), "bytes_compared", json_u64(record->live_compared));
		json_put(json, "pivot", report_pivot(record));
	}
}

json_t *report_job(const struct job *job)
{
	const struct plan *plan = &job->plan;
	const struct progress_record *record = &job->record;
	json_t *json, *warnings;

	/* An ended job's receipt was written when everything was known. */
	if (job->result)
		return json_deep_copy(job->result);

	json = head(plan, job->id, job_state(job));
	warnings = json_object_get(json, "warnings");
	for (size_t i = 0; i < plan_moves(plan); i++)
		for (size_t k = 0; k < job_record(job, i)->notes.count; k++)
			json_array_append_new(warnings, json_text(job_record(job, i)->notes.items[k]));
	add_outcome(json, job, 0);
	for (size_t i = 0; plan->more_count && i < plan_moves(plan); i++) {
		json_t *disk = ends_report(plan_move(plan, i));

		add_outcome(disk, job, i);
		report_add_disk(json, plan_move(plan, i), disk);
	}
	report_sum_disks(json, plan);
	if (plan->move.online.add) {
		json_t *scrub = online_record_to_json(&record->online);

		json_object_update(json_object_get(json, "verify"), scrub);
		json_decref(scrub);
	}
	json_put(json, "planned_at", json_string(job->planned_at));
	if (plan->move.far.compress) {
		json_t *wire = json_object_get(json, "wire");

		json_put(wire, "bytes", json_u64(record->wire_bytes));
		json_put(wire, "bytes_uncompressed", json_u64(record->wire_raw));
	}
	if (job->stopped)
		json_put(json, "stopped", json_incref(job->stopped));
	return json;
}

json_t *report_failure(const char *command, const char *job_id)
{
	json_t *json = json_object();

	json_put(json, "volmig", json_integer(1));
	json_put(json, "job", job_id ? json_string(job_id) : json_null());
	json_put(json, "command", command ? json_string(command) : json_null());
	json_put(json, "state", json_null());
	return json;
}

void report_set_error(json_t *report, const struct err *err, int exit_status)
{
	const char *source = json_get_string(json_object_get(report, "source"), "state");
	const char *destination = json_get_string(json_object_get(report, "destination"), "state");
	json_t *error;

	json_put(report, "exit_status", json_integer(exit_status));
	if (!err || err->class == ERR_NONE) {
		json_put(report, "error", json_null());
		return;
	}
	error = json_object();
	json_put(error, "class", json_string(err_class_name(err->class)));
	json_put(error, "message", json_text(err->cause));
	json_put(error, "object", *err->object ? json_text(err->object) : json_null());
	json_put(error, "source_state", json_string(source ? source : "untouched"));
	json_put(error, "destination_state", json_string(destination ? destination : "untouched"));
	json_put(error, "next", *err->next ? json_text(err->next) : json_null());
	json_put(report, "error", error);
}

/* ---- printing ---- */

/* A value by its path in the report: "source.bytes". */
static const json_t *value_at(const json_t *json, const char *path)
{
	char key[64];

	while (json && *path) {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		json = json_object_get(json, key);
		path += len + (path[len] == '.');
	}
	return json;
}

static const char *string_at(const json_t *json, const char *path)
{
	return json_string_value(value_at(json, path));
}

static uint64_t u64_at(const json_t *json, const char *path)
{
	return (uint64_t)json_integer_value(value_at(json, path));
}

typedef char *row_text(const json_t *report);

/* Each returns the row's value, to be freed, or NULL for no such row. */

static char *row_job(const json_t *r)
{
	const char *state = string_at(r, "state");

	return state ? text_format("%s (%s)", string_at(r, "job"), state) : NULL;
}

/* Is one of the ends on another host? */
static bool row_is_far(const json_t *r)
{
	const char *ends[] = { string_at(r, "source.path"), string_at(r, "destination.path") };

	/* Of who asked us it is "host:/srv/a/web.img". */
	for (size_t i = 0; i < 2; i++)
		if (ends[i] && (!strncmp(ends[i], "ssh://", 6) || (*ends[i] != '/' && strstr(ends[i], ":/") &&
								    !strstr(ends[i], "://"))))
			return true;
	return false;
}

static char *row_method(const json_t *r)
{
	const char *method = string_at(r, "method");

	if (!method)
		return NULL;
	if (!strcmp(method, "reflink"))
		return text_copy("reflink: the file system shares the source's extents, no bytes are copied");
	if (!strcmp(method, "live"))
		return text_copy("live: mirrored by QEMU while the guest runs");
	if (!strcmp(method, "lvconvert"))
		return text_copy("lvconvert: a raid1 leg on the target, scrubbed, then the old leg dropped");
	if (!strcmp(method, "pvmove"))
		return text_copy("pvmove: the kernel mirrors the extents, and LVM drops the old ones");
	return text_copy(value_at(r, "wire") ? "copy: block by block, over ssh, compressed by zstd where that pays" :
			 row_is_far(r) ? "copy: block by block, over ssh" : "copy: block by block on this host");
}

static char *row_end(const json_t *end)
{
	char size[TEXT_SIZE_MAX];
	const char *holds = json_get_string(end, "holds");

	if (!end)
		return NULL;
	return text_format("%s: %s, %s (%" PRIu64 " bytes)%s%s%s", json_get_string(end, "path"),
			   json_get_string(end, "kind"),
			   text_size(json_get_u64(end, "bytes"), size), json_get_u64(end, "bytes"),
			   json_get_bool(end, "created") ? ", new" : "",
			   holds ? ", holds " : "", holds ? holds : "");
}

static char *row_domain(const json_t *r)
{
	const char *now = string_at(r, "domain.now");

	if (!value_at(r, "domain"))
		return NULL;
	if (value_at(r, "disks"))
		return text_copy(string_at(r, "domain.name"));
	return text_format("%s, disk %s%s%s", string_at(r, "domain.name"), string_at(r, "domain.disk"),
			   now ? ": " : "", now ? now : "");
}

static char *row_source(const json_t *r)
{
	return value_at(r, "disks") ? NULL : row_end(json_object_get(r, "source"));
}

static char *row_destination(const json_t *r)
{
	return value_at(r, "disks") ? NULL : row_end(json_object_get(r, "destination"));
}

static char *row_allocated(const json_t *r)
{
	char before[TEXT_SIZE_MAX], after[TEXT_SIZE_MAX];
	const json_t *now = value_at(r, "destination.allocated_after");

	if (!value_at(r, "source.allocated_before"))
		return NULL;
	text_size(u64_at(r, "source.allocated_before"), before);
	if (!json_is_integer(now))
		return text_format("%s of the source", before);
	return text_format("%s before, %s after", before,
			   text_size((uint64_t)json_integer_value(now), after));
}

static char *row_copied(const json_t *r)
{
	double seconds = json_number_value(value_at(r, "copy.seconds"));
	char data[TEXT_SIZE_MAX], zero[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX], written[TEXT_SIZE_MAX];
	uint64_t bytes = u64_at(r, "copy.bytes_data"), done = u64_at(r, "copy.bytes_written");
	char *text, *more;

	if (!value_at(r, "copy") || json_is_true(value_at(r, "copy.shared_extents")) ||
	    (!bytes && !u64_at(r, "copy.bytes_zero")))
		return NULL;
	text = text_format("%s of data in %.2f s (%s/s), %s of zeroes", text_size(bytes, data), seconds,
			   text_size(seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0, rate),
			   text_size(u64_at(r, "copy.bytes_zero"), zero));
	if (done != bytes) {
		more = text_format("%s, %s written", text, text_size(done, written));
		free(text);
		text = more;
	}
	if (value_at(r, "copy.bytes_carried")) {
		more = text_format("%s, %s carried", text, text_size(u64_at(r, "copy.bytes_carried"), written));
		free(text);
		text = more;
	}
	if (u64_at(r, "copy.resumed_at")) {
		more = text_format("%s, resumed at byte %" PRIu64, text, u64_at(r, "copy.resumed_at"));
		free(text);
		text = more;
	}
	return text;
}

static char *row_wire(const json_t *r)
{
	uint64_t bytes = u64_at(r, "wire.bytes"), raw = u64_at(r, "wire.bytes_uncompressed");
	char wire[TEXT_SIZE_MAX], before[TEXT_SIZE_MAX];

	return raw ? text_format("%s in place of %s, both ways", text_size(bytes, wire), text_size(raw, before)) : NULL;
}

/* NULL: for nothing. */
static char *waited(const json_t *shares)
{
	static const struct {
		const char *key, *text;
	} kinds[] = {
		{ "reads", "reads" }, { "writes", "writes" }, { "flushes", "flushes" }, { "limit", "the rate limit" },
	};
	char *text = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned percent = (unsigned)(100 * json_number_value(json_object_get(shares, kinds[i].key)));
		char *more;

		if (!percent)
			continue;
		more = text_format("%s%s%u%% for %s", text ? text : "", text ? ", " : "", percent, kinds[i].text);
		free(text);
		text = more;
	}
	return text;
}

static char *row_waited(const json_t *r)
{
	return waited(value_at(r, "progress.waited_for") ? value_at(r, "progress.waited_for") :
							   value_at(r, "copy.waited_for"));
}

static char *row_waits_for(const json_t *r)
{
	return text_copy(string_at(r, "waits_for"));
}

static char *row_now(const json_t *r)
{
	char done[TEXT_SIZE_MAX], total[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX], left[TEXT_SIZE_MAX];
	const json_t *now = json_object_get(r, "progress"), *seconds = json_object_get(now, "seconds_left");

	if (!now)
		return NULL;
	if (!json_get_u64(now, "bytes_total"))
		return text_format("%s, step %llu of %llu", json_get_string(now, "phase"),
				   (unsigned long long)json_get_u64(now, "step"),
				   (unsigned long long)json_get_u64(now, "steps"));
	return text_format("%s, step %llu of %llu: %s of %s, %s/s, %s left", json_get_string(now, "phase"),
			   (unsigned long long)json_get_u64(now, "step"),
			   (unsigned long long)json_get_u64(now, "steps"),
			   text_size(json_get_u64(now, "bytes_done"), done),
			   text_size(json_get_u64(now, "bytes_total"), total),
			   text_size(json_get_u64(now, "bytes_per_second"), rate),
			   json_is_integer(seconds) ?
			   text_duration((uint64_t)json_integer_value(seconds), left) : "?");
}

static char *row_verified(const json_t *r)
{
	const char *result = string_at(r, "verify.result"), *mode = string_at(r, "verify.mode");

	if (!mode)
		return NULL;
	if (!strcmp(mode, "sample")) {
		char size[TEXT_SIZE_MAX];
		uint64_t bytes = u64_at(r, "verify.bytes_compared");

		if (!bytes)
			return text_copy("by samples, while it is mirrored");
		return text_format("%s compared before the pivot, the rest is QEMU's word", text_size(bytes, size));
	}
	if (value_at(r, "verify.checks") && result)
		return text_format("%s, by %s in %.2f s (%" PRIu64 " check%s, %" PRIu64 " repair%s)", result,
				   json_is_true(value_at(r, "verify.compared")) ? "comparing both legs" :
				   "scrubbing both legs", json_number_value(value_at(r, "verify.seconds")),
				   u64_at(r, "verify.checks"), u64_at(r, "verify.checks") == 1 ? "" : "s",
				   u64_at(r, "verify.repairs"), u64_at(r, "verify.repairs") == 1 ? "" : "s");
	if (result)
		return text_format("%s, read back in %.2f s, xxh3-128 %s", result,
				   json_number_value(value_at(r, "verify.seconds")),
				   string_at(r, "verify.tree_hash"));
	if (string_at(r, "method") && !strcmp(string_at(r, "method"), "pvmove"))
		return text_copy("no: the kernel's mirror was in sync, but nothing was read back");
	if (string_at(r, "method") && !strcmp(string_at(r, "method"), "lvconvert") && value_at(r, "plan"))
		return text_copy("in full, by scrubbing both legs");
	return text_copy(!strcmp(mode, "none") ? "no" : value_at(r, "plan") ?
			 "in full, by reading the destination back" : "not yet");
}

static char *row_source_state(const json_t *r)
{
	const char *text = string_at(r, "source_after");

	if (!text)
		text = string_at(r, "source.state");
	return text_copy(text);
}

static char *row_stopped(const json_t *r)
{
	return text_copy(string_at(r, "stopped.message"));
}

static char *row_running(const json_t *r)
{
	const json_t *pid = json_object_get(r, "pid");

	return json_is_integer(pid) ? text_format("yes, pid %lld", (long long)json_integer_value(pid)) : NULL;
}

static char *row_now_source(const json_t *r)
{
	return text_copy(string_at(r, "source.now"));
}

static char *row_now_destination(const json_t *r)
{
	return text_copy(string_at(r, "destination.now"));
}

static char *row_next(const json_t *r)
{
	return text_copy(string_at(r, "next"));
}

/* The one table of rows; a row without a value is left out. */
static const struct {
	const char *label;
	row_text *text;
} rows[] = {
	{ "job", row_job },
	{ "running", row_running },
	{ "waits for", row_waits_for },
	{ "now", row_now },
	{ "method", row_method },
	{ "domain", row_domain },
	{ "from", row_source },
	{ "to", row_destination },
	{ "allocated", row_allocated },
	{ "copied", row_copied },
	{ "on the wire", row_wire },
	{ "waited", row_waited },
	{ "stood still", report_row_suspended },
	{ "verified", row_verified },
	{ "source", row_source_state },
	{ "stopped", row_stopped },
	{ "source now", row_now_source },
	{ "dest. now", row_now_destination },
	{ "next", row_next },
};

static void print_row(FILE *out, const char *label, const char *value)
{
	char *printable = text_printable(value);

	fprintf(out, "%-11s %s\n", label, printable);
	free(printable);
}

void report_print(const json_t *report, FILE *out)
{
	const json_t *item;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *value = rows[i].text(report);

		if (value)
			print_row(out, rows[i].label, value);
		free(value);
	}
	json_array_foreach(json_object_get(report, "disks"), i, item) {
		char *text = report_disk_text(item);

		print_row(out, i ? "" : "disks", text);
		free(text);
	}
	json_array_foreach(json_object_get(report, "not_moved"), i, item) {
		char *text = text_format("%s: %s", json_get_string(item, "method"),
					 json_get_string(item, "reason"));

		print_row(out, "not chosen", text);
		free(text);
	}
	json_array_foreach(json_object_get(report, "fallback"), i, item)
		print_row(out, i ? "" : "if it fails", json_string_value(item));
	json_array_foreach(json_object_get(report, "warnings"), i, item)
		print_row(out, "note", json_string_value(item));
	json_array_foreach(json_object_get(report, "plan"), i, item) {
		char *text = text_format("%zu. %s  %s%s", i + 1, json_get_string(item, "step"),
					 json_get_string(item, "object"),
					 json_get_bool(item, "point_of_no_return") ?
					 "   <-- point of no return" : "");

		print_row(out, i ? "" : "steps", text);
		free(text);
	}
}
