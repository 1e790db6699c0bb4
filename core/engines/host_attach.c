/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Make a volume usable as a block device of this host, and undo it. */
#include "engines/host_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engines/attach_record.h"
#include "engines/record_file.h"
#include "support/err.h"
#include "support/inject.h"
#include "sys/loopdev.h"
#include "sys/procs.h"
#include "sys/uses.h"
#include "volumes/volume.h"

#define FILE_SECTOR 512		/* what the partition tables in an image count in */

/* The volume that is meant, by its identity: a block device has no inode. */
struct subject {
	uint64_t dev;
	uint64_t ino;
	uint64_t diskseq;		/* 0: not known */
};

/* What is recorded of it, and what is really there. */
struct situation {
	int dirfd;
	char name[64];			/* of the record in dir */
	struct attach_record record;
	bool recorded;			/* since this boot */
	struct loopdev loop;
	bool live;			/* loop is there, and is the recorded one */
	struct loopdev other;
	bool has_other;			/* other is over the volume, and is not ours */
};

static int loop_busy(struct err *err, const struct facts *facts, unsigned number)
{
	err_set(err, ERR_REFUSED, facts->spec,
		"attached to /dev/loop%u, which volmig did not make", number);
	return err_next(err, "release it first: losetup -d /dev/loop%u", number);
}

struct loop_search {
	const struct subject *subject;
	struct situation *now;
	unsigned count;
};

/* Sort the loop devices that are over the subject into ours and others'. */
static int sort_loop(const struct loopdev *loop, void *data)
{
	struct loop_search *search = data;
	struct situation *now = search->now;
	bool is_over = search->subject->ino ?
		loop->backing_dev == search->subject->dev &&
		loop->backing_ino == search->subject->ino :
		loop->backing_rdev == search->subject->dev;

	if (!is_over)
		return 0;
	if (now->recorded && attach_record_is_of(&now->record, loop)) {
		now->loop = *loop;
		now->live = true;
	} else if (!now->has_other) {
		now->other = *loop;
		now->has_other = true;
	}
	return 0;
}

static int look_at(const struct subject *subject, int dirfd, struct situation *now,
		   struct err *err)
{
	struct loop_search search = { .subject = subject, .now = now };
	dev_t dev = subject->dev;
	int found;

	*now = (struct situation){ .dirfd = dirfd };
	if (subject->ino)
		snprintf(now->name, sizeof(now->name), "%u:%u-%llu.json", major(dev), minor(dev),
			 (unsigned long long)subject->ino);
	else
		snprintf(now->name, sizeof(now->name), "%u:%u.json", major(dev), minor(dev));
	found = attach_record_read(dirfd, now->name, &now->record, err);
	if (found < 0)
		return -1;
	now->recorded = found && attach_record_is_current(&now->record) &&
			!attach_record_is_of_another(&now->record, subject->diskseq);
	loopdev_each(sort_loop, &search);
	return 0;
}

static void fill_loop(struct host_attachment *ret, const struct loopdev *loop)
{
	snprintf(ret->device, sizeof(ret->device), "/dev/loop%u", loop->number);
	ret->loop = true;
	ret->readonly = loop->read_only;
}

static void fill_plain(struct host_attachment *ret, const struct facts *facts)
{
	snprintf(ret->device, sizeof(ret->device), "%s", facts->path);
}

static void __attribute__((format(printf, 2, 3)))
add_note(struct host_attachment *ret, const char *fmt, ...)
{
	size_t len = strlen(ret->note);
	va_list ap;

	if (len)
		len += (size_t)snprintf(ret->note + len, sizeof(ret->note) - len, "; ");
	if (len >= sizeof(ret->note))
		return;
	va_start(ap, fmt);
	vsnprintf(ret->note + len, sizeof(ret->note) - len, fmt, ap);
	va_end(ap);
}

static bool is_block(const struct facts *facts)
{
	return facts->kind != file_volume_ops.kind;
}

/*
 * Is it attached already?  1 yes, as it is wanted, and ret tells; 0 it is not,
 * and may be; -1 it may not.
 */
static int check_attach(const struct facts *facts, bool readonly, const struct situation *now,
			struct host_attachment *ret, struct err *err)
{
	bool attached = now->recorded && (now->live || !now->record.loop);
	struct text_list uses = { 0 };

