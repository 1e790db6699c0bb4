/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Letting go of an iSCSI LUN: exactly the disk that was attached, and the session only when it is ours and idle. */
#include "engines/lun_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engines/lun_parts.h"
#include "engines/record_file.h"
#include "support/child.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "sys/blkdev.h"
#include "sys/uses.h"

#define FLUSH_LIMIT_MS 120000
#define GONE_WAIT_MS 10000

/* The device that was given out: the disk, or the multipath device over it. */
struct given {
	struct multipath_map map;
	bool mapped;
	char path[256];
	dev_t dev;
};

static int find_given(const struct lun_now *now, struct given *ret, struct err *err)
{
	int found = multipath_map_of(now->disk.name, &ret->map, err);

	if (found < 0)
		return -1;
	ret->mapped = found;
	snprintf(ret->path, sizeof(ret->path), "%s%s", found ? "/dev/mapper/" : "/dev/",
		 found ? ret->map.name : now->disk.name);
	ret->dev = found ? ret->map.dev : now->disk.dev;
	return 0;
}

static int check_uses(const struct given *given, struct err *err)
{
	struct text_list uses = { 0 };

	/* A map with other paths to the same volume stays, whoever uses it. */
	if (given->mapped && given->map.paths > 1)
		return 0;
	uses_of_block(given->path, given->dev, &uses);
	return uses_refuse(given->path, &uses, err);
}

static int flush_child(void *data)
{
	const struct given *given = data;
	int fd = open(given->path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == EROFS)
		return 0;
	if (fd < 0 || fsync(fd) < 0 || ioctl(fd, BLKFLSBUF) < 0)
		return errno < 256 ? errno : EIO;
	return 0;
}

static int flush(const struct given *given, struct err *err)
{
	int status;

	if (child_run(flush_child, (void *)given, FLUSH_LIMIT_MS, &status) < 0) {
		err_set(err, ERR_FAILED, given->path, "cannot be flushed within %u seconds",
			FLUSH_LIMIT_MS / 1000);
		return err_next(err, "see whether the target can be reached: iscsiadm -m session -P 1");
	}
	return status ? err_sys(err, status, given->path, "cannot be flushed, so it stays attached") : 0;
}

static int wait_gone(const struct iscsi_disk *disk, struct err *err)
{
	char *path = text_format("/sys/class/scsi_device/%s", disk->address);
	unsigned ms = 0;

	while (access(path, F_OK) == 0 && ms < GONE_WAIT_MS) {
		clock_sleep_ms(20);
		ms += 20;
	}
	free(path);
	return ms < GONE_WAIT_MS ? 0 : err_set(err, ERR_FAILED, disk->name, "the kernel does not let go of the disk");
}

/* A target that does not answer any more: what was not written is lost, and only the user can say so. */
static int explain_silence(const struct lun_now *now, struct err *err)
{
	if (err->class == ERR_FAILED)
		err_next(err, "bring the target back; or, if what was not written yet may be lost: "
			 "echo 1 >/sys/block/%s/device/delete, then detach again", now->disk.name);
	return -1;
}

static int release_disk(struct lun_now *now, bool written, struct err *err)
{
	struct given given;

	if (now->record.found && !written)
		return 0;
	if (find_given(now, &given, err) < 0 || check_uses(&given, err) < 0)
		return -1;
	if (now->record.found)
		return 0;
	if (written && (lun_prove(now, err) < 0 || flush(&given, err) < 0))
		return explain_silence(now, err);
	inject_kill_at("kill-detach", 1);
	if (given.mapped && given.map.paths == 1 && multipath_remove(&given.map, err) < 0)
		return -1;
	inject_kill_at("kill-detach", 2);
	if (iscsi_delete_disk(&now->disk, err) < 0 || wait_gone(&now->disk, err) < 0)
		return -1;
	inject_kill_at("kill-detach", 3);
	return 0;
}

/* What keeps a session of ours up. */
struct others {
	const struct lun_now *now;
	struct text_list texts;
};

static int other_record(const char *name, const struct lun_record *record, void *data)
{
	struct others *others = data;
	struct lun lun = { 0 };
	struct err ignored = ERR_INIT;
	char *session;

	if (!strcmp(name, others->now->name) || !lun_record_is_current(record->boot) ||
	    lun_parse(record->text, &lun, &ignored) < 0)
		return 0;
	session = session_record_name(&lun);
	if (!strcmp(session, others->now->session_name))
		text_list_add(&others->texts, text_format("LUN %llu is attached",
							  (unsigned long long)lun.number));
	free(session);
	lun_free(&lun);
	return 0;
}

static int other_use(const struct iscsi_disk *disk, void *data)
{
	struct others *others = data;
	struct text_list uses = { 0 };
	char *path = text_format("/dev/%s", disk->name), *text;

	uses_of_block(path, disk->dev, &uses);
	if (uses.count) {
		text = text_list_join(&uses);
		text_list_add(&others->texts, text_format("LUN %llu (%s) is in use: %s",
							  (unsigned long long)disk->lun, path, text));
		free(text);
	}
	text_list_free(&uses);
	free(path);
	return 0;
}

