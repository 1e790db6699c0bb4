/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a move whose other end is on another host.  That host's part is
 * a job of its own (core/serve.h); here it is asked for piece by piece, and
 * each piece may be asked for again.
 *
 * The order keeps one whole copy and one owner, whoever dies when:
 *
 * To another host: the copy there is durable, proven, and has its name; then
 * that host journals that it is not the job's to remove any more (the point of
 * no return); then this one does; then the source goes.  A crash between the
 * two leaves the source, and a destination that is whole and kept: this side
 * can only go on, since that one refuses to take it back.
 *
 * From another host: the copy here is durable, proven, and has its name; this
 * side journals the commit (the point of no return); then that host is told,
 * journals it, and removes the source.  What nobody tells it is not removed.
 */
#include "engines/far_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/leaves.h"
#include "engines/step.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/wire.h"
#include "volumes/far.h"

#define UNDO_MS 20000		/* an abort does not wait for a host that is not there */
#define LEAVES_AT_ONCE 4096

static json_t *request(const char *what)
{
	return json_pack("{s:s}", "do", what);
}

static int ask(struct step_context *ctx, json_t *message, json_t **ret, struct err *err)
{
	return far_ask_job(ctx->move->far.host, ctx->job_id, message, ctx->move->stall_ms, ctx->mon, ret, err);
}

/* A host that cannot be asked may be asked later; what it refuses or fails at is its answer. */
static enum step_result result_of(struct err *err)
{
	if (err->class == ERR_UNSURE)
		return STEP_UNSURE;
	err->class = ERR_STOPPED;
	return STEP_STOPPED;
}

static void take_notes(struct step_context *ctx, const json_t *reply)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(reply, "job"), "notes"), i, note) {
		const char *text = json_string_value(note);

		if (text && !text_list_has(&ctx->record->notes, text))
			text_list_add(&ctx->record->notes, text_copy(text));
	}
}

/* The volume there, as that host says that it is now. */
static int take_facts(const struct step_context *ctx, const json_t *reply, struct facts *ret, struct err *err)
{
	const struct far_move *far = &ctx->move->far;
	const struct facts *planned = far->is_source ? &ctx->move->source : &ctx->move->destination;
	struct facts there = { 0 };

	if (facts_from_json(&there, json_object_get(json_object_get(reply, "job"), "facts"), err) < 0)
		return -1;
	if (facts_is_far(&there) || !there.kind || !there.path) {
		facts_free(&there);
		return err_set(err, ERR_FAILED, far->host, "does not say what volume it has");
	}
	far_facts(far->host, planned->spec, &there, ret);
	return 0;
}

/* The end that is there already, as it is now that nothing has been done to it: is it what was planned with? */
static int check_as_planned(const struct step_context *ctx, const struct facts *now, struct err *err)
{
	const struct move *move = ctx->move;
	const struct facts *was = move->far.is_source ? &move->source : &move->destination;
	char *why = was->kind ? facts_not_same(was, now, false) : NULL;

	if (!why && was->kind)
		why = facts_changed(was, now, false);
	if (!why && was->kind && !move->far.is_source && strcmp(was->signature ?: "", now->signature ?: ""))
		why = text_format("it holds %s", now->signature ?: "nothing known any more");
	if (!why)
		return 0;
	err_set(err, ERR_REFUSED, was->path, "the %s is not as it was when the job was planned: %s",
		move->far.is_source ? "source" : "destination", why);
	free(why);
	return -1;
}

static enum step_result prepare_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct facts now = { 0 };
	enum step_result result = STEP_UNDONE;
	json_t *reply = NULL;

	if (ask(ctx, json_pack("{s:s, s:O}", "do", "begin", "wanted", move->far.wanted), &reply, err) < 0) {
		/* Nobody knows how far it came: it is asked again. */
		if (err->number == WIRE_LOST || err->class == ERR_STOPPED)
			result = result_of(err);
		goto out;
	}
	if (take_facts(ctx, reply, &now, err) < 0 || check_as_planned(ctx, &now, err) < 0)
		goto out;
	if (!move->far.is_source) {
		facts_free(&ctx->record->target);
		ctx->record->target = now;
		now = (struct facts){ 0 };
	}
	take_notes(ctx, reply);
	result = STEP_DONE;
out:
	facts_free(&now);
	json_decref(reply);
	return result;
}

