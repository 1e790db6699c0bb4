/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that mirror the disk of a running domain, and hold it mirrored.
 *
 * The mirror lives in QEMU, not here: it goes on when we are killed, or
 * libvirtd is.  So each step begins with a look, and what a call returns is
 * never taken for what has happened.
 */
#include "engines/live_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/live_probe.h"
#include "engines/throttle.h"
#include "support/clock.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"

/* How fast it may go just now: volmig set and profiles may have changed that. */
static uint64_t wanted_rate(const struct step_context *ctx)
{
	return ctx->throttle ? throttle_rate(ctx->throttle) : ctx->move->bytes_per_second;
}

static int start_mirror(struct step_context *ctx, struct virt *virt, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	struct virt_copy copy = {
		.bytes_per_second = wanted_rate(ctx),
		.granularity = live->granularity,
		.sync_writes = live->sync_writes,
	};
	bool is_device = strcmp(ctx->record->target.kind, "file") != 0;
	char *xml;
	int ret = -1;

	if (live->api != LIVE_API_REBASE) {
		xml = virt_xml_raw_disk(is_device, live->new_path, live->window);
		ret = virt_copy(virt, live->uuid, live->target, xml, &copy, err);
		free(xml);
	}
	if (live->api == LIVE_API_REBASE ||
	    (ret < 0 && err->number == EOPNOTSUPP && live->api == LIVE_API_AUTO && !live->window)) {
		*err = (struct err)ERR_INIT;
		ret = virt_rebase(virt, live->uuid, live->target, live->new_path, is_device,
				  copy.bytes_per_second, err);
	}
	return ret;
}

/* How far the mirror has come, and since when it has come no nearer to its end. */
struct approach {
	uint64_t least_left;
	uint64_t since_ns;
	uint64_t heard_ns;		/* when libvirt answered last */
	uint64_t rate;			/* that the job was given */
};

static void note_progress(struct step_context *ctx, struct virt *virt, struct approach *approach)
{
	const struct live_move *live = &ctx->move->live;
	struct err ignored = ERR_INIT;
	struct virt_job job;
	uint64_t left;

	if (virt_job(virt, live->uuid, live->target, &job, &ignored) < 0 || !job.exists)
		return;
	if (wanted_rate(ctx) != approach->rate &&
	    virt_job_speed(virt, live->uuid, live->target, wanted_rate(ctx), &ignored) == 0) {
		approach->rate = wanted_rate(ctx);
		log_info("%s: the mirror goes on at %llu bytes/s", ctx->job_id,
			 (unsigned long long)approach->rate);
	}
	/* Until the job has begun libvirt tells 0 of 1. */
	if (job.total <= 1)
		return;
	left = job.total > job.done ? job.total - job.done : 0;
	if (left < approach->least_left) {
		approach->least_left = left;
		approach->since_ns = clock_ns();
	}
	monitor_advance(ctx->mon, live->bytes > left ? live->bytes - left : 0);
}

/* Is it over?  STEP_DONE also while it has to be waited for: *ret_wait tells. */
static enum step_result judge(struct step_context *ctx, enum live_where where, const char *why,
			      bool *ret_wait, struct err *err)
{
	char *user;

	*ret_wait = false;
	switch (where) {
	case LIVE_MIRROR:
	case LIVE_CANCEL:
	case LIVE_PIVOT:
		*ret_wait = true;
		return STEP_DONE;
	case LIVE_READY:
	case LIVE_NEW:
		return STEP_DONE;
	case LIVE_OLD:
		return live_mirror_failed(ctx, err);
	case LIVE_OFF:
	case LIVE_OFF_NEW:
		if (live_is_orphaned(ctx, &user)) {
			live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, user, err);
			free(user);
			return STEP_UNSURE;
		}
		err_set(err, ERR_FAILED, ctx->move->live.domain,
			"the domain was stopped before %s was moved", ctx->move->live.target);
		return where == LIVE_OFF ? STEP_UNDONE : STEP_UNSURE;
	case LIVE_FOREIGN:
		return live_found(ctx, STEP_STOPPED, ERR_STOPPED, where, why, err);
	case LIVE_SPLIT:
		break;
	}
	return live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
}

