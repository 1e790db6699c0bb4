/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Move a volume inside its group by lvconvert: a raid1 leg is added on the
 * target, synchronised, scrubbed until nothing differs, and the old one is
 * dropped.  The volume may be open and written to all the time.
 *
 * LVM and the kernel go on by themselves whatever becomes of us, so each step
 * looks at what is there and does what is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "engines/leg_scrub.h"
#include "engines/online_move.h"
#include "engines/step.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"

#define WORDS_MAX 64

static char *name_of(const struct online_now *now)
{
	return text_format("%s/%s", now->group.name, now->lv->name);
}

static char *object(const struct move *move)
{
	return online_object(&move->online);
}

static char *volume_object(const struct move *move)
{
	return text_format("%s/%s", move->online.vg, move->online.lv);
}

/* lvconvert to so many mirrors beside the first leg, adding on, or dropping from, these PVs. */
static int convert(const struct online_now *now, bool to_raid1, unsigned legs,
		   const struct text_list *pvs, struct err *err)
{
	char *name = name_of(now), *mirrors = text_format("%u", legs - 1);
	const char *argv[WORDS_MAX] = { "lvconvert", "-y", "-m", mirrors };
	size_t count = 4;
	int ret;

	if (to_raid1) {
		argv[count++] = "--type";
		argv[count++] = "raid1";
	}
	argv[count++] = name;
	ret = online_pv_names(&now->group, pvs, argv, &count, WORDS_MAX, err);
	if (ret == 0)
		ret = online_change(name, argv, err);
	free(mirrors);
	free(name);
	return ret;
}

/* KiB a second; 0: no limit.  LVM has one knob for synchronising and scrubbing. */
static int set_rate(const struct online_now *now, uint64_t kib, struct err *err)
{
	char *name = name_of(now), *rate = text_format("%lluk", (unsigned long long)kib);
	const char *argv[] = { "lvchange", "-y", "--maxrecoveryrate", rate, name, NULL };
	int ret = online_change(name, argv, err);

	free(name);
	free(rate);
	return ret;
}

static int put_rate_back(const struct move *move, const struct online_now *now, struct err *err)
{
	if (!move->bytes_per_second || !lvm_has_word(now->lv->layout, "raid1"))
		return 0;
	return set_rate(now, move->online.max_rate ? strtoull(move->online.max_rate, NULL, 10) : 0, err);
}

/* ---- add-leg ---- */

static enum step_result add_leg(struct step_context *ctx, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct online_now now = { 0 };
	enum step_result result = STEP_STOPPED;
	bool is_raid;

	if (online_look(online, &now, err) < 0)
		return STEP_STOPPED;
	is_raid = lvm_has_word(now.lv->layout, "raid1");
	if (now.ours >= online->add) {
		result = STEP_DONE;	/* by a run before this one */
	} else if (now.ours || now.legs != online->legs || now.lv->converting || now.moving_from) {
		char *name = name_of(&now);

		err_set(err, ERR_REFUSED, name, "it was converted or is being moved by somebody else meanwhile");
		err_next(err, "let that end, then volmig abort %s", ctx->job_id);
		free(name);
		goto out;
	} else if (online_tag(ctx, &now, err) < 0) {
		goto out;
	} else if (convert(&now, !is_raid, online->legs + online->add, &online->targets, err) < 0) {
		/* LVM's changes are whole or not made at all. */
		result = STEP_UNDONE;
		goto out;
	} else {
		result = STEP_DONE;
	}
	online_now_free(&now);
	if (ctx->move->bytes_per_second &&
	    (online_look(online, &now, err) < 0 ||
	     set_rate(&now, (ctx->move->bytes_per_second + 1023) / 1024, err) < 0))
		result = STEP_STOPPED;
out:
	online_now_free(&now);
	return result;
}

static int set_active(const struct online_now *now, bool active, struct err *err)
{
	char *name = name_of(now);
	const char *argv[] = { "lvchange", active ? "-ay" : "-an", name, NULL };
	int ret = online_change(name, argv, err);

	free(name);
	return ret;
}

static int drop_added(struct step_context *ctx, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct online_now now = { 0 };
	struct err second = ERR_INIT;
	bool was_off;
	int ret = -1;

	if (online_look(online, &now, err) < 0)
		return -1;
	/* LVM takes legs from active volumes only, and after a restart it may not be one yet. */
	was_off = now.ours && now.old && !now.lv->active;
	if (was_off && set_active(&now, true, err) < 0) {
		err_context(err, "while dropping the new leg");
	} else if (now.ours && !now.old) {
		char *name = name_of(&now);

		err_set(err, ERR_REFUSED, name, "the old leg is gone, so the new one stays");
		free(name);
	} else if (now.ours && convert(&now, false, now.legs - now.ours, &online->targets, err) < 0) {
		err_context(err, "while dropping the new leg");
	} else {
		online_now_free(&now);
		ret = online_look(online, &now, err) < 0 || put_rate_back(ctx->move, &now, err) < 0 ||
		      online_untag(ctx, &now, err) < 0 ? -1 : 0;
		if (ret == 0 && was_off && set_active(&now, false, &second) < 0)
			log_warning("%s: %s", second.object, second.cause);
	}
	online_now_free(&now);
	return ret;
}

