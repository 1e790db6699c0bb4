/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The far side's requests, one after the other. */
#include "serve_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/leaves.h"
#include "engines/serve_steps.h"
#include "report.h"
#include "run.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "sys/uuid.h"
#include "sys/zstd.h"
#include "volumes/qemu.h"
#include "wanted.h"

#define SEND_MS 30000
#define HELLO_MS 60000
#define SILENCE_SECONDS 120		/* the other side says something every 10 s, whatever it does */
#define TELL_NS 500000000ULL
#define LEAVES_MAX 4096

/* ---- answers ---- */

/* What the other side has to know of the job. */
static json_t *standing(const struct session *session)
{
	const struct job *job = &session->job;
	json_t *json = json_object(), *notes = json_array();

	for (size_t i = 0; i < job->record.notes.count; i++)
		json_array_append_new(notes, json_text(job->record.notes.items[i]));
	json_put(json, "state", json_string(job_state(job)));
	json_put(json, "committed", json_boolean(job_committed(job)));
	json_put(json, "ended", json_boolean(job->ended));
	json_put(json, "aborted", json_boolean(job->aborted));
	/* The end that is here; what is to be made here is not there yet. */
	json_put(json, "facts", facts_to_json(facts_is_far(&job->plan.move.destination) ? &job->plan.move.source :
					      job->record.target.kind ? &job->record.target :
					      &job->plan.move.destination));
	json_put(json, "tree_hash", json_string(job->record.tree_hash));
	json_put(json, "allocated", json_u64(job->record.allocated_after));
	json_put(json, "notes", notes);
	return json;
}

static json_t *failure(const struct err *err)
{
	return json_pack("{s:b, s:o}", "ok", 0, "error", json_pack("{s:s, s:i, s:o, s:o, s:o}",
		"class", err_class_name(err->class), "number", err->number,
		"object", json_text(err->object), "cause", json_text(err->cause),
		"next", json_text(err->next)));
}

static void answer(struct session *session, json_t *message)
{
	struct err err = ERR_INIT;

	if (wire_send(&session->wire, message, SEND_MS, &err) < 0)
		session->lost = true;
}

/* Hears of the progress of what takes long, and tells: silence means that we are gone. */
struct telling_monitor {
	struct monitor base;
	struct session *session;
	char phase[16];
	uint64_t total, done, told_ns;
};

static void tell(struct telling_monitor *self)
{
	uint64_t now = clock_ns();

	if (now - self->told_ns < TELL_NS || self->session->lost)
		return;
	self->told_ns = now;
	answer(self->session, json_pack("{s:{s:s, s:I, s:I}}", "progress", "phase", self->phase,
					"total", (json_int_t)self->total, "done", (json_int_t)self->done));
	/* Nobody wants it any more. */
	if (self->session->lost)
		interrupt_request();
}

static void tell_phase(struct monitor *mon, const char *name, uint64_t total)
{
	struct telling_monitor *self = (struct telling_monitor *)mon;

	snprintf(self->phase, sizeof(self->phase), "%s", name);
	self->total = total;
	self->done = 0;
}

static void tell_advance(struct monitor *mon, uint64_t done)
{
	struct telling_monitor *self = (struct telling_monitor *)mon;

	self->done = done;
	tell(self);
}

static void tell_tick(struct monitor *mon)
{
	tell((struct telling_monitor *)mon);
}

/* ---- the job ---- */

static void end_job(struct session *session, bool aborted, struct err *err)
{
	struct job *job = &session->job;
	json_t *report = report_job(job);

	json_put(report, "state", json_string(aborted ? "aborted" : "cleaned"));
	json_object_del(report, "stopped");
	if (job_end(job, aborted, report, err) == 0)
		serve_unwatch(job->dir);
	json_decref(report);
}

static size_t index_of(const struct plan *plan, const struct step_ops *step)
{
	size_t i = 0;

	while (i < plan->step_count && plan->steps[i] != step)
		i++;
	return i;
}

static struct telling_monitor telling_monitor(struct session *session)
{
	return (struct telling_monitor){
		.base = { .phase = tell_phase, .advance = tell_advance, .tick = tell_tick },
		.session = session,
		.phase = "",
	};
}

