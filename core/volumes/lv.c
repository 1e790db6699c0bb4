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
#include "sys/lvm.h"
#include "volumes/thin_volume.h"
#include "volumes/volume.h"

/* The read that is held, and by how many. */
static json_t *held;
static unsigned holders;

void lv_read_hold(void)
{
	holders++;
}

void lv_read_release(void)
{
	assert(holders);
	if (--holders == 0) {
		json_decref(held);
		held = NULL;
	}
}

/* One consistent read of all groups; json_decref() it. */
static int read_all(json_t **ret, struct err *err)
{
	static const char *const argv[] = {
		"fullreport", "-a", "--reportformat", "json", "--units", "b", "--nosuffix",
		"--configreport", "vg", "-o", "vg_name,vg_uuid,vg_exported,vg_partial,vg_shared,vg_clustered,"
		"vg_lock_type,vg_extent_size,vg_free_count,vg_missing_pv_count,vg_permissions",
		"--configreport", "pv", "-o", "pv_name,pv_uuid,pv_major,pv_minor,pv_pe_count,"
		"pv_pe_alloc_count,pv_allocatable,pv_missing",
		"--configreport", "lv", "-o", "lv_name,lv_uuid,lv_attr,lv_size,lv_layout,lv_role,lv_parent,"
		"origin,origin_uuid,pool_lv,pool_lv_uuid,data_percent,metadata_percent,lv_metadata_size,"
		"lv_tags,lv_read_ahead,lv_skip_activation,lv_fixed_minor,lv_minor,lv_kernel_major,"
		"lv_kernel_minor,lv_active,lv_device_open,lv_suspended,sync_percent,raid_mismatch_count,"
		"raid_sync_action,raidintegritymode,move_pv,lv_converting,lv_health_status",
		"--configreport", "seg", "-o", "lv_uuid,segtype,stripes,stripe_size,chunk_size,zero,discards",
		"--configreport", "pvseg", "-o", "lv_uuid,pv_uuid,pvseg_size",
		NULL
	};
	struct lvm_command command = { .argv = argv, .report = true };

	if (held) {
		*ret = json_incref(held);
		return 0;
	}
	if (lvm_run(&command, ret, err) < 0)
		return -1;
	if (holders)
		held = json_incref(*ret);
	return 0;
}

static int find(const char *vg, const char *vg_uuid, const char *name, const char *lv_uuid,
		struct lv_facts **ret, struct err *err)
{
	json_t *report;

	if (read_all(&report, err) < 0)
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

int lv_find_tag(const char *vg_uuid, const char *tag, struct lv_facts **ret, struct err *err)
{
	const json_t *group, *row;
	json_t *report;
	size_t i, k;

	if (read_all(&report, err) < 0)
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
	size_t i, k;

	*ret_found = false;
	if (read_all(&report, err) < 0)
		return -1;
	json_array_foreach(json_object_get(report, "report"), i, group) {
		const json_t *about = json_array_get(json_object_get(group, "vg"), 0);

		if (strcmp(json_get_string(about, "vg_name") ?: "", vg))
			continue;
		*ret_found = true;
		json_array_foreach(json_object_get(group, "lv"), k, row) {
			const char *name = json_get_string(row, "lv_name") ?: "[";

			if (*name == '[' || lists(json_get_string(row, "lv_layout"), "pool"))
				continue;
			if (select && (*select == '@' ?
				       !lists(json_get_string(row, "lv_tags"), select + 1) :
				       fnmatch(select, name, 0) != 0))
				continue;
			text_list_add(ret_names, text_copy(name));
		}
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
	char *uuid = lv_dm_uuid(lv);
	uint64_t dev = blkdev_by_dm_uuid(uuid);

	free(uuid);
	return dev;
}

int lv_find_dm(const char *dm_uuid, struct lv_facts **ret, struct err *err)
{
	const json_t *group, *row;
	json_t *report;
	size_t i, k;

	if (read_all(&report, err) < 0)
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

	if (read_all(&report, err) < 0)
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
