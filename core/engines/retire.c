/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last look at both ends, and what becomes of the source after it.
 *
 * Whatever is found wrong at the last look, nothing is rolled back here: the
 * copy is whole by now, and where the source has changed or gone it may be the
 * only one.  The job stops, and the operator decides.
 */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/far_steps.h"
#include "engines/lv_steps.h"
#include "engines/new_rbd.h"
#include "engines/throttle.h"
#include "support/err.h"
#include "sys/mounts.h"
#include "volumes/backing.h"
#include "volumes/guests.h"
#include "volumes/lv.h"
#include "volumes/lvm_report.h"
#include "volumes/qemu.h"

static int stopped(struct err *err, const char *object, const char *cause)
{
	return err_set(err, ERR_STOPPED, object, "%s", cause);
}

/*
 * An active logical volume's device tells which it is, and who uses it.  What only
 * LVM knows, that it has got a snapshot, or is not in the group's metadata any
 * more, matters where the source is about to go.
 */
static unsigned how_to_look(const struct move *move)
{
	return INSPECT_OUTSIDE | (move->remove || move->wipe != WIPE_NONE ? 0 : INSPECT_DEVICE);
}

/* Is it this start of the machine?  A version before did not keep it, but counted from the plan on. */
static bool is_this_boot(const char *boot, bool same_boot)
{
	char now[UUID_TEXT_SIZE];

	return *boot ? !strcmp(boot, uuid_of_boot(now)) : same_boot;
}

bool source_is_counted(const struct progress_record *record, bool same_boot)
{
	return record->source_written && is_this_boot(record->source_boot, same_boot);
}

int count_source(struct step_context *ctx, struct err *err)
{
	struct progress_record *record = ctx->record;
	struct facts now = { 0 };

	if (volume_inspect_again(&ctx->move->source, INSPECT_USES | INSPECT_OUTSIDE, &now, err) < 0)
		return -1;
	record->source_diskseq = now.diskseq;
	record->source_written = now.written;
	uuid_of_boot(record->source_boot);
	facts_free(&now);
	return 0;
}

void step_way_out(const struct step_context *ctx, const char *before, struct err *err)
{
	if (ctx->committed)
		err_next(err, "%svolmig resume %s --keep-source ends the job and leaves the source as it is",
			 before, ctx->job_id);
}

/*
 * It stays, and whoever wanted that is told what there is: the destination is
 * not needed to be proven any more, but may have changed as well.
 */
static void keep_source(struct step_context *ctx, const char *what)
{
	struct err why = ERR_INIT;

	text_list_add(&ctx->record->notes, text_format("%s was %s: it stays as it is (--keep-source)",
						       ctx->move->source.path, what));
	if (step_check_target(ctx, false, &why) < 0) {
		char *note = text_format("%s: %s", why.object, why.cause);

		if (text_list_has(&ctx->record->notes, note))
			free(note);
		else
			text_list_add(&ctx->record->notes, note);
	}
}

int step_check_source(struct step_context *ctx, bool compare_data, const char *shut_off_uuid,
		      struct err *err)
{
	const struct facts *was = &ctx->move->source;
	bool goes = ctx->move->remove || ctx->move->wipe != WIPE_NONE;
	unsigned flags = INSPECT_USES | INSPECT_SETTLED | how_to_look(ctx->move) | (goes ? INSPECT_OVERLAYS : 0);
	struct facts now = { 0 };
	char *why = NULL, *uses = NULL;
	int ret = -1;