	if (now->has_other)
		return loop_busy(err, facts, now->other.number);
	if (attached && now->record.readonly != readonly) {
		err_set(err, ERR_REFUSED, facts->spec, "attached already, but %s",
			now->record.readonly ? "read-only" : "for reading and writing");
		return err_next(err, "detach it first");
	}
	if (attached) {
		if (now->live)
			fill_loop(ret, &now->loop);
		else
			fill_plain(ret, facts);
		ret->already = true;
		return 1;
	}
	if (facts->read_only && !readonly) {
		err_set(err, ERR_REFUSED, facts->spec, "it cannot be written to");
		return err_next(err, "attach it with --readonly");
	}
	if (facts->bytes < FILE_SECTOR)
		return err_set(err, ERR_REFUSED, facts->spec, "smaller than one sector");
	if (is_block(facts))
		uses_of_block(facts->path, facts->dev, &uses);
	else
		uses_of_file(facts->path, facts->dev, facts->ino, &uses);
	return uses_refuse(facts->spec, &uses, err);
}

static void describe(struct host_attachment *ret, const struct facts *facts, uint32_t sector,
		     const struct volume *vol, const struct loopdev *loop)
{
	uint64_t rest = facts->bytes % sector;

	fill_loop(ret, loop);
	if (!loop->direct && !vol->direct)
		add_note(ret, "no direct I/O: %s", vol->direct_reason);
	else if (!loop->direct)
		add_note(ret, "no direct I/O: the kernel did not grant it for sectors of %u bytes",
			 sector);
	if (rest)
		add_note(ret, "the last %u bytes are no whole sector and not part of the device",
			 (unsigned)rest);
}

/* The record goes first, so that no crash leaves a device that nobody knows of. */
static int make_loop(const struct facts *facts, bool readonly, struct situation *now,
		     struct host_attachment *ret, struct err *err)
{
	uint32_t sector = is_block(facts) ? facts->sector : FILE_SECTOR;
	struct attach_record *record = &now->record;
	struct volume vol = VOLUME_INIT;
	struct err ignored = ERR_INIT;
	int result = -1;

	attach_record_init(record, facts->path, readonly, true);
	if (volume_open(&vol, facts, readonly ? OPEN_READ : OPEN_WRITE, true, err) < 0)
		goto out;
	/* With O_DIRECT on it the loop driver's own requests would fail where it falls back. */
	if (fcntl(vol.fd, F_SETFL, 0) < 0) {
		err_sys(err, errno, facts->path, "cannot prepare it for the loop driver");
		goto out;
	}
	if (attach_record_write(now->dirfd, now->name, record, err) < 0)
		goto out;
	inject_kill_at("kill-attach", 1);
	if (loopdev_attach(vol.fd, readonly, sector, record->marker, &now->loop, err) < 0) {
		attach_record_remove(now->dirfd, now->name, &ignored);
		goto out;
	}
	inject_kill_at("kill-attach", 2);
	attach_record_done(record, &now->loop);
	if (attach_record_write(now->dirfd, now->name, record, err) < 0) {
		if (loopdev_detach(&now->loop, &ignored) == 0)
			attach_record_remove(now->dirfd, now->name, &ignored);
		goto out;
	}
	describe(ret, facts, sector, &vol, &now->loop);
	result = 0;
out:
	volume_close(&vol, &ignored);
	return result;
}

static int attach(const struct facts *facts, bool readonly, struct situation *now,
		  struct host_attachment *ret, struct err *err)
{
	if (readonly || !is_block(facts))
		return make_loop(facts, readonly, now, ret, err);
	attach_record_init(&now->record, facts->path, false, false);
	now->record.diskseq = facts->diskseq;
	fill_plain(ret, facts);
	return attach_record_write(now->dirfd, now->name, &now->record, err);
}

static struct subject subject_of(const struct facts *facts)
{
	return (struct subject){ facts->dev, facts->ino, facts->ino ? 0 : facts->diskseq };
}

int host_attach(const struct facts *facts, bool readonly, const char *dir,
		struct host_attachment *ret, struct err *err)
{
	struct subject subject = subject_of(facts);
	struct situation now;
	int dirfd = -1, rc, result = -1;

	*ret = (struct host_attachment){ .readonly = readonly };
	if (record_dir_open(dir, true, &dirfd, err) < 0)
		return -1;
	if (look_at(&subject, dirfd, &now, err) < 0)
		goto out;
	rc = check_attach(facts, readonly, &now, ret, err);
	if (rc == 0) {
		result = attach(facts, readonly, &now, ret, err);
	} else if (rc == 1 && now.record.pending) {
		/* A crash came between: finish what was begun. */
		attach_record_done(&now.record, &now.loop);
		result = attach_record_write(dirfd, now.name, &now.record, err);
	} else {
		result = rc == 1 ? 0 : -1;
	}
	attach_record_free(&now.record);
out:
	close(dirfd);
	return result;
}

