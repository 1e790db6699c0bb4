/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that move the disk of a running domain: mirrored by QEMU, held if
 * so asked, pivoted; and the source released.
 *
 * The mirror lives in QEMU, not here: it goes on when we are killed, or
 * libvirtd is.  So each step begins with a look, and what a call returns is
 * never taken for what has happened.
 */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/live_look.h"
#include "engines/live_probe.h"
#include "engines/throttle.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"
#include "volumes/guests.h"

/* How often the XML is read while nothing is heard. */
#define LOOK_MS 250

/* A pivot or a cancellation that is under way, and what QEMU still has open, get so long. */
#define SETTLE_MS 30000

static char *disk_name(const struct move *move)
{
	return text_format("%s %s", move->live.domain, move->live.target);
}

static char *both_names(const struct move *move)
{
	return text_format("%s %s: %s -> %s", move->live.domain, move->live.target,
			   move->live.old_path, move->live.new_path);
}

static uint64_t call_limit(const struct move *move)
{
	return move->stall_ms && move->stall_ms < VIRT_LIMIT_MS ? move->stall_ms : VIRT_LIMIT_MS;
}

static int connect_to(const struct step_context *ctx, struct virt **ret_virt, struct err *err)
{
	return virt_open(ctx->move->live.uri, call_limit(ctx->move), ret_virt, err);
}

/* Does the failure say nothing about the guest, but that libvirt could not be asked? */
static bool is_silence(const struct err *err)
{
	return err->number == ECONNRESET || err->number == ETIMEDOUT;
}

/* What was found, in words: why if there is one, else the state's. */
static enum step_result found(struct step_context *ctx, enum step_result result, enum err_class class,
			      enum live_where where, const char *why, struct err *err)
{
	err_set(err, class, ctx->move->live.domain, "%s: %s", ctx->move->live.target,
		why ? why : live_where_text(where));
	return result;
}

/*
 * The domain does not run, says libvirt.  A libvirtd that lost track of it says
 * so too: then a QEMU still has one of the two open.
 */
static bool is_orphaned(struct step_context *ctx, char **ret_user)
{
	const char *paths[] = { ctx->move->source.path, ctx->record->target.path };

	*ret_user = NULL;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !*ret_user; i++) {
		struct facts now = { 0 };
		struct err unseen = ERR_INIT;
		char *uses;

		if (!paths[i])
			continue;
		/* That it is this domain's disk once it is started again is no use of it now. */
		if (volume_inspect_path(paths[i], INSPECT_USES, &now, &unseen) < 0)
			uses = text_format("nobody can tell: %s", unseen.cause);
		else
			uses = guests_uses_besides(&now, ctx->move->live.uuid);
		if (uses)
			*ret_user = text_format("libvirt says that it does not run, yet %s is in use: %s",
						paths[i], uses);
		free(uses);
		facts_free(&now);
	}
	return *ret_user != NULL;
}

/* ---- mirror ---- */

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

static void wait_for_event(struct virt *virt, uint64_t ms)
{
	struct virt_event event;

	virt_event(virt, ms, &event);
}

/* The mirror has ended without the disk having moved. */
static enum step_result mirror_failed(struct step_context *ctx, struct err *err)
{
	const struct live_move *live = &ctx->move->live;

	err_set(err, ERR_FAILED, live->new_path,
		"QEMU has given the mirror of %s %s up (libvirt does not tell why: the destination full, failing, or of another size)",
		live->domain, live->target);
	err_next(err, "look at the destination and at QEMU's log, then start again");
	return STEP_UNDONE;
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
		return mirror_failed(ctx, err);
	case LIVE_OFF:
	case LIVE_OFF_NEW:
		if (is_orphaned(ctx, &user)) {
			found(ctx, STEP_UNSURE, ERR_UNSURE, where, user, err);
			free(user);
			return STEP_UNSURE;
		}
		err_set(err, ERR_FAILED, ctx->move->live.domain,
			"the domain was stopped before %s was moved", ctx->move->live.target);
		return where == LIVE_OFF ? STEP_UNDONE : STEP_UNSURE;
	case LIVE_FOREIGN:
		return found(ctx, STEP_STOPPED, ERR_STOPPED, where, why, err);
	case LIVE_SPLIT:
		break;
	}
	return found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
}

/* Wait until the mirror, which was given that rate (UINT64_MAX: nobody knows), is ready. */
static enum step_result wait_ready(struct step_context *ctx, struct virt *virt, uint64_t rate,
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
			if (!is_silence(err))
				return STEP_STOPPED;
			if (stall_ns && clock_ns() - approach.heard_ns > stall_ns) {
				err->class = ERR_STOPPED;
				return STEP_STOPPED;
			}
			*err = (struct err)ERR_INIT;
			clock_sleep_ms(LOOK_MS);
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
		wait_for_event(virt, LOOK_MS);
	}
}

