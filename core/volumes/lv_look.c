/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at logical volumes, by all the names that they have. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/uses.h"
#include "volumes/guests.h"
#include "volumes/look.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

#define SECTOR_INACTIVE 512	/* of what cannot be asked; the device tells when it is opened */

/* What the device of an active one tells. */
static int look_at_device(unsigned flags, struct facts *facts, struct err *err)
{
	struct lv_facts *lv = facts->lv;
	char *name = facts->path;
	char *node = blkdev_node(lv->dev);
	int fd, ret = -1;

	if (!node)
		return err_set(err, ERR_REFUSED, facts->spec, "its device has gone just now");
	fd = open(node, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		look_refuse_sys(err, errno, facts->spec, "cannot open it for reading");
		goto out;
	}
	free(facts->wwid);
	facts->wwid = NULL;
	facts->path = node;
	ret = block_volume_ops.identify(fd, facts, err);
	facts->path = name;
	if (ret == 0 && !lv->suspended && !(flags & INSPECT_OUTSIDE))
		ret = look_inside(fd, facts, err);
	if (ret == 0 && (flags & INSPECT_USES)) {
		/* What its last writer left in the cache is not to be counted later on; it would wait if suspended. */
		if (!lv->suspended)
			fdatasync(fd);
		facts->written = blkdev_written(lv->dev);
	}
	close(fd);
	if (ret == 0 && (flags & INSPECT_USES))
		uses_of_block(node, lv->dev, &facts->uses);
out:
	free(node);
	return ret;
}

int look_at_lv(struct lv_facts *lv, unsigned flags, struct facts *facts, struct err *err)
{
	free(facts->path);
	facts->lv = lv;
	if (!lv->name) {
		facts->path = lv->wanted ? text_format("/dev/%s/%s", lv->vg_name, lv->wanted) :
					   text_format("/dev/%s", lv->vg_name);
		return 0;
	}
	facts->kind = lv_volume_ops.kind;
	facts->path = text_format("/dev/%s/%s", lv->vg_name, lv->name);
	facts->bytes = lv->bytes;
	facts->sector = SECTOR_INACTIVE;
	/* LVM gives a percentage; of an active volume the kernel tells the bytes. */
	facts->allocated = lv->mapped;
	facts->wwid = lv_dm_uuid(lv);
	if (lv->active && lv->dev && !lv->hidden && strcmp(lv->type ?: "", "thin-pool") &&
	    look_at_device(flags, facts, err) < 0)
		return -1;
	facts->read_only |= lv->read_only;
	return flags & INSPECT_USES ? guests_look(facts, err) : 0;
}

int look_for_lv(const char *vg, const char *name, unsigned flags, struct facts *facts,
		struct err *err)
{
	struct lv_facts *lv;

	if (lv_find(vg, name, &lv, err) < 0) {
		/* Nothing was touched. */
		err->class = ERR_REFUSED;
		return -1;
	}
	if (!lv) {
		err_set(err, ERR_REFUSED, facts->spec, "there is no volume group %s", vg);
		return err_next(err, "for a file of that name write ./%s", facts->spec);
	}
	return look_at_lv(lv, flags, facts, err);
}

int look_for_lv_path(const char *path, uint64_t dev, unsigned flags, struct facts *facts,
		     struct err *err)
{
	char *uuid = dev ? blkdev_attr(dev, "dm/uuid") : NULL, *vg = NULL, *name = NULL;
	struct lv_facts *lv = NULL;
	struct err ignored = ERR_INIT;
	int ret = 0;

	if (dev) {
		if (!uuid || strncmp(uuid, "LVM-", 4))
			goto out;
		ret = lv_find_dm(uuid, &lv, err);
		if (ret == 0 && !lv)
			ret = err_set(err, ERR_FAILED, facts->spec,
				      "a logical volume for device-mapper, but LVM does not know it");
		if (ret < 0) {
			err->class = ERR_REFUSED;
			goto out;
		}
	} else {
		/* It may be one that is not active.  Where LVM cannot tell, it is a path like others. */
		if (!lv_names_of_path(path, &vg, &name) || lv_find(vg, name, &lv, &ignored) < 0 || !lv)
			goto out;
	}
	ret = look_at_lv(lv, flags, facts, err) < 0 ? -1 : 1;
out:
	free(uuid);
	free(vg);
	free(name);
	return ret;
}

int volume_inspect_again(const struct facts *was, unsigned flags, struct facts *ret_facts,
			 struct err *err)
{
	struct facts facts = { 0 };
	struct lv_facts *lv;

	if (was->qemu) {
		if (look_at_qemu_again(was, flags, &facts, err) < 0) {
			facts_free(&facts);
			return -1;
		}
		*ret_facts = facts;
		return 0;
	}
	if (was->lun) {
		if (look_at_lun_again(was, flags, &facts, err) < 0) {
			facts_free(&facts);
			return -1;
		}
		*ret_facts = facts;
		return 0;
	}
	if (!was->lv)
		return volume_inspect_path(was->path, flags, ret_facts, err);
	lv = flags & INSPECT_DEVICE ? lv_by_device(was->lv) : NULL;
	if (!lv && lv_find_uuid(was->lv->vg_uuid, was->lv->uuid, &lv, err) < 0)
		return -1;
	facts.spec = text_copy(was->spec ? was->spec : was->path);
	if (!lv) {
		facts.path = text_copy(was->path);
	} else if (look_at_lv(lv, flags, &facts, err) < 0) {
		facts_free(&facts);
		return -1;
	}
	*ret_facts = facts;
	return 0;
}
