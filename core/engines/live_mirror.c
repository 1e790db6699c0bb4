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

#include "engines/live_network.h"
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

/* How fast one of the mirrors may go: they share the limit. */
static uint64_t part_rate(const struct step_context *ctx, size_t count)
{
	uint64_t rate = wanted_rate(ctx);

	return rate && rate / count == 0 ? 1 : rate / count;
}

int live_begin_mirror(struct step_context *ctx, struct virt *virt, size_t count, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	struct virt_copy copy = {
		.bytes_per_second = part_rate(ctx, count),
		.granularity = live->granularity,
		.sync_writes = live->sync_writes,
	};
	bool is_device = strcmp(ctx->record->target.kind, "file") != 0;
	char *xml;
	int ret = -1;

	if (live->api != LIVE_API_REBASE) {
		xml = live->new_source ? virt_xml_network_disk(live->new_source) :
		      virt_xml_raw_disk(is_device, live->new_path, live->window);
		ret = virt_copy(virt, live->uuid, live->target, xml, &copy, err);
		free(xml);
	}
	if (live->api == LIVE_API_REBASE ||
	    (ret < 0 && err->number == EOPNOTSUPP && live->api == LIVE_API_AUTO && !live->window && !live->new_source)) {
		*err = (struct err)ERR_INIT;
		ret = virt_rebase(virt, live->uuid, live->target, live->new_path, is_device,
				  copy.bytes_per_second, err);
	}
	if (ret < 0 && !live_is_silence(err))
		live_network_advise(&ctx->record->target, err);
	return ret;
}

/* How far a mirror has come, and since when it has come no nearer to its end. */
struct approach {
	bool ready;
	uint64_t done;
	uint64_t least_left;
	uint64_t since_ns;
	uint64_t rate;			/* that the job was given; UINT64_MAX: nobody knows */
};