/* 1: the session is logged out, or was; 0: it stays, for the reason in ret->note. */
static int release_session(struct lun_now *now, struct lun_attachment *ret, struct err *err)
{
	struct others others = { .now = now };
	char *text;

	if (!now->ours)
		return now->session ? 0 : 1;
	lun_record_each(now->dirfd, other_record, &others);
	iscsi_each_disk(now->session, other_use, &others);
	if (others.texts.count) {
		text = text_list_join(&others.texts);
		snprintf(ret->note, sizeof(ret->note), "the session with %s stays: %s",
			 now->lun.target.name, text);
		free(text);
		text_list_free(&others.texts);
		return 0;
	}
	if (iscsi_log_out(now->session, err) < 0)
		return -1;
	for (unsigned ms = 0; iscsi_session_of(&now->lun.target) == now->session; ms += 20) {
		if (ms >= GONE_WAIT_MS)
			return err_set(err, ERR_FAILED, now->text, "logged out, but the session stays");
		clock_sleep_ms(20);
	}
	inject_kill_at("kill-detach", 4);
	return 1;
}

int lun_release(struct lun_now *now, bool written, struct lun_attachment *ret, struct err *err)
{
	int gone;

	/* The map that it is a path of is found again by the disk's name of now. */
	if (now->recorded && lun_find_disk(now) && release_disk(now, written, err) < 0)
		return -1;
	if (record_file_remove(now->dirfd, now->name, err) < 0)
		return -1;
	gone = release_session(now, ret, err);
	/* A session that somebody else has made since keeps nothing of ours. */
	return gone < 0 ? -1 : (gone || !now->ours) ? lun_end_login(now, err) : 0;
}

static void fill(const struct lun_now *now, struct lun_attachment *ret)
{
	snprintf(ret->text, sizeof(ret->text), "%s", now->text);
	ret->shared = now->session && !now->ours;
	ret->already = !now->record.text;
	ret->readonly = now->record.readonly;
	if (now->there)
		snprintf(ret->device, sizeof(ret->device), "%s%s", now->record.map ? "/dev/mapper/" : "/dev/",
			 now->record.map ? now->record.map : now->disk.name);
	if (now->there && now->disk.wwid)
		snprintf(ret->wwid, sizeof(ret->wwid), "%s", now->disk.wwid);
}

static int detach(const char *text, const char *job, const char *dir, struct lun_attachment *ret,
		  struct err *err)
{
	struct lun_now now;
	int rc = -1;

	*ret = (struct lun_attachment){ 0 };
	if (lun_open(text, dir, false, &now, err) < 0) {
		/* Nothing of it is known. */
	} else if (job && (!now.record.job || strcmp(now.record.job, job))) {
		rc = 0;
	} else {
		if (now.recorded)
			lun_find_disk(&now);
		fill(&now, ret);
		/* What was only begun was never given out. */
		rc = lun_release(&now, !now.record.pending, ret, err);
		/* Why a session of ours stays, the one who has detached the LUN has heard. */
		if (ret->already)
			*ret->note = '\0';
	}
	lun_close(&now);
	return rc;
}

int lun_detach(const char *text, const char *dir, struct lun_attachment *ret, struct err *err)
{
	return detach(text, NULL, dir, ret, err);
}

int lun_detach_for(const char *text, const char *job, const char *dir, struct lun_attachment *ret,
		   struct err *err)
{
	return detach(text, job, dir, ret, err);
}

int lun_detach_look(const char *text, const char *dir, struct lun_attachment *ret, struct err *err)
{
	struct lun_now now;
	struct given given;
	int rc = lun_open(text, dir, false, &now, err);

	*ret = (struct lun_attachment){ 0 };
	if (rc == 0) {
		/* The loop device over one that is read-only is the caller's to look at. */
		if (now.recorded && lun_find_disk(&now) && !now.record.readonly &&
		    (find_given(&now, &given, err) < 0 || check_uses(&given, err) < 0))
			rc = -1;
		fill(&now, ret);
	}
	lun_close(&now);
	return rc;
}

struct device_search {
	uint64_t dev;
	char *text;
};

static int match_device(const char *name, const struct lun_record *record, void *data)
{
	struct device_search *search = data;
	bool is = record->dev == search->dev && lun_record_is_current(record->boot);

	(void)name;
	if (!is && record->map && lun_record_is_current(record->boot)) {
		char *map = blkdev_attr(search->dev, "dm/name");

		is = map && !strcmp(map, record->map);
		free(map);
	}
	if (!is)
		return 0;
	search->text = text_copy(record->text);
	return 1;
}

char *lun_attached_as(uint64_t dev, const char *dir)
{
	struct device_search search = { .dev = dev };
	struct err ignored = ERR_INIT;
	int dirfd;

	if (record_dir_open(dir, false, &dirfd, &ignored) < 0)
		return NULL;
	lun_record_each(dirfd, match_device, &search);
	if (dirfd >= 0)
		close(dirfd);
	return search.text;
}
