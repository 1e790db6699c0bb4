/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The step that makes a destination file, under a name that nobody else uses;
 * it is filled by other steps, and publish gives it its own name when it is
 * whole.  A half-written file is so never seen under the name of a volume.
 */
#include "engines/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engines/step.h"
#include "support/err.h"
#include "sys/qemu_img.h"
#include "volumes/attributes.h"
#include "volumes/qemu.h"

/* In units of 512 bytes: what a file without data may take for its attributes. */
#define EMPTY_BLOCKS 128

/* The same of an image without data: tables of formats that have all of them from the beginning. */
#define IMAGE_BLOCKS(bytes) (8192 + (bytes) / 65536 / 512)

int new_file_open_dir(const struct step_context *ctx, int *ret_fd, struct err *err)
{
	const struct facts *dst = &ctx->move->destination;
	int fd = open(dst->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, errno, dst->dir, "cannot open the destination's directory");
	if (!volume_is_directory(dst, fd, ctx->same_boot)) {
		close(fd);
		err_set(err, ERR_REFUSED, dst->dir, "is not the directory it was when the job was planned");
		return err_next(err, "put it (or its mount) back");
	}
	*ret_fd = fd;
	return 0;
}

int new_file_is_target(const struct step_context *ctx, int dir, const char *name, struct err *err)
{
	struct facts now = { 0 };
	char *other = NULL;
	int fd, ret = -1;

	if (!ctx->record->target.kind)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		int number = errno;
		struct stat st;

		/* One that cannot be opened may still be told by its inode. */
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : err_sys(err, errno, name, "cannot look at the destination");
		if (number == ELOOP || st.st_ino != ctx->record->target.ino)
			return 0;
		return err_sys(err, number, name, "cannot look at the destination");
	}
	if (volume_identify(fd, ctx->record->target.path, &now, err) == 0) {
		other = volume_is_file(&ctx->record->target) && volume_is_file(&now) ?
			facts_not_same_file(&ctx->record->target, &now, ctx->same_boot) :
			facts_not_same(&ctx->record->target, &now, ctx->same_boot);
		ret = !other;
	} else {
		ret = 0;	/* a directory, a FIFO, ... */
	}
	free(other);
	facts_free(&now);
	close(fd);
	return ret;
}

/*
 * What a directory's default ACL gives to a new file is not the source's, and
 * setting the mode would make it count.
 */
static int remove_inherited_acl(int fd, const char *dir, struct err *err)
{
	if (fremovexattr(fd, "system.posix_acl_access") < 0 && errno != ENODATA &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(err, errno, dir,
			       "cannot remove the access control list that it gives to new files");
	return 0;
}

/*
 * Copy extended attributes, ACLs among them.  What cannot be carried over
 * (a name space that is not ours, a file system without them) is noted, not
 * fatal.  False: an ACL may be among that, and without it the mode says too much.
 */
static bool copy_xattrs(int from, int to, bool with_acl, struct text_list *notes)
{
	ssize_t size = flistxattr(from, NULL, 0);
	char *names, *value = NULL;
	struct text_list lost = { 0 };
	bool acl_kept;

	if (size <= 0)
		return size == 0 || errno == EOPNOTSUPP;
	names = text_alloc((size_t)size + 1, 1);
	size = flistxattr(from, names, (size_t)size);
	acl_kept = size >= 0;
	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		/* POSIX ACLs, NFSv4 ACLs: the kernel keeps nothing else there. */
		bool is_acl = !strncmp(name, "system.", 7);
		ssize_t length;

		if (!with_acl && is_acl)
			continue;
		length = fgetxattr(from, name, NULL, 0);
		if (length < 0 && !is_acl)
			continue;
		value = text_grow(value, (size_t)(length < 0 ? 0 : length) + 1, 1);
		if (length >= 0)
			length = fgetxattr(from, name, value, (size_t)length);
		if (length < 0 || fsetxattr(to, name, value, (size_t)length, 0) < 0) {
			text_list_add(&lost, text_copy(name));
			acl_kept = acl_kept && !is_acl;
		}
	}
	if (lost.count) {
		char *joined = text_list_join(&lost);

		text_list_add(notes, text_format("extended attributes not carried over: %s", joined));
		free(joined);
	}
	text_list_free(&lost);
	free(value);
	free(names);
	return acl_kept;
}

