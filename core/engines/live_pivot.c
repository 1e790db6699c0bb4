/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The step that makes the mirrors the guest's disks, and the one that then makes
 * sure that nobody has a source any more.
 *
 * Several disks of a domain are pivoted one after the other while the guest
 * stands still, so that it never sees some moved and some not.  Before the
 * first call all go back if anything is wrong; after it there is only forward.
 * What is about to be called is recorded before the guest is suspended: who comes
 * after us looks where each disk is, and needs no record of each call.
 */
#include "engines/live_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "engines/live_guard.h"
#include "engines/live_probe.h"
#include "support/clock.h"
#include "support/inject.h"
#include "support/log.h"
#include "support/monitor.h"

/* What a volume with little to be flushed takes to flush it. */
#define QUICK_FLUSH_MS 20ULL

/* Where each of the disks is, and how many are where. */
struct sight {
	size_t count;
	enum live_where *where;
	char **why;
	size_t moved, off_new, ready, mirrored, old, off;
};

static void sight_begin(struct sight *sight, size_t count)
{
	*sight = (struct sight){
		.count = count,
		.where = text_alloc(count, sizeof(*sight->where)),
		.why = text_alloc(count, sizeof(*sight->why)),
	};
}

static void sight_clear(struct sight *sight)
{
	for (size_t i = 0; i < sight->count; i++) {
		free(sight->why[i]);
		sight->why[i] = NULL;
	}
	sight->moved = sight->off_new = sight->ready = sight->mirrored = sight->old = sight->off = 0;
}

static void sight_end(struct sight *sight)
{
	sight_clear(sight);
	free(sight->where);
	free(sight->why);
}

static int look(struct step_context *ctx, struct virt *virt, struct sight *sight, struct err *err)
{
	sight_clear(sight);
	for (size_t i = 0; i < sight->count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (live_settle(&part, virt, &sight->where[i], &sight->why[i], err) < 0)
			return -1;
		sight->moved += sight->where[i] == LIVE_NEW;
		sight->off_new += sight->where[i] == LIVE_OFF_NEW;
		sight->ready += sight->where[i] == LIVE_READY;
		sight->mirrored += sight->where[i] == LIVE_MIRROR;
		sight->old += sight->where[i] == LIVE_OLD;
		sight->off += sight->where[i] == LIVE_OFF;
	}
	return 0;
}

/* A guest's disk has moved, and all agree on it. */
static void note_moved(struct step_context *ctx)
{
	struct err ignored = ERR_INIT;
	struct facts now = { 0 };

	ctx->record->pivot = PIVOT_DONE;
	if (ctx->record->target.path && !facts_remote(&ctx->record->target) &&
	    volume_inspect_path(ctx->record->target.path, 0, &now, &ignored) == 0)
		ctx->record->allocated_after = now.allocated;
	facts_free(&now);
}

static enum step_result all_moved(struct step_context *ctx, struct virt *virt)
{
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		note_moved(&part);
	}
	if (live_definition_same(virt, ctx->parts, ctx->part_count, &ignored) == 0)
		text_list_add(&ctx->record->notes, text_format(
			"the definition of %s differs from what it was in more than the source%s of %s: somebody changed it meanwhile",
			ctx->move->live.domain, ctx->part_count > 1 ? "s" : "",
			ctx->part_count > 1 ? "the disks" : ctx->move->live.target));
	return STEP_DONE;
}

/* Some of the disks have moved, and another cannot: nothing is hidden, and nothing more is touched. */
static enum step_result half_moved(struct step_context *ctx, const struct sight *sight, struct err *err)
{
	struct text_list moved = { 0 }, left = { 0 };
	char *moved_text, *left_text;

	for (size_t i = 0; i < sight->count; i++) {
		const struct live_move *live = &ctx->parts[i].move->live;
		bool is_moved = sight->where[i] == LIVE_NEW || sight->where[i] == LIVE_OFF_NEW;

		text_list_add(is_moved ? &moved : &left, is_moved ?
			text_format("%s is on %s", live->target, live->new_path) :
			text_format("%s is not: %s", live->target,
				    sight->why[i] ? sight->why[i] : live_where_text(sight->where[i])));
	}
	moved_text = text_list_join(&moved);
	left_text = text_list_join(&left);
	err_set(err, ERR_UNSURE, ctx->move->live.domain, "only some of its disks have moved: %s; %s",
		moved_text, left_text);
	err_next(err, "keep all volumes; volmig status %s tells which are used, volmig resume %s tries to move the rest",
		 ctx->job_id, ctx->job_id);
	free(moved_text);
	free(left_text);
	text_list_free(&moved);
	text_list_free(&left);
	return STEP_UNSURE;
}