enum step_result live_still_ready(struct step_context *ctx, struct virt *virt, bool *ret_moved,
				  struct err *err)
{
	enum live_where where;
	char *why = NULL;
	enum step_result ret = wait_ready(ctx, virt, UINT64_MAX, err);

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
	if (connect_to(ctx, &virt, err) < 0 || live_look(virt, live, true, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
		ret = STEP_STOPPED;
		goto out;
	}
	if (where == LIVE_OLD) {
		if (live_probe(live->new_path, true, call_limit(move), err) < 0)
			goto out;
		/* What it returns does not tell whether there is one now, but for a plain refusal. */
		if (start_mirror(ctx, virt, err) < 0 && !is_silence(err))
			goto out;
		*err = (struct err)ERR_INIT;
	} else if (where == LIVE_SPLIT) {
		ret = found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
		goto out;
	} else if (ctx->again && (where == LIVE_MIRROR || where == LIVE_READY)) {
		log_info("%s: going on with the mirror that is there", ctx->job_id);
		rate = UINT64_MAX;
	} else if (!ctx->again && where != LIVE_OFF && where != LIVE_OFF_NEW) {
		ret = found(ctx, STEP_UNDONE, ERR_REFUSED, where, why, err);
		goto out;
	}
	ret = wait_ready(ctx, virt, rate, err);
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

/* Nobody of this host has the destination open any more, or time is up. */
static void wait_closed(const char *path, const char *uuid)
{
	uint64_t until = clock_ns() + SETTLE_MS * 1000000ULL;
	bool used = true;

	while (path && used && clock_ns() < until) {
		struct facts now = { 0 };
		struct err ignored = ERR_INIT;
		char *uses = NULL;

		if (volume_inspect_path(path, INSPECT_USES, &now, &ignored) == 0) {
			uses = guests_uses_besides(&now, uuid);
			used = uses != NULL;
		}
		free(uses);
		facts_free(&now);
		if (used)
			clock_sleep_ms(50);
	}
}

/*
 * May the destination be given up?  Only when the guest provably is on the
 * source and nothing mirrors onto it.
 */
static int mirror_undo(struct step_context *ctx, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	uint64_t limit_ns = (ctx->move->stall_ms ? ctx->move->stall_ms : SETTLE_MS) * 1000000;
	uint64_t began = clock_ns();
	struct virt *virt = NULL;
	bool cancelled = false;
	int ret = -1;

	if (connect_to(ctx, &virt, err) < 0)
		goto out;
	for (;;) {
		enum live_where where;
		char *why = NULL, *user;

		if (live_look(virt, live, true, &where, &why, err) < 0) {
			if (!is_silence(err) || clock_ns() - began > limit_ns)
				goto out;
			*err = (struct err)ERR_INIT;
		} else if (where == LIVE_OLD) {
			ret = 0;
			goto out;
		} else if (where == LIVE_OFF && !is_orphaned(ctx, &user)) {
			ret = 0;
			goto out;
		} else if (where == LIVE_OFF) {
			found(ctx, STEP_UNSURE, ERR_UNSURE, where, user, err);
			free(user);
			goto out;
		} else if (where == LIVE_MIRROR || where == LIVE_READY) {
			/* Asynchronously: a destination that hangs would hold up every later call. */
			if (!cancelled && virt_job_cancel(virt, live->uuid, live->target, err) < 0 &&
			    !is_silence(err) && clock_ns() - began > limit_ns)
				goto out;
			cancelled = !err->class;
			*err = (struct err)ERR_INIT;
		} else if (where == LIVE_FOREIGN) {
			found(ctx, STEP_STOPPED, ERR_REFUSED, where, why, err);
			free(why);
			goto out;
		} else if (where != LIVE_CANCEL && where != LIVE_PIVOT) {
			found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
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
		wait_for_event(virt, LOOK_MS);
	}
out:
	if (ret == 0)
		wait_closed(ctx->record->target.path, live->uuid);
	virt_close(virt);
	return ret;
}

static int mirror_may_undo(struct step_context *ctx, struct err *err);

const struct step_ops mirror_step = {
	.name	= "mirror",
	.doing	= "copying",
	.state	= "synced",
	.run	= mirror_run,
	.undo	= mirror_undo,
	.may_undo = mirror_may_undo,
	.object	= both_names,
};

/* ---- hold ---- */

static enum step_result hold_run(struct step_context *ctx, struct err *err)
{
	enum step_result ret = STEP_STOPPED;
	struct virt *virt = NULL;
	bool moved;

	/* To have begun is to have told so; the user has come back.  What has become of the mirror? */
	if (ctx->again) {
		if (connect_to(ctx, &virt, err) == 0)
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
	.object	= disk_name,
};

/* ---- pivot ---- */

/* Look until libvirt, the definition and QEMU say something that can be relied on. */
static int settle(struct step_context *ctx, struct virt *virt, enum live_where *ret_where,
		  char **ret_why, struct err *err)
{
	uint64_t limit_ms = ctx->move->stall_ms && ctx->move->stall_ms > SETTLE_MS ?
			    ctx->move->stall_ms : SETTLE_MS;
	uint64_t until = clock_ns() + limit_ms * 1000000;

	for (;;) {
		int ret = live_look(virt, &ctx->move->live, true, ret_where, ret_why, err);
		bool passing = ret < 0 ? is_silence(err) :
			*ret_where == LIVE_PIVOT || *ret_where == LIVE_CANCEL || *ret_where == LIVE_SPLIT;

		/* A split state may be one that is passing; it has a few looks to do so. */
		if (ret == 0 && *ret_where == LIVE_SPLIT && until > clock_ns() + 3000000000ULL)
			until = clock_ns() + 3000000000ULL;
		if (!passing || clock_ns() >= until || interrupt_requested() > 1)
			return ret;
		if (ret < 0)
			*err = (struct err)ERR_INIT;
		free(*ret_why);
		*ret_why = NULL;
		clock_sleep_ms(100);
	}
}

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

static enum step_result unsure(struct step_context *ctx, enum live_where where, const char *why,
			       struct err *err)
{
	found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
	err_next(err, "keep both volumes; volmig status %s", ctx->job_id);
	return STEP_UNSURE;
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
	if (connect_to(ctx, &virt, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	for (int tries = 0; ; tries++) {
		free(why);
		why = NULL;
		if (settle(ctx, virt, &where, &why, err) < 0) {
			/* Once the pivot was called for, or may have been, nobody knows. */
			if (ctx->again || tries)
				ret = unsure(ctx, LIVE_SPLIT, "nobody can tell which volume the guest uses", err);
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
			ret = wait_ready(ctx, virt, UINT64_MAX, err);
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
		if (live_probe(live->new_path, false, call_limit(ctx->move), err) < 0) {
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
		ret = mirror_failed(ctx, err);
	else if (where == LIVE_FOREIGN)
		ret = found(ctx, STEP_STOPPED, ERR_STOPPED, where, why, err);
	else if (where == LIVE_OFF && !ctx->again && !called && !is_orphaned(ctx, &why)) {
		err_set(err, ERR_FAILED, live->domain, "the domain was stopped before %s was moved",
			live->target);
		ret = STEP_UNDONE;
	} else if (where == LIVE_OFF) {
		/* The pivot may have happened, and its record in the definition been lost. */
		ret = unsure(ctx, where, why ? why :
			     "the domain was stopped while it was moved, and either volume may hold what the guest wrote last", err);
	} else if (where == LIVE_OFF_NEW && !is_orphaned(ctx, &why)) {
		/* Stopped right after it: what it flushed is on both or on the new one alone. */
		note_moved(ctx, virt);
		ret = STEP_DONE;
	} else {
		ret = unsure(ctx, where, why, err);
	}
out:
	free(why);
	virt_close(virt);
	return ret;
}

/* Has the guest been moved, by us or by somebody else, or can nobody tell?  announced: the pivot was. */
static int may_undo(struct step_context *ctx, bool announced, struct err *err)
{
	struct virt *virt = NULL;
	enum live_where where;
	char *why = NULL, *user = NULL;
	int ret = -1;

	if (connect_to(ctx, &virt, err) < 0 || settle(ctx, virt, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
	} else if (where == LIVE_NEW || where == LIVE_OFF_NEW) {
		err_set(err, ERR_REFUSED, ctx->move->live.domain,
			"%s has been moved already: the job is past its point of no return",
			ctx->move->live.target);
		err_next(err, "volmig resume %s", ctx->job_id);
	} else if (where == LIVE_SPLIT || where == LIVE_PIVOT || (where == LIVE_OFF && announced) ||
		   (where == LIVE_OFF && is_orphaned(ctx, &user))) {
		unsure(ctx, where, user ? user : why, err);
	} else {
		ret = 0;
	}
	free(why);
	free(user);
	virt_close(virt);
	return ret;
}

static int mirror_may_undo(struct step_context *ctx, struct err *err)
{
	return may_undo(ctx, false, err);
}

static int pivot_may_undo(struct step_context *ctx, struct err *err)
{
	return may_undo(ctx, true, err);
}

const struct step_ops pivot_step = {
	.name		= "pivot",
	.state		= "committed",
	.irrevocable	= true,
	.run		= pivot_run,
	.may_undo	= pivot_may_undo,
	.object		= both_names,
};

/* ---- release ---- */

static enum step_result release_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	enum step_result ret = STEP_STOPPED;
	struct virt *virt = NULL;
	enum live_where where;
	char *why = NULL, *user = NULL;

	wait_closed(move->source.path, move->live.uuid);
	if (connect_to(ctx, &virt, err) < 0 || settle(ctx, virt, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
	} else if (where == LIVE_SPLIT) {
		ret = unsure(ctx, where, why, err);
	} else if (where != LIVE_NEW && where != LIVE_OFF_NEW) {
		found(ctx, ret, ERR_STOPPED, where, why, err);
		err_next(err, "the source is kept; look which volume is wanted, then volmig resume %s",
			 ctx->job_id);
	} else if (where == LIVE_OFF_NEW && is_orphaned(ctx, &user)) {
		ret = unsure(ctx, where, user, err);
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