/* What was copied there may be all that there is. */
static int prepare_may_undo(struct step_context *ctx, struct err *err)
{
	if (ctx->move->far.is_source || ctx->forget || !ctx->record->target.kind ||
	    step_source_stands(ctx, ctx->record->target.path, err) == 0)
		return 0;
	return err_next(err, "bring it back, then volmig abort %s; or save what you need there, then volmig abort --forget %s",
			ctx->job_id, ctx->job_id);
}

static int prepare_undo(struct step_context *ctx, struct err *err)
{
	const char *host = ctx->move->far.host;

	if (prepare_may_undo(ctx, err) < 0)
		return -1;
	if (far_ask_job(host, ctx->job_id, request("abort"), UNDO_MS, NULL, NULL, err) == 0) {
		if (!ctx->move->far.is_source)
			facts_free(&ctx->record->target);
		return 0;
	}
	/* Of what it never heard it has nothing; but a host that has made something and does not know of it is another. */
	if (err->number == ENOENT && (ctx->move->far.is_source || !ctx->record->target.kind))
		return 0;
	if (!ctx->forget) {
		if (err->number == ENOENT)
			err_next(err, "see that %s is the host that has it, or leave its part to that (its lease ends by itself): volmig abort --forget %s",
				 host, ctx->job_id);
		else if (!*err->next)
			err_next(err, "bring %s back, or leave its part to it (its lease ends by itself): volmig abort --forget %s",
				 host, ctx->job_id);
		return -1;
	}
	text_list_add(&ctx->record->notes, text_format(
		"%s could not be asked to take its part back: it does so by itself when its lease is over", host));
	return 0;
}

static char *far_path(const struct move *move)
{
	return text_copy(move->far.is_source ? move->source.path : move->destination.path);
}

const struct step_ops prepare_far_step = {
	.name	= "prepare-far",
	.state	= "prepared",
	.run	= prepare_run,
	.undo	= prepare_undo,
	.may_undo = prepare_may_undo,
	.object	= far_path,
};

static enum step_result publish_run(struct step_context *ctx, struct err *err)
{
	json_t *reply = NULL;
	struct facts now = { 0 };

	if (ask(ctx, request("publish"), &reply, err) < 0)
		return result_of(err);
	if (take_facts(ctx, reply, &now, err) < 0) {
		json_decref(reply);
		return result_of(err);
	}
	facts_free(&ctx->record->target);
	ctx->record->target = now;
	take_notes(ctx, reply);
	json_decref(reply);
	return STEP_DONE;
}

const struct step_ops publish_far_step = {
	.name	= "publish-far",
	.run	= publish_run,
	.object	= far_path,
};

static enum step_result commit_run(struct step_context *ctx, struct err *err)
{
	json_t *reply = NULL;

	if (step_check_source(ctx, true, move_shut_off_users(ctx->move), err) < 0)
		return STEP_STOPPED;
	/* point of no return: that host has it in its journal when it answers, and we when this step is done */
	if (ask(ctx, request("commit"), &reply, err) < 0)
		return result_of(err);
	ctx->record->allocated_after = json_get_u64(json_object_get(reply, "job"), "allocated");
	json_decref(reply);
	return STEP_DONE;
}

/* It may have been committed there, and nobody has told us. */
static int commit_may_undo(struct step_context *ctx, struct err *err)
{
	const struct far_move *far = &ctx->move->far;
	struct err why = ERR_INIT;
	json_t *reply = NULL;
	bool committed;

	/* Whatever is asked, the answer tells how the job stands there. */
	if (far_ask_job(far->host, ctx->job_id, request("ping"), UNDO_MS, NULL, &reply, &why) < 0) {
		if (ctx->forget)
			return 0;
		err_set(err, ERR_UNSURE, far->host, "cannot be asked whether it has committed the job: %s", why.cause);
		/* It has heard of the job: so it is another host that has not. */
		if (why.number == ENOENT)
			return err_next(err, "see that it is the host that has it, then volmig resume %s or abort it", ctx->job_id);
		return err_next(err, "bring it back, then volmig resume %s or abort it", ctx->job_id);
	}
	committed = json_get_bool(json_object_get(reply, "job"), "committed");
	json_decref(reply);
	if (!committed)
		return 0;
	err_set(err, ERR_REFUSED, ctx->job_id, "%s has committed the job already", far->host);
	return err_next(err, "volmig resume %s", ctx->job_id);
}

