/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at what a name stands for, and opening it as what it was found to be. */
#include "volumes/volume.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/mounts.h"
#include "sys/nbd.h"
#include "sys/signature.h"
#include "sys/uses.h"
#include "volumes/backing.h"
#include "volumes/format.h"
#include "volumes/look.h"
#include "volumes/lv.h"
#include "volumes/guests.h"
#include "volumes/lv_change.h"
#include "volumes/qemu.h"
#include "volumes/spec.h"

#define ALIGN_MAX 65536U

static const struct volume_ops *const kinds[] = {
	&file_volume_ops, &block_volume_ops, &lv_volume_ops, &nbd_volume_ops,
	&qcow2_volume_ops, &vmdk_volume_ops, &vhdx_volume_ops, &vdi_volume_ops, &rbd_volume_ops,
	&lun_volume_ops,
	&ssh_volume_ops, &peer_volume_ops,
};

const struct volume_ops *volume_ops_by_kind(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i]->kind, kind))
			return kinds[i];
	return NULL;
}

/* Of remote volumes; NULL: there are none so far that are called so. */
static const struct volume_ops *ops_by_spec(enum spec_kind kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i]->spec_kind == (int)kind && kinds[i]->inspect)
			return kinds[i];
	return NULL;
}

static const struct volume_ops *ops_by_mode(mode_t mode)
{
	return S_ISREG(mode) ? &file_volume_ops : S_ISBLK(mode) ? &block_volume_ops : NULL;
}

static const char *mode_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "a directory";
	case S_IFIFO: return "a FIFO";
	case S_IFSOCK: return "a socket";
	case S_IFCHR: return "a character device";
	case S_IFLNK: return "a symbolic link";
	case S_IFBLK: return "a block device";
	default: return "a file";
	}
}

int look_refuse_sys(struct err *err, int number, const char *object, const char *text)
{
	err_sys(err, number, object, "%s", text);
	err->class = ERR_REFUSED;
	return -1;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	assert(slash);
	return slash == path ? text_copy("/") : text_format("%.*s", (int)(slash - path), path);
}

/* Nothing has the name: say where it would be.  missing is absolute. */
static int resolve_missing(const char *missing, const char *spec, struct facts *facts,
			   struct err *err)
{
	char target[PATH_MAX];
	struct stat st;
	char *parent = NULL;
	const char *name;
	ssize_t len;
	int ret = -1;

	if (lstat(missing, &st) == 0) {
		len = readlink(missing, target, sizeof(target) - 1);
		if (len < 0)
			return err_set(err, ERR_REFUSED, spec, "it appeared just now");
		target[len] = '\0';
		err_set(err, ERR_REFUSED, spec, "a dangling symbolic link, to %s", target);
		return err_next(err, "name the file itself, or remove the link");
	}
	parent = directory_of(missing);
	name = strrchr(missing, '/') + 1;
	facts->dir = realpath(parent, NULL);
	if (!facts->dir) {
		if (errno == ENOENT) {
			err_set(err, ERR_REFUSED, spec, "there is no directory %s", parent);
			err_next(err, "check the name, or make the directory first");
		} else {
			look_refuse_sys(err, errno, spec, "cannot look it up");
		}
		goto out;
	}
	if (!*name) {
		/* It ended in a slash: the directory itself was meant, and there is none. */
		err_set(err, ERR_REFUSED, spec, "no such directory");
		goto out;
	}
	facts->path = text_format("%s/%s", strcmp(facts->dir, "/") ? facts->dir : "", name);
	ret = look_at_directory(facts, err);
out:
	free(parent);
	return ret;
}

