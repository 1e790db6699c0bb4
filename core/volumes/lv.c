/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logical volumes: found by LVM, read and written as the block devices that they are. */
#include "volumes/lv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/blkdev.h"
#include "sys/dm.h"
#include "volumes/lvm_report.h"
#include "volumes/thin_volume.h"
#include "volumes/volume.h"

#define FRESH_MS 1000

static int find(const char *vg, const char *vg_uuid, const char *name, const char *lv_uuid,
		struct lv_facts **ret, struct err *err)
{
	json_t *report;

	if (lvm_report_read(NULL, 0, &report, err) < 0)
		return -1;
	*ret = lv_from_report(report, vg, vg_uuid, name, lv_uuid);
	json_decref(report);
	return 0;
}

int lv_find(const char *vg, const char *name, struct lv_facts **ret, struct err *err)
{
	return find(vg, NULL, name, NULL, ret, err);
}

int lv_find_uuid(const char *vg_uuid, const char *lv_uuid, struct lv_facts **ret, struct err *err)
{
	return find(NULL, vg_uuid, NULL, lv_uuid, ret, err);
}

int lv_find_tag(const char *vg, const char *vg_uuid, const char *tag, struct lv_facts **ret, struct err *err)
{
	const json_t *group, *row;
	json_t *report;
	size_t i, k;

	if (lvm_report_read(vg, 0, &report, err) < 0)
		return -1;
	*ret = NULL;
	json_array_foreach(json_object_get(report, "report"), i, group) {
		json_array_foreach(json_object_get(group, "lv"), k, row) {
			struct lv_facts *lv;

			/* Hidden parts may have inherited it. */
			if (*ret || (json_get_string(row, "lv_name") ?: "[")[0] == '[' ||
			    !strstr(json_get_string(row, "lv_tags") ?: "", tag))
				continue;
			lv = lv_from_report(report, NULL, vg_uuid, NULL, json_get_string(row, "lv_uuid"));
			if (lv && text_list_has(&lv->tags, tag))
				*ret = lv;
			else
				lv_facts_free(lv);
		}
	}
	json_decref(report);
	return 0;
}

/* Has the list, its items separated by commas, that item? */
static bool lists(const char *list, const char *item)
{
	size_t length = strlen(item);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strcspn(p, ",") == length && !strncmp(p, item, length))
			return true;
	}
	return false;
}

int lv_list(const char *vg, const char *select, struct text_list *ret_names, bool *ret_found,
	    struct err *err)
{
	const json_t *group, *row;
	json_t *report;
	size_t i;

	*ret_found = false;
	if (lvm_report_read(NULL, 0, &report, err) < 0)
		return -1;
	group = lvm_report_group(report, vg, NULL);
	*ret_found = group != NULL;
	json_array_foreach(json_object_get(group, "lv"), i, row) {
		const char *name = json_get_string(row, "lv_name") ?: "[";

		if (*name == '[' || lists(json_get_string(row, "lv_layout"), "pool"))
			continue;
		if (select && (*select == '@' ? !lists(json_get_string(row, "lv_tags"), select + 1) :
						fnmatch(select, name, 0) != 0))
			continue;
		text_list_add(ret_names, text_copy(name));
	}
	json_decref(report);
	return 0;
}

/* LVM's UUIDs have dashes, device-mapper's have none. */
static char *without_dashes(const char *uuid)
{
	char *out = text_alloc(strlen(uuid) + 1, 1);
	size_t len = 0;

	for (; *uuid; uuid++)
		if (*uuid != '-')
			out[len++] = *uuid;
	return out;
}

char *lv_dm_uuid(const struct lv_facts *lv)
{
	char *vg = without_dashes(lv->vg_uuid), *uuid = without_dashes(lv->uuid);
	char *text = text_format("LVM-%s%s", vg, uuid);

	free(vg);
	free(uuid);
	return text;
}

uint64_t lv_device(const struct lv_facts *lv)
{
	char *uuid = lv_dm_uuid(lv), *is = lv->dev ? blkdev_attr(lv->dev, "dm/uuid") : NULL;
	/* No two have one, so where it was seen last it mostly still is, and the others need not be asked. */
	uint64_t dev = is && !strcmp(is, uuid) ? lv->dev : blkdev_by_dm_uuid(uuid);

	free(is);
	free(uuid);
	return dev;
}