const struct step_ops commit_far_step = {
	.name		= "commit-far",
	.state		= "committed",
	.irrevocable	= true,
	.run		= commit_run,
	.may_undo	= commit_may_undo,
	.object		= far_path,
};

/*
 * Before that host removes or empties the source: is the copy there, as before any source
 * goes?  Where its part has ended already, whatever became of the source has.
 */
static int check_copy(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	const char *wipe = json_get_string(move->far.wanted, "wipe");
	json_t *reply = NULL;
	bool ended;

	if (!move->far.is_source || (!move->remove && (!wipe || !strcmp(wipe, "none"))))
		return 0;
	if (ask(ctx, request("ping"), &reply, err) < 0) {
		if (err->number != ENOENT)
			return -1;
		*err = (struct err)ERR_INIT;
		return 0;
	}
	ended = json_get_bool(json_object_get(reply, "job"), "ended");
	json_decref(reply);
	return ended ? 0 : step_check_target(ctx, false, err);
}

/* Its job is ended: of a destination what is left to be done, of a source its removal. */
static enum step_result finish_run(struct step_context *ctx, struct err *err)
{
	json_t *reply = NULL;
	bool is_source = ctx->move->far.is_source;

	if (check_copy(ctx, err) < 0)
		return result_of(err);
	if (ask(ctx, request("finish"), &reply, err) < 0) {
		if (err->number != ENOENT && err->number != ESTALE)
			return result_of(err);
		/*
		 * Its lease was over.  What was committed there was finished there;
		 * a source that it was not told to remove it has kept, and it is
		 * not for a job that ended there to remove it.
		 */
		if (is_source && ctx->move->remove) {
			ctx->record->source_stays = true;
			text_list_add(&ctx->record->notes, text_format(
				"%s stays: its host had given its part up, as nobody came for it in time", ctx->move->source.path));
		}
		if (is_source || err->number == ENOENT)
			return STEP_DONE;
		return result_of(err);
	}
	take_notes(ctx, reply);
	json_decref(reply);
	return STEP_DONE;
}

const struct step_ops finish_far_step = {
	.name		= "finish-far",
	.irrevocable	= true,
	.run		= finish_run,
	.object		= far_path,
};

int far_check(struct step_context *ctx, const struct facts *end, struct err *err)
{
	const struct move *move = ctx->move;

	if (!move->far.host || (end == &move->source) != move->far.is_source)
		return 0;
	/* That host looks, after its commit too: a source goes away only where its copy is there. */
	if (far_ask_job(move->far.host, ctx->job_id, request("check"), move->stall_ms, ctx->mon, NULL, err) == 0)
		return 0;
	/* One that is gone for good would stop the job each time that it is resumed. */
	if (err->number == ENOENT)
		step_way_out(ctx, "see that it is the host that has it and resume again, or ", err);
	else if (!*err->next)
		step_way_out(ctx, "bring it back and resume again, or ", err);
	err->class = ERR_STOPPED;
	return -1;
}

/* What is made of the hash that the other host has of a leaf. */
struct hash_taker {
	int (*take)(struct hash_taker *self, uint64_t i, const struct hash *theirs, struct err *err);
	struct leaves *leaves;
	uint64_t differing, first;
};

/* The hashes of what that host has read, from leaf i on, each to the taker. */
static int ask_leaves(struct step_context *ctx, uint64_t i, struct hash_taker *taker, struct err *err)
{
	uint64_t count = leaves_count(taker->leaves);

	while (i < count) {
		json_t *reply = NULL;
		const json_t *list;
		size_t n;
		int r = 0;

		if (ask(ctx, json_pack("{s:s, s:I}", "do", "leaves", "first", (json_int_t)i), &reply, err) < 0)
			return -1;
		list = json_object_get(reply, "leaves");
		for (n = 0; r == 0 && n < json_array_size(list) && i < count; n++, i++) {
			struct hash theirs;

			if (!hash_from_hex(json_string_value(json_array_get(list, n)), &theirs))
				break;
			r = taker->take(taker, i, &theirs, err);
		}
		json_decref(reply);
		if (r < 0)
			return -1;
		if (!n)
			return err_set(err, ERR_FAILED, ctx->move->far.host,
				       "does not tell the hash of the MiB at byte %llu",
				       (unsigned long long)(i * LEAF_BYTES));
	}
	return 0;
}