/*
 * The same for a file of another host: by the names that owner and group have
 * there.  A name that nobody has here leaves the file to us alone.
 */
static int carry_from_afar(struct step_context *ctx, int fd, struct err *err)
{
	const struct facts *there = facts_there(&ctx->move->source);
	const struct passwd *user = there->owner ? getpwnam(there->owner) : NULL;
	const struct group *group = there->group ? getgrnam(there->group) : NULL;
	mode_t mode = there->mode & 0777;
	bool group_kept;

	if (strcmp(there->kind, "file"))
		return 0;
	if ((!user || (user->pw_uid != geteuid() && fchown(fd, user->pw_uid, (gid_t)-1) < 0)))
		text_list_add(&ctx->record->notes, text_format("owner %s could not be kept",
							       there->owner ? there->owner : "(without a name)"));
	group_kept = group && fchown(fd, (uid_t)-1, group->gr_gid) == 0;
	if (!group_kept) {
		text_list_add(&ctx->record->notes, text_format(
			"group %s could not be kept, so only the owner has access",
			there->group ? there->group : "(without a name)"));
		mode &= (mode_t)~0077;
	}
	attributes_give(there->attributes, fd, group_kept, &mode, &ctx->record->notes);
	if (fchmod(fd, mode | 0600) < 0)
		return err_sys(err, errno, ctx->move->destination.dir, "cannot give the new file the source's mode");
	return 0;
}

/*
 * *ret_fd -1: it cannot be opened, or is no file any more; the copy finds that.
 * Another file that has its name gives no attributes.
 */
static int open_source(const struct step_context *ctx, int *ret_fd, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	/* O_NONBLOCK: it may be a FIFO. */
	int fd = open(src->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct err ignored = ERR_INIT;
	struct facts now = { 0 };
	char *other = NULL;

	*ret_fd = -1;
	if (fd >= 0 && volume_identify(fd, src->path, &now, &ignored) == 0) {
		other = facts_not_same_file(src, &now, ctx->same_boot);
		if (!other) {
			*ret_fd = fd;
			fd = -1;		/* handed over */
		}
	}
	if (other)
		err_set(err, ERR_REFUSED, src->path, "is not what it was: %s", other);
	if (fd >= 0)
		close(fd);
	facts_free(&now);
	if (!other)
		return 0;
	free(other);
	return -1;
}

/*
 * Owner, attributes and mode of the source, before the first byte is written,
 * but that the owner can write to it until it is published.
 */
static int carry_over(struct step_context *ctx, int fd, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	mode_t mode = src->mode & 0777;
	bool group_kept = true, acl_kept = false;
	int source = -1;

	if (remove_inherited_acl(fd, ctx->move->destination.dir, err) < 0)
		return -1;
	if (facts_is_far(src))
		return carry_from_afar(ctx, fd, err);
	if (!volume_is_file(src))
		return 0;	/* a device's node says nothing about a file: stays 0600 */
	if (fchown(fd, src->uid, src->gid) < 0) {
		/* Not root: the file is ours then, but its group can often be kept. */
		if (src->uid != geteuid())
			text_list_add(&ctx->record->notes, text_format(
				"owner %u could not be kept", src->uid));
		group_kept = fchown(fd, (uid_t)-1, src->gid) == 0;
	}
	if (open_source(ctx, &source, err) < 0)
		return -1;
	if (source >= 0) {
		acl_kept = copy_xattrs(source, fd, group_kept, &ctx->record->notes);
		close(source);
	}
	/* An entry that is lost may have kept people out whom others' bits would let in. */
	if (!group_kept)
		text_list_add(&ctx->record->notes, text_format(
			"group %u could not be kept, so only the owner has access", src->gid));
	else if (!acl_kept)
		text_list_add(&ctx->record->notes, text_copy(
			"the access control list could not be kept, so only the owner has access"));
	if (!group_kept || !acl_kept)
		mode &= (mode_t)~0077;
	if (fchmod(fd, mode | 0600) < 0)
		return err_sys(err, errno, src->path, "cannot give the new file the source's mode");
	return 0;
}

/*
 * Is it as create-file leaves it, or was about to?  Nothing is written to it
 * then, and root gives it the source's owner at once.
 */
static bool looks_unwritten(const struct step_context *ctx, const struct stat *st)
{
	const struct facts *src = &ctx->move->source;
	uint64_t bytes = move_new_bytes(ctx->move);
	bool is_image = qemu_is_image(&ctx->move->destination);

	return S_ISREG(st->st_mode) && st->st_nlink == 1 &&
	       (uint64_t)st->st_blocks <= (is_image ? IMAGE_BLOCKS(bytes) : EMPTY_BLOCKS) &&
	       (st->st_size == 0 || is_image || (uint64_t)st->st_size == bytes) &&
	       (st->st_uid == geteuid() || st->st_uid == src->uid ||
		facts_is_far(src));
}

/*
 * Make way for the temporary name.  What is there under it when the step is
 * begun for the first time is somebody else's.  Later it is most likely ours
 * from before a crash, if it looks like it; nothing was written to it then.
 */
static int clear_name(const struct step_context *ctx, int dir, const char *path, struct err *err)
{
	const char *name = ctx->move->temp_name;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, path, "cannot look at the name");
	if (!ctx->again || !looks_unwritten(ctx, &st)) {
		err_set(err, ERR_REFUSED, path, "exists already, and is not this job's");
		return err_next(err, "move it away");
	}
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, path, "cannot remove what a crash left");
	return 0;
}

