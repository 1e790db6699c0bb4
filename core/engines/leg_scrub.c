/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Synchronising and scrubbing the legs of a raid1 volume, as the kernel does it. */
#include "engines/leg_scrub.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engines/leg_compare.h"
#include "engines/online_move.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"
#include "sys/blkdev.h"
#include "sys/dm.h"

#define POLL_MS 100

/* How often a check may find something before it is taken for lasting. */
#define ROUNDS_MAX 4

/* How often a check may be cut short (by a change of the volume's table, say). */
#define CUT_MAX 8

static char *name_of(const struct online_now *now)
{
	return text_format("%s/%s", now->group.name, now->lv->name);
}

enum step_result leg_lost(struct step_context *ctx, const struct online_now *now, struct err *err)
{
	char *name = name_of(now);

	ctx->record->go_on = GO_ON_NEVER;
	err_set(err, ERR_FAILED, name, "the new leg is not there any more: somebody else has removed it");
	free(name);
	return STEP_UNDONE;
}

/* The raid target's status: of the volume's device, or of what lies below a new snapshot. */
static int raid_status(const struct online_now *now, struct dm_raid_status *ret, struct err *err)
{
	static const char *const layers[] = { NULL, "real" };

	for (size_t i = 0; i < 2; i++) {
		char *device = dm_lv_name(now->group.name, now->lv->name, layers[i]);
		struct dm_lines lines = DM_LINES_INIT;
		struct err none = ERR_INIT;
		bool found = dm_status(device, &lines, &none) == 0 && lines.count == 1 &&
			     !strcmp(lines.items[0].type, "raid") &&
			     dm_parse_raid_status(lines.items[0].text, ret);

		dm_lines_free(&lines);
		free(device);
		if (found)
			return 0;
	}
	err_set(err, ERR_FAILED, now->lv->name, "it is not active as a raid1 volume");
	return err_next(err, "lvchange -ay %s/%s, then resume", now->group.name, now->lv->name);
}

/* Which letter of the health word belongs to a leg that is ours? */
static bool failed(const struct online_now *now, const struct online_move *online,
		   const struct dm_raid_status *status, bool *ret_ours)
{
	for (unsigned i = 0; i < status->legs; i++) {
		char *name;
		const struct lvm_lv *leg;

		if (status->health[i] != 'D')
			continue;
		name = text_format("%s_rimage_%u", now->lv->name, i);
		leg = lvm_group_lv(&now->group, name);
		free(name);
		*ret_ours = false;
		for (size_t j = 0; leg && j < now->group.piece_count; j++)
			if (&now->group.lvs[now->group.pieces[j].lv] == leg)
				*ret_ours |= text_list_has(&online->targets,
							   now->group.pvs[now->group.pieces[j].pv].uuid);
		return true;
	}
	return false;
}

static enum step_result tell_failed(const struct online_now *now, bool ours, struct err *err)
{
	char *name = name_of(now);

	if (ours) {
		err_set(err, ERR_FAILED, name, "the new leg has failed, so it is dropped again");
	} else {
		err_set(err, ERR_STOPPED, name, "the old leg has failed; both are kept");
		err_next(err, "see lvs -a -o +devices,lv_health_status %s; mend the device, then resume", name);
	}
	free(name);
	return ours ? STEP_UNDONE : STEP_STOPPED;
}

static bool is_over(const struct dm_raid_status *status, enum leg_action action)
{
	if (strcmp(status->action, "idle"))
		return false;
	/* In sync means that each leg says so; "idle" comes a moment earlier. */
	return action != LEG_SYNC || strspn(status->health, "A") == status->legs;
}

