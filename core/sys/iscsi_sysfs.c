/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions of the kernel's iSCSI initiator and their disks, as sysfs tells. */
#include "sys/iscsi.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/child.h"
#include "support/err.h"
#include "sys/blkdev.h"

#define SESSIONS "/sys/class/iscsi_session/session"
#define DELETE_LIMIT_MS 60000
#define SCAN_LIMIT_MS 60000

static bool attr_is(const char *dir, const char *name, const char *wanted)
{
	char *path = text_format("%s/%s", dir, name);
	char *text = blkdev_text(path);
	bool is = text && !strcmp(text, wanted);

	free(text);
	free(path);
	return is;
}

bool iscsi_session_is_up(unsigned session)
{
	char dir[64];

	snprintf(dir, sizeof(dir), SESSIONS "%u", session);
	return attr_is(dir, "state", "LOGGED_IN");
}

/* The numbers of all sessions, the lowest first where the names sort so; free them. */
static unsigned *all_sessions(size_t *ret_count)
{
	unsigned *sessions = NULL;
	glob_t found = { 0 };

	*ret_count = 0;
	if (glob(SESSIONS "*", 0, NULL, &found) == 0) {
		sessions = text_alloc(found.gl_pathc + 1, sizeof(*sessions));
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (sscanf(found.gl_pathv[i], SESSIONS "%u", &sessions[*ret_count]) == 1)
				(*ret_count)++;
	}
	globfree(&found);
	return sessions;
}

unsigned iscsi_session_newest(void)
{
	unsigned newest = 0;
	size_t count;
	unsigned *sessions = all_sessions(&count);

	for (size_t i = 0; i < count; i++)
		if (sessions[i] > newest)
			newest = sessions[i];
	free(sessions);
	return newest;
}

/* Does one of its connections lead there, now or as it was asked for? */
static bool leads_to(unsigned session, const struct iscsi_target *target)
{
	char pattern[96], port[16];
	glob_t found = { 0 };
	bool leads = false;

	snprintf(pattern, sizeof(pattern), "/sys/class/iscsi_connection/connection%u:*", session);
	snprintf(port, sizeof(port), "%u", target->port);
	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *dir = found.gl_pathv[i];

			leads = leads || (attr_is(dir, "persistent_address", target->address) &&
					  attr_is(dir, "persistent_port", port)) ||
				(attr_is(dir, "address", target->address) && attr_is(dir, "port", port));
		}
	globfree(&found);
	return leads;
}

unsigned iscsi_session_of(const struct iscsi_target *target)
{
	unsigned session = 0;
	size_t count;
	unsigned *sessions = all_sessions(&count);

	for (size_t i = 0; i < count && !session; i++) {
		char dir[64];

		snprintf(dir, sizeof(dir), SESSIONS "%u", sessions[i]);
		if (attr_is(dir, "targetname", target->name) && leads_to(sessions[i], target))
			session = sessions[i];
	}
	free(sessions);
	return session;
}

void iscsi_disk_free(struct iscsi_disk *disk)
{
	free(disk->wwid);
	*disk = (struct iscsi_disk){ 0 };
}

/* path is that of the disk below its SCSI device: ".../3:0:0:1/block/sdc". */
static bool read_disk(unsigned session, const char *path, struct iscsi_disk *ret)
{
	struct iscsi_disk disk = { .session = session };
	struct blkdev_info info;
	struct err ignored = ERR_INIT;
	const char *name = strrchr(path, '/') + 1;
	const char *block = strstr(path, "/block/"), *address = block;
	unsigned long long lun;

	while (address && address > path && address[-1] != '/')
		address--;
	if (!block || sscanf(address, "%*u:%*u:%*u:%llu", &lun) != 1 ||
	    (size_t)(block - address) >= sizeof(disk.address) || strlen(name) >= sizeof(disk.name))
		return false;
	disk.lun = lun;
	snprintf(disk.address, sizeof(disk.address), "%.*s", (int)(block - address), address);
	snprintf(disk.name, sizeof(disk.name), "%s", name);
	disk.dev = blkdev_by_name(name);
	if (!disk.dev || blkdev_info(-1, disk.dev, &info, &ignored) < 0)
		return false;
	disk.diskseq = info.diskseq;
	disk.wwid = info.wwid;
	info.wwid = NULL;
	blkdev_info_free(&info);
	*ret = disk;
	return true;
}