/* In the new file, whose mode and owner are set. */
static int make_image(const struct move *move, int fd, const char *path, struct err *err)
{
	const struct facts *dst = &move->destination;
	/* One kind of image keeps its unit. */
	uint64_t cluster = move->source.qemu && !strcmp(move->source.qemu->driver, dst->qemu->driver) ?
			   move->source.qemu->cluster : 0;

	return qemu_img_create(dst->qemu->driver, fd, path, move_new_bytes(move), cluster, err);
}

/* As volume_identify(), for an image: its size is what is in it. */
static int identify_image(struct step_context *ctx, int fd, const char *path, struct err *err)
{
	const struct move *move = ctx->move;
	struct facts file = { 0 }, image = { 0 };
	char *other = NULL;
	int ret = -1;

	if (volume_identify(fd, path, &file, err) < 0 ||
	    qemu_inspect_path(move->destination.qemu->driver, path, INSPECT_OUTSIDE, &image, err) < 0)
		goto out;
	other = image.kind ? facts_not_same_file(&file, &image, true) : text_copy("it is gone");
	if (other) {
		err_set(err, ERR_FAILED, path, "the new image is not the file that was made: %s", other);
	} else if (image.bytes != move_new_bytes(move)) {
		err_set(err, ERR_FAILED, path, "the new image has %llu bytes, and should have %llu",
			(unsigned long long)image.bytes, (unsigned long long)move_new_bytes(move));
	} else {
		ctx->record->target = image;
		image = (struct facts){ 0 };
		ret = 0;
	}
out:
	free(other);
	facts_free(&file);
	facts_free(&image);
	return ret;
}

