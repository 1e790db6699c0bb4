/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that make a destination file: created under a name that nobody
 * else uses, filled by other steps, and given its own name when it is whole.
 * A half-written file is so never seen under the name of a volume.
 */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/err.h"

/* Open the destination's directory, and make sure that it is the one planned with. */
static int open_dir(const struct step_context *ctx, int *ret_fd, struct err *err)
{
	const struct facts *dst = &ctx->move->destination;
	struct stat st;
	int fd = open(dst->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, errno, dst->dir, "cannot open the destination's directory");
	if (fstat(fd, &st) < 0) {
		err_sys(err, errno, dst->dir, "cannot look at the destination's directory");
		close(fd);
		return -1;
	}
	if (st.st_ino != dst->dir_ino || (ctx->same_boot && st.st_dev != dst->dir_dev)) {
		close(fd);
		err_set(err, ERR_REFUSED, dst->dir, "is not the directory it was when the job was planned");
		return err_next(err, "put it (or its mount) back");
	}
	*ret_fd = fd;
	return 0;
}

/* Is the file of this path (taken over) the one that this job made?  1 yes, 0 something else or nothing, -1 error. */
static int is_target(const struct step_context *ctx, char *path, struct err *err)
{
	struct facts now = { 0 };
	char *other = NULL;
	int ret = 0;

	if (!ctx->record->target.kind)
		goto out;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		goto out;
	if (volume_inspect_path(path, 0, &now, err) < 0) {
		ret = -1;
		goto out;
	}
	other = facts_not_same(&ctx->record->target, &now, ctx->same_boot);
	ret = !other;
out:
	free(other);
	facts_free(&now);
	free(path);
	return ret;
}

/*
 * Copy extended attributes, ACLs among them.  What cannot be carried over
 * (a name space that is not ours, a file system without them) is noted, not
 * fatal: it never makes the file readable by more people.
 */
static void copy_xattrs(int from, int to, bool with_acl, struct text_list *notes)
{
	ssize_t size = flistxattr(from, NULL, 0);
	char *names, *value = NULL;
	struct text_list lost = { 0 };

	if (size <= 0)
		return;
	names = text_alloc((size_t)size + 1, 1);
	size = flistxattr(from, names, (size_t)size);
	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length;

		if (!with_acl && !strncmp(name, "system.posix_acl", 16))
			continue;
		length = fgetxattr(from, name, NULL, 0);
		if (length < 0)
			continue;
		value = text_grow(value, (size_t)length + 1, 1);
		length = fgetxattr(from, name, value, (size_t)length);
		if (length < 0 || fsetxattr(to, name, value, (size_t)length, 0) < 0)
			text_list_add(&lost, text_copy(name));
	}
	if (lost.count) {
		char *joined = text_list_join(&lost);

		text_list_add(notes, text_format("extended attributes not carried over: %s", joined));
		free(joined);
	}
	text_list_free(&lost);
	free(value);
	free(names);
}

/* Owner, attributes and mode of the source, before the first byte is written. */
static int carry_over(struct step_context *ctx, int fd, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	mode_t mode = src->mode & 0777;
	bool group_kept = true;
	int source = -1;

	if (strcmp(src->kind, "file"))
		return 0;	/* a device's node says nothing about a file: stays 0600 */
	if (fchown(fd, src->uid, src->gid) < 0) {
		/* Not root: the file is ours then, but its group can often be kept. */
		if (src->uid != geteuid())
			text_list_add(&ctx->record->notes, text_format(
				"owner %u could not be kept", src->uid));
		group_kept = fchown(fd, (uid_t)-1, src->gid) == 0;
	}
	if (!group_kept) {
		text_list_add(&ctx->record->notes, text_format(
			"group %u could not be kept, so the group has no access", src->gid));
		mode &= (mode_t)~0070;
	}
	source = open(src->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (source >= 0) {
		copy_xattrs(source, fd, group_kept, &ctx->record->notes);
		close(source);
	}
	if (fchmod(fd, mode) < 0)
		return err_sys(err, errno, src->path, "cannot give the new file the source's mode");
	return 0;
}

static enum step_result create_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	char *path = move_temp_path(move);
	enum step_result result = STEP_UNDONE;
	int dir = -1, fd = -1;

	if (open_dir(ctx, &dir, err) < 0)
		goto out;
	/*
	 * One that is there already is ours from before a crash: the name holds
	 * the job's id.  What is in it nobody knows, so it is made anew.
	 */
	if (unlinkat(dir, move->temp_name, 0) < 0 && errno != ENOENT) {
		err_sys(err, errno, path, "cannot remove what a crash left");
		goto out;
	}
	fd = openat(dir, move->temp_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err_sys(err, errno, path, "cannot create the destination");
		goto out;
	}
	if (carry_over(ctx, fd, err) < 0)
		goto out;
	if (ftruncate(fd, (off_t)move->source.bytes) < 0) {
		err_sys(err, errno, path, "cannot make a file of %llu bytes",
			(unsigned long long)move->source.bytes);
		goto out;
	}
	if (fsync(fd) < 0 || fsync(dir) < 0) {
		err_sys(err, errno, path, "cannot sync the new file");
		goto out;
	}
	facts_free(&ctx->record->target);
	if (volume_inspect_path(path, 0, &ctx->record->target, err) < 0)
		goto out;
	result = STEP_DONE;
out:
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	free(path);
	return result;
}

/*
 * Is the source still there, as long as it was?  If not, what was copied may
 * be the only copy, and is not for us to remove.
 */
