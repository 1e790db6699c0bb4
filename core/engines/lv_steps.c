/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that make a destination in a volume group, activate what has to be
 * active meanwhile, and leave the new volume as the source was.
 *
 * What a job makes has the job's tag from its first moment until all is done,
 * and that tag, besides its UUID, is what tells that it is the job's own.
 */
#include "engines/lv_steps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/log.h"
#include "volumes/guests.h"
#include "volumes/lv.h"
#include "volumes/lv_change.h"
#include "volumes/lvm_report.h"

/* Look a volume up by its UUIDs; one that is gone gives NULL. */
static int find_again(const struct lv_facts *was, struct lv_facts **ret, struct err *err)
{
	return lv_find_uuid(was->vg_uuid, was->uuid, ret, err);
}

/*
 * The same for a volume of ours, in whose tags nobody else has a say: where it
 * is active its device tells that it is the one, and what it is called.
 */
static int find_ours_again(const struct step_context *ctx, struct lv_facts **ret, struct err *err)
{
	const struct lv_facts *was = ctx->record->target.lv;

	*ret = ctx->again ? NULL : lv_by_device(was);
	return *ret ? 0 : find_again(was, ret, err);
}

/* Of what is made for this move: the job's, and of a job's further moves each its own. */
static char *own_tag(const struct step_context *ctx)
{
	const char *rest = strchr(ctx->move->temp_name, '.');
	char *tag = lv_job_tag(ctx->job_id), *whole = text_format("%s%s", tag, rest ? rest : "");

	free(tag);
	return whole;
}

/* What this job has made, by its tag, or NULL.  group: where that is by name, or NULL: all are asked. */
static int find_ours(const struct step_context *ctx, const char *group, struct lv_facts **ret,
		     struct err *err)
{
	char *tag = own_tag(ctx);
	int r = lv_find_tag(group, ctx->move->destination.lv->vg_uuid, tag, ret, err);

	free(tag);
	return r;
}

/* Is it just what the journal says was made?  Before it says so, the tag has to do. */
static bool is_recorded(const struct step_context *ctx, const struct lv_facts *lv)
{
	const struct lv_facts *target = ctx->record->target.lv;

	return !target || !target->uuid || !strcmp(target->uuid, lv->uuid);
}

/* *ret_group: the name that the group was found by; free it. */
static int make(const struct step_context *ctx, char **ret_group, struct err *err)
{
	const struct lvm_move *lvm = &ctx->move->lvm;
	char *tag = own_tag(ctx);
	char *group = NULL;
	int ret = lv_group_name(ctx->move->destination.lv->vg_uuid, &group, err);

	if (ret == 0 && !group) {
		ret = err_set(err, ERR_FAILED, ctx->move->destination.lv->vg_name,
			      "the volume group is not there any more");
	} else if (ret == 0) {
		struct lv_new new = {
			.vg = group,
			.name = ctx->move->temp_name,
			.tag = tag,
			.type = strcmp(lvm->type, "raid1") ? lvm->type : "linear",
			.pool = lvm->pool,
			.bytes = lvm->bytes,
			.stripes = lvm->stripes,
			.stripe_bytes = lvm->stripe_bytes,
			.pvs = lvm->pvs.count ? &lvm->pvs : NULL,
		};

		ret = lv_create(&new, err);
	}
	*ret_group = group;
	free(tag);
	return ret;
}

static enum step_result create_run(struct step_context *ctx, struct err *err)
{
	struct facts *target = &ctx->record->target;
	struct lv_facts *lv = NULL;
	struct facts made = { 0 };
	enum step_result result = STEP_UNDONE;
	unsigned flags = INSPECT_OUTSIDE;
	char *group = NULL;

