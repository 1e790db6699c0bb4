/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSCSI LUNs that are disks of this host's kernel: block devices that are found by their LUN and proven by their WWN. */
#include "volumes/look.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/scsi.h"
#include "volumes/lun.h"
#include "volumes/qemu.h"
#include "volumes/spec.h"
#include "volumes/volume.h"

/* The multipath device that the disk is a path of, or 0. */
static dev_t map_over(const char *disk)
{
	char *pattern = text_format("/sys/block/%s/holders/dm-*", disk);
	glob_t found = { 0 };
	dev_t map = 0;

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc && !map; i++) {
			dev_t dev = blkdev_by_name(strrchr(found.gl_pathv[i], '/') + 1);
			char *uuid = dev ? blkdev_attr(dev, "dm/uuid") : NULL;

			if (uuid && !strncmp(uuid, "mpath-", 6))
				map = dev;
			free(uuid);
		}
	globfree(&found);
	free(pattern);
	return map;
}

/* Its disk, as a path below /dev, and which; 0: there is none. */
static dev_t find_disk(const struct lun *lun, char **ret_path)
{
	struct iscsi_disk disk;
	dev_t dev;

	if (!iscsi_find_lun(iscsi_session_of(&lun->target), lun->number, &disk))
		return 0;
	dev = map_over(disk.name);
	*ret_path = dev ? blkdev_node(dev) : text_format("/dev/%s", disk.name);
	dev = *ret_path ? disk.dev : 0;
	iscsi_disk_free(&disk);
	return dev;
}

/* The name as it is journalled: a file in it is absolute. */
static char *journalled(const struct spec *spec)
{
	struct qemu_name name = { 0 };
	struct err ignored = ERR_INIT;
	char *cwd = getcwd(NULL, 0), *text = NULL;

	if (qemu_name_parse(&name, spec->remote, SPEC_VOLUME, cwd ? cwd : "/", &ignored) == 0)
		text = text_format(LUN_PREFIX "%s/%s/%llu%s%s", name.portal, name.target,
				   (unsigned long long)name.lun, name.chap_file ? "?chap-file=" : "",
				   name.chap_file ? name.chap_file : "");
	qemu_name_free(&name);
	free(cwd);
	return text;
}

static int refuse_other(const char *text, struct err *err)
{
	err_set(err, ERR_REFUSED, text, "the LUN was given to another volume than the kernel knows");
	return err_next(err, "see volmig detach of it");
}

int look_for_lun(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err)
{
	struct lun lun = { 0 };
	char *path = NULL;
	const char *name;
	dev_t dev = 0;
	int ret;

	if (lun_parse(spec->remote, &lun, err) < 0)
		return -1;
	/* Nobody is asked for an address where there are no sessions. */
	ret = iscsi_session_newest() ? lun_resolve(&lun, err) : 0;
	if (ret == 0)
		dev = find_disk(&lun, &path);
	if (dev && scsi_ask(dev) == SCSI_OTHER)
		ret = refuse_other(spec->text, err);
	if (ret == 0 && dev) {
		name = strrchr(lun.target.name, ':') ? strrchr(lun.target.name, ':') + 1 : lun.target.name;
		facts->path = path;
		path = NULL;
		facts->lun = journalled(spec);
		facts->name = text_format("%s-lun%llu", name, (unsigned long long)lun.number);
		ret = look_at_block(flags, facts, err) < 0 ? -1 : 1;
	}
	free(path);
	lun_free(&lun);
	return ret;
}

static int not_attached(const struct facts *was, struct err *err)
{
	err_set(err, ERR_FAILED, was->spec ? was->spec : was->path, "the LUN is no disk of this host any more");
	return err_next(err, "volmig attach %s", was->lun);
}

int look_at_lun_again(const struct facts *was, unsigned flags, struct facts *facts, struct err *err)
{
	struct spec spec = { .kind = SPEC_ISCSI, .text = was->spec ? was->spec : was->lun, .remote = was->lun };
	int found;

	facts->spec = text_copy(spec.text);
	found = look_for_lun(&spec, flags, facts, err);
	return found ? (found < 0 ? -1 : 0) : not_attached(was, err);
}

char *lun_node(const struct facts *facts, struct err *err)
{
	struct lun lun = { 0 };
	char *path = NULL;
	dev_t dev = 0;

	if (lun_parse(facts->lun, &lun, err) == 0 && lun_resolve(&lun, err) == 0) {
		dev = find_disk(&lun, &path);
		if (!dev)
			not_attached(facts, err);
		else if (scsi_ask(dev) == SCSI_OTHER)
			refuse_other(facts->spec ? facts->spec : facts->path, err);
		else {
			lun_free(&lun);
			return path;
		}
	}
	free(path);
	lun_free(&lun);
	return NULL;
}