int iscsi_each_disk(unsigned only, int (*found)(const struct iscsi_disk *disk, void *data),
		    void *data)
{
	size_t count;
	unsigned *sessions = all_sessions(&count);
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		glob_t disks = { 0 };
		char *pattern;

		if (only && sessions[i] != only)
			continue;
		pattern = text_format(SESSIONS "%u/device/target*/*/block/*", sessions[i]);
		if (glob(pattern, 0, NULL, &disks) == 0)
			for (size_t k = 0; k < disks.gl_pathc && !ret; k++) {
				struct iscsi_disk disk;

				if (!read_disk(sessions[i], disks.gl_pathv[k], &disk))
					continue;
				ret = found(&disk, data);
				iscsi_disk_free(&disk);
			}
		globfree(&disks);
		free(pattern);
	}
	free(sessions);
	return ret;
}

/* From 256 on a number has two forms (SAM-4, 4.6.8): flat addresses have this bit. */
#define FLAT 0x4000

struct lun_search {
	uint64_t lun;
	struct iscsi_disk *disk;
};

static int match_lun(const struct iscsi_disk *disk, void *data)
{
	struct lun_search *search = data;

	if (disk->lun != search->lun && (search->lun < 256 || disk->lun != (search->lun | FLAT)))
		return 0;
	*search->disk = *disk;
	search->disk->wwid = text_copy(disk->wwid);
	return 1;
}

bool iscsi_find_lun(unsigned session, uint64_t lun, struct iscsi_disk *ret_disk)
{
	struct lun_search search = { lun, ret_disk };

	return session && iscsi_each_disk(session, match_lun, &search) == 1;
}

/* What is written to a file of sysfs, which may take as long as the target takes to answer. */
struct sysfs_write {
	const char *path;
	const char *text;
};

static int write_sysfs(void *data)
{
	const struct sysfs_write *what = data;
	int fd = open(what->path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(what->text);

	if (fd < 0 || write(fd, what->text, len) != (ssize_t)len)
		return errno > 0 && errno < 256 ? errno : EIO;
	return 0;
}

static int write_limited(const struct sysfs_write *what, uint64_t limit_ms, struct err *err)
{
	int status;

	if (child_run(write_sysfs, (void *)what, limit_ms, &status) < 0)
		return err_set(err, ERR_FAILED, what->path, "the kernel has not done it within %u seconds",
			       (unsigned)(limit_ms / 1000));
	return status ? err_sys(err, status, what->path, "cannot write to it") : 0;
}

int iscsi_scan_lun(unsigned session, uint64_t lun, struct err *err)
{
	char link[64], path[64];
	unsigned host, id = 0;
	char *real, *target, *at;
	int ret = 0;

	snprintf(link, sizeof(link), SESSIONS "%u", session);
	real = realpath(link, NULL);
	at = real ? strstr(real, "/host") : NULL;
	if (!at || sscanf(at, "/host%u/", &host) != 1) {
		free(real);
		return err_set(err, ERR_FAILED, NULL, "session %u is gone", session);
	}
	free(real);
	snprintf(link, sizeof(link), SESSIONS "%u/target_id", session);
	target = blkdev_text(link);
	if (target)
		sscanf(target, "%u", &id);
	free(target);
	snprintf(path, sizeof(path), "/sys/class/scsi_host/host%u/scan", host);
	for (int flat = 0; flat < (lun < 256 ? 1 : 2) && ret == 0; flat++) {
		char *text = text_format("0 %u %llu\n", id, (unsigned long long)(flat ? lun | FLAT : lun));

		ret = write_limited(&(struct sysfs_write){ path, text }, SCAN_LIMIT_MS, err);
		free(text);
	}
	return ret;
}

bool iscsi_has_lun(unsigned session, uint64_t lun)
{
	bool has = false;

	for (int flat = 0; flat < (lun < 256 ? 1 : 2) && !has; flat++) {
		char *pattern = text_format(SESSIONS "%u/device/target*/*:%llu", session,
					    (unsigned long long)(flat ? lun | FLAT : lun));
		glob_t found = { 0 };

		has = glob(pattern, 0, NULL, &found) == 0;
		globfree(&found);
		free(pattern);
	}
	return has;
}

int iscsi_delete_disk(const struct iscsi_disk *disk, struct err *err)
{
	char *path = text_format("/sys/class/scsi_device/%s/device/delete", disk->address);
	int ret = write_limited(&(struct sysfs_write){ path, "1\n" }, DELETE_LIMIT_MS, err);

	free(path);
	/* Gone meanwhile is what was wanted. */
	return ret < 0 && err->number == ENOENT ? 0 : ret;
}