int look_inside(int fd, struct facts *facts, struct err *err)
{
	char head[FORMAT_HEAD_BYTES], tail[FORMAT_TAIL_BYTES];
	ssize_t head_length, tail_length = 0;
	struct err unreadable = ERR_INIT;
	const char *format;

	head_length = pread(fd, head, sizeof(head), 0);
	/* A footer is for files; on a device it would be a rest of something else. */
	if (facts->kind == file_volume_ops.kind && facts->bytes >= sizeof(tail))
		tail_length = pread(fd, tail, sizeof(tail), (off_t)(facts->bytes - sizeof(tail)));
	if ((head_length < 0 || tail_length < 0) && errno != EIO)
		return look_refuse_sys(err, errno, facts->spec, "cannot read it");
	format = format_detect(head, head_length > 0 ? (size_t)head_length : 0,
			       tail, tail_length > 0 ? (size_t)tail_length : 0);
	facts->format = text_copy(format);

	/*
	 * A medium that cannot be read here may still be worth saving, so this
	 * is no error; but neither is it known to be empty.
	 */
	if (signature_probe(fd, &facts->signature, &unreadable) < 0)
		facts->signature = text_format("unreadable (%s)", strerror(unreadable.number));
	return 0;
}

void look_for_mounts(struct facts *facts)
{
	char *mounted = facts->unremovable ? NULL : mounts_of_file((dev_t)facts->dev, (ino_t)facts->ino);

	if (mounted)
		facts->unremovable = text_format("it is %s too, where it would stay and be written to", mounted);
	free(mounted);
}

void look_for_overlays(unsigned flags, struct facts *facts)
{
	if ((flags & INSPECT_OUTSIDE) && !(flags & INSPECT_OVERLAYS))
		return;
	backing_overlays(facts->dir, facts->dev, facts->ino, &facts->overlays, &facts->overlays_unseen);
}

/* The facts about an existing file or device at the canonical facts->path. */
static int look_at_thing(const struct volume_ops *ops, unsigned flags, struct facts *facts,
			 struct err *err)
{
	const char *path = facts->path;
	int ret = -1;
	/* O_NONBLOCK: it may have become a FIFO since. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return look_refuse_sys(err, errno, facts->spec, "cannot open it for reading");
	facts->kind = ops->kind;
	if (ops->identify(fd, facts, err) < 0)
		goto out;
	if (ops == &block_volume_ops && facts->bytes == 0) {
		err_set(err, ERR_REFUSED, facts->spec,
			"an empty device: nothing is attached to it, or no medium is in it");
		goto out;
	}
	if (!(flags & INSPECT_OUTSIDE) && look_inside(fd, facts, err) < 0)
		goto out;
	if (ops == &file_volume_ops) {
		facts->dir = directory_of(path);
		if (look_at_directory(facts, err) < 0)
			goto out;
	}
	ret = 0;
out:
	if (ops == &block_volume_ops && (flags & INSPECT_USES)) {
		/* What its last writer left in the cache is not to be counted later on. */
		fdatasync(fd);
		facts->written = blkdev_written((dev_t)facts->dev);
	}
	/* Before looking for users, or we would be one. */
	close(fd);
	if (ret == 0 && (flags & INSPECT_USES)) {
		if (ops == &file_volume_ops) {
			uses_of_file(path, facts->dev, facts->ino, &facts->uses);
			look_for_mounts(facts);
			look_for_overlays(flags, facts);
		}
		if (ops == &block_volume_ops)
			uses_of_block(path, facts->dev, &facts->uses);
		ret = guests_look(facts, err);
	}
	return ret;
}

int look_at_block(unsigned flags, struct facts *facts, struct err *err)
{
	return look_at_thing(&block_volume_ops, flags, facts, err);
}

static int look_elsewhere(const struct spec *spec, unsigned flags, struct facts *facts,
			  struct err *err)
{
	const struct volume_ops *ops = ops_by_spec(spec->kind);
	/* What the kernel has already it may be using. */
	int found = spec->kind == SPEC_ISCSI ? look_for_lun(spec, flags, facts, err) : 0;

	if (found)
		return found < 0 ? -1 : 0;

	if (ops)
		return ops->inspect(spec, flags, facts, err);
	err_set(err, ERR_USAGE, spec->text, "that names %s; this volmig does not move such volumes",
		spec_noun(spec->text));
	return err_next(err, "for a file of that name write file:%s", spec->text);
}