/* There is a disk that can be pivoted no more, or the domain does not run.  called: a pivot was, by this run. */
static enum step_result cannot_pivot(struct step_context *ctx, struct virt *virt, struct sight *sight,
				     bool called, struct err *err)
{
	bool announced = ctx->again || called;
	struct step_context part;
	char *user = NULL;
	size_t worst = 0;

	/* What nobody can tell of one nobody can tell of the set. */
	for (size_t i = 0; i < sight->count; i++) {
		part = step_part_context(ctx, i);
		if (sight->where[i] == LIVE_SPLIT || sight->where[i] == LIVE_PIVOT)
			return live_unsure(&part, sight->where[i], sight->why[i], err);
		if ((sight->where[i] == LIVE_OFF || sight->where[i] == LIVE_OFF_NEW) &&
		    live_is_orphaned(&part, &user)) {
			live_unsure(&part, sight->where[i], user, err);
			free(user);
			return STEP_UNSURE;
		}
		if (sight->where[i] != LIVE_NEW && sight->where[i] != LIVE_OFF_NEW &&
		    sight->where[i] != LIVE_READY && sight->where[i] != LIVE_MIRROR)
			worst = i;
	}
	/* Stopped right after it: what it flushed is on both or on the new ones alone. */
	if (sight->off_new == sight->count)
		return all_moved(ctx, virt);
	if (sight->moved || sight->off_new)
		return half_moved(ctx, sight, err);
	if (sight->off && !announced) {
		err_set(err, ERR_FAILED, ctx->move->live.domain, "the domain was stopped before %s was moved",
			ctx->move->live.target);
		return STEP_UNDONE;
	}
	/* The pivot may have happened, and its record in the definition been lost. */
	if (sight->off)
		return live_unsure(ctx, LIVE_OFF,
				   "the domain was stopped while it was moved, and either volume may hold what the guest wrote last", err);
	part = step_part_context(ctx, worst);
	if (sight->where[worst] == LIVE_FOREIGN)
		return live_found(&part, STEP_STOPPED, ERR_STOPPED, LIVE_FOREIGN, sight->why[worst], err);
	return live_mirror_failed(&part, err);
}

/* Some have moved, and those whose mirrors have failed are left: begin these anew. */
static int begin_again(struct step_context *ctx, struct virt *virt, const struct sight *sight,
		       struct err *err)
{
	for (size_t i = 0; i < sight->count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (sight->where[i] != LIVE_OLD)
			continue;
		log_info("%s: mirroring %s once more, for the others have moved", ctx->job_id,
			 part.move->live.target);
		if (live_probe(&part, live_call_limit(part.move), err) < 0 ||
		    (live_begin_mirror(&part, virt, sight->count, err) < 0 && !live_is_silence(err)))
			return -1;
		*err = (struct err)ERR_INIT;
	}
	return 0;
}

/* ---- standing still ---- */

/*
 * Several disks: the guest stands still until all have moved, but for one that
 * somebody else has suspended.  Whoever lets it go on should we be killed takes
 * its time to come up, so that it is there before all else.
 */
static int guard_it(struct step_context *ctx, struct virt *virt, struct live_guard *guard, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	struct virt_domain domain = { 0 };
	bool runs;

	if (ctx->part_count == 1)
		return 0;
	if (virt_find(virt, live->uuid, &domain, err) < 0)
		return -1;
	runs = domain.running && !domain.paused;
	virt_domain_free(&domain);
	return runs ? live_guard_begin(guard, live, live_call_limit(ctx->move), err) : 0;
}

static int stand_still(struct step_context *ctx, struct virt *virt, const struct live_guard *guard,
		       uint64_t *ret_since, struct err *err)
{
	int ret;

	if (ctx->part_count == 1)
		return 0;
	/* Written down first: who comes after us has to know that it was us. */
	if (guard->pid)
		ctx->record->suspended = true;
	ret = monitor_note(ctx->mon, err);
	if (!guard->pid)
		return ret;
	inject_kill_at("kill-suspend", 1);
	*ret_since = clock_ns();
	if (ret == 0)
		ret = virt_suspend(virt, ctx->move->live.uuid, err);
	inject_kill_at("kill-suspend", 2);
	return ret;
}

static int go_on(struct step_context *ctx, struct virt *virt, struct err *err)
{
	int ret;

	if (!ctx->record->suspended)
		return 0;
	ret = live_let_go_on(virt, &ctx->move->live, err);
	/* One that has gone does not stand still. */
	if (ret < 0 && err->number != ENOENT)
		return -1;
	*err = (struct err)ERR_INIT;
	inject_kill_at("kill-suspend", 3);
	ctx->record->suspended = false;
	return 0;
}

/*
 * Leave little to be done while the guest waits.  A destination that hangs, which
 * would stop the guest's writes with the pivot, is found as well.
 */