static void note_progress(struct step_context *ctx, struct virt *virt, struct approach *approach,
			  size_t count)
{
	const struct live_move *live = &ctx->move->live;
	uint64_t rate = part_rate(ctx, count);
	struct err ignored = ERR_INIT;
	struct virt_job job;
	uint64_t left;

	if (virt_job(virt, live->uuid, live->target, &job, &ignored) < 0 || !job.exists)
		return;
	if (rate != approach->rate &&
	    virt_job_speed(virt, live->uuid, live->target, rate, &ignored) == 0) {
		approach->rate = rate;
		log_info("%s: the mirror of %s goes on at %llu bytes/s", ctx->job_id, live->target,
			 (unsigned long long)rate);
	}
	/* Until the job has begun libvirt tells 0 of 1. */
	if (job.total <= 1)
		return;
	left = job.total > job.done ? job.total - job.done : 0;
	if (left < approach->least_left) {
		approach->least_left = left;
		approach->since_ns = clock_ns();
	}
	approach->done = live->bytes > left ? live->bytes - left : 0;
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

static enum step_result stalled(struct step_context *ctx, struct err *err)
{
	err_set(err, ERR_STOPPED, ctx->move->live.new_path,
		"the mirror comes no nearer to its end, the guest writes faster than it copies, or the destination hangs");
	err_next(err, "volmig resume %s, or volmig abort %s and start again with --sync-writes, or without --bwlimit",
		 ctx->job_id, ctx->job_id);
	return STEP_STOPPED;
}

int live_hurry(struct step_context *ctx, struct virt *virt, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	uint64_t until = clock_ns() + live_call_limit(ctx->move) * 1000000;
	struct virt_job job;

	/* There is nothing it would still have to look for, and the guest's writes that are under way count as left. */
	if (live->sync_writes)
		return 0;
	if (virt_job_speed(virt, live->uuid, live->target, 0, err) == 0) {
		while (virt_job(virt, live->uuid, live->target, &job, err) == 0 && job.exists &&
		       job.done < job.total) {
			if (clock_ns() > until) {
				stalled(ctx, err);
				return -1;
			}
			clock_sleep_ms(2);
		}
	}
	if (live_is_silence(err))
		return -1;
	/* Where there is no mirror any more, the next look tells why. */
	*err = (struct err)ERR_INIT;
	return 0;
}

void live_hurry_no_more(struct step_context *ctx, struct virt *virt, size_t count)
{
	const struct live_move *live = &ctx->move->live;
	struct err ignored = ERR_INIT;

	if (part_rate(ctx, count))
		virt_job_speed(virt, live->uuid, live->target, part_rate(ctx, count), &ignored);
}

/* Look at one mirror.  STEP_DONE: it is well, and approach->ready says whether it is ready. */
static enum step_result look_at_part(struct step_context *ctx, struct virt *virt,
				     struct approach *approach, size_t count, struct err *err)
{
	uint64_t stall_ns = ctx->move->stall_ms * 1000000;
	enum step_result result;
	enum live_where where;
	char *why = NULL;
	bool wait;

	if (live_look(virt, &ctx->move->live, false, &where, &why, err) < 0)
		return STEP_STOPPED;
	result = judge(ctx, where, why, &wait, err);
	free(why);
	approach->ready = result == STEP_DONE && !wait;
	if (approach->ready)
		approach->done = ctx->move->live.bytes;
	if (!wait)
		return result;
	note_progress(ctx, virt, approach, count);
	return stall_ns && clock_ns() - approach->since_ns > stall_ns ? stalled(ctx, err) : STEP_DONE;
}

static enum step_result wait_approached(struct step_context *ctx, struct virt *virt,
					struct approach *approaches, struct err *err)
{
	uint64_t stall_ns = ctx->move->stall_ms * 1000000;
	uint64_t heard_ns = clock_ns();

	for (;;) {
		uint64_t done = 0;
		size_t ready = 0;
		bool heard = true;

		for (size_t i = 0; heard && i < ctx->part_count; i++) {
			struct step_context part = step_part_context(ctx, i);
			enum step_result result = look_at_part(&part, virt, &approaches[i],
							       ctx->part_count, err);

			heard = !live_is_silence(err);
			if (heard && result != STEP_DONE)
				return result;
			ready += approaches[i].ready;
			done += approaches[i].done;
		}
		if (heard && ready == ctx->part_count)
			return STEP_DONE;
		if (heard) {
			heard_ns = clock_ns();
			monitor_advance(ctx->mon, done);
			/* What it finds the next look at each mirror obeys. */
			if (ctx->throttle)
				throttle_look(ctx->throttle, clock_ns(), done);
		} else if (stall_ns && clock_ns() - heard_ns > stall_ns) {
			err->class = ERR_STOPPED;
			return STEP_STOPPED;
		} else {
			*err = (struct err)ERR_INIT;
			clock_sleep_ms(LIVE_LOOK_MS);
		}
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, ctx->move->live.domain,
				"interrupted; QEMU goes on to mirror %s%s", ctx->move->live.target,
				ctx->part_count > 1 ? " and the other disks" : "");
			return STEP_STOPPED;
		}
		live_wait_event(virt, LIVE_LOOK_MS);
	}
}

enum step_result live_wait_ready(struct step_context *ctx, struct virt *virt, struct err *err)
{
	struct approach *approaches = text_alloc(ctx->part_count, sizeof(*approaches));
	enum step_result ret;

	for (size_t i = 0; i < ctx->part_count; i++)
		approaches[i] = (struct approach){
			.least_left = UINT64_MAX, .since_ns = clock_ns(),
			.rate = ctx->again ? UINT64_MAX : part_rate(ctx, ctx->part_count),
		};
	ret = wait_approached(ctx, virt, approaches, err);
	free(approaches);
	return ret;
}

enum step_result live_still_ready(struct step_context *ctx, struct virt *virt, bool *ret_moved,
				  struct err *err)
{
	enum step_result ret = live_wait_ready(ctx, virt, err);

	*ret_moved = false;
	for (size_t i = 0; ret == STEP_DONE && i < ctx->part_count; i++) {
		enum live_where where;
		char *why = NULL;

		if (live_look(virt, &ctx->parts[i].move->live, false, &where, &why, err) == 0)
			*ret_moved = *ret_moved || where == LIVE_NEW;
		*err = (struct err)ERR_INIT;
		free(why);
	}
	return ret;
}