static int look(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err)
{
	const struct volume_ops *ops;
	struct stat st;

	int found;

	facts->spec = text_copy(spec->text);
	if (spec->kind == SPEC_LV)
		return look_for_lv(spec->vg, spec->lv, flags, facts, err);
	if (spec->remote)
		return look_elsewhere(spec, flags, facts, err);
	facts->path = realpath(spec->path, NULL);
	if (!facts->path && errno == ENOENT) {
		found = look_for_lv_path(spec->path, 0, flags, facts, err);
		return found ? (found < 0 ? -1 : 0) :
			       resolve_missing(spec->path, spec->text, facts, err);
	}
	if (!facts->path || lstat(facts->path, &st) < 0)
		return look_refuse_sys(err, errno, spec->text, "cannot look it up");

	if (S_ISDIR(st.st_mode)) {
		facts->dir = text_copy(facts->path);
		return look_at_directory(facts, err);
	}
	ops = ops_by_mode(st.st_mode);
	if (!ops || (spec->kind == SPEC_FILE && ops != &file_volume_ops))
		return err_set(err, ERR_REFUSED, spec->text, "is %s, not %s",
			       mode_name(st.st_mode),
			       spec->kind == SPEC_FILE ? "a file" : "a file or a block device");
	if (spec->directory)
		return err_set(err, ERR_REFUSED, spec->text, "is not a directory");
	found = ops == &block_volume_ops ? look_for_lv_path(facts->path, st.st_rdev, flags, facts, err) : 0;
	return found ? (found < 0 ? -1 : 0) : look_at_thing(ops, flags, facts, err);
}

int volume_inspect(const struct spec *spec, unsigned flags, struct facts *ret_facts,
		   struct err *err)
{
	struct facts facts = { 0 };

	if (look(spec, flags, &facts, err) < 0) {
		facts_free(&facts);
		return -1;
	}
	*ret_facts = facts;
	return 0;
}

int volume_inspect_path(const char *path, unsigned flags, struct facts *ret_facts,
			struct err *err)
{
	char *copy = text_copy(path);
	struct spec spec = { .kind = SPEC_PATH, .text = copy, .path = copy };
	int ret;

	if (*path != '/') {
		free(copy);
		ret = spec_parse(&spec, path, SPEC_VOLUME, "/", err);
		if (ret == 0)
			ret = volume_inspect(&spec, flags, ret_facts, err);
		spec_free(&spec);
		return ret;
	}
	ret = volume_inspect(&spec, flags, ret_facts, err);
	free(copy);
	/* What is not there has to come back: how to name a volume is no advice any more. */
	if (ret < 0 && access(path, F_OK) < 0)
		*err->next = '\0';
	/* A logical volume has many names, and is known by its UUID. */
	if (ret == 0 && !ret_facts->lv && strcmp(ret_facts->path, path)) {
		err_set(err, ERR_REFUSED, path, "leads to %s now, by a symbolic link", ret_facts->path);
		facts_free(ret_facts);
		return -1;
	}
	return ret;
}

int volume_identify(int fd, const char *path, struct facts *ret_facts, struct err *err)
{
	struct facts facts = { 0 };
	struct stat st;
	const struct volume_ops *ops = fstat(fd, &st) == 0 ? ops_by_mode(st.st_mode) : NULL;

	if (!ops)
		return err_set(err, ERR_FAILED, path, "is neither a file nor a block device");
	facts.kind = ops->kind;
	facts.spec = text_copy(path);
	facts.path = text_copy(path);
	if (ops->identify(fd, &facts, err) < 0) {
		facts_free(&facts);
		return -1;
	}
	*ret_facts = facts;
	return 0;
}

/*
 * O_DIRECT may be granted by open() and refused by the first read, or want
 * larger pieces than was said: read the first one to know.
 */