/* Do the steps before the one of that number. */
static int run_steps(struct session *session, size_t before, struct err *err)
{
	struct telling_monitor mon = telling_monitor(session);
	struct job *job = &session->job;
	struct err second = ERR_INIT;
	bool rolled_back = false;

	if (job->steps_done >= before)
		return 0;
	if (run_until(job, before < job->plan.step_count ? job->plan.steps[before] : NULL, &mon.base,
		      &rolled_back, err) == 0)
		return 0;
	if (rolled_back)
		end_job(session, true, &second);
	return -1;
}

/* There is a job of that id. */
static int take_up(struct session *session, const char *id, struct err *err)
{
	struct job *job = &session->job;

	if (serve_take_over(session->state_dir, id, err) < 0 ||
	    job_open(session->state_dir, id, JOB_WORK, job, err) < 0)
		return -1;
	session->attached = true;
	if (!job->plan.serve)
		return err_set(err, ERR_REFUSED, id, "is a job of that host itself");
	return 0;
}

static int begin_new(struct session *session, const char *id, const json_t *json, struct err *err)
{
	struct wanted wanted = { 0 };
	struct plan plan = { 0 };
	int ret = -1;

	if (wanted_from_json(&wanted, json, err) < 0)
		return -1;
	if (job_state_dir_make(session->state_dir, err) == 0 &&
	    serve_plan(session, &wanted, id, INSPECT_USES, &plan, err) == 0) {
		plan.serve = json_pack("{s:o, s:I}", "wanted", json_deep_copy(json), "lease_ms",
				       (json_int_t)session->options->lease_ms);
		ret = job_create(session->state_dir, id, &plan, &session->job, err);
		session->attached = ret == 0;
	}
	plan_free(&plan);
	wanted_free(&wanted);
	return ret;
}

/* Have the volume made, if it is to be made, and wait for its bytes. */
static int get_ready(struct session *session, struct err *err)
{
	struct job *job = &session->job;
	size_t serve = index_of(&job->plan, &serve_step);

	serve_renew(job);
	serve_watch(session);
	if (run_steps(session, serve, err) < 0)
		return -1;
	return job->steps_done == serve && !job->step_begun ? job_begin_step(job, err) : 0;
}

typedef int handler(struct session *session, const json_t *request, json_t *answer, struct err *err);

static int get_id(const json_t *request, char id[static JOB_ID_SIZE], struct err *err)
{
	const char *text = json_get_string(request, "job");

	return text && uuid_canonical(text, id) ? 0 : err_set(err, ERR_REFUSED, NULL, "no job is named");
}

/* For what is done with the job's end beside its steps. */
static struct step_context context_of(struct job *job)
{
	return (struct step_context){
		.job_id = job->id, .job_dir = job->dir, .move = &job->plan.move, .record = &job->record,
		.same_boot = job->same_boot, .committed = job_committed(job),
	};
}

/* Is this end as it has to be at the commit; and, once that was, before the source goes away, is the copy there? */
static int check_end(struct session *session, struct err *err)
{
	struct job *job = &session->job;
	struct step_context ctx = context_of(job);
	const char *users = job->plan.command == COMMAND_COPY ? "*" : NULL;

	return facts_is_far(&job->plan.move.source) ? step_check_target(&ctx, !job_committed(job), err) :
						      step_check_source(&ctx, true, users, err);
}

/* What is asked of a job that has come to its end here, by its lease perhaps: it was done, or never will be. */
static int of_ended(struct session *session, const char *what, struct err *err)
{
	const struct job *job = &session->job;
	bool abort_ = !strcmp(what, "abort");

	if (job->ended && !job->aborted && !strcmp(what, "check"))
		return check_end(session, err);
	if (job->ended && job->aborted == abort_ && strcmp(what, "leaves"))
		return 0;
	if (job->ended && !job->aborted)
		return err_set(err, ERR_REFUSED, job->id, "the job is done on that host");
	err_set(err, ERR_REFUSED, job->id, "that host has given its part up, its lease was over or somebody aborted it");
	err->number = ESTALE;
	return err_next(err, "volmig abort %s, then start again", job->id);
}