struct lv_facts *lv_by_device(const struct lv_facts *was)
{
	uint64_t dev = was->name ? lv_device(was) : 0;
	char *vg = NULL, *name = NULL, *suspended;
	struct lv_facts *lv;

	if (!dev || !dm_lv_of(dev, &vg, &name))
		return NULL;
	lv = lv_facts_copy(was);
	free(lv->vg_name);
	free(lv->name);
	lv->vg_name = vg;
	lv->name = name;
	lv->dev = dev;
	lv->active = true;
	suspended = blkdev_attr(dev, "dm/suspended");
	lv->suspended = suspended && strcmp(suspended, "0");
	free(suspended);
	return lv;
}

int lv_group_name(const char *vg_uuid, char **ret, struct err *err)
{
	const json_t *group;
	json_t *report;

	if (lvm_report_read(NULL, FRESH_MS, &report, err) < 0)
		return -1;
	group = lvm_report_group(report, NULL, vg_uuid);
	*ret = group ? lvm_report_copy(json_array_get(json_object_get(group, "vg"), 0), "vg_name") : NULL;
	json_decref(report);
	return 0;
}

int lv_find_dm(const char *dm_uuid, struct lv_facts **ret, struct err *err)
{
	const json_t *group, *row;
	json_t *report;
	size_t i, k;

	if (lvm_report_read(NULL, 0, &report, err) < 0)
		return -1;
	*ret = NULL;
	json_array_foreach(json_object_get(report, "report"), i, group) {
		const json_t *vg = json_array_get(json_object_get(group, "vg"), 0);
		char *vg_id = without_dashes(json_get_string(vg, "vg_uuid") ?: "");

		json_array_foreach(json_object_get(group, "lv"), k, row) {
			const char *lv_uuid = json_get_string(row, "lv_uuid") ?: "";
			char *lv_id = without_dashes(lv_uuid);
			char *whole = text_format("LVM-%s%s", vg_id, lv_id);
			size_t len = strlen(whole);

			/* Behind a dash: "real", "cow", "tpool", ... */
			if (!*ret && !strncmp(dm_uuid, whole, len) && (!dm_uuid[len] || dm_uuid[len] == '-')) {
				*ret = lv_from_report(report, NULL, json_get_string(vg, "vg_uuid"), NULL, lv_uuid);
				if (*ret && dm_uuid[len] && !(*ret)->hidden)
					(*ret)->hidden = true;
			}
			free(lv_id);
			free(whole);
		}
		free(vg_id);
	}
	json_decref(report);
	return 0;
}

int lv_find_pv(uint64_t dev, struct lv_facts **ret, struct err *err)
{
	const json_t *group;
	json_t *report;
	size_t i;

	if (lvm_report_read(NULL, 0, &report, err) < 0)
		return -1;
	*ret = NULL;
	json_array_foreach(json_object_get(report, "report"), i, group) {
		const json_t *vg = json_array_get(json_object_get(group, "vg"), 0);
		struct lv_facts *lv = lv_from_report(report, NULL, json_get_string(vg, "vg_uuid") ?: "-",
						     NULL, NULL);

		for (size_t k = 0; lv && !*ret && k < lv->pv_count; k++) {
			if (lv->pvs[k].dev == dev) {
				*ret = lv;
				lv = NULL;
				break;
			}
		}
		lv_facts_free(lv);
	}
	json_decref(report);
	return 0;
}

static int lv_identify(int fd, struct facts *facts, struct err *err)
{
	return block_volume_ops.identify(fd, facts, err);
}

static int lv_setup(struct volume *vol, const struct facts *facts, unsigned flags,
		    struct err *err)
{
	return block_volume_ops.setup(vol, facts, flags, err);
}

static int lv_zero(struct volume *vol, uint64_t offset, uint64_t length, enum zero_how how,
		   struct err *err)
{
	return block_volume_ops.zero(vol, offset, length, how, err);
}

const struct volume_ops lv_volume_ops = {
	.kind		= "lv",
	.open_flags	= O_EXCL,
	.identify	= lv_identify,
	.setup		= lv_setup,
	.next_data	= thin_next_data,
	.load_map	= thin_load_map,
	.has_room	= thin_has_room,
	.release	= thin_release,
	.zero		= lv_zero,
};
