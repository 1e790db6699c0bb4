/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical volume is active for as long as it is attached to this host, if it was not before. */
#include "engines/lv_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/attach_record.h"
#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/lv_change.h"
#include "volumes/volume.h"

/* Of the record in dir; a UUID of LVM's is a good file name. */
static void name_of(const struct facts *facts, char name[static 64])
{
	snprintf(name, 64, "lv-%.50s.json", facts->lv->uuid);
}

static int open_dir(const char *dir, struct err *err)
{
	int fd = mkdir(dir, 0700) < 0 && errno != EEXIST ? -1 :
		 open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, errno, dir, "cannot open the directory of what is attached") : fd;
}

int lv_attach(struct facts *facts, const char *dir, struct err *err)
{
	struct attach_record record = { 0 };
	struct facts now = { 0 };
	char name[64];
	int fd, ret = -1;

	if (lv_device(facts->lv))
		return lv_activate(facts->lv, err);
	fd = open_dir(dir, err);
	if (fd < 0)
		return -1;
	name_of(facts, name);
	attach_record_init(&record, facts->path, false, false);
	if (attach_record_write(fd, name, &record, err) < 0 || lv_activate(facts->lv, err) < 0 ||
	    volume_inspect_again(facts, 0, &now, err) < 0)
		goto out;
	facts_free(facts);
	*facts = now;
	ret = 0;
out:
	attach_record_free(&record);
	close(fd);
	return ret;
}

int lv_detach(const struct facts *facts, const char *dir, struct err *err)
{
	struct attach_record record = { 0 };
	char name[64];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), found, ret = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, dir,
						     "cannot open the directory of what is attached");
	name_of(facts, name);
	found = attach_record_read(fd, name, &record, err);
	if (found < 0)
		ret = -1;
	/* Whether it is active since the machine was started is not our doing. */
	else if (found && attach_record_is_current(&record) && lv_deactivate(facts->lv, err) < 0)
		ret = -1;
	else if (found)
		ret = attach_record_remove(fd, name, err) < 0 ? -1 : 1;
	attach_record_free(&record);
	close(fd);
	return ret;
}