/* What would be done: nothing is. */
static int do_plan(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	struct wanted wanted = { 0 };
	struct plan plan = { 0 };
	char id[JOB_ID_SIZE], *path;
	json_t *warnings;
	int ret = -1;

	if (get_id(request, id, err) < 0 ||
	    wanted_from_json(&wanted, json_object_get(request, "wanted"), err) < 0)
		return -1;
	if (serve_plan(session, &wanted, id, json_get_bool(request, "uses") ? INSPECT_USES : 0, &plan, err) < 0 ||
	    job_check_conflicts(session->state_dir, id, &plan, 0, err) < 0)
		goto out;
	warnings = json_array();
	for (size_t i = 0; i < plan.warnings.count; i++)
		json_array_append_new(warnings, json_text(plan.warnings.items[i]));
	path = move_final_path(&plan.move);
	json_put(reply, "facts", facts_to_json(wanted.is_source ? &plan.move.source : &plan.move.destination));
	json_put(reply, "path", json_name(wanted.is_source ? plan.move.source.path : path));
	json_put(reply, "create", json_boolean(plan.move.create));
	json_put(reply, "bytes", json_u64(wanted.is_source ? plan.move.source.bytes : plan.move.lvm.create ?
					  plan.move.lvm.bytes : plan.move.create ? move_new_bytes(&plan.move) :
					  plan.move.destination.bytes));
	json_put(reply, "kind", json_string(wanted.is_source ? plan.move.source.kind : plan.move.lvm.create ?
					    "lv" : !plan.move.create ? plan.move.destination.kind :
					    plan.move.destination.qemu ? plan.move.destination.qemu->driver : "file"));
	json_put(reply, "compress", json_boolean(!zstd_missing()));
	json_put(reply, "removes", json_boolean(plan.move.remove));
	json_put(reply, "warnings", warnings);
	free(path);
	ret = 0;
out:
	plan_free(&plan);
	wanted_free(&wanted);
	return ret;
}

/* Of a volume that is to be the source: what it is. */
static int do_look(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	struct facts facts = { 0 };
	char *name = json_name_get(json_object_get(request, "name"));
	int ret = -1;

	if (!name || !*name)
		err_set(err, ERR_REFUSED, NULL, "no volume is named");
	else
		ret = serve_look(session, name, &facts, err);
	if (ret == 0)
		json_put(reply, "facts", facts_to_json(&facts));
	facts_free(&facts);
	free(name);
	return ret;
}

static int do_begin(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	const json_t *wanted = json_object_get(request, "wanted");
	char id[JOB_ID_SIZE];

	(void)reply;
	if (get_id(request, id, err) < 0)
		return -1;
	/* It may have it from a beginning that nobody was told of. */
	if (session->attached && strcmp(session->job.id, id))
		return err_set(err, ERR_REFUSED, id, "the channel has its job already");
	if (!session->attached && (job_exists(session->state_dir, id) ? take_up(session, id, err) :
				   begin_new(session, id, wanted, err)) < 0)
		return -1;
	/* Is it just what is asked for? */
	if (!json_equal(wanted, json_object_get(session->job.plan.serve, "wanted")))
		return err_set(err, ERR_REFUSED, id, "that host knows the job, for another move");
	if (session->job.ended || session->job.aborting)
		return of_ended(session, "begin", err);
	return get_ready(session, err);
}

static int do_attach(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	char id[JOB_ID_SIZE];

	if (get_id(request, id, err) < 0)
		return -1;
	if (session->attached)
		return err_set(err, ERR_REFUSED, id, "the channel has its job already");
	json_put(reply, "known", json_boolean(job_exists(session->state_dir, id)));
	if (!json_get_bool(reply, "known"))
		return 0;
	if (take_up(session, id, err) < 0)
		return -1;
	serve_renew(&session->job);
	if (!session->job.ended)
		serve_watch(session);
	else
		/* Whoever ended it may not have come to that. */
		serve_unwatch(session->job.dir);
	return 0;
}

/* Before the bytes are moved, or go on being moved: the hashes of what is here, for do_leaves(). */
static int do_survey(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	struct telling_monitor mon = telling_monitor(session);
	struct job *job = &session->job;
	struct step_context ctx = context_of(job);
	uint64_t start = json_get_u64(request, "start");

	(void)reply;
	ctx.mon = &mon.base;
	if (!serve_moves_bytes(job, err))
		return -1;
	if (start > ctx.move->source.bytes || (start % LEAF_BYTES && start != ctx.move->source.bytes))
		return err_set(err, ERR_REFUSED, job->id, "no volume is hashed from byte %llu on", (unsigned long long)start);
	return serve_end_data(job->dir, err) < 0 ? -1 : serve_survey(&ctx, start, err);
}