/* Rolling back must not take for ours, by its looks, what has come to have the name. */
static void tell_from_others(struct step_context *ctx, int dir, int fd, const char *path)
{
	struct err ignored = ERR_INIT;
	struct stat ours, named;

	if (fstat(fd, &ours) < 0 || fstatat(dir, ctx->move->temp_name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (ours.st_dev == named.st_dev && ours.st_ino == named.st_ino))
		return;
	facts_free(&ctx->record->target);
	volume_identify(fd, path, &ctx->record->target, &ignored);
}

static enum step_result create_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	char *path = move_temp_path(move);
	enum step_result result = STEP_UNDONE;
	int dir = -1, fd = -1;

	if (new_file_open_dir(ctx, &dir, err) < 0 || clear_name(ctx, dir, path, err) < 0)
		goto out;
	fd = openat(dir, move->temp_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err_sys(err, errno, path, "cannot create the destination");
		goto out;
	}
	if (carry_over(ctx, fd, err) < 0)
		goto out;
	if (qemu_is_image(&move->destination)) {
		if (make_image(move, fd, path, err) < 0)
			goto out;
	} else if (ftruncate(fd, (off_t)move_bytes(move)) < 0) {
		err_sys(err, errno, path, "cannot make a file of %llu bytes",
			(unsigned long long)move_bytes(move));
		goto out;
	}
	if (fsync(fd) < 0 || fsync(dir) < 0) {
		err_sys(err, errno, path, "cannot sync the new file");
		goto out;
	}
	/* By what is open, not by its name, which may be another's by now. */
	facts_free(&ctx->record->target);
	if ((qemu_is_image(&move->destination) ? identify_image(ctx, fd, path, err) :
						 volume_identify(fd, path, &ctx->record->target, err)) < 0)
		goto out;
	result = STEP_DONE;
out:
	if (result != STEP_DONE && fd >= 0)
		tell_from_others(ctx, dir, fd, path);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	free(path);
	return result;
}

int new_file_source_stands(const struct step_context *ctx, char *(*copy_path)(const struct move *move),
			   struct err *err)
{
	char *copy = copy_path(ctx->move);
	int ret = step_source_stands(ctx, copy, err);

	free(copy);
	return ret;
}

int new_file_forget(struct step_context *ctx, struct err *err)
{
	char *path;

	if (!ctx->forget) {
		if (!*err->next)
			err_next(err, "bring it back, or give the unfinished file up: volmig abort --forget %s",
				 ctx->job_id);
		return -1;
	}
	path = move_temp_path(ctx->move);
	text_list_add(&ctx->record->notes, text_format("left behind, if it still exists: %s", path));
	free(path);
	facts_free(&ctx->record->target);
	return 0;
}

/*
 * Under its temporary name: ours by its inode; or, if a crash came before that
 * was recorded, by the name and by its looks.
 */
static int has_temp(struct step_context *ctx, int dir, struct err *err)
{
	const char *name = ctx->move->temp_name;
	struct stat st;

	if (ctx->record->target.kind)
		return new_file_is_target(ctx, dir, name, err);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && looks_unwritten(ctx, &st);
}

/* Which of its names does what the job made have?  -1: that cannot be told, or it may not be removed. */
static int find_removable(struct step_context *ctx, int dir, bool *ret_temp, bool *ret_final, struct err *err)
{
	int temp = has_temp(ctx, dir, err);
	int final = temp < 0 ? -1 : new_file_is_target(ctx, dir, ctx->move->name, err);

	if (final < 0)
		return -1;
	/* Before create-file was done there is nothing in it. */
	if ((temp || final) && ctx->record->target.kind &&
	    new_file_source_stands(ctx, temp ? move_temp_path : move_final_path, err) < 0)
		return -1;
	*ret_temp = temp;
	*ret_final = final;
	return 0;
}

/* What would be refused in the end is before anything is taken back, so that the job can still go on. */
static int create_may_undo(struct step_context *ctx, struct err *err)
{
	bool temp, final;
	int dir, ret;

	if (new_file_open_dir(ctx, &dir, err) < 0)
		return ctx->forget ? 0 : new_file_forget(ctx, err);
	ret = find_removable(ctx, dir, &temp, &final, err);
	close(dir);
	return ret;
}

/* Remove what the job made, under either of its names. */
static int create_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	bool temp, final;
	int dir, ret = -1;

	if (new_file_open_dir(ctx, &dir, err) < 0)
		return new_file_forget(ctx, err);
	if (find_removable(ctx, dir, &temp, &final, err) < 0)
		goto out;
	if ((temp && unlinkat(dir, move->temp_name, 0) < 0 && errno != ENOENT) ||
	    (final && unlinkat(dir, move->name, 0) < 0 && errno != ENOENT)) {
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
	.may_undo = create_may_undo,
	.object	= move_temp_path,
};
