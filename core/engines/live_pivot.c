/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that make the mirror the guest's disk, and then make sure that
 * nobody has the source any more.
 */
#include "engines/live_parts.h"

#include <stdlib.h>

#include "engines/live_probe.h"
#include "support/log.h"
#include "support/monitor.h"

/* The guest has moved, and all agree on it. */
static void note_moved(struct step_context *ctx, struct virt *virt)
{
	struct err ignored = ERR_INIT;
	struct facts now = { 0 };

	if (live_definition_same(virt, &ctx->move->live, &ignored) == 0)
		text_list_add(&ctx->record->notes, text_format(
			"the definition of %s differs from what it was in more than the source of %s: somebody changed it meanwhile",
			ctx->move->live.domain, ctx->move->live.target));
	if (ctx->record->target.path &&
	    volume_inspect_path(ctx->record->target.path, 0, &now, &ignored) == 0)
		ctx->record->allocated_after = now.allocated;
	facts_free(&now);
}

static enum step_result pivot_run(struct step_context *ctx, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	enum step_result ret = STEP_STOPPED;
	struct virt *virt = NULL;
	enum live_where where;
	bool called = false;
	char *why = NULL;

	monitor_phase(ctx->mon, "pivot", 0);
	if (live_connect(ctx, &virt, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	for (int tries = 0; ; tries++) {
		free(why);
		why = NULL;
		if (live_settle(ctx, virt, &where, &why, err) < 0) {
			/* Once the pivot was called for, or may have been, nobody knows. */
			if (ctx->again || tries)
				ret = live_unsure(ctx, LIVE_SPLIT, "nobody can tell which volume the guest uses", err);
			else
				err->class = ERR_STOPPED;
			goto out;
		}
		if (where == LIVE_NEW) {
			note_moved(ctx, virt);
			ret = STEP_DONE;
			goto out;
		}
		if (where == LIVE_MIRROR) {
			ret = live_wait_ready(ctx, virt, UINT64_MAX, err);
			if (ret != STEP_DONE)
				goto out;
			ret = STEP_STOPPED;
			where = LIVE_READY;
		}
		if (where != LIVE_READY)
			break;
		if (tries == 3) {
			err_set(err, ERR_STOPPED, live->domain, "libvirt does not move %s onto the mirror",
				live->target);
			goto out;
		}
		/* A destination that hangs would stop the guest's writes with the pivot. */
		if (live_probe(live->new_path, false, live_call_limit(ctx->move), err) < 0) {
			err->class = ERR_STOPPED;
			goto out;
		}
		called = true;
		/* point of no return; what it returns is not what has happened */
		virt_pivot(virt, live->uuid, live->target, err);
		if (err->class)
			log_info("%s: %s", err->object, err->cause);
		*err = (struct err)ERR_INIT;
	}
	if (where == LIVE_OLD)
		ret = live_mirror_failed(ctx, err);
	else if (where == LIVE_FOREIGN)
		ret = live_found(ctx, STEP_STOPPED, ERR_STOPPED, where, why, err);
	else if (where == LIVE_OFF && !ctx->again && !called && !live_is_orphaned(ctx, &why)) {
		err_set(err, ERR_FAILED, live->domain, "the domain was stopped before %s was moved",
			live->target);
		ret = STEP_UNDONE;
	} else if (where == LIVE_OFF) {
		/* The pivot may have happened, and its record in the definition been lost. */
		ret = live_unsure(ctx, where, why ? why :
			     "the domain was stopped while it was moved, and either volume may hold what the guest wrote last", err);
	} else if (where == LIVE_OFF_NEW && !live_is_orphaned(ctx, &why)) {
		/* Stopped right after it: what it flushed is on both or on the new one alone. */
		note_moved(ctx, virt);
		ret = STEP_DONE;
	} else {
		ret = live_unsure(ctx, where, why, err);
	}
out:
	free(why);
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
	.run		= pivot_run,
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