/* The bytes are all there: prove them, as far as it is wanted. */
static int do_prove(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	const struct plan *plan = &session->job.plan;
	size_t prove = index_of(plan, &prove_step);

	(void)request;
	(void)reply;
	if (serve_end_data(session->job.dir, err) < 0)
		return -1;
	return run_steps(session, prove < plan->step_count ? prove + 1 : index_of(plan, &serve_step) + 1, err);
}

static int do_publish(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	(void)request;
	(void)reply;
	if (serve_end_data(session->job.dir, err) < 0)
		return -1;
	return run_steps(session, index_of(&session->job.plan, &commit_step), err);
}

static int do_check(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	(void)request;
	(void)reply;
	return serve_end_data(session->job.dir, err) < 0 ? -1 : check_end(session, err);
}

static int do_commit(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	(void)request;
	(void)reply;
	if (serve_end_data(session->job.dir, err) < 0)
		return -1;
	return run_steps(session, index_of(&session->job.plan, &commit_step) + 1, err);
}

static int do_finish(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	struct job *job = &session->job;

	if (do_commit(session, request, reply, err) < 0 ||
	    run_steps(session, job->plan.step_count, err) < 0)
		return -1;
	end_job(session, false, err);
	return job->ended ? 0 : -1;
}

static int do_abort(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	struct job *job = &session->job;

	(void)request;
	(void)reply;
	if (serve_end_data(job->dir, err) < 0 || run_undo(job, false, NULL, err) < 0)
		return -1;
	end_job(session, true, err);
	return job->ended ? 0 : -1;
}

/* The hashes of so many leaves of what was read last: of the destination read back, or of either end before. */
static int do_leaves(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	uint64_t first = json_get_u64(request, "first"), bytes = session->job.plan.move.source.bytes;
	char *path = text_format("%s/leaves", session->job.dir);
	struct leaves *leaves = NULL;
	json_t *list = json_array();
	int ret = -1;

	if (access(path, F_OK) < 0)
		err_sys(err, errno, path, "nothing was read back");
	else if (leaves_open(&leaves, path, bytes, NULL, err) == 0)
		ret = 0;
	for (uint64_t i = first; ret == 0 && i < leaves_count(leaves) && i - first < LEAVES_MAX; i++) {
		char hex[HASH_HEX];
		struct hash hash;

		ret = leaves_get(leaves, i, &hash, err);
		json_array_append_new(list, json_string(hash_hex(&hash, hex)));
	}
	json_put(reply, "leaves", list);
	leaves_close(leaves);
	free(path);
	return ret;
}

static int do_ping(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	(void)session;
	(void)request;
	(void)reply;
	(void)err;
	return 0;
}

static const struct {
	const char *name;
	bool of_job;		/* of the job that the channel has */
	handler *handle;
} requests[] = {
	{ "plan", false, do_plan },
	{ "look", false, do_look },
	{ "begin", false, do_begin },
	{ "attach", false, do_attach },
	{ "ping", false, do_ping },
	{ "survey", true, do_survey },
	{ "prove", true, do_prove },
	{ "leaves", true, do_leaves },
	{ "publish", true, do_publish },
	{ "check", true, do_check },
	{ "commit", true, do_commit },
	{ "finish", true, do_finish },
	{ "abort", true, do_abort },
};

static int handle(struct session *session, const json_t *request, json_t *reply, struct err *err)
{
	const char *what = json_get_string(request, "do");

	for (size_t i = 0; what && i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (strcmp(requests[i].name, what))
			continue;
		if (requests[i].of_job && !session->attached)
			return err_set(err, ERR_REFUSED, NULL, "the channel has no job yet");
		if (requests[i].of_job && session->job.ended)
			return of_ended(session, what, err);
		if (requests[i].handle(session, request, reply, err) < 0)
			return -1;
		/* What the other side will take for true has to be on the disk. */
		return session->attached && session->job.journal ? job_sync(&session->job, err) : 0;
	}
	return err_set(err, ERR_REFUSED, what, "is no request that this volmig (%s) knows", VOLMIG_VERSION);
}

/* ---- the channel ---- */