int host_attach_look(const struct facts *facts, bool readonly, const char *dir,
		     struct host_attachment *ret, struct err *err)
{
	struct subject subject = subject_of(facts);
	struct situation now;
	int dirfd = -1, rc = -1;

	*ret = (struct host_attachment){ .readonly = readonly };
	if (record_dir_open(dir, false, &dirfd, err) < 0)
		return -1;
	if (look_at(&subject, dirfd, &now, err) == 0) {
		rc = check_attach(facts, readonly, &now, ret, err);
		if (rc == 0) {
			ret->loop = readonly || !is_block(facts);
			if (!ret->loop)
				fill_plain(ret, facts);
		}
		attach_record_free(&now.record);
	}
	if (dirfd >= 0)
		close(dirfd);
	return rc < 0 ? -1 : 0;
}

/*
 * The device that a user sees is as good a name as the volume: when facts are
 * those of a loop device that we made, what is meant is the volume behind it.
 * A partition of it is neither.
 */
static int find_attached(const struct facts *facts, int dirfd, struct situation *now,
			 struct err *err)
{
	struct subject subject = subject_of(facts), behind;
	unsigned number;
	char rest;

	if (look_at(&subject, dirfd, now, err) < 0)
		return -1;
	if (now->recorded || now->has_other || !facts->backing_dev ||
	    sscanf(facts->path, "/dev/loop%u%c", &number, &rest) != 1)
		return 0;
	attach_record_free(&now->record);
	behind = (struct subject){ facts->backing_dev, facts->backing_ino, 0 };
	if (look_at(&behind, dirfd, now, err) < 0)
		return -1;
	if (!now->live || now->loop.number != number) {
		attach_record_free(&now->record);
		return loop_busy(err, facts, number);
	}
	return 0;
}

/* 1 there is something to release, 0 it is done already, -1 it must not be released. */
static int check_detach(const struct facts *facts, const struct situation *now,
			struct host_attachment *ret, struct err *err)
{
	struct text_list uses = { 0 };

	if (now->recorded && now->live) {
		fill_loop(ret, &now->loop);
		uses_of_block(ret->device, now->loop.dev, &uses);
	} else if (now->recorded && !now->record.loop) {
		fill_plain(ret, facts);
		uses_of_block(facts->path, facts->dev, &uses);
	} else if (now->has_other) {
		return loop_busy(err, facts, now->other.number);
	} else {
		ret->already = true;
		return 0;
	}
	return uses_refuse(ret->device, &uses, err) < 0 ? -1 : 1;
}

/* Say who it is that has it open, if that can be seen. */
static int still_open(const struct situation *now, const char *device, struct err *err)
{
	struct procs_target target = { .devs = &now->loop.dev, .dev_count = 1, .readers = true };
	struct text_list uses = { 0 };

	procs_open(&target, &uses);
	uses_refuse(device, &uses, err);
	return -1;
}

static int detach(const struct situation *now, struct host_attachment *ret, struct err *err)
{
	if (now->live) {
		if (loopdev_detach(&now->loop, err) < 0)
			return err->number == EBUSY ? still_open(now, ret->device, err) : -1;
		inject_kill_at("kill-detach", 1);
		if (now->has_other)
			add_note(ret, "also attached to /dev/loop%u, which volmig did not make",
				 now->other.number);
	}
	/* Also where nothing was released: the device may have gone without us. */
	return attach_record_remove(now->dirfd, now->name, err);
}

int host_detach(const struct facts *facts, const char *dir,
		struct host_attachment *ret, struct err *err)
{
	struct situation now;
	int dirfd = -1, result = -1;

	*ret = (struct host_attachment){ 0 };
	if (record_dir_open(dir, false, &dirfd, err) < 0)
		return -1;
	if (find_attached(facts, dirfd, &now, err) < 0)
		goto out;
	if (check_detach(facts, &now, ret, err) >= 0)
		result = detach(&now, ret, err);
	attach_record_free(&now.record);
out:
	if (dirfd >= 0)
		close(dirfd);
	return result;
}

int host_detach_look(const struct facts *facts, const char *dir,
		     struct host_attachment *ret, struct err *err)
{
	struct situation now;
	int dirfd = -1, rc = -1;

	*ret = (struct host_attachment){ 0 };
	if (record_dir_open(dir, false, &dirfd, err) < 0)
		return -1;
	if (find_attached(facts, dirfd, &now, err) == 0) {
		rc = check_detach(facts, &now, ret, err);
		attach_record_free(&now.record);
	}
	if (dirfd >= 0)
		close(dirfd);
	return rc < 0 ? -1 : 0;
}