static int make_ready(struct step_context *ctx, struct virt *virt, const struct sight *sight,
		      struct err *err)
{
	/* While much is flushed much is written; what is flushed quickly was little. */
	for (int rounds = 0; rounds < 4; rounds++) {
		uint64_t began = clock_ns();

		for (size_t i = 0; i < sight->count; i++) {
			struct step_context part = step_part_context(ctx, i);

			if (sight->where[i] == LIVE_READY &&
			    live_flush(&part, live_call_limit(part.move), err) < 0)
				return -1;
		}
		if (clock_ns() - began < sight->count * QUICK_FLUSH_MS * 1000000)
			break;
	}
	for (size_t i = 0; i < sight->count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (sight->where[i] == LIVE_READY && live_hurry(&part, virt, err) < 0)
			return -1;
	}
	return 0;
}

/* Those that were to be pivoted, and were not, go on at the rate they had. */
static void hurry_no_more(struct step_context *ctx, struct virt *virt, const struct sight *sight)
{
	for (size_t i = 0; i < sight->count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (sight->where[i] == LIVE_READY && part.record->pivot != PIVOT_DONE)
			live_hurry_no_more(&part, virt, sight->count);
	}
}

/* What is recorded before any of them is called, for nothing is written down while the guest waits. */
static void announce_pivots(struct step_context *ctx, const struct sight *sight, size_t from,
			    enum pivot_record pivot)
{
	for (size_t i = from; i < sight->count; i++)
		if (sight->where[i] == LIVE_READY && ctx->parts[i].record->pivot != PIVOT_DONE)
			ctx->parts[i].record->pivot = pivot;
}

/* Call one after the other, until one fails: false.  What they return is not what has happened. */
static bool call_each(struct step_context *ctx, struct virt *virt, const struct sight *sight, bool *ret_called)
{
	for (size_t i = 0; i < sight->count; i++) {
		const struct live_move *live = &ctx->parts[i].move->live;
		struct err err = ERR_INIT;
		int returned;

		if (sight->where[i] != LIVE_READY)
			continue;
		*ret_called = true;
		inject_kill_at("kill-pivot", (unsigned)(2 * i + 1));
		inject_stop_at("stop-pivot", (unsigned)(i + 1));
		/* point of no return */
		returned = virt_pivot(virt, live->uuid, live->target, &err);
		inject_kill_at("kill-pivot", (unsigned)(2 * i + 2));
		if (returned == 0) {
			ctx->parts[i].record->pivot = PIVOT_DONE;
			continue;
		}
		/* Look before another one follows: if none has moved, all can go back. */
		log_info("%s: %s", err.object, err.cause);
		announce_pivots(ctx, sight, i + 1, PIVOT_NOT_CALLED);
		return false;
	}
	return true;
}

/* Pivot those that are ready; nothing is waited for that is not between the guest and its going on. */
static int call_pivots(struct step_context *ctx, struct virt *virt, const struct sight *sight,
		       bool *ret_called, struct err *err)
{
	struct live_guard guard = LIVE_GUARD_NONE;
	uint64_t began, since = 0;
	struct err second = ERR_INIT;
	bool all = false;
	int ret;

	if (guard_it(ctx, virt, &guard, err) < 0)
		return -1;
	if (make_ready(ctx, virt, sight, err) < 0) {
		hurry_no_more(ctx, virt, sight);
		live_guard_end(&guard);
		return -1;
	}
	began = clock_ns();
	announce_pivots(ctx, sight, 0, PIVOT_CALLED);
	ret = stand_still(ctx, virt, &guard, &since, err);
	if (ret == 0)
		all = call_each(ctx, virt, sight, ret_called);
	else
		announce_pivots(ctx, sight, 0, PIVOT_NOT_CALLED);
	if (go_on(ctx, virt, ret < 0 ? &second : err) < 0) {
		ret = -1;
		live_guard_leave(&guard);
	}
	for (size_t i = 0; i < ctx->part_count; i++)
		ctx->parts[i].record->pivot_ns += clock_ns() - began;
	if (since)
		ctx->record->suspended_ns += clock_ns() - since;
	live_guard_end(&guard);
	if (!all)
		hurry_no_more(ctx, virt, sight);
	return ret;
}

static enum step_result pivot_all(struct step_context *ctx, struct virt *virt, struct sight *sight,
				  struct err *err)
{
	enum step_result ret;
	bool called = false;