	/* An earlier run may have made it and died before it could say so. */
	if (ctx->again && find_ours(ctx, NULL, &lv, err) < 0)
		return STEP_UNDONE;
	if (!lv && make(ctx, &group, err) < 0) {
		free(group);
		return STEP_UNDONE;
	}
	lvm_report_hold();
	/* LVM has made it in the group of that name just now. */
	if (!lv && find_ours(ctx, group, &lv, err) < 0)
		goto out;
	if (!lv) {
		err_set(err, ERR_FAILED, ctx->move->temp_name, "the new logical volume cannot be found");
		goto out;
	}
	/* What LVM has said of it stays true unless it is made another kind of volume. */
	if (group && strcmp(ctx->move->lvm.type, "raid1"))
		flags |= INSPECT_DEVICE;
	if (!strcmp(ctx->move->lvm.type, "raid1") &&
	    lv_mirror(lv, ctx->move->lvm.stripes,
		      ctx->move->lvm.pvs.count ? &ctx->move->lvm.pvs : NULL, err) < 0)
		goto out;
	if (lv_activate(lv, err) < 0)
		goto out;
	made.lv = lv;
	lv = NULL;
	if (volume_inspect_again(&made, flags, target, err) < 0)
		goto out;
	if (!target->kind || target->bytes < move_bytes(ctx->move)) {
		err_set(err, ERR_FAILED, target->path, "the new logical volume is smaller than the source");
		goto out;
	}
	result = STEP_DONE;
out:
	lvm_report_release();
	lv_facts_free(lv);
	facts_free(&made);
	free(group);
	return result;
}

/* Has somebody taken it up by its name meanwhile? */
static int check_unused(const struct lv_facts *lv, const char *name, struct err *err)
{
	struct facts was = { .lv = (struct lv_facts *)lv }, now = { 0 };
	int ret;

	if (volume_inspect_again(&was, INSPECT_USES | INSPECT_OUTSIDE, &now, err) < 0)
		return -1;
	ret = guests_check_unused(&now, NULL, name, " first", err);
	facts_free(&now);
	return ret;
}

/* What the job has made, or NULL; -1 where that may not be removed. */
static int find_removable(struct step_context *ctx, struct lv_facts **ret_lv, struct err *err)
{
	struct lv_facts *lv = NULL;
	char *copy = NULL;
	int ret = -1;

	*ret_lv = NULL;
	if (find_ours(ctx, NULL, &lv, err) < 0)
		return ctx->forget ? 0 : -1;
	if (!lv)
		return 0;
	copy = text_format("%s/%s", lv->vg_name, lv->name);
	if (!is_recorded(ctx, lv)) {
		err_set(err, ERR_REFUSED, lv->name, "has this job's tag, but is not what the job has made");
		err_next(err, "take the tag away (lvchange --deltag), then abort again");
	} else if (!ctx->record->target.kind || step_source_stands(ctx, copy, err) == 0) {
		/* Before it was recorded nothing was written to it. */
		*ret_lv = lv;
		lv = NULL;
		ret = 0;
	}
	free(copy);
	lv_facts_free(lv);
	return ret;
}

/* Before anything is taken back, so that the job can still go on. */
static int create_may_undo(struct step_context *ctx, struct err *err)
{
	struct lv_facts *lv;
	int ret = find_removable(ctx, &lv, err);

	lv_facts_free(lv);
	return ret;
}

static int create_undo(struct step_context *ctx, struct err *err)
{
	struct lv_facts *lv;
	int ret = find_removable(ctx, &lv, err);

	/* Its users are looked for when the definition of a domain has been taken back. */
	if (lv && (check_unused(lv, lv->name, err) < 0 || lv_remove(lv, err) < 0))
		ret = -1;
	lv_facts_free(lv);
	return ret;
}

const struct step_ops create_lv_step = {
	.name	= "create-lv",
	.state	= "prepared",
	.run	= create_run,
	.undo	= create_undo,
	.may_undo = create_may_undo,
	.object	= move_written_path,
};

