/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Move a volume inside its group by pvmove, one physical volume after the
 * other.  The kernel mirrors the extents, and LVM drops the old ones as soon
 * as they are in sync; nothing is read back.  --atomic: as long as one pvmove
 * runs, taking it back takes all of it back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/online_move.h"
#include "engines/step.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/monitor.h"
#include "sys/lvm.h"
#include "volumes/lvm_report.h"

#define WORDS_MAX 64

static char *object(const struct move *move)
{
	return online_object(&move->online);
}

static char *volume_object(const struct move *move)
{
	return text_format("%s/%s", move->online.vg, move->online.lv);
}

/* How far the pvmove that runs has come. */
struct course {
	struct step_context *ctx;
	uint64_t before;	/* bytes that were moved by those before it */
	uint64_t bytes;		/* that it moves */
	double percent;		/* as it said last */
};

/* "  /dev/sdb: Moved: 84.38%" */
static bool hear(void *data, const char *text)
{
	struct course *course = data;
	const char *moved = strstr(text, "Moved: ");
	double percent;

	if (!moved || sscanf(moved, "Moved: %lf", &percent) != 1 || percent < 0 || percent > 100)
		return true;
	monitor_advance(course->ctx->mon, course->before + (uint64_t)((double)course->bytes * percent / 100));
	/* It says so each second, whether the kernel gets on or not. */
	if (percent == course->percent)
		return false;
	course->percent = percent;
	return true;
}

static int run_pvmove(struct course *course, const char *object_name, const char *const *argv, struct err *err)
{
	struct lvm_command command = {
		.argv = argv, .object = object_name, .interruptible = true,
		.line = course ? hear : NULL, .data = course,
		.timeout_ms = course && course->ctx->move->stall_ms ? course->ctx->move->stall_ms : 0,
	};

	int ret = lvm_run(&command, NULL, err);

	lvm_report_changed();
	return ret;
}

/* Extents of the volume on one of the PVs that it leaves. */
static uint64_t extents_on(const struct online_now *now, const char *pv_uuid)
{
	const struct lvm_pv *pv = lvm_group_pv_by_uuid(&now->group, pv_uuid);

	return pv ? lvm_extents_on(&now->group, now->lv->name, pv) : 0;
}

/* Is the pvmove that runs one of this job, that is from a PV that it leaves? */
static const struct lvm_pv *our_pvmove(const struct online_move *online, const struct online_now *now)
{
	const struct lvm_pv *pv = now->moving_from ? lvm_group_pv(&now->group, now->moving_from) : NULL;

	return pv && text_list_has(&online->sources, pv->uuid) ? pv : NULL;
}

static int refuse_foreign(const struct step_context *ctx, const struct online_now *now, const char *from,
			  struct err *err)
{
	char *name = text_format("%s/%s", now->group.name, now->lv->name);

	err_set(err, ERR_REFUSED, name, "a pvmove from %s that is not this job's is running", from);
	free(name);
	return err_next(err, "wait for it, then volmig resume %s", ctx->job_id);
}

/* Start the one that is next, or take up the one that runs. */
static int move_from(struct step_context *ctx, const struct online_now *now, const struct lvm_pv *pv,
		     bool adopt, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	struct course course = {
		.ctx = ctx,
		.bytes = adopt ? ctx->move->source.bytes :
			 extents_on(now, pv->uuid) * now->group.extent_bytes,
	};
	const char *argv[WORDS_MAX] = { "pvmove", "-i1" };
	size_t count = 2;

	if (!adopt)
		course.before = ctx->move->source.bytes -
				(now->left * now->group.extent_bytes < ctx->move->source.bytes ?
				 now->left * now->group.extent_bytes : ctx->move->source.bytes);
	if (adopt) {
		argv[count++] = pv->name;
		argv[count] = NULL;
		return run_pvmove(&course, pv->name, argv, err);
	}
	/* Another one from this PV would be taken up by LVM in place of ours. */
	if (online_pvmove_from(&now->group, pv->name))
		return refuse_foreign(ctx, now, pv->name, err);
	argv[count++] = "--atomic";
	argv[count++] = "-n";
	argv[count++] = now->lv->name;
	argv[count++] = pv->name;
	if (online_pv_names(&now->group, &online->targets, argv, &count, WORDS_MAX, err) < 0)
		return -1;
	return run_pvmove(&course, pv->name, argv, err);
}

/*
 * One round: 1 when nothing is left to be done, 0 to look again, -1 on failure.
 * ret_from: the UUID of the PV that it was about, which the move has.
 */
static int next_move(struct step_context *ctx, struct online_now *now, const char **ret_from, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	const struct lvm_pv *running = our_pvmove(online, now);

	*ret_from = "";

	if (now->moving_from && !running)
		return refuse_foreign(ctx, now, now->moving_from, err);
	for (size_t i = 0; i < online->sources.count; i++) {
		const struct lvm_pv *pv = lvm_group_pv_by_uuid(&now->group, online->sources.items[i]);

		*ret_from = online->sources.items[i];
		if (pv && pv == running)
			return move_from(ctx, now, pv, true, err);
		if (!running && extents_on(now, *ret_from))
			return move_from(ctx, now, pv, false, err);
	}
	return 1;
}

static uint64_t moved_bytes(const struct step_context *ctx, const struct online_now *now)
{
	uint64_t left = now->left * now->group.extent_bytes;

	return ctx->move->source.bytes > left ? ctx->move->source.bytes - left : 0;
}

static enum step_result pvmove(struct step_context *ctx, struct err *err)
{
	struct online_now now = { 0 };
	uint64_t begun = clock_ns();
	enum step_result result = STEP_STOPPED;
	int done = 0;