enum step_result leg_wait(struct step_context *ctx, const struct online_now *now, enum leg_action action,
			  uint64_t *ret_mismatches, struct err *err)
{
	struct dm_raid_status status;
	uint64_t moved_at = clock_ns(), last = UINT64_MAX;

	for (;; clock_sleep_ms(POLL_MS)) {
		bool ours;

		if (raid_status(now, &status, err) < 0)
			return STEP_STOPPED;
		if (failed(now, &ctx->move->online, &status, &ours)) {
			ctx->record->go_on = GO_ON_PROVING;
			return tell_failed(now, ours, err);
		}
		if (is_over(&status, action))
			break;
		if (status.total)
			monitor_advance(ctx->mon, status.done * 512);
		if (status.done != last)
			moved_at = clock_ns();
		last = status.done;
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, now->lv->name,
				"interrupted; LVM keeps both legs, and goes on making them equal");
			return STEP_STOPPED;
		}
		if (ctx->move->stall_ms && clock_ns() - moved_at > ctx->move->stall_ms * 1000000) {
			err_set(err, ERR_STOPPED, now->lv->name,
				"nothing moved for %" PRIu64 " s (%s); both legs are kept",
				ctx->move->stall_ms / 1000, status.action);
			err_next(err, "look whether its devices answer, then volmig resume %s, or volmig abort %s",
				 ctx->job_id, ctx->job_id);
			return STEP_STOPPED;
		}
	}
	monitor_advance(ctx->mon, ctx->move->source.bytes);
	if (ret_mismatches)
		*ret_mismatches = status.mismatches;
	return STEP_DONE;
}

/* ---- scrubbing ---- */

/* Sectors that were ever read from the leg that was least read of those that are ours. */
static uint64_t read_from_ours(const struct online_now *now, const struct online_move *online)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < now->group.lv_count; i++) {
		const struct lvm_lv *leg = &now->group.lvs[i];
		bool ours = false;

		if (strcmp(leg->parent, now->lv->name) || !lvm_has_word(leg->role, "image"))
			continue;
		for (size_t j = 0; j < now->group.piece_count; j++)
			if (now->group.pieces[j].lv == i)
				ours |= text_list_has(&online->targets,
						      now->group.pvs[now->group.pieces[j].pv].uuid);
		if (ours) {
			char *device = dm_lv_name(now->group.name, leg->name, NULL);
			struct dm_device info;
			struct err none = ERR_INIT;
			uint64_t sectors = 0;

			if (dm_inspect(device, &info, &none) == 0 && info.exists)
				sectors = blkdev_read_sectors(info.dev);
			if (sectors < least)
				least = sectors;
			free(device);
		}
	}
	return least == UINT64_MAX ? 0 : least;
}

/* Sectors that were ever written to the volume by whoever uses it. */
static uint64_t written_to(const struct online_now *now)
{
	char *device = dm_lv_name(now->group.name, now->lv->name, NULL);
	struct dm_device info;
	struct err none = ERR_INIT;
	uint64_t sectors = 0;

	if (dm_inspect(device, &info, &none) == 0 && info.exists)
		sectors = blkdev_written(info.dev);
	free(device);
	return sectors;
}

static int start(const struct online_now *now, const char *action, struct err *err)
{
	char *name = name_of(now);
	const char *argv[] = { "lvchange", "-y", "--syncaction", action, name, NULL };
	int ret = online_change(name, argv, err);

	free(name);
	return ret;
}

static enum step_result tell_cut(struct step_context *ctx, const struct online_now *now, const char *word,
				 struct err *err)
{
	char *name = name_of(now);

	err_set(err, ERR_STOPPED, name,
		"a %s of its legs was cut short %d times, as each change of the volume's table does, so that nothing is proven; both legs are kept",
		word, CUT_MAX);
	err_next(err, "volmig resume %s when nothing changes it (snapshots, resizing, a busy machine), or volmig abort %s to go back to the old leg",
		 ctx->job_id, ctx->job_id);
	free(name);
	return STEP_STOPPED;
}

/*
 * One check or repair.  Nothing announces that one was cut short, by a reload
 * of the volume's table, and then its count of mismatches means nothing.  But
 * a whole one has read all of each leg, and nobody else reads from ours: the
 * readers of the volume are kept off it.
 */