/* Give it the name that it shall have; done already is fine. */
static int give_name(const struct step_context *ctx, const struct lv_facts *lv, struct err *err)
{
	const char *name = ctx->move->name;
	struct lv_facts *other = NULL;
	struct err second = ERR_INIT;
	int ret;

	if (!strcmp(lv->name, name))
		return 0;
	/* Where the name is another's LVM refuses. */
	ret = lv_rename(lv, name, err);
	if (ret < 0 && err->class != ERR_UNSURE && lv_find(lv->vg_name, name, &other, &second) == 0 &&
	    other && other->name) {
		*err = (struct err)ERR_INIT;
		err_set(err, ERR_STOPPED, other->name,
			"something of that name has appeared since the job was planned");
		err_next(err, "give that another name (lvrename), then volmig resume %s", ctx->job_id);
	}
	lv_facts_free(other);
	return ret;
}

enum step_result lv_publish(struct step_context *ctx, struct err *err)
{
	struct facts *target = &ctx->record->target;
	struct lv_facts *lv = NULL;
	enum step_result result = STEP_STOPPED;

	if (find_ours_again(ctx, &lv, err) < 0)
		goto out;
	if (!lv) {
		err_set(err, ERR_FAILED, target->path, "the destination that was written is gone");
		result = STEP_UNDONE;
		goto out;
	}
	/* The copy is whole: no reason to throw it away. */
	if (give_name(ctx, lv, err) < 0)
		goto out;
	free(target->path);
	target->path = move_final_path(ctx->move);
	result = STEP_DONE;
out:
	lv_facts_free(lv);
	return result;
}

enum step_result lv_remove_source(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	struct lv_facts *lv = NULL;
	enum step_result result = STEP_STOPPED;

	if (find_again(src->lv, &lv, err) < 0)
		goto out;
	if (lv && lv_remove(lv, err) < 0)
		goto out;
	result = STEP_DONE;
out:
	lv_facts_free(lv);
	return result;
}

/* Its persistent minor number is the source's, and free only now. */
static void carry_minor(const struct step_context *ctx, const struct lv_facts *lv)
{
	const struct lv_facts *from = ctx->move->source.lv;
	bool removed = ctx->move->remove && !ctx->record->source_stays;
	struct err why = ERR_INIT;
	char *note;

	if (!from || !from->fixed_minor || (lv->fixed_minor && lv->minor == from->minor))
		return;
	if (removed && lv_fix_minor(lv, from->minor, &why) == 0)
		return;
	note = text_format("the persistent minor number %" PRIu64 " is not carried over: %s", from->minor,
			   removed ? why.cause : "the source keeps it");
	if (!text_list_has(&ctx->record->notes, note))
		text_list_add(&ctx->record->notes, note);
	else
		free(note);
}

static enum step_result finish_run(struct step_context *ctx, struct err *err)
{
	const struct facts *target = &ctx->record->target;
	const struct lv_facts *from = facts_there(&ctx->move->source)->lv;
	char *tag = own_tag(ctx);
	struct lv_facts *lv = NULL;
	enum step_result result = STEP_STOPPED;

	if (find_ours_again(ctx, &lv, err) < 0)
		goto out;
	if (!lv) {
		err_set(err, ERR_STOPPED, target->path, "the new logical volume has gone");
		goto out;
	}
	/* The tag goes last: without it all is done. */
	if (text_list_has(&lv->tags, tag)) {
		if (ctx->move->lvm.late_name && give_name(ctx, lv, err) < 0)
			goto out;
		if (ctx->move->lvm.late_name) {
			lv_facts_free(lv);
			lv = NULL;
			if (find_ours_again(ctx, &lv, err) < 0 || !lv)
				goto out;
		}
		carry_minor(ctx, lv);
		if (ctx->move->lvm.activate_source && lv_deactivate(lv, err) < 0)
			goto out;
		if (lv_carry_over(lv, from, tag, err) < 0)
			goto out;
	}
	result = STEP_DONE;
out:
	if (result == STEP_STOPPED && err->class != ERR_UNSURE)
		err->class = ERR_STOPPED;
	lv_facts_free(lv);
	free(tag);
	return result;
}