	if (facts_is_far(was))
		return far_check(ctx, was, err);
	if (volume_inspect_again(was, flags, &now, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	if (!now.kind) {
		stopped(err, was->path, "the source has gone since it was copied");
		step_way_out(ctx, "bring it back, or ", err);
		goto out;
	}
	why = facts_not_same(was, &now, ctx->same_boot);
	if (why) {
		err_set(err, ERR_STOPPED, was->path, "the source is not the volume that was copied: %s", why);
		step_way_out(ctx, "", err);
		goto out;
	}
	/* A guest wrote to its disk until the pivot, and all of that is on the destination too. */
	compare_data = compare_data && !ctx->move->live.uuid;
	why = compare_data ? facts_changed(was, &now, ctx->same_boot) : NULL;
	if (!why && compare_data && source_is_counted(ctx->record, ctx->same_boot) &&
	    (now.diskseq != ctx->record->source_diskseq || now.written != ctx->record->source_written))
		why = text_copy(now.diskseq != ctx->record->source_diskseq ?
				"it was deactivated and activated again" : "it was written to");
	/*
	 * A device that is not counted, for all was proven before the restart: whoever goes on with
	 * it now has what is newest.  Before the commit it was read anew since, or a domain whose
	 * definition has changed already goes on with the copy.
	 */
	if (!why && compare_data && ctx->committed && !ctx->same_boot && !source_is_counted(ctx->record, false) &&
	    !now.mtime_ns && now.written > 1)
		why = text_copy("it was written to since the machine was restarted");
	/* What another host has written is not in any count of ours; until the restart its lock kept that off. */
	if (!why && compare_data && ctx->committed && was->lv && was->lv->shared &&
	    !source_is_counted(ctx->record, ctx->same_boot))
		why = text_copy("the machine was restarted, and another host may have written to it since");
	if (!why && ctx->move->remove && was->lv && (now.lv->snapshots.count || now.lv->thin_snapshots.count))
		why = text_format("it has got a snapshot, %s", now.lv->snapshots.count ?
				  now.lv->snapshots.items[0] : now.lv->thin_snapshots.items[0]);
	if (!why && ctx->move->remove && was->qemu && now.qemu->snapshots)
		why = text_copy("it has got snapshots");
	if (!why && goes && now.overlays.count)
		why = text_format("%s stands on it", now.overlays.items[0]);
	if (!why && ctx->move->wipe != WIPE_NONE && now.links > was->links)
		why = text_format("it has %" PRIu64 " names (hard links) by now, and wiping would empty them all",
				  now.links);
	if (why) {
		err_set(err, ERR_STOPPED, was->path, "the source changed %s it was copied: %s",
			ctx->committed ? "since" : "while", why);
		if (ctx->committed)
			step_way_out(ctx, "the copy is whole and has its place: take what is newer over by hand, then ", err);
		else
			err_next(err, "volmig abort %s, then start again", ctx->job_id);
		goto out;
	}
	if (ctx->move->remove && now.unremovable) {
		err_set(err, ERR_STOPPED, was->path, "the source cannot be removed: %s", now.unremovable);
		step_way_out(ctx, "mend that, or ", err);
		goto out;
	}
	uses = guests_uses_besides(&now, shut_off_uuid);
	if (uses) {
		err_set(err, ERR_STOPPED, was->path, "the source has come into use: %s", uses);
		step_way_out(ctx, "end that use and resume again, or ", err);
		goto out;
	}
	ret = 0;
out:
	free(uses);
	free(why);
	facts_free(&now);
	return ret;
}

/* Is time what a file system keeps of wanted?  Some keep whole seconds, or two of them. */
static bool keeps_time(int64_t time, int64_t wanted)
{
	static const uint64_t units[] = { 1, 100, 1000, 1000000, 1000000000, 2000000000 };
	uint64_t is = volume_time_order(time), was = volume_time_order(wanted);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (is == was - was % units[i])
			return true;
	return false;
}

bool written_since_verified(const struct step_context *ctx, const struct facts *now)
{
	const struct facts *then = &ctx->record->target;

	if (is_this_boot(ctx->record->verified_boot, ctx->same_boot) && then->written && now->written)
		return now->written != then->written || now->diskseq != then->diskseq;
	/* A device keeps no time; by its count, which is one more than it is, nobody has since it is there. */
	if (!now->mtime_ns && now->written)
		return now->written > 1;
	if (now->mtime_ns == then->mtime_ns)
		return false;
	/* Publish gave it the source's time. */
	return !ctx->move->create || !keeps_time(now->mtime_ns, ctx->move->source.mtime_ns);
}

int step_inspect_target(const struct step_context *ctx, const char *path, unsigned flags, struct facts *ret_now,
			struct err *err)
{
	const struct facts *target = &ctx->record->target;

	if (qemu_is_image(target))
		return qemu_inspect_path(target->qemu->driver, path, flags, ret_now, err);
	if (target->lv || target->qemu)
		return volume_inspect_again(target, flags, ret_now, err);
	return volume_inspect_path(path, flags, ret_now, err);
}

/* To resume again would find the same: before the commit it can be begun anew, after it the source be kept. */
static void target_way_out(const struct step_context *ctx, const char *before, struct err *err)
{
	if (ctx->committed)
		step_way_out(ctx, before, err);
	else
		err_next(err, "%svolmig abort %s, then start again", before, ctx->job_id);
}

int step_check_target(struct step_context *ctx, bool unused, struct err *err)
{
	struct facts *target = &ctx->record->target;
	unsigned flags = how_to_look(ctx->move) | (unused ? INSPECT_USES | INSPECT_SETTLED : 0);
	char *path = NULL;
	struct facts now = { 0 };
	char *why = NULL;
	int ret = -1;

	/* A guest has it, which has been made sure of, and its server may take nobody beside that. */
	if (ctx->move->live.uuid && facts_remote(target))
		return 0;
	if (facts_is_far(&ctx->move->destination))
		return far_check(ctx, &ctx->move->destination, err);
	path = move_final_path(ctx->move);
	if (step_inspect_target(ctx, path, flags, &now, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	if (!now.kind) {
		stopped(err, path, "the destination has gone since it was written");
		target_way_out(ctx, "bring it back and resume again, or ", err);
		goto out;
	}
	why = facts_not_same(target, &now, ctx->same_boot);
	if (!why && now.lv && ctx->move->create && !ctx->move->lvm.late_name && strcmp(now.path, path))
		why = text_format("its name is %s now", now.path);
	if (!why && now.bytes < move_bytes(ctx->move))
		why = text_copy("it is smaller than the source");
	if (!why && unused && ctx->record->verified && written_since_verified(ctx, &now))
		why = text_copy("it was written to since it was verified");
	if (why) {
		err_set(err, ERR_STOPPED, path, "the destination is not the volume that was written: %s", why);
		target_way_out(ctx, "", err);
		goto out;
	}
	if (now.uses.count) {
		char *uses = text_list_join(&now.uses);

		err_set(err, ERR_STOPPED, path, "the destination has come into use: %s", uses);
		err_next(err, "end that use, then volmig resume %s", ctx->job_id);
		free(uses);
		goto out;
	}
	ctx->record->allocated_after = now.allocated;
	ret = 0;
out:
	free(why);
	facts_free(&now);
	free(path);
	return ret;
}

static void next_of_far(const struct step_context *ctx, const char *copy, struct err *err)
{
	err_next(err, "bring it back, then volmig abort %s; or save what you need of %s, then volmig abort --forget %s",
		 ctx->job_id, copy, ctx->job_id);
}

int step_source_stands(const struct step_context *ctx, const char *copy, struct err *err)
{
	const struct facts *was = &ctx->move->source;
	struct facts now = { 0 };
	char *why = NULL;
	int ret = -1;

	/* Of the copy that is still empty nobody needs anything. */
	if (!ctx->written || ctx->record->unwritten)
		return 0;
	/* In that host's part of the job the other stands for it; in ours the host may be gone for good. */
	if (facts_is_far(was) && (!ctx->move->far.is_source || ctx->forget))
		return 0;
	if (volume_inspect_again(was, INSPECT_OUTSIDE, &now, err) < 0) {
		if (facts_is_far(was))
			next_of_far(ctx, copy, err);
		else if (!*err->next)
			err_next(err, "bring it back, or save what you need of %s and remove that, then volmig abort %s",
				 copy, ctx->job_id);
		goto out;
	}
	why = now.kind ? facts_not_same(was, &now, ctx->same_boot) : text_copy("it is gone");
	if (!why && now.bytes < was->bytes)
		why = text_copy("it has got smaller");
	if (!why) {
		ret = 0;
		goto out;
	}
	err_set(err, ERR_REFUSED, was->path,
		"the source is not what it was (%s), so the copy is kept: %s", why, copy);
	if (facts_is_far(was))
		next_of_far(ctx, copy, err);
	else
		err_next(err, "save what you need of that and remove it, then volmig abort %s", ctx->job_id);
out:
	free(why);
	facts_free(&now);
	return ret;
}

static int check_both(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	/* A domain whose definition names the destination by now may use that, but the source no more. */
	bool repointed = move->cold.uuid;
	const char *shut_off_uuid = repointed ? NULL : move_shut_off_users(move);

	return step_check_target(ctx, !repointed, err) < 0 ||
	       step_check_source(ctx, true, shut_off_uuid, err) < 0 ? -1 : 0;
}

static enum step_result commit_run(struct step_context *ctx, struct err *err)
{
	int ret = 0;

	/*
	 * That the runner journals this step as done is the point of no
	 * return; the step itself changes nothing.  Both looks are at one
	 * read of LVM's metadata.
	 */
	mounts_forget();
	backing_forget();
	lvm_report_hold();
	for (size_t i = 0; ret == 0 && i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		ret = check_both(&part, err);
	}
	lvm_report_release();
	return ret ? STEP_STOPPED : STEP_DONE;
}

const struct step_ops commit_step = {
	.name		= "commit",
	.state		= "committed",
	.irrevocable	= true,
	.looks_only	= true,
	.joint		= true,
	.run		= commit_run,
	.object		= move_final_path,
};

static char *source_path(const struct move *move)
{
	return text_copy(move->source.path);
}

/*
 * After a restart of the machine another disk may be where a device was that has
 * neither WWN nor serial number: of the same size, and not written to, it would
 * pass for that.  Where it was copied since the restart the kernel's count tells.
 */
static int check_is_provable(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	const struct progress_record *record = ctx->record;
	struct facts now = { 0 };
	bool same;

	if (ctx->same_boot || strcmp(src->kind, "block") || src->wwid)
		return 0;
	if (volume_inspect_again(src, INSPECT_OUTSIDE, &now, err) < 0) {
		err->class = ERR_STOPPED;
		return -1;
	}
	same = is_this_boot(record->source_boot, false) && now.diskseq == record->source_diskseq;
	facts_free(&now);
	if (same)
		return 0;
	err_set(err, ERR_STOPPED, src->path,
		"is not wiped: it has neither WWN nor serial number, and since the restart another disk may be in its place");
	step_way_out(ctx, "look whether it is the one that was copied, and wipe it yourself; ", err);
	return -1;
}

static enum step_result wipe_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct block_copy_options opt = BLOCK_COPY_DEFAULTS;
	struct volume source = VOLUME_INIT;
	struct err closing = ERR_INIT;
	enum step_result ret = STEP_STOPPED;
	enum block_zero_how how = move->wipe == WIPE_ZERO ? BLOCK_ZERO_WRITE : BLOCK_ZERO_FREE;

	if (ctx->keep_source) {
		keep_source(ctx, ctx->record->wipe_begun ? "wiped in part only" : "not wiped");
		ctx->record->wipe_skipped = true;
		return STEP_DONE;
	}
	/*
	 * Once wiping has begun the data cannot be compared any more.  That the step
	 * had begun says nothing: it may have found that the source has changed.
	 */
	if (step_check_target(ctx, false, err) < 0 ||
	    step_check_source(ctx, !ctx->record->wipe_begun, NULL, err) < 0 ||
	    check_is_provable(ctx, err) < 0)
		return STEP_STOPPED;
	if (volume_open(&source, &move->source, OPEN_WRITE, ctx->same_boot, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	opt.bytes_per_second = move->bytes_per_second;
	opt.stall_ms = move->stall_ms;
	opt.throttle = ctx->throttle;
	opt.pace = throttle_pace(ctx->throttle);
	ctx->record->wipe_begun = true;
	if (monitor_note(ctx->mon, err) < 0 || monitor_sync(ctx->mon, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	monitor_phase(ctx->mon, "wipe", source.bytes);
	if (block_zero(&source, 0, source.bytes, how, &opt, ctx->mon, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	ret = STEP_DONE;
out:
	if (volume_close(&source, &closing) < 0 && ret == STEP_DONE) {
		*err = closing;
		err->class = ERR_STOPPED;
		ret = STEP_STOPPED;
	}
	return ret;
}

const struct step_ops wipe_source_step = {
	.name		= "wipe-source",
	.irrevocable	= true,
	.run		= wipe_run,
	.object		= source_path,
};

/* Is that name, in dir, the source?  1 yes, 0 no, -1 there is nothing. */
static int is_source(const struct step_context *ctx, int dir, const char *name)
{
	const struct facts *src = &ctx->move->source;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -1 : 0;
	return S_ISREG(st.st_mode) && st.st_ino == src->ino && (!ctx->same_boot || st.st_dev == src->dev);
}

/*
 * Remove the source and nothing that takes its place at this very moment: it
 * gets a name that nobody else uses, and under that name it is looked at.
 */
static int remove_name(const struct step_context *ctx, int dir, const char *name, struct err *err)
{
	const char *path = ctx->move->source.path;
	char aside[64];
	int is_it;

	snprintf(aside, sizeof(aside), ".volmig-%s.source", ctx->job_id);
	is_it = is_source(ctx, dir, aside);
	if (is_it < 0 && is_source(ctx, dir, name) == 0)
		return stopped(err, path, "the source is not the file that was copied");
	if (is_it < 0 && renameat2(dir, name, dir, aside, RENAME_NOREPLACE) < 0) {
		if (errno == ENOENT) {
			/* An earlier run was here; where a mount is not there (after a restart) nobody was. */
			if (volume_is_directory(&ctx->move->source, dir, ctx->same_boot))
				return 0;
			stopped(err, ctx->move->source.dir, "is not the directory it was when the job was planned");
			step_way_out(ctx, "put it (or its mount) back and resume again, or ", err);
			return -1;
		}
		if (errno != EINVAL && errno != ENOSYS)
			return err_sys(err, errno, path, "cannot remove the source");
		/* A file system that cannot: then by the name that was just looked at. */
		return unlinkat(dir, name, 0) < 0 ? err_sys(err, errno, path, "cannot remove the source") : 0;
	}
	if (is_source(ctx, dir, aside) != 1) {
		renameat2(dir, aside, dir, name, RENAME_NOREPLACE);
		return stopped(err, path, "the source is not the file that was copied");
	}
	if (unlinkat(dir, aside, 0) < 0)
		return err_sys(err, errno, path, "cannot remove the source");
	return 0;
}

/* An earlier run may have died when it had just taken the source aside: nobody would find it there. */
static void put_back(struct step_context *ctx, int dir, const char *name)
{
	char aside[64];

	snprintf(aside, sizeof(aside), ".volmig-%s.source", ctx->job_id);
	if (is_source(ctx, dir, aside) != 1)
		return;
	if (renameat2(dir, aside, dir, name, RENAME_NOREPLACE) == 0)
		fsync(dir);
	else
		text_list_add(&ctx->record->notes, text_format("%s is called %s/%s now: its name is another's",
							       ctx->move->source.path, ctx->move->source.dir, aside));
}

/* An earlier run may have begun: what it has taken aside gets its name back. */
static enum step_result leave(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	int dir = -1;

	if (src->lv)
		lv_leave_source(ctx);
	if (qemu_is_rbd(src))
		rbd_put_back(ctx);
	if (!src->lv && !qemu_is_rbd(src)) {
		dir = open(src->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0 && errno != ENOENT) {
			err_sys(err, errno, src->dir, "cannot open the source's directory");
			return STEP_STOPPED;
		}
	}
	if (dir >= 0 && volume_is_directory(src, dir, ctx->same_boot))
		put_back(ctx, dir, strrchr(src->path, '/') + 1);
	else if (!src->lv && !qemu_is_rbd(src) && ctx->again)
		text_list_add(&ctx->record->notes, text_format(
			"%s is not the directory it was: where that is, %s may be called .volmig-%s.source",
			src->dir, src->path, ctx->job_id));
	if (dir >= 0)
		close(dir);
	keep_source(ctx, "not removed");
	ctx->record->source_stays = true;
	return STEP_DONE;
}

/* A volume that is not found has been removed; where its disks are not there (after a restart) nobody knows. */
static bool has_its_group(const struct step_context *ctx, struct err *err)
{
	const struct lv_facts *lv = ctx->move->source.lv;
	char *name = NULL;
	bool has;

	if (lv_group_name(lv->vg_uuid, &name, err) < 0)
		return false;
	has = name != NULL;
	free(name);
	if (!has) {
		stopped(err, lv->vg_name, "the source's volume group is not there");
		step_way_out(ctx, "bring its disks back and resume again, or ", err);
	}
	return has;
}

static enum step_result remove_lv(struct step_context *ctx, struct err *err)
{
	struct facts now = { 0 };
	enum step_result ret = STEP_STOPPED;
	int good;

	lvm_report_hold();
	good = step_check_target(ctx, false, err) == 0 &&
	       volume_inspect_again(&ctx->move->source, INSPECT_OUTSIDE, &now, err) == 0;
	/* An earlier run may have removed it. */
	if (good)
		good = now.kind ? step_check_source(ctx, ctx->move->wipe == WIPE_NONE, NULL, err) == 0 :
				  has_its_group(ctx, err);
	if (good)
		ret = lv_remove_source(ctx, err);
	lvm_report_release();
	facts_free(&now);
	if (ret == STEP_STOPPED && err->class != ERR_UNSURE)
		err->class = ERR_STOPPED;
	return ret;
}

static enum step_result remove_run(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	const char *name = strrchr(src->path, '/') + 1;
	enum step_result ret = STEP_STOPPED;
	int dir = -1, there, number;

	if (ctx->keep_source)
		return leave(ctx, err);
	/* Before anything goes away for good: is the copy there? */
	if (src->lv)
		return remove_lv(ctx, err);
	if (qemu_is_rbd(src))
		return rbd_retire(ctx, err);
	dir = open(src->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	number = errno;
	if (step_check_target(ctx, false, err) < 0) {
		if (dir >= 0)
			put_back(ctx, dir, name);
		goto out;
	}
	if (dir < 0) {
		err_sys(err, number, src->dir, "cannot open the source's directory");
		step_way_out(ctx, "bring it back, or ", err);
		goto out;
	}
	there = is_source(ctx, dir, name);
	if ((there >= 0 && step_check_source(ctx, ctx->move->wipe == WIPE_NONE, NULL, err) < 0) ||
	    remove_name(ctx, dir, name, err) < 0)
		goto out;
	if (fsync(dir) < 0) {
		err_sys(err, errno, src->dir, "cannot make the removal durable");
		goto out;
	}
	ret = STEP_DONE;
out:
	if (dir >= 0)
		close(dir);
	if (ret == STEP_STOPPED)
		err->class = ERR_STOPPED;
	return ret;
}

const struct step_ops remove_source_step = {
	.name		= "remove-source",
	.irrevocable	= true,
	.run		= remove_run,
	.object		= source_path,
};