static enum step_result scrub_once(struct step_context *ctx, const struct online_now *now,
				   enum leg_action action, uint64_t *ret_mismatches, struct err *err)
{
	const struct online_move *online = &ctx->move->online;
	const char *word = action == LEG_CHECK ? "check" : "repair";

	for (unsigned i = 0; i < CUT_MAX; i++) {
		enum step_result result = leg_wait(ctx, now, LEG_SYNC, NULL, err);
		uint64_t before = read_from_ours(now, online);

		if (result != STEP_DONE)
			return result;
		monitor_phase(ctx->mon, action == LEG_CHECK ? "verify" : "repair", ctx->move->source.bytes);
		if (start(now, word, err) < 0) {
			/* The kernel may have begun something by itself since it was idle, which LVM waits for no more than we. */
			if (err->class != ERR_FAILED || i + 1 == CUT_MAX)
				return STEP_STOPPED;
			log_info("%s: %s", now->lv->name, err->cause);
			*err = (struct err)ERR_INIT;
			clock_sleep_ms(POLL_MS);
			continue;
		}
		result = leg_wait(ctx, now, action, ret_mismatches, err);
		if (result != STEP_DONE)
			return result;
		if (action == LEG_CHECK)
			ctx->record->online.checks++;
		else
			ctx->record->online.repairs++;
		if (!inject_number("scrub-cut", &(uint64_t){ 0 }) &&
		    read_from_ours(now, online) - before >= now->lv->bytes / 512)
			return STEP_DONE;
		log_info("%s: the %s was cut short: %" PRIu64 " of %" PRIu64 " sectors were read", now->lv->name, word,
			 read_from_ours(now, online) - before, now->lv->bytes / 512);
		/* A busy kernel is idle before it is through with what came before, and then forgets what it is told. */
		clock_sleep_ms((i + 1) * POLL_MS);
	}
	return tell_cut(ctx, now, word, err);
}

static enum step_result tell_lasting(struct step_context *ctx, const struct online_now *now, struct err *err)
{
	char *name = name_of(now);

	err_set(err, ERR_STOPPED, name,
		"its legs differ in %" PRIu64 " sectors, and it is written to, so that this proves nothing; both legs are kept",
		ctx->record->online.mismatches);
	err_next(err, "volmig resume %s when it is quiet, or volmig abort %s and start again with --max-pause",
		 ctx->job_id, ctx->job_id);
	free(name);
	return STEP_STOPPED;
}

enum step_result leg_scrub(struct step_context *ctx, const struct online_now *now, struct err *err)
{
	struct online_record *record = &ctx->record->online;
	uint64_t quiet_since = 0, rounds = ROUNDS_MAX;

	inject_number("scrub-rounds", &rounds);
	for (unsigned i = 0; i < rounds; i++) {
		enum step_result result;
		uint64_t written = written_to(now);

		result = scrub_once(ctx, now, LEG_CHECK, &record->mismatches, err);
		if (result != STEP_DONE)
			return result;
		if (!record->mismatches)
			return STEP_DONE;
		/* What differs though it was made equal, and nobody has written since: the leg is bad. */
		if (i && written_to(now) == quiet_since) {
			char *name = name_of(now);

			err_set(err, ERR_FAILED, name,
				"the new leg does not keep what it is given (%" PRIu64
				" sectors differ after a repair, and nobody wrote), so it is dropped again",
				record->mismatches);
			err_next(err, "look after the target's device");
			free(name);
			ctx->record->go_on = GO_ON_PROVING;
			return STEP_UNDONE;
		}
		if (now->ours_first)	/* a repair would copy from it */
			break;
		log_info("%s: %" PRIu64 " sectors differ (%" PRIu64 " written meanwhile)", now->lv->name,
			 record->mismatches, written_to(now) - written);
		quiet_since = written_to(now);
		result = scrub_once(ctx, now, LEG_REPAIR, NULL, err);
		if (result != STEP_DONE)
			return result;
	}
	if (ctx->move->online.max_pause_ms)
		return leg_compare(ctx, now, err);
	return tell_lasting(ctx, now, err);
}