const struct step_ops finish_lv_step = {
	.name		= "finish-lv",
	.irrevocable	= true,
	.run		= finish_run,
	.object		= move_final_path,
};

/* A volume that other hosts can have, too: its lock is taken for the job. */
static bool is_shared(const struct facts *end)
{
	return end->kind && end->lv && end->lv->shared;
}

bool move_activates(const struct move *move)
{
	return move->lvm.activate_source || move->lvm.activate_destination || is_shared(&move->source) ||
	       is_shared(&move->destination);
}

/* Those of the two ends that are active only while the job lasts; or, locked, that are to be this host's alone. */
static int each_end(const struct move *move, bool locked, int (*change)(const struct lv_facts *lv, struct err *err),
		    struct err *err)
{
	bool source = move->lvm.activate_source || (locked && is_shared(&move->source));
	bool destination = move->lvm.activate_destination || (locked && is_shared(&move->destination));
	const struct facts *ends[] = { source ? &move->source : NULL, destination ? &move->destination : NULL };

	for (size_t i = 0; i < 2; i++) {
		struct lv_facts *lv = NULL;
		int ret;

		if (!ends[i])
			continue;
		if (find_again(ends[i]->lv, &lv, err) < 0)
			return -1;
		ret = lv ? change(lv, err) : 0;
		lv_facts_free(lv);
		if (ret < 0)
			return -1;
	}
	return 0;
}

static char *both_or_one(const struct move *move, bool source, bool destination)
{
	return source && destination ? text_format("%s, %s", move->source.path, move->destination.path) :
				       text_copy(source ? move->source.path : move->destination.path);
}

static char *activated(const struct move *move)
{
	return both_or_one(move, move->lvm.activate_source || is_shared(&move->source),
			   move->lvm.activate_destination || is_shared(&move->destination));
}

static char *deactivated(const struct move *move)
{
	return both_or_one(move, move->lvm.activate_source, move->lvm.activate_destination);
}

static enum step_result activate_run(struct step_context *ctx, struct err *err)
{
	if (each_end(ctx->move, true, lv_activate, err) < 0)
		return STEP_UNDONE;
	/* From here on it can be told whether somebody writes to it. */
	return facts_is_far(&ctx->move->source) || count_source(ctx, err) == 0 ? STEP_DONE : STEP_UNDONE;
}

/* One that somebody has opened meanwhile is his now. */
static int deactivate(const struct lv_facts *lv, struct err *err)
{
	struct err why = ERR_INIT;

	(void)err;
	if (lv_deactivate(lv, &why) < 0)
		log_warning("%s/%s stays active: %s", lv->vg_name, lv->name, why.cause);
	return 0;
}

static int activate_undo(struct step_context *ctx, struct err *err)
{
	return each_end(ctx->move, false, deactivate, err) < 0 && !ctx->forget ? -1 : 0;
}

const struct step_ops activate_step = {
	.name	= "activate",
	.run	= activate_run,
	.undo	= activate_undo,
	.object	= activated,
};

void lv_leave_source(struct step_context *ctx)
{
	const struct move alone = { .source = ctx->move->source, .lvm.activate_source = ctx->move->lvm.activate_source };
	struct err why = ERR_INIT;

	if (each_end(&alone, false, deactivate, &why) < 0)
		log_warning("%s: cannot be deactivated: %s", ctx->move->source.path, why.cause);
}

static enum step_result deactivate_run(struct step_context *ctx, struct err *err)
{
	if (each_end(ctx->move, false, deactivate, err) == 0)
		return STEP_DONE;
	err->class = ERR_STOPPED;
	return STEP_STOPPED;
}

const struct step_ops deactivate_step = {
	.name		= "deactivate",
	.irrevocable	= true,
	.run		= deactivate_run,
	.object		= deactivated,
};
