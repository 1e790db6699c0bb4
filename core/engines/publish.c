/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The step that gives what the job has made its name, when it is whole, or takes it back. */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/lv_steps.h"
#include "engines/new_file.h"
#include "engines/new_rbd.h"
#include "support/err.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

/* Rename within dir, never onto something; where the file system has no such call, by a link. */
static int rename_new(int dir, const char *from, const char *to)
{
	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(dir, from, dir, to, 0) < 0)
		return -1;
	return unlinkat(dir, from, 0);
}

/*
 * The mode that the volume shall have.  Group and others have theirs since
 * carry_over(), which may be less than on the source; what is missing is what
 * the source denies its owner, unless the file has another one.
 */
static int set_final_mode(const struct step_context *ctx, int dir, struct err *err)
{
	const struct facts *src = facts_there(&ctx->move->source), *target = &ctx->record->target;
	mode_t mode = (target->mode & 0177) | (src->mode & 0600);
	int fd, ret = 0;

	/* Whose it is on another host says nothing about numbers here. */
	if (!volume_is_file(src) || (!facts_is_far(&ctx->move->source) && src->uid != target->uid) ||
	    mode == (target->mode & 0777))
		return 0;
	fd = openat(dir, ctx->move->temp_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
		ret = err_sys(err, errno, target->path, "cannot give it the source's mode");
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Is what is to be given the name still what was verified?  What publish sets itself may be set already. */
static int check_unchanged(const struct step_context *ctx, int dir, const char *path, struct err *err)
{
	const struct move *move = ctx->move;
	struct stat st;
	int64_t mtime_ns;

	if (fstatat(dir, move->temp_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, path, "cannot look at the destination");
	mtime_ns = volume_time(st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec);
	if ((qemu_is_image(&move->destination) || (uint64_t)st.st_size == move_new_bytes(move)) &&
	    (!ctx->record->verified || mtime_ns == ctx->record->target.mtime_ns ||
	     mtime_ns == move->source.mtime_ns))
		return 0;
	err_set(err, ERR_STOPPED, path, "the destination was written to since it was verified");
	return err_next(err, "volmig abort %s, then start again", ctx->job_id);
}

/* The name by which it is opened from here on; takes path over. */
static void name_target(struct facts *target, char *path)
{
	free(target->path);
	target->path = path;
	if (target->qemu) {
		free(target->spec);
		target->spec = text_format("%s:%s", target->qemu->driver, path);
	}
}

static enum step_result publish_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct facts *target = &ctx->record->target;
	char *path = move_final_path(move);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	enum step_result result = STEP_STOPPED;
	int dir = -1, is_ours;

	if (move->lvm.create) {
		free(path);
		return lv_publish(ctx, err);
	}
	if (qemu_is_rbd(&move->destination)) {
		free(path);
		return rbd_publish(ctx, err);
	}
	if (new_file_open_dir(ctx, &dir, err) < 0)
		goto out;
	is_ours = new_file_is_target(ctx, dir, move->name, err);
	if (is_ours < 0)
		goto out;
	if (is_ours) {
		/* Where renaming took a link, a crash may have left both names. */
		if (new_file_is_target(ctx, dir, move->temp_name, err) == 1)
			unlinkat(dir, move->temp_name, 0);
	} else {
		is_ours = new_file_is_target(ctx, dir, move->temp_name, err);
		if (is_ours < 0)
			goto out;
		if (!is_ours) {
			err_set(err, ERR_FAILED, path, "the destination that was written is gone");
			result = STEP_UNDONE;
			goto out;
		}
		if (check_unchanged(ctx, dir, path, err) < 0 || set_final_mode(ctx, dir, err) < 0)
			goto out;
		/* A volume keeps its time of last change. */
		times[1] = volume_timespec(move->source.mtime_ns);
		if (volume_is_file(facts_there(&move->source)))
			utimensat(dir, move->temp_name, times, AT_SYMLINK_NOFOLLOW);
		if (rename_new(dir, move->temp_name, move->name) < 0) {
			if (errno == EEXIST) {
				err_set(err, ERR_STOPPED, path,
					"something of that name has appeared since the job was planned");
				err_next(err, "move it away, then volmig resume %s", ctx->job_id);
			} else {
				err_sys(err, errno, path, "cannot give the destination its name");
			}
			/* The copy is whole: no reason to throw it away. */
			result = STEP_STOPPED;
			goto out;
		}
	}
	if (fsync(dir) < 0) {
		err_sys(err, errno, move->destination.dir, "cannot sync the directory");
		goto out;
	}
	name_target(target, text_copy(path));
	result = STEP_DONE;
out:
	if (dir >= 0)
		close(dir);
	free(path);
	return result;
}

/*
 * Has somebody taken up the destination by its name?  The journal tells him that
 * it is not his yet, but it may hold by now what the source does not.
 */
static int check_not_taken_up(const struct step_context *ctx, struct err *err)
{
	char *path = move_final_path(ctx->move);
	struct facts now = { 0 };
	int ret = -1;

	if (step_inspect_target(ctx, path, INSPECT_USES | INSPECT_OUTSIDE | INSPECT_SETTLED, &now, err) < 0)
		goto out;
	if (guests_check_unused(&now, NULL, path, " first", err) < 0)
		goto out;
	if (ctx->record->verified && written_since_verified(ctx, &now)) {
		err_set(err, ERR_REFUSED, path,
			"was written to since it was verified, and may hold what the source does not");
		err_next(err, "move it away if it is wanted, else remove it, then volmig abort %s",
			 ctx->job_id);
	} else {
		ret = 0;
	}
out:
	facts_free(&now);
	free(path);
	return ret;
}

static int publish_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	int dir, final, temp, ret = 0;

	/* Whatever its name is, create-lv or create-image takes it away. */
	if (move->lvm.create || qemu_is_rbd(&move->destination))
		return ctx->forget ? 0 : check_not_taken_up(ctx, err);
	if (new_file_open_dir(ctx, &dir, err) < 0)
		return ctx->forget ? 0 : new_file_forget(ctx, err);
	final = new_file_is_target(ctx, dir, move->name, err);
	temp = final < 0 ? -1 : new_file_is_target(ctx, dir, move->temp_name, err);
	if (temp < 0 || (final && (new_file_source_stands(ctx, move_final_path, err) < 0 ||
				   check_not_taken_up(ctx, err) < 0)))
		temp = ret = -1;
	else if (final && temp)
		ret = unlinkat(dir, move->name, 0);
	else if (final)
		ret = rename_new(dir, move->name, move->temp_name);
	if (ret < 0 && temp >= 0)
		err_sys(err, errno, move->name, "cannot take the destination's name back");
	if (ret == 0 && ctx->record->target.kind)
		name_target(&ctx->record->target, move_temp_path(move));
	close(dir);
	return ret;
}

const struct step_ops publish_step = {
	.name	= "publish",
	.run	= publish_run,
	.undo	= publish_undo,
	.object	= move_final_path,
};