enum step_result live_wait_ready(struct step_context *ctx, struct virt *virt, uint64_t rate,
				 struct err *err)
{
	const struct move *move = ctx->move;
	struct approach approach = {
		.least_left = UINT64_MAX, .since_ns = clock_ns(), .heard_ns = clock_ns(),
		.rate = rate,
	};
	uint64_t stall_ns = move->stall_ms * 1000000;
	char *why = NULL;

	for (;;) {
		enum live_where where;
		enum step_result result;
		bool wait;

		if (live_look(virt, &move->live, false, &where, &why, err) < 0) {
			if (!live_is_silence(err))
				return STEP_STOPPED;
			if (stall_ns && clock_ns() - approach.heard_ns > stall_ns) {
				err->class = ERR_STOPPED;
				return STEP_STOPPED;
			}
			*err = (struct err)ERR_INIT;
			clock_sleep_ms(LIVE_LOOK_MS);
		} else {
			approach.heard_ns = clock_ns();
			result = judge(ctx, where, why, &wait, err);
			free(why);
			why = NULL;
			if (!wait)
				return result;
			note_progress(ctx, virt, &approach);
			if (stall_ns && clock_ns() - approach.since_ns > stall_ns) {
				err_set(err, ERR_STOPPED, move->live.new_path,
					"the mirror comes no nearer to its end, the guest writes faster than it copies, or the destination hangs");
				err_next(err, "volmig resume %s, or volmig abort %s and start again with --sync-writes, or without --bwlimit",
					 ctx->job_id, ctx->job_id);
				return STEP_STOPPED;
			}
		}
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, move->live.domain,
				"interrupted; QEMU goes on to mirror %s", move->live.target);
			return STEP_STOPPED;
		}
		live_wait_event(virt, LIVE_LOOK_MS);
	}
}

enum step_result live_still_ready(struct step_context *ctx, struct virt *virt, bool *ret_moved,
				  struct err *err)
{
	enum live_where where;
	char *why = NULL;
	enum step_result ret = live_wait_ready(ctx, virt, UINT64_MAX, err);

	*ret_moved = false;
	if (ret == STEP_DONE && live_look(virt, &ctx->move->live, false, &where, &why, err) == 0)
		*ret_moved = where == LIVE_NEW;
	if (ret == STEP_DONE)
		*err = (struct err)ERR_INIT;
	free(why);
	return ret;
}

static enum step_result mirror_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	const struct live_move *live = &move->live;
	struct virt *virt = NULL;
	enum step_result ret = STEP_UNDONE;
	uint64_t began = clock_ns(), rate = wanted_rate(ctx);
	enum live_where where;
	char *why = NULL;

	monitor_phase(ctx->mon, "mirror", live->bytes);
	if (live_connect(ctx, &virt, err) < 0 || live_look(virt, live, true, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
		ret = STEP_STOPPED;
		goto out;
	}
	if (where == LIVE_OLD) {
		if (live_probe(live->new_path, true, live_call_limit(move), err) < 0)
			goto out;
		/* What it returns does not tell whether there is one now, but for a plain refusal. */
		if (start_mirror(ctx, virt, err) < 0 && !live_is_silence(err))
			goto out;
		*err = (struct err)ERR_INIT;
	} else if (where == LIVE_SPLIT) {
		ret = live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
		goto out;
	} else if (ctx->again && (where == LIVE_MIRROR || where == LIVE_READY)) {
		log_info("%s: going on with the mirror that is there", ctx->job_id);
		rate = UINT64_MAX;
	} else if (!ctx->again && where != LIVE_OFF && where != LIVE_OFF_NEW) {
		ret = live_found(ctx, STEP_UNDONE, ERR_REFUSED, where, why, err);
		goto out;
	}
	ret = live_wait_ready(ctx, virt, rate, err);
	if (ret == STEP_DONE) {
		ctx->record->mark.offset = live->bytes;
		ctx->record->mark.bytes_data = ctx->record->mark.bytes_written = live->bytes;
	}
out:
	ctx->record->copy_ns += clock_ns() - began;
	free(why);
	virt_close(virt);
	return ret;
}