static int compare_hash(struct hash_taker *self, uint64_t i, const struct hash *theirs, struct err *err)
{
	struct hash ours;

	if (leaves_get(self->leaves, i, &ours, err) < 0)
		return -1;
	if (memcmp(&ours, theirs, sizeof(ours)) && !self->differing++)
		self->first = i;
	return 0;
}

/* Where do the two differ?  What that host has read is asked for. */
static int find_difference(struct step_context *ctx, struct leaves *leaves, struct err *err)
{
	struct hash_taker taker = { .take = compare_hash, .leaves = leaves };

	if (ask_leaves(ctx, 0, &taker, err) < 0)
		return -1;
	err_set(err, ERR_FAILED, ctx->record->target.path,
		"read back there differs from what was read from the source at byte %llu (%llu of %llu MiB differ)",
		(unsigned long long)(taker.first * LEAF_BYTES), (unsigned long long)taker.differing,
		(unsigned long long)leaves_count(leaves));
	err->number = BLOCK_DIFFERS;
	return -1;
}

static int keep_hash(struct hash_taker *self, uint64_t i, const struct hash *theirs, struct err *err)
{
	return leaves_set_hash(self->leaves, i, theirs, err);
}

int far_survey(struct step_context *ctx, uint64_t start, struct leaves **ret, struct err *err)
{
	char *path = text_format("%s/survey", ctx->job_dir);
	uint64_t bytes = ctx->move->source.bytes;
	struct hash_taker taker = { .take = keep_hash };
	int result = -1;

	monitor_phase(ctx->mon, "compare", bytes - start);
	if (ask(ctx, json_pack("{s:s, s:I}", "do", "survey", "start", (json_int_t)start), NULL, err) < 0)
		goto out;
	/* It has no name, so that nobody takes it up who comes later. */
	unlink(path);
	if (leaves_open(&taker.leaves, path, bytes, NULL, err) < 0)
		goto out;
	unlink(path);
	if (ask_leaves(ctx, start / LEAF_BYTES, &taker, err) < 0)
		goto out;
	*ret = taker.leaves;
	taker.leaves = NULL;		/* handed over */
	result = 0;
out:
	leaves_close(taker.leaves);
	free(path);
	return result;
}

int far_verify(struct step_context *ctx, struct leaves *leaves, struct err *err)
{
	char hex[HASH_HEX];
	struct hash root;
	json_t *reply = NULL;
	const char *theirs;
	bool equal;

	if (ask(ctx, request("prove"), &reply, err) < 0)
		return -1;
	if (leaves_root(leaves, &root, err) < 0) {
		json_decref(reply);
		return -1;
	}
	hash_hex(&root, hex);
	theirs = json_get_string(json_object_get(reply, "job"), "tree_hash");
	equal = theirs && !strcmp(theirs, hex);
	json_decref(reply);
	return equal ? 0 : find_difference(ctx, leaves, err);
}

static void pass_phase(struct monitor *mon, const char *name, uint64_t total)
{
	monitor_phase(((struct far_monitor *)mon)->to, name, total);
}

static void pass_advance(struct monitor *mon, uint64_t done)
{
	struct far_monitor *self = (struct far_monitor *)mon;

	monitor_advance(self->to, done);
	far_ping(self->host);
}

static void pass_tick(struct monitor *mon)
{
	struct far_monitor *self = (struct far_monitor *)mon;

	monitor_tick(self->to);
	far_ping(self->host);
}

static void pass_waited(struct monitor *mon, const struct waits *waits)
{
	monitor_waited(((struct far_monitor *)mon)->to, waits);
}

static int pass_durable(struct monitor *mon, const struct mark *mark, struct err *err)
{
	return monitor_durable(((struct far_monitor *)mon)->to, mark, err);
}

struct monitor *far_monitor(struct far_monitor *self, const struct step_context *ctx)
{
	if (!ctx->move->far.host)
		return ctx->mon;
	*self = (struct far_monitor){
		.base = { .phase = pass_phase, .advance = pass_advance, .tick = pass_tick,
			  .waited = pass_waited, .durable = pass_durable },
		.to = ctx->mon,
		.host = ctx->move->far.host,
	};
	return &self->base;
}