/* Wait for the next request, a sign of life, with which the lease begins anew.  As wire_receive(). */
static int next_request(struct session *session, json_t **ret, struct err *err)
{
	struct pollfd ready = { .fd = session->wire.in, .events = POLLIN };

	uint64_t seconds = SILENCE_SECONDS, until;

	inject_number("serve-silence", &seconds);
	until = clock_ns() + seconds * 1000000000;
	while (!session->wire.length && !interrupt_requested()) {
		if (poll(&ready, 1, 1000) > 0)
			break;
		/* A host that lost its power does not say good-bye. */
		if (clock_ns() >= until)
			return 0;
	}
	if (session->lost)
		return 0;
	if (session->attached && !session->job.ended)
		serve_renew(&session->job);
	return wire_receive(&session->wire, HELLO_MS, ret, err);
}

static void control(struct session *session)
{
	for (;;) {
		struct err err = ERR_INIT;
		json_t *request = NULL, *reply;
		int r = next_request(session, &request, &err);

		if (r == 0 || (r < 0 && err.class == ERR_STOPPED))
			return;
		reply = json_object();
		if (r > 0 && handle(session, request, reply, &err) == 0) {
			json_put(reply, "ok", json_true());
			if (session->attached)
				json_put(reply, "job", standing(session));
			answer(session, reply);
		} else {
			json_decref(reply);
			reply = failure(&err);
			if (session->attached)
				json_put(reply, "job", standing(session));
			answer(session, reply);
		}
		json_decref(request);
		/* What makes no sense once will not later. */
		if (r < 0 || session->lost || interrupt_requested())
			return;
	}
}

static int greet(struct session *session, const json_t *hello, struct err *err)
{
	const char *version = json_get_string(hello, "volmig");
	const char *from = getenv("SSH_CONNECTION");
	char host[256] = "";

	if (!version || json_get_u64(hello, "protocol") != SERVE_PROTOCOL) {
		err_set(err, ERR_REFUSED, NULL,
			"volmig %s on this host speaks protocol %d, volmig %.64s on the other protocol %llu",
			VOLMIG_VERSION, SERVE_PROTOCOL, version ? version : "(of no version)",
			(unsigned long long)json_get_u64(hello, "protocol"));
		return err_next(err, "use the same version on both hosts");
	}
	if (!strcmp(json_get_string(hello, "channel") ?: "", "data"))
		return serve_data(session, hello, err);
	gethostname(host, sizeof(host) - 1);
	log_info("serving %s", from ? from : "somebody");
	answer(session, json_pack("{s:b, s:s, s:i, s:o}", "ok", 1, "volmig", VOLMIG_VERSION,
				  "protocol", SERVE_PROTOCOL, "host", json_text(host)));
	control(session);
	return 0;
}

/* What others have left behind here. */
static void expire_others(const char *state_dir)
{
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;

	if (job_list_unfinished(state_dir, false, &ids, &err) < 0)
		return;
	for (size_t i = 0; i < ids.count; i++) {
		struct err why = ERR_INIT;

		if (serve_expire(state_dir, ids.items[i], &why) < 0)
			log_warning("%s: its lease is over, but it cannot be ended: %s", ids.items[i], why.cause);
	}
	text_list_free(&ids);
}

int serve_take_over(const char *state_dir, const char *id, struct err *err)
{
	pid_t pid;

	while ((pid = job_worker(state_dir, id)) != 0) {
		if (pid < 0)
			return err_set(err, ERR_REFUSED, id, "the job is running where its process cannot be seen");
		if (serve_end_process(pid, true, id, err) < 0)
			return -1;
	}
	return 0;
}

int serve_run(const struct serve_options *options, int in, int out, struct err *err)
{
	struct session session = {
		.options = options,
		.state_dir = job_state_dir(options->state_dir),
		.wire = { .in = in, .out = out },
		.job = { .lock = -1 },
	};
	struct err refused = ERR_INIT;
	json_t *hello = NULL;
	int ret = wire_receive(&session.wire, HELLO_MS, &hello, &refused);

	if (ret == 0)
		ret = err_set(&refused, ERR_STOPPED, NULL, "nobody said anything");
	else if (ret > 0) {
		expire_others(session.state_dir);
		ret = greet(&session, hello, &refused);
	}
	if (ret < 0) {
		answer(&session, failure(&refused));
		*err = refused;
	}
	if (session.attached && !session.job.ended) {
		struct err ignored = ERR_INIT;

		/* Nobody is there any more who would want its bytes. */
		serve_end_data(session.job.dir, &ignored);
		serve_renew(&session.job);
	}
	json_decref(hello);
	job_close(&session.job);
	wire_free(&session.wire);
	free(session.state_dir);
	return ret < 0 ? -1 : 0;
}