/*
 * May the destination be given up?  Only when the guest provably is on the
 * source and nothing mirrors onto it.
 */
static int mirror_undo(struct step_context *ctx, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	uint64_t limit_ns = (ctx->move->stall_ms ? ctx->move->stall_ms : LIVE_SETTLE_MS) * 1000000;
	uint64_t began = clock_ns();
	struct virt *virt = NULL;
	bool cancelled = false;
	int ret = -1;

	if (live_connect(ctx, &virt, err) < 0)
		goto out;
	for (;;) {
		enum live_where where;
		char *why = NULL, *user;

		if (live_look(virt, live, true, &where, &why, err) < 0) {
			if (!live_is_silence(err) || clock_ns() - began > limit_ns)
				goto out;
			*err = (struct err)ERR_INIT;
		} else if (where == LIVE_OLD) {
			ret = 0;
			goto out;
		} else if (where == LIVE_OFF && !live_is_orphaned(ctx, &user)) {
			ret = 0;
			goto out;
		} else if (where == LIVE_OFF) {
			live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, user, err);
			free(user);
			goto out;
		} else if (where == LIVE_MIRROR || where == LIVE_READY) {
			/* Asynchronously: a destination that hangs would hold up every later call. */
			if (!cancelled && virt_job_cancel(virt, live->uuid, live->target, err) < 0 &&
			    !live_is_silence(err) && clock_ns() - began > limit_ns)
				goto out;
			cancelled = !err->class;
			*err = (struct err)ERR_INIT;
		} else if (where == LIVE_FOREIGN) {
			live_found(ctx, STEP_STOPPED, ERR_REFUSED, where, why, err);
			free(why);
			goto out;
		} else if (where != LIVE_CANCEL && where != LIVE_PIVOT) {
			live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
			free(why);
			goto out;
		}
		free(why);
		if (clock_ns() - began > limit_ns) {
			err_set(err, ERR_STOPPED, live->domain,
				"the mirror of %s is being given up, but has not ended: the destination does not answer",
				live->target);
			goto out;
		}
		live_wait_event(virt, LIVE_LOOK_MS);
	}
out:
	if (ret == 0)
		live_wait_closed(ctx->record->target.path, live->uuid);
	virt_close(virt);
	return ret;
}

static int mirror_may_undo(struct step_context *ctx, struct err *err)
{
	return live_may_undo(ctx, false, err);
}

const struct step_ops mirror_step = {
	.name	= "mirror",
	.doing	= "copying",
	.state	= "synced",
	.run	= mirror_run,
	.undo	= mirror_undo,
	.may_undo = mirror_may_undo,
	.object	= live_both_names,
};

/* ---- hold ---- */

static enum step_result hold_run(struct step_context *ctx, struct err *err)
{
	enum step_result ret = STEP_STOPPED;
	struct virt *virt = NULL;
	bool moved;

	/* To have begun is to have told so; the user has come back.  What has become of the mirror? */
	if (ctx->again) {
		if (live_connect(ctx, &virt, err) == 0)
			ret = live_still_ready(ctx, virt, &moved, err);
		else
			err->class = ERR_STOPPED;
		virt_close(virt);
		return ret;
	}
	err_set(err, ERR_STOPPED, ctx->move->live.domain, "%s stays mirrored, as asked",
		ctx->move->live.target);
	err_next(err, "volmig resume %s", ctx->job_id);
	return STEP_STOPPED;
}

const struct step_ops hold_step = {
	.name	= "hold",
	.run	= hold_run,
	.object	= live_disk_name,
};
