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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/blkdev.h"

static int stopped(struct err *err, const char *object, const char *cause)
{
	return err_set(err, ERR_STOPPED, object, "%s", cause);
}

/* Is the source what was copied, and does nobody use it? */
static int check_source(struct step_context *ctx, bool compare_data, struct err *err)
{
	const struct facts *was = &ctx->move->source;
	struct facts now = { 0 };
	char *why = NULL;
	int ret = -1;

	if (volume_inspect_path(was->path, INSPECT_USES, &now, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	if (!now.kind) {
		stopped(err, was->path, "the source has gone since it was copied");
		goto out;
	}
	why = facts_not_same(was, &now, ctx->same_boot);
	if (why) {
		err_set(err, ERR_STOPPED, was->path, "the source is not the volume that was copied: %s", why);
		goto out;
	}
	why = compare_data ? facts_changed(was, &now) : NULL;
	if (!why && compare_data && ctx->same_boot && ctx->record->source_written &&
	    blkdev_written((dev_t)was->dev) > ctx->record->source_written)
		why = text_copy("the device was written to");
	if (why) {
		err_set(err, ERR_STOPPED, was->path, "the source changed while it was copied: %s", why);
		err_next(err, "volmig abort %s, then start again", ctx->job_id);
		goto out;
	}
	if (now.uses.count) {
		char *uses = text_list_join(&now.uses);

		err_set(err, ERR_STOPPED, was->path, "the source has come into use: %s", uses);
		free(uses);
		goto out;
	}
	ret = 0;
out:
	free(why);
	facts_free(&now);
	return ret;
}

/* Has the destination another time of change than it had when verify began to read it? */
static bool written_since(const struct step_context *ctx, const struct facts *now)
{
	const int64_t inexact = 2000000000;
	int64_t off = now->mtime_ns - ctx->move->source.mtime_ns;

	if (now->mtime_ns == ctx->record->target.mtime_ns)
		return false;
	/* Or the source's, which publish gave it, as exactly as its file system keeps it. */
	return !ctx->move->create || off <= -inexact || off >= inexact;
}

/*
 * Is the destination there, whole, under its name?  unused: and has nobody
 * written to it since it was verified, nor is about to?  After the commit that
 * is its owner's business.
 */
static int check_target(struct step_context *ctx, bool unused, struct err *err)
{
	struct facts *target = &ctx->record->target;
	char *path = move_final_path(ctx->move);
	struct facts now = { 0 };
	char *why = NULL;
	int ret = -1;

	if (volume_inspect_path(path, unused ? INSPECT_USES : 0, &now, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	if (!now.kind) {
		stopped(err, path, "the destination has gone since it was written");
		goto out;
	}
	why = facts_not_same(target, &now, ctx->same_boot);
	if (!why && now.bytes < ctx->move->source.bytes)
		why = text_copy("it is smaller than the source");
	if (!why && unused && ctx->record->verified && written_since(ctx, &now))
		why = text_copy("it was written to since it was verified");
	if (why) {
		err_set(err, ERR_STOPPED, path, "the destination is not the volume that was written: %s", why);
		goto out;
	}
	if (now.uses.count) {
		char *uses = text_list_join(&now.uses);

		err_set(err, ERR_STOPPED, path, "the destination has come into use: %s", uses);
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

static enum step_result commit_run(struct step_context *ctx, struct err *err)
{
	/*
	 * That the runner journals this step as done is the point of no
	 * return; the step itself changes nothing.
	 */
	if (check_target(ctx, true, err) < 0 || check_source(ctx, true, err) < 0)
		return STEP_STOPPED;
	return STEP_DONE;
}

const struct step_ops commit_step = {
	.name		= "commit",
	.state		= "committed",
	.irrevocable	= true,
	.run		= commit_run,
	.object		= move_final_path,
};

static char *source_path(const struct move *move)
{
	return text_copy(move->source.path);
}

/* Has an earlier run removed it?  Only remove-source may find that in order. */
static bool source_gone(const struct step_context *ctx)
{
	struct stat st;

	return lstat(ctx->move->source.path, &st) < 0 && errno == ENOENT;
}

static enum step_result wipe_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct block_copy_options opt = BLOCK_COPY_DEFAULTS;
	struct volume source = VOLUME_INIT;
	struct err closing = ERR_INIT;
	enum step_result ret = STEP_STOPPED;
	enum block_zero_how how = move->wipe == WIPE_ZERO ? BLOCK_ZERO_WRITE : BLOCK_ZERO_FREE;

	/* Wiping changes the data, so a second run cannot compare it. */
	if (check_target(ctx, false, err) < 0 || check_source(ctx, false, err) < 0)
		return STEP_STOPPED;
	if (volume_open(&source, &move->source, OPEN_WRITE, ctx->same_boot, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	opt.bytes_per_second = move->bytes_per_second;
	opt.stall_ms = move->stall_ms;
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

static enum step_result remove_run(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	const char *name = strrchr(src->path, '/') + 1;
	enum step_result ret = STEP_STOPPED;
	struct stat st;
	int dir = -1;

	/* Before anything goes away for good: is the copy there? */
	if (check_target(ctx, false, err) < 0)
		return STEP_STOPPED;
	if (source_gone(ctx))
		return STEP_DONE;
	if (check_source(ctx, ctx->move->wipe == WIPE_NONE, err) < 0)
		return STEP_STOPPED;
	dir = open(src->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		err_sys(err, errno, src->path, "cannot look at the source");
		err->class = ERR_STOPPED;
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_ino != src->ino ||
	    (ctx->same_boot && st.st_dev != src->dev)) {
		stopped(err, src->path, "the source is not the file that was copied");
		goto out;
	}
	if (unlinkat(dir, name, 0) < 0 || fsync(dir) < 0) {
		err_sys(err, errno, src->path, "cannot remove the source");
		err->class = ERR_STOPPED;
		goto out;
	}
	ret = STEP_DONE;
out:
	if (dir >= 0)
		close(dir);
	return ret;
}

const struct step_ops remove_source_step = {
	.name		= "remove-source",
	.irrevocable	= true,
	.run		= remove_run,
	.object		= source_path,
};