const struct step_ops add_leg_step = {
	.name = "add-leg",
	.state = "prepared",
	.run = add_leg,
	.undo = drop_added,
	.object = object,
};

/* ---- sync-leg ---- */

static enum step_result sync_leg(struct step_context *ctx, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct online_now now = { 0 };
	uint64_t begun = clock_ns();
	enum step_result result;

	monitor_phase(ctx->mon, "sync", ctx->move->source.bytes);
	if (online_look(online, &now, err) < 0)
		return STEP_STOPPED;
	result = now.ours < online->add ? leg_lost(ctx, &now, err) :
		 leg_wait(ctx, &now, LEG_SYNC, NULL, err);
	ctx->record->copy_ns += clock_ns() - begun;
	if (result == STEP_DONE) {
		ctx->record->mark.bytes_data = ctx->record->mark.bytes_written = ctx->move->source.bytes;
		ctx->record->mark.offset = ctx->move->source.bytes;
	}
	online_now_free(&now);
	return result;
}

const struct step_ops sync_leg_step = {
	.name = "sync-leg",
	.state = "synced",
	.doing = "copying",
	.run = sync_leg,
	.object = volume_object,
};

/* ---- scrub-leg ---- */

/* Readers keep to the old leg while the new one is not proven. */
static void keep_readers_off(const struct online_move *online, struct step_context *ctx,
			     const struct online_now *now, bool off)
{
	char *name = name_of(now);

	for (size_t i = 0; i < online->targets.count; i++) {
		const struct lvm_pv *pv = lvm_group_pv_by_uuid(&now->group, online->targets.items[i]);
		char *word = pv ? text_format("%s:%s", pv->name, off ? "y" : "n") : NULL;
		const char *argv[] = { "lvchange", "-y", "--writemostly", word, name, NULL };
		struct err second = ERR_INIT;

		/* A target that has got no leg is none of its business. */
		if (pv && lvm_extents_on(&now->group, now->lv->name, pv) && online_change(name, argv, &second) < 0)
			text_list_add(&ctx->record->notes, text_format(
				"readers may have used the new leg before it was scrubbed: %s", second.cause));
		free(word);
	}
	free(name);
}

static enum step_result scrub_leg(struct step_context *ctx, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct online_now now = { 0 };
	uint64_t begun = clock_ns();
	enum step_result result;

	monitor_phase(ctx->mon, "verify", ctx->move->source.bytes);
	if (online_look(online, &now, err) < 0)
		return STEP_STOPPED;
	if (now.ours < online->add) {
		result = leg_lost(ctx, &now, err);
	} else {
		result = leg_wait(ctx, &now, LEG_SYNC, NULL, err);
		if (result == STEP_DONE) {
			keep_readers_off(online, ctx, &now, true);
			result = leg_scrub(ctx, &now, err);
		}
	}
	ctx->record->verify_ns += clock_ns() - begun;
	ctx->record->verified = result == STEP_DONE;
	online_now_free(&now);
	return result;
}

const struct step_ops scrub_leg_step = {
	.name = "scrub-leg",
	.state = "verified",
	.run = scrub_leg,
	.object = volume_object,
};

/* ---- commit-leg: nothing is changed, but from its record on there is only forward ---- */

static enum step_result commit_leg(struct step_context *ctx, struct err *err)
{
	struct online_now now = { 0 };
	enum step_result result = STEP_STOPPED;

	if (online_look(&ctx->move->online, &now, err) < 0)
		return STEP_STOPPED;
	if (now.ours < ctx->move->online.add)
		result = leg_lost(ctx, &now, err);
	else
		result = leg_wait(ctx, &now, LEG_SYNC, NULL, err);
	online_now_free(&now);
	return result;
}

const struct step_ops commit_leg_step = {
	.name = "commit-leg",
	.state = "committed",
	.irrevocable = true,	/* point of no return */
	.run = commit_leg,
	.object = volume_object,
};

/* ---- drop-leg ---- */

static enum step_result drop_leg(struct step_context *ctx, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct online_now now = { 0 };
	enum step_result result = STEP_STOPPED;
	bool still_raid;

	if (online_look(online, &now, err) < 0)
		return STEP_STOPPED;
	if (now.old) {
		if (now.ours < online->add) {
			leg_lost(ctx, &now, err);
			goto out;
		}
		/* point of no return: LVM itself refuses it where the new leg is not in sync. */
		if (convert(&now, false, now.legs - now.old, &online->sources, err) < 0)
			goto out;
		still_raid = now.legs - now.old > 1;
	} else {
		still_raid = lvm_has_word(now.lv->layout, "raid1");
	}
	if (still_raid) {
		keep_readers_off(online, ctx, &now, false);
		if (put_rate_back(ctx->move, &now, err) < 0)
			goto out;
	}
	if (online_untag(ctx, &now, err) < 0)
		goto out;
	ctx->record->allocated_after = now.lv->bytes;
	result = STEP_DONE;
out:
	online_now_free(&now);
	return result;
}

static char *drop_object(const struct move *move)
{
	return text_format("the old leg of %s/%s", move->online.vg, move->online.lv);
}

const struct step_ops drop_leg_step = {
	.name = "drop-leg",
	.irrevocable = true,
	.run = drop_leg,
	.object = drop_object,
};