static int check_source_stands(const struct step_context *ctx, struct err *err)
{
	const struct facts *was = &ctx->move->source;
	struct facts now = { 0 };
	char *why = NULL, *copy;
	int ret = -1;

	if (volume_inspect_path(was->path, 0, &now, err) < 0)
		goto out;
	if (!now.kind)
		why = text_copy("it is gone");
	else
		why = facts_not_same(was, &now, ctx->same_boot);
	if (!why && now.bytes < was->bytes)
		why = text_copy("it has got smaller");
	if (!why) {
		ret = 0;
		goto out;
	}
	copy = text_copy(ctx->record->target.path);
	err_set(err, ERR_REFUSED, was->path,
		"the source is not what it was (%s), so the unfinished copy is kept: %s", why, copy);
	err_next(err, "save what you need of that file and remove it, then volmig abort %s",
		 ctx->job_id);
	free(copy);
out:
	free(why);
	facts_free(&now);
	return ret;
}

/* Remove what the job made, under either of its names. */
static int create_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	int dir, has_temp, has_final, ret = -1;

	if (open_dir(ctx, &dir, err) < 0)
		return -1;
	has_temp = faccessat(dir, move->temp_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	has_final = is_target(ctx, move_final_path(move), err);
	if (has_final < 0)
		goto out;
	/* Before create-file was done there is nothing in it. */
	if ((has_temp || has_final) && ctx->record->target.kind && check_source_stands(ctx, err) < 0)
		goto out;
	if ((has_temp && unlinkat(dir, move->temp_name, 0) < 0 && errno != ENOENT) ||
	    (has_final && unlinkat(dir, move->name, 0) < 0 && errno != ENOENT)) {
		err_sys(err, errno, ctx->record->target.path, "cannot remove the unfinished destination");
		goto out;
	}
	if (fsync(dir) < 0) {
		err_sys(err, errno, move->destination.dir, "cannot sync the directory");
		goto out;
	}
	facts_free(&ctx->record->target);
	ret = 0;
out:
	close(dir);
	return ret;
}

const struct step_ops create_file_step = {
	.name	= "create-file",
	.state	= "prepared",
	.run	= create_run,
	.undo	= create_undo,
	.object	= move_temp_path,
};

static enum step_result reflink_run(struct step_context *ctx, struct err *err)
{
	struct volume source = VOLUME_INIT, target = VOLUME_INIT;
	enum step_result result = STEP_UNDONE;
	struct err ignored = ERR_INIT;

	if (volume_open(&source, &ctx->move->source, OPEN_READ, ctx->same_boot, err) < 0 ||
	    volume_open(&target, &ctx->record->target, OPEN_WRITE | OPEN_FRESH, ctx->same_boot, err) < 0)
		goto out;
	if (ioctl(target.fd, FICLONE, source.fd) < 0) {
		/*
		 * The file system said at planning that it could.  Whatever is
		 * in the way, the bytes can be copied as well.
		 */
		text_list_add(&ctx->record->notes, text_format(
			"extents could not be shared (%s), so the bytes were copied", strerror(errno)));
		volume_close(&source, &ignored);
		volume_close(&target, &ignored);
		return copy_step.run(ctx, err);
	}
	if (volume_flush(&target, err) < 0)
		goto out;
	ctx->record->cloned = true;
	ctx->record->mark.offset = ctx->move->source.bytes;
	result = STEP_DONE;
out:
	volume_close(&source, &ignored);
	volume_close(&target, &ignored);
	return result;
}

const struct step_ops reflink_step = {
	.name	= "reflink",
	.doing	= "copying",
	.state	= "synced",
	.run	= reflink_run,
	.object	= move_both_paths,
};

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

static enum step_result publish_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct facts *target = &ctx->record->target;
	char *path = move_final_path(move);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	enum step_result result = STEP_STOPPED;
	int dir = -1, is_ours;

	if (open_dir(ctx, &dir, err) < 0)
		goto out;
	is_ours = is_target(ctx, move_final_path(move), err);
	if (is_ours < 0)
		goto out;
	if (!is_ours) {
		is_ours = is_target(ctx, move_temp_path(move), err);
		if (is_ours < 0)
			goto out;
		if (!is_ours) {
			err_set(err, ERR_FAILED, path, "the destination that was written is gone");
			result = STEP_UNDONE;
			goto out;
		}
		/* A volume keeps its time of last change. */
		times[1].tv_sec = move->source.mtime_ns / 1000000000;
		times[1].tv_nsec = move->source.mtime_ns % 1000000000;
		if (!strcmp(move->source.kind, "file"))
			utimensat(dir, move->temp_name, times, AT_SYMLINK_NOFOLLOW);
		if (rename_new(dir, move->temp_name, move->name) < 0) {
			if (errno == EEXIST)
				err_set(err, ERR_STOPPED, path,
					"something of that name has appeared since the job was planned");
			else
				err_sys(err, errno, path, "cannot give the destination its name");
			/* The copy is whole: no reason to throw it away. */
			result = STEP_STOPPED;
			goto out;
		}
	}
	if (fsync(dir) < 0) {
		err_sys(err, errno, move->destination.dir, "cannot sync the directory");
		goto out;
	}
	free(target->path);
	target->path = text_copy(path);
	result = STEP_DONE;
out:
	if (dir >= 0)
		close(dir);
	free(path);
	return result;
}

static int publish_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	int dir, is_ours, ret = 0;

	if (open_dir(ctx, &dir, err) < 0)
		return -1;
	is_ours = is_target(ctx, move_final_path(move), err);
	if (is_ours < 0)
		ret = -1;
	else if (is_ours && rename_new(dir, move->name, move->temp_name) < 0)
		ret = err_sys(err, errno, move->name, "cannot take the destination's name back");
	close(dir);
	return ret;
}

const struct step_ops publish_step = {
	.name	= "publish",
	.run	= publish_run,
	.undo	= publish_undo,
	.object	= move_final_path,
};
