/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that make a destination file: created under a name that nobody
 * else uses, filled by other steps, and given its own name when it is whole.
 * A half-written file is so never seen under the name of a volume.
 */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engines/lv_steps.h"
#include "engines/new_rbd.h"
#include "support/err.h"
#include "sys/qemu_img.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

/* In units of 512 bytes: what a file without data may take for its attributes. */
#define EMPTY_BLOCKS 128

/* The same of an image without data: tables of formats that have all of them from the beginning. */
#define IMAGE_BLOCKS(bytes) (8192 + (bytes) / 65536 / 512)

/*
 * Open the destination's directory, and make sure that it is the one planned
 * with.  After a reboot the device number says nothing, and the root directory
 * of every file system has the same inode: then its birth must agree.
 */
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
	if (st.st_ino != dst->dir_ino || (ctx->same_boot ? st.st_dev != dst->dir_dev :
					  volume_birth(fd, "") != dst->dir_birth_ns)) {
		close(fd);
		err_set(err, ERR_REFUSED, dst->dir, "is not the directory it was when the job was planned");
		return err_next(err, "put it (or its mount) back");
	}
	*ret_fd = fd;
	return 0;
}

/*
 * Is the file of that name the one that this job made?  1 yes, 0 something else
 * or nothing, -1 error.  Looks at the file itself, never through a link: others
 * may be able to write to the directory.
 */
static int is_target(const struct step_context *ctx, int dir, const char *name, struct err *err)
{
	struct facts now = { 0 };
	char *other = NULL;
	int fd, ret = -1;

	if (!ctx->record->target.kind)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		struct stat st;

		/* One that cannot be opened may still be told by its inode. */
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			return 0;
		if (errno == ELOOP || st.st_ino != ctx->record->target.ino)
			return 0;
		return err_sys(err, errno, name, "cannot look at the destination");
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

	if (strcmp(there->kind, "file"))
		return 0;
	if ((!user || (user->pw_uid != geteuid() && fchown(fd, user->pw_uid, (gid_t)-1) < 0)))
		text_list_add(&ctx->record->notes, text_format("owner %s could not be kept",
							       there->owner ? there->owner : "(without a name)"));
	if (!group || fchown(fd, (uid_t)-1, group->gr_gid) < 0) {
		text_list_add(&ctx->record->notes, text_format(
			"group %s could not be kept, so only the owner has access",
			there->group ? there->group : "(without a name)"));
		mode &= (mode_t)~0077;
	}
	if (fchmod(fd, mode | 0600) < 0)
		return err_sys(err, errno, ctx->move->destination.dir, "cannot give the new file the source's mode");
	return 0;
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
	source = open(src->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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
static int make_image(const struct move *move, const char *path, struct err *err)
{
	const struct facts *dst = &move->destination;
	/* One kind of image keeps its unit. */
	uint64_t cluster = move->source.qemu && !strcmp(move->source.qemu->driver, dst->qemu->driver) ?
			   move->source.qemu->cluster : 0;

	return qemu_img_create(dst->qemu->driver, path, move_new_bytes(move), cluster, err);
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

static enum step_result create_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	char *path = move_temp_path(move);
	enum step_result result = STEP_UNDONE;
	int dir = -1, fd = -1;

	if (open_dir(ctx, &dir, err) < 0 || clear_name(ctx, dir, path, err) < 0)
		goto out;
	fd = openat(dir, move->temp_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err_sys(err, errno, path, "cannot create the destination");
		goto out;
	}
	if (carry_over(ctx, fd, err) < 0)
		goto out;
	if (qemu_is_image(&move->destination)) {
		if (make_image(move, path, err) < 0)
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
static int check_source_stands(const struct step_context *ctx, char *(*copy_path)(const struct move *move),
			       struct err *err)
{
	const struct facts *was = &ctx->move->source;
	struct facts now = { 0 };
	char *why = NULL, *copy;
	int ret = -1;

	if (facts_is_far(was))
		return 0;	/* its own host stands for it */
	if (volume_inspect_again(was, INSPECT_OUTSIDE, &now, err) < 0)
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
	copy = copy_path(ctx->move);
	err_set(err, ERR_REFUSED, was->path,
		"the source is not what it was (%s), so the copy is kept: %s", why, copy);
	err_next(err, "save what you need of that file and remove it, then volmig abort %s",
		 ctx->job_id);
	free(copy);
out:
	free(why);
	facts_free(&now);
	return ret;
}

/* The destination's directory cannot be had: is the user content to leave the file where it is? */
static int forget_target(struct step_context *ctx, struct err *err)
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
		return is_target(ctx, dir, name, err);
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && looks_unwritten(ctx, &st);
}

/* Remove what the job made, under either of its names. */
static int create_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	int dir, temp, final, ret = -1;

	if (open_dir(ctx, &dir, err) < 0)
		return forget_target(ctx, err);
	temp = has_temp(ctx, dir, err);
	final = temp < 0 ? -1 : is_target(ctx, dir, move->name, err);
	if (final < 0)
		goto out;
	/* Before create-file was done there is nothing in it. */
	if ((temp || final) && ctx->record->target.kind &&
	    check_source_stands(ctx, temp ? move_temp_path : move_final_path, err) < 0)
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
	mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	if ((qemu_is_image(&move->destination) || (uint64_t)st.st_size == move_new_bytes(move)) &&
	    (!ctx->record->verified || mtime_ns == ctx->record->target.mtime_ns ||
	     mtime_ns == move->source.mtime_ns))
		return 0;
	err_set(err, ERR_STOPPED, path, "the destination was written to since it was verified");
	return err_next(err, "volmig abort %s, then start again", ctx->job_id);
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
	if (open_dir(ctx, &dir, err) < 0)
		goto out;
	is_ours = is_target(ctx, dir, move->name, err);
	if (is_ours < 0)
		goto out;
	if (is_ours) {
		/* Where renaming took a link, a crash may have left both names. */
		if (is_target(ctx, dir, move->temp_name, err) == 1)
			unlinkat(dir, move->temp_name, 0);
	} else {
		is_ours = is_target(ctx, dir, move->temp_name, err);
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
		times[1].tv_sec = move->source.mtime_ns / 1000000000;
		times[1].tv_nsec = move->source.mtime_ns % 1000000000;
		if (volume_is_file(facts_there(&move->source)))
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
	if (target->qemu) {
		free(target->spec);
		target->spec = text_format("%s:%s", target->qemu->driver, path);
	}
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

	if (step_inspect_target(ctx, path, INSPECT_USES | INSPECT_OUTSIDE, &now, err) < 0)
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
		return 0;
	if (open_dir(ctx, &dir, err) < 0)
		return ctx->forget ? 0 : forget_target(ctx, err);
	final = is_target(ctx, dir, move->name, err);
	temp = final < 0 ? -1 : is_target(ctx, dir, move->temp_name, err);
	if (temp < 0 || (final && (check_source_stands(ctx, move_final_path, err) < 0 ||
				   check_not_taken_up(ctx, err) < 0)))
		temp = ret = -1;
	else if (final && temp)
		ret = unlinkat(dir, move->name, 0);
	else if (final)
		ret = rename_new(dir, move->name, move->temp_name);
	if (ret < 0 && temp >= 0)
		err_sys(err, errno, move->name, "cannot take the destination's name back");
	close(dir);
	return ret;
}

const struct step_ops publish_step = {
	.name	= "publish",
	.run	= publish_run,
	.undo	= publish_undo,
	.object	= move_final_path,
};