	for (int tries = 0; ; tries++) {
		if (look(ctx, virt, sight, err) < 0) {
			/* Once the pivot was called for, or may have been, nobody knows. */
			if (ctx->again || called)
				return live_unsure(ctx, LIVE_SPLIT,
						   "nobody can tell which volume the guest uses", err);
			err->class = ERR_STOPPED;
			return STEP_STOPPED;
		}
		if (sight->moved == sight->count)
			return all_moved(ctx, virt);
		/* The user has come back to it: the rest may follow by a mirror of its own. */
		if (ctx->again && tries == 0 && sight->moved && sight->old &&
		    sight->moved + sight->ready + sight->mirrored + sight->old == sight->count) {
			if (begin_again(ctx, virt, sight, err) < 0)
				return half_moved(ctx, sight, err);
			ret = live_wait_ready(ctx, virt, err);
			if (ret == STEP_UNDONE)
				return half_moved(ctx, sight, err);
			if (ret != STEP_DONE)
				return ret;
			continue;
		}
		if (sight->moved + sight->ready + sight->mirrored != sight->count)
			return cannot_pivot(ctx, virt, sight, called, err);
		if (sight->mirrored) {
			ret = live_wait_ready(ctx, virt, err);
			/* What has failed is seen, and told, by the next look. */
			if (ret != STEP_DONE && (ret != STEP_UNDONE || !sight->moved))
				return ret;
			*err = (struct err)ERR_INIT;
			if (tries < 3)
				continue;
		}
		if (tries >= 3) {
			if (sight->moved)
				return half_moved(ctx, sight, err);
			err_set(err, ERR_STOPPED, ctx->move->live.domain,
				"libvirt does not move %s onto the mirror", ctx->move->live.target);
			return STEP_STOPPED;
		}
		if (call_pivots(ctx, virt, sight, &called, err) < 0 && !called) {
			err->class = ERR_STOPPED;
			return STEP_STOPPED;
		}
		/* Once one was called for, what has happened counts, and not what failed. */
		*err = (struct err)ERR_INIT;
	}
}

static enum step_result pivot_run(struct step_context *ctx, struct err *err)
{
	enum step_result ret = STEP_STOPPED;
	struct err second = ERR_INIT;
	struct virt *virt = NULL;
	struct sight sight;

	sight_begin(&sight, ctx->part_count);
	monitor_phase(ctx->mon, "pivot", 0);
	if (live_connect(ctx, &virt, err) < 0)
		err->class = ERR_STOPPED;
	else
		ret = pivot_all(ctx, virt, &sight, err);
	/* It may stand still yet, from an earlier run or because libvirt did not answer. */
	if (virt && go_on(ctx, virt, ret == STEP_DONE ? err : &second) < 0) {
		if (ret == STEP_DONE)
			ret = STEP_STOPPED;
		else
			log_warning("%s: it was suspended, and may stand still: %s; %s", ctx->move->live.domain,
				    second.cause, second.next);
	}
	sight_end(&sight);
	virt_close(virt);
	return ret;
}

static int pivot_undo(struct step_context *ctx, struct err *err)
{
	struct virt *virt = NULL;
	int ret;

	if (!ctx->record->suspended)
		return 0;
	ret = live_connect(ctx, &virt, err);
	if (ret == 0)
		ret = go_on(ctx, virt, err);
	virt_close(virt);
	return ret;
}

static int pivot_may_undo(struct step_context *ctx, struct err *err)
{
	return live_may_undo(ctx, true, err);
}

const struct step_ops pivot_step = {
	.name		= "pivot",
	.state		= "committed",
	.irrevocable	= true,
	.joint		= true,
	.run		= pivot_run,
	.undo		= pivot_undo,
	.may_undo	= pivot_may_undo,
	.object		= live_both_names,
};

/* ---- release ---- */

static enum step_result release_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	enum step_result ret = STEP_STOPPED;
	struct virt *virt = NULL;
	enum live_where where;
	char *why = NULL, *user = NULL;

	live_wait_closed(move->source.path, move->live.uuid);
	if (live_connect(ctx, &virt, err) < 0 || live_settle(ctx, virt, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
	} else if (where == LIVE_SPLIT) {
		ret = live_unsure(ctx, where, why, err);
	} else if (where != LIVE_NEW && where != LIVE_OFF_NEW) {
		live_found(ctx, ret, ERR_STOPPED, where, why, err);
		err_next(err, "the source is kept; look which volume is wanted, then volmig resume %s",
			 ctx->job_id);
	} else if (where == LIVE_OFF_NEW && live_is_orphaned(ctx, &user)) {
		ret = live_unsure(ctx, where, user, err);
	} else {
		ret = STEP_DONE;
	}
	free(why);
	free(user);
	virt_close(virt);
	return ret;
}

static char *source_path(const struct move *move)
{
	return text_copy(move->source.path);
}

const struct step_ops release_step = {
	.name		= "release",
	.irrevocable	= true,
	.run		= release_run,
	.object		= source_path,
};