static void settle_direct(struct volume *vol)
{
	void *buf;

	if (posix_memalign(&buf, ALIGN_MAX, ALIGN_MAX))
		abort();
	for (uint32_t align = vol->align; align <= ALIGN_MAX; align *= 2) {
		if (pread(vol->fd, buf, align, 0) >= 0 || errno != EINVAL) {
			vol->align = align;
			free(buf);
			return;
		}
	}
	free(buf);
	vol->direct = false;
	snprintf(vol->direct_reason, sizeof(vol->direct_reason), "the file system refuses direct I/O");
}

static int open_fd(const char *path, int flags, const struct volume_ops *ops, bool *ret_direct,
		   struct err *err)
{
	struct stat st;
	int fd;

	/* Opening whatever else is there now might wait forever. */
	if (lstat(path, &st) == 0 && (ops == &file_volume_ops ? !S_ISREG(st.st_mode) : !S_ISBLK(st.st_mode)))
		return err_set(err, ERR_REFUSED, path, "is %s now, was %s", mode_name(st.st_mode),
			       ops == &file_volume_ops ? "a file" : "a block device");
	flags |= O_NOFOLLOW | O_CLOEXEC | ops->open_flags;
	fd = open(path, flags | (*ret_direct ? O_DIRECT : 0));
	if (fd < 0 && errno == EINVAL && *ret_direct) {
		*ret_direct = false;
		fd = open(path, flags);
	}
	for (unsigned ms = 0; fd < 0 && errno == EBUSY && ms < VOLUME_RELEASE_MS; ms += 50) {
		clock_sleep_ms(50);
		fd = open(path, flags | (*ret_direct ? O_DIRECT : 0));
	}
	if (fd < 0 && errno == EBUSY) {
		err_set(err, ERR_REFUSED, path,
			"in use: claimed exclusively by the kernel or by another process");
		err->number = EBUSY;
	} else if (fd < 0) {
		err_sys(err, errno, path, "cannot open it for %s",
			(flags & O_ACCMODE) == O_RDONLY ? "reading" : "writing");
	}
	return fd;
}

/* Is what is open what was inspected? */
static int check_identity(const struct volume *vol, const struct facts *was,
			  const struct facts *is, bool same_boot, struct err *err)
{
	char *why = facts_not_same(was, is, same_boot);

	if (why) {
		err_set(err, ERR_REFUSED, vol->path, "is not what it was: %s", why);
		free(why);
		return -1;
	}
	if (is->bytes != was->bytes)
		return err_set(err, ERR_REFUSED, vol->path, "its size is %" PRIu64
			       " bytes, was %" PRIu64, is->bytes, was->bytes);
	return 0;
}

static int open_elsewhere(struct volume *vol, const struct facts *facts, unsigned flags,
			  uint64_t patience_ms, struct err *err)
{
	if (vol->ops->open(vol, facts, flags, patience_ms, err) < 0)
		return -1;
	if (vol->bytes != facts->bytes)
		return err_set(err, ERR_REFUSED, vol->path, "is not what it was: its size is %" PRIu64
			       " bytes, was %" PRIu64, vol->bytes, facts->bytes);
	return 0;
}

int volume_open(struct volume *ret_vol, const struct facts *facts, unsigned flags,
		bool same_boot, struct err *err)
{
	return volume_open_within(ret_vol, facts, flags, same_boot, 0, err);
}