	monitor_phase(ctx->mon, "pvmove", ctx->move->source.bytes);
	if (online_look(&ctx->move->online, &now, err) < 0)
		return STEP_STOPPED;
	if (online_tag(ctx, &now, err) < 0)
		goto out;
	while (done == 0) {
		const char *from;
		struct err second = ERR_INIT;

		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, now.lv->name, "interrupted between two pvmoves");
			goto out;
		}
		done = next_move(ctx, &now, &from, err);
		if (done > 0)
			break;
		online_now_free(&now);
		if (online_look(&ctx->move->online, &now, &second) < 0) {
			if (done >= 0)
				*err = second;
			goto out;
		}
		/*
		 * LVM may have ended it without us, after a reboot say, and then
		 * tells us that there is nothing to take up: what counts is
		 * where the extents are.
		 */
		if (done < 0 && err->class == ERR_FAILED && *from && !now.moving_from && !extents_on(&now, from))
			done = 0;
	}
	if (done > 0)
		result = STEP_DONE;
	else if (err->class == ERR_FAILED && !now.moving_from)
		result = STEP_UNDONE;
	else if (err->class != ERR_UNSURE || now.moving_from) {
		/* The kernel goes on by itself, whatever LVM's command does: what is to be done next is to resume. */
		if (err->class == ERR_UNSURE)
			err->class = ERR_STOPPED;
		*err->next = '\0';
	}
out:
	if (now.lv) {
		ctx->record->mark.bytes_data = ctx->record->mark.offset = moved_bytes(ctx, &now);
		ctx->record->mark.bytes_written = ctx->record->mark.bytes_data;
		ctx->record->allocated_after = result == STEP_DONE ? now.lv->bytes : 0;
	}
	ctx->record->copy_ns += clock_ns() - begun;
	online_now_free(&now);
	return result;
}

/* ---- taking it back ---- */

/* Where the extents [at, at + count) of a stripe are now, as "PV:first-last" when not where they were. */
static char *stray(const struct online_now *now, const struct online_piece *was, const char **ret_lv,
		   const struct lvm_pv **ret_home)
{
	const struct lvm_pv *home = lvm_group_pv_by_uuid(&now->group, was->pv_uuid);

	for (size_t i = 0; home && i < now->group.piece_count; i++) {
		const struct lvm_piece *is = &now->group.pieces[i];
		const struct lvm_lv *lv = &now->group.lvs[is->lv];
		const struct lvm_pv *pv = &now->group.pvs[is->pv];
		uint64_t first = is->at > was->at ? is->at : was->at;
		uint64_t end = is->at + is->count < was->at + was->count ? is->at + is->count :
									   was->at + was->count;

		if (strcmp(lv->uuid, was->lv_uuid) || is->stripe != was->stripe || pv == home || first >= end)
			continue;
		*ret_lv = lv->name;
		*ret_home = home;
		return text_format("%s:%" PRIu64 "-%" PRIu64, pv->name, is->start + first - is->at,
				   is->start + end - 1 - is->at);
	}
	return NULL;
}

static int move_back(struct step_context *ctx, const struct online_now *now, bool *ret_any, struct err *err)
{
	const struct online_move *online = &ctx->move->online;

	*ret_any = false;
	for (size_t i = 0; i < online->piece_count && !*ret_any; i++) {
		const struct lvm_pv *home = NULL;
		const char *lv = NULL;
		char *range = stray(now, &online->pieces[i], &lv, &home);
		int ret = 0;

		if (range) {
			const char *argv[] = { "pvmove", "-i1", "--atomic", "-n", lv, range, home->name, NULL };

			*ret_any = true;
			ret = run_pvmove(NULL, home->name, argv, err);
		}
		free(range);
		if (ret < 0)
			return err_context(err, "while moving extents back");
	}
	return 0;
}

static int undo_pvmove(struct step_context *ctx, struct err *err)
{
	struct online_now now = { 0 };
	bool any = true;
	int ret = -1;

	while (any) {
		online_now_free(&now);
		if (online_look(&ctx->move->online, &now, err) < 0)
			return -1;
		if (now.moving_from) {
			const char *argv[] = { "pvmove", "--abort", "-i1", now.moving_from, NULL };
			char *tag = text_format("volmig.job.%s", ctx->job_id);
			bool ours = text_list_has(&now.lv->tags, tag);

			free(tag);
			if (!ours) {
				refuse_foreign(ctx, &now, now.moving_from, err);
				goto out;
			}
			if (online_change(now.moving_from, argv, err) < 0) {
				struct online_now then = { 0 };
				struct err second = ERR_INIT;
				bool gone = online_look(&ctx->move->online, &then, &second) == 0 &&
					    !then.moving_from;

				online_now_free(&then);
				if (!gone)
					goto out;
			}
			continue;
		}
		if (move_back(ctx, &now, &any, err) < 0)
			goto out;
	}
	ret = online_untag(ctx, &now, err);
out:
	online_now_free(&now);
	return ret;
}

const struct step_ops pvmove_step = {
	.name = "pvmove",
	.state = "synced",
	.doing = "copying",
	.run = pvmove,
	.undo = undo_pvmove,
	.object = object,
};

/* ---- end-pvmove: the volume is an ordinary one again, and the job is done ---- */

static enum step_result end_pvmove(struct step_context *ctx, struct err *err)
{
	struct online_now now = { 0 };
	enum step_result result = STEP_STOPPED;

	if (online_look(&ctx->move->online, &now, err) == 0 && online_untag(ctx, &now, err) == 0)
		result = STEP_DONE;
	online_now_free(&now);
	return result;
}

const struct step_ops end_pvmove_step = {
	.name = "end-pvmove",
	.state = "committed",
	.irrevocable = true,	/* point of no return: from its record on the job is not undone */
	.run = end_pvmove,
	.object = volume_object,
};