/* Let there be a mirror of one disk: STEP_DONE where it has begun, was there, or nobody can tell yet. */
static enum step_result mirror_part(struct step_context *ctx, struct virt *virt, size_t count,
				    struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	enum step_result ret = STEP_DONE;
	enum live_where where;
	char *why = NULL;

	if (live_look(virt, live, true, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
		return STEP_STOPPED;
	}
	if (where == LIVE_OLD) {
		/* What it returns does not tell whether there is one now, but for a plain refusal. */
		if (live_probe(ctx, live_call_limit(ctx->move), err) < 0 ||
		    (live_begin_mirror(ctx, virt, count, err) < 0 && !live_is_silence(err)))
			ret = STEP_UNDONE;
		else
			*err = (struct err)ERR_INIT;
	} else if (where == LIVE_SPLIT) {
		ret = live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
	} else if (ctx->again && (where == LIVE_MIRROR || where == LIVE_READY)) {
		log_info("%s: going on with the mirror of %s that is there", ctx->job_id, live->target);
	} else if (!ctx->again && where != LIVE_OFF && where != LIVE_OFF_NEW) {
		ret = live_found(ctx, STEP_UNDONE, ERR_REFUSED, where, why, err);
	}
	free(why);
	return ret;
}

static enum step_result mirror_run(struct step_context *ctx, struct err *err)
{
	uint64_t began = clock_ns(), bytes = 0;
	struct virt *virt = NULL;
	enum step_result ret = STEP_DONE;

	for (size_t i = 0; i < ctx->part_count; i++)
		bytes += ctx->parts[i].move->live.bytes;
	monitor_phase(ctx->mon, "mirror", bytes);
	if (live_connect(ctx, &virt, err) < 0) {
		err->class = ERR_STOPPED;
		return STEP_STOPPED;
	}
	for (size_t i = 0; ret == STEP_DONE && i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		ret = mirror_part(&part, virt, ctx->part_count, err);
	}
	if (ret == STEP_DONE)
		ret = live_wait_ready(ctx, virt, err);
	for (size_t i = 0; i < ctx->part_count; i++) {
		struct progress_record *record = ctx->parts[i].record;

		/* Side by side: each has taken all of the time. */
		record->copy_ns += clock_ns() - began;
		if (ret == STEP_DONE) {
			record->mark.offset = ctx->parts[i].move->live.bytes;
			record->mark.bytes_data = record->mark.bytes_written = record->mark.offset;
		}
	}
	virt_close(virt);
	return ret;
}

/*
 * May the destination be given up?  Only when the guest provably is on the
 * source and nothing mirrors onto it.
 */
static int undo_part(struct step_context *ctx, struct virt *virt, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	uint64_t limit_ns = (ctx->move->stall_ms ? ctx->move->stall_ms : LIVE_SETTLE_MS) * 1000000;
	uint64_t began = clock_ns();
	bool cancelled = false;

	for (;;) {
		enum live_where where;
		char *why = NULL, *user = NULL;

		if (live_look(virt, live, true, &where, &why, err) < 0) {
			if (!live_is_silence(err) || clock_ns() - began > limit_ns)
				return -1;
			*err = (struct err)ERR_INIT;
		} else if (where == LIVE_OLD) {
			return 0;
		} else if (where == LIVE_OFF && !live_is_orphaned(ctx, &user)) {
			return 0;
		} else if (where == LIVE_OFF) {
			live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, user, err);
			free(user);
			return -1;
		} else if (where == LIVE_MIRROR || where == LIVE_READY) {
			/* Asynchronously: a destination that hangs would hold up every later call. */
			if (!cancelled && virt_job_cancel(virt, live->uuid, live->target, err) < 0 &&
			    !live_is_silence(err) && clock_ns() - began > limit_ns) {
				free(why);
				return -1;
			}
			cancelled = !err->class;
			*err = (struct err)ERR_INIT;
		} else if (where != LIVE_CANCEL && where != LIVE_PIVOT) {
			live_found(ctx, STEP_UNSURE, where == LIVE_FOREIGN ? ERR_REFUSED : ERR_UNSURE, where,
				   why, err);
			free(why);
			return -1;
		}
		free(why);
		if (clock_ns() - began > limit_ns)
			return err_set(err, ERR_STOPPED, live->domain,
				       "the mirror of %s is being given up, but has not ended: the destination does not answer",
				       live->target);
		live_wait_event(virt, LIVE_LOOK_MS);
	}
}

static int mirror_undo(struct step_context *ctx, struct err *err)
{
	struct virt *virt = NULL;
	int ret = live_connect(ctx, &virt, err);

	for (size_t i = 0; ret == 0 && i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		ret = undo_part(&part, virt, err);
		if (ret == 0)
			live_wait_closed(part.record->target.path, part.move->live.uuid);
	}
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
	.joint	= true,
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
	.joint	= true,
	.run	= hold_run,
	.object	= live_disk_name,
};