int volume_open_within(struct volume *ret_vol, const struct facts *facts, unsigned flags,
		       bool same_boot, uint64_t patience_ms, struct err *err)
{
	const struct volume_ops *ops;
	struct volume vol = VOLUME_INIT;
	struct facts now = { .kind = facts->kind };
	struct err ignored = ERR_INIT;
	char *node = NULL;

	assert(facts->kind);
	ops = volume_ops_by_kind(facts->kind);
	vol.ops = ops;
	vol.path = text_copy(facts->path);
	if (ops->open) {
		if (open_elsewhere(&vol, facts, flags, patience_ms, err) < 0)
			goto fail;
		*ret_vol = vol;
		return 0;
	}
	/* A logical volume by its UUID: its names may be another's by now. */
	if (ops == &lv_volume_ops) {
		/* The machine may have been restarted meanwhile. */
		if (lv_activate(facts->lv, err) < 0)
			goto fail;
		node = blkdev_node(lv_device(facts->lv));
		if (!node) {
			err_set(err, ERR_FAILED, facts->path, "is not active");
			goto fail;
		}
	}
	/* So may those of a disk. */
	if (facts->lun) {
		node = lun_node(facts, err);
		if (!node)
			goto fail;
	}
	vol.direct = !(flags & OPEN_CACHED);
	vol.fd = open_fd(node ? node : facts->path, flags & OPEN_WRITE ? O_RDWR : O_RDONLY, ops,
			 &vol.direct, err);
	if (vol.fd < 0)
		goto fail;
	now.path = text_copy(node ? node : facts->path);
	if (ops->identify(vol.fd, &now, err) < 0 ||
	    check_identity(&vol, facts, &now, same_boot, err) < 0)
		goto fail;
	vol.bytes = now.bytes;
	vol.align = now.sector;
	vol.rotational = now.rotational;
	if (!vol.direct && !(flags & OPEN_CACHED))
		snprintf(vol.direct_reason, sizeof(vol.direct_reason),
			 "the file system does not do direct I/O");
	if (ops->setup(&vol, &now, flags, err) < 0)
		goto fail;
	if (vol.direct)
		settle_direct(&vol);
	if (!vol.direct && fcntl(vol.fd, F_SETFL, 0) < 0) {
		err_sys(err, errno, vol.path, "cannot turn direct I/O off");
		goto fail;
	}
	free(node);
	facts_free(&now);
	*ret_vol = vol;
	return 0;
fail:
	free(node);
	facts_free(&now);
	volume_close(&vol, &ignored);
	return -1;
}

int volume_flush(struct volume *vol, struct err *err)
{
	if (vol->nbd)
		return nbd_export_flush(vol->nbd, err);
	if (fdatasync(vol->fd) < 0)
		return err_sys(err, errno, vol->path, "cannot make the data durable");
	return 0;
}

bool volume_lost(const struct volume *vol)
{
	return vol->nbd && nbd_export_lost(vol->nbd);
}

void volume_drop_cache(struct volume *vol, uint64_t offset, uint64_t length)
{
	if (vol->fd >= 0)
		posix_fadvise(vol->fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
}

int64_t volume_read(struct volume *vol, void *buffer, size_t length, uint64_t offset)
{
	struct err err = ERR_INIT;
	ssize_t n;

	if (!vol->nbd) {
		do {
			n = pread(vol->fd, buffer, length, (off_t)offset);
		} while (n < 0 && errno == EINTR);
		return n < 0 ? -errno : n;
	}
	if (offset >= vol->bytes)
		return 0;
	if (length > vol->bytes - offset)
		length = (size_t)(vol->bytes - offset);
	return nbd_export_read(vol->nbd, buffer, length, offset, &err) < 0 ? -err.number : (int64_t)length;
}

int64_t volume_write(struct volume *vol, const void *buffer, size_t length, uint64_t offset)
{
	struct err err = ERR_INIT;
	ssize_t n;

	if (vol->nbd)
		return nbd_export_write(vol->nbd, buffer, length, offset, &err) < 0 ? -err.number :
										      (int64_t)length;
	do {
		n = pwrite(vol->fd, buffer, length, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int volume_close(struct volume *vol, struct err *err)
{
	int ret = 0;

	if (vol->fd_buffered >= 0 && close(vol->fd_buffered) < 0)
		ret = err_sys(err, errno, vol->path, "closing it reports a lost write");
	/* Not by close() alone: I/O that is stuck in the kernel keeps the file open. */
	if (vol->fd >= 0)
		flock(vol->fd, LOCK_UN);
	if (vol->fd >= 0 && close(vol->fd) < 0)
		ret = err_sys(err, errno, vol->path, "closing it reports a lost write");
	nbd_export_close(vol->nbd);
	if (vol->ops && vol->ops->release)
		vol->ops->release(vol);
	free(vol->path);
	*vol = (struct volume)VOLUME_INIT;
	return ret;
}
