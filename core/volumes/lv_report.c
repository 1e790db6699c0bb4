/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What LVM's fullreport says of a group and a volume in it; pure. */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "volumes/lv.h"
#include "volumes/lvm_report.h"

/* Nothing is deeper than a pool's parts on raid with integrity. */
#define DEPTH_MAX 8

/* "12.34" percent of bytes. */
static uint64_t share_of(const json_t *row, const char *key, uint64_t bytes)
{
	const char *text = lvm_report_text(row, key), *dot = strchr(text, '.');
	uint64_t hundredths = strtoull(text, NULL, 10) * 100;

	if (dot && dot[1])
		hundredths += (uint64_t)(dot[1] - '0') * 10 + (dot[2] ? (uint64_t)(dot[2] - '0') : 0);
	/* Rounded up: what is in use is never made less. */
	return hundredths >= 10000 ? bytes : bytes / 10000 * hundredths +
	       (bytes % 10000 * hundredths + 9999) / 10000;
}

static bool is_named(const json_t *row, const char *key, const char *name)
{
	char *plain = lvm_report_name(row, key);
	bool same = !strcmp(plain, name);

	free(plain);
	return same;
}

static const json_t *row_named(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (is_named(row, "lv_name", name))
			return row;
	return NULL;
}

/* Is a volume (by its row) this one or, however deep, a part of it? */
static bool is_part_of(const json_t *lvs, const json_t *row, const char *uuid)
{
	for (int depth = 0; row && depth < DEPTH_MAX; depth++) {
		char *parent;

		if (!strcmp(lvm_report_text(row, "lv_uuid"), uuid))
			return true;
		parent = lvm_report_name(row, "lv_parent");
		row = *parent ? row_named(lvs, parent) : NULL;
		free(parent);
	}
	return false;
}

static void read_pvs(const json_t *group, struct lv_facts *lv)
{
	const json_t *rows = json_object_get(group, "pv"), *segments = json_object_get(group, "pvseg");
	const json_t *lvs = json_object_get(group, "lv"), *row, *segment;
	size_t i, k;

	lv->pvs = text_alloc(json_array_size(rows) + 1, sizeof(*lv->pvs));
	json_array_foreach(rows, i, row) {
		struct lv_pv *pv = &lv->pvs[lv->pv_count++];

		pv->name = lvm_report_copy(row, "pv_name");
		pv->uuid = lvm_report_copy(row, "pv_uuid");
		pv->missing = lvm_report_flag(row, "pv_missing");
		if (!pv->missing && lvm_report_number(row, "pv_major"))
			pv->dev = makedev((unsigned)lvm_report_number(row, "pv_major"),
					  (unsigned)lvm_report_number(row, "pv_minor"));
		pv->extents = lvm_report_number(row, "pv_pe_count");
		pv->free_extents = pv->extents - lvm_report_number(row, "pv_pe_alloc_count");
		pv->allocatable = lvm_report_flag(row, "pv_allocatable");
		json_array_foreach(segments, k, segment) {
			const char *uuid = lvm_report_text(segment, "lv_uuid");

			if (lv->uuid && *uuid && pv->uuid && !strcmp(lvm_report_text(segment, "pv_uuid"), pv->uuid) &&
			    is_part_of(lvs, lvm_report_row(lvs, "lv_uuid", uuid), lv->uuid))
				pv->used_here += lvm_report_number(segment, "pvseg_size");
		}
	}
}

static void read_pools(const json_t *group, struct lv_facts *lv)
{
	const json_t *rows = json_object_get(group, "lv"), *segments = json_object_get(group, "seg"), *row;
	size_t i;

	lv->pools = text_alloc(json_array_size(rows) + 1, sizeof(*lv->pools));
	json_array_foreach(rows, i, row) {
		const json_t *segment = lvm_report_row(segments, "lv_uuid", lvm_report_text(row, "lv_uuid"));
		struct lv_pool *pool;

		if (strcmp(lvm_report_text(segment, "segtype"), "thin-pool"))
			continue;
		pool = &lv->pools[lv->pool_count++];
		pool->name = lvm_report_name(row, "lv_name");
		pool->uuid = lvm_report_copy(row, "lv_uuid");
		pool->bytes = lvm_report_number(row, "lv_size");
		pool->metadata_bytes = lvm_report_number(row, "lv_metadata_size");
		pool->chunk_bytes = lvm_report_number(segment, "chunk_size");
		pool->discards = lvm_report_copy(segment, "discards");
		pool->zeroes = !strcmp(lvm_report_text(segment, "zero"), "zero");
		/* Of one that is not active LVM tells nothing. */
		pool->active = *lvm_report_text(row, "data_percent");
		if (pool->active) {
			pool->free_bytes = pool->bytes - share_of(row, "data_percent", pool->bytes);
			pool->metadata_free_bytes = pool->metadata_bytes -
				share_of(row, "metadata_percent", pool->metadata_bytes);
		}
	}
}

/* Which volumes depend on this one? */
static void read_snapshots(const json_t *group, struct lv_facts *lv)
{
	const json_t *rows = json_object_get(group, "lv"), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		char *name;

		if (strcmp(lvm_report_text(row, "origin_uuid"), lv->uuid))
			continue;
		name = lvm_report_name(row, "lv_name");
		if (strstr(lvm_report_text(row, "lv_role"), "thicksnapshot"))
			text_list_add(&lv->snapshots, name);
		else if (strstr(lvm_report_text(row, "lv_role"), "thinsnapshot"))
			text_list_add(&lv->thin_snapshots, name);
		else
			free(name);
	}
}

static void split_tags(const char *tags, struct text_list *list)
{
	while (*tags) {
		size_t len = strcspn(tags, ",");

		text_list_add(list, text_format("%.*s", (int)len, tags));
		tags += len + (tags[len] == ',');
	}
}

static void read_volume(const json_t *group, const json_t *row, struct lv_facts *lv)
{
	const json_t *segment = lvm_report_row(json_object_get(group, "seg"), "lv_uuid",
					 lvm_report_text(row, "lv_uuid"));
	const char *active = lvm_report_text(row, "lv_active");
	const json_t *other;
	size_t i;

	lv->name = lvm_report_name(row, "lv_name");
	lv->uuid = lvm_report_copy(row, "lv_uuid");
	lv->hidden = lvm_report_text(row, "lv_name")[0] == '[';
	lv->type = lvm_report_copy(segment, "segtype");
	lv->layout = lvm_report_copy(row, "lv_layout");
	lv->role = lvm_report_copy(row, "lv_role");
	lv->parent = *lvm_report_text(row, "lv_parent") ? lvm_report_name(row, "lv_parent") : NULL;
	lv->bytes = lvm_report_number(row, "lv_size");
	lv->stripes = lvm_report_number(segment, "stripes");
	lv->stripe_bytes = lvm_report_number(segment, "stripe_size");
	json_array_foreach(json_object_get(group, "seg"), i, other)
		lv->segments += !strcmp(lvm_report_text(other, "lv_uuid"), lv->uuid);
	lv->origin = *lvm_report_text(row, "origin") ? lvm_report_name(row, "origin") : NULL;
	lv->origin_uuid = lvm_report_copy(row, "origin_uuid");
	lv->pool = *lvm_report_text(row, "pool_lv") ? lvm_report_name(row, "pool_lv") : NULL;
	lv->pool_uuid = lvm_report_copy(row, "pool_lv_uuid");
	lv->mapped = lv->bytes;
	if (lv->type && !strcmp(lv->type, "thin") && *lvm_report_text(row, "data_percent"))
		lv->mapped = share_of(row, "data_percent", lv->bytes);
	lv->sync_percent = lvm_report_copy(row, "sync_percent");
	lv->sync_action = lvm_report_copy(row, "raid_sync_action");
	lv->mismatches = lvm_report_number(row, "raid_mismatch_count");
	lv->integrity = lvm_report_copy(row, "raidintegritymode");
	lv->moving = lvm_report_copy(row, "move_pv");
	lv->converting = lvm_report_flag(row, "lv_converting");
	lv->suspended = lvm_report_flag(row, "lv_suspended");
	lv->health = lvm_report_copy(row, "lv_health_status");
	split_tags(lvm_report_text(row, "lv_tags"), &lv->tags);
	lv->read_ahead = lvm_report_copy(row, "lv_read_ahead");
	lv->activation_skip = lvm_report_flag(row, "lv_skip_activation");
	/* The attribute tells it of an inactive one as well: "-ri-..." */
	lv->read_only = lvm_report_text(row, "lv_attr")[0] && lvm_report_text(row, "lv_attr")[1] == 'r';
	lv->fixed_minor = lvm_report_flag(row, "lv_fixed_minor");
	lv->minor = lv->fixed_minor ? lvm_report_number(row, "lv_minor") : 0;
	lv->active = *active && strcmp(active, "unknown");
	lv->open = lvm_report_flag(row, "lv_device_open");
	if (lv->active && *lvm_report_text(row, "lv_kernel_minor") != '-')
		lv->dev = makedev((unsigned)lvm_report_number(row, "lv_kernel_major"),
				  (unsigned)lvm_report_number(row, "lv_kernel_minor"));
}

struct lv_facts *lv_from_report(const json_t *report, const char *vg, const char *vg_uuid,
				const char *name, const char *lv_uuid)
{
	const json_t *group = lvm_report_group(report, vg, vg_uuid), *row, *rows, *lv_row = NULL;
	struct lv_facts *lv;

	if (!group)
		return NULL;
	row = json_array_get(json_object_get(group, "vg"), 0);
	rows = json_object_get(group, "lv");
	if (lv_uuid)
		lv_row = lvm_report_row(rows, "lv_uuid", lv_uuid);
	else if (name)
		lv_row = row_named(rows, name);
	if (lv_uuid && !lv_row)
		return NULL;
	lv = text_alloc(1, sizeof(*lv));
	lv->vg_name = lvm_report_copy(row, "vg_name");
	lv->vg_uuid = lvm_report_copy(row, "vg_uuid");
	lv->lock_type = lvm_report_copy(row, "vg_lock_type");
	if (lv->lock_type && !strcmp(lv->lock_type, "none")) {
		free(lv->lock_type);
		lv->lock_type = NULL;
	}
	lv->extent_bytes = lvm_report_number(row, "vg_extent_size");
	lv->free_extents = lvm_report_number(row, "vg_free_count");
	lv->missing_pvs = lvm_report_number(row, "vg_missing_pv_count");
	lv->exported = lvm_report_flag(row, "vg_exported");
	lv->partial = lvm_report_flag(row, "vg_partial");
	lv->shared = lvm_report_flag(row, "vg_shared") || lvm_report_flag(row, "vg_clustered");
	lv->read_only_group = !strcmp(lvm_report_text(row, "vg_permissions"), "read-only");
	if (lv_row)
		read_volume(group, lv_row, lv);
	else if (name)
		lv->wanted = text_copy(name);
	read_pvs(group, lv);
	read_pools(group, lv);
	if (lv_row)
		read_snapshots(group, lv);
	return lv;
}

const struct lv_pool *lv_pool_of(const struct lv_facts *lv, const char *name)
{
	for (size_t i = 0; name && i < lv->pool_count; i++)
		if (!strcmp(lv->pools[i].name, name))
			return &lv->pools[i];
	return NULL;
}

const char *lv_pv_name(const struct lv_facts *lv, uint64_t dev)
{
	for (size_t i = 0; dev && i < lv->pv_count; i++)
		if (lv->pvs[i].dev == dev)
			return lv->pvs[i].name;
	return NULL;
}

static bool is_name(const char *text)
{
	static const char valid[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";

	return *text && *text != '-' && strspn(text, valid) == strlen(text);
}

/* In /dev/mapper a dash within a name is written twice, and one stands between group and volume. */
static bool split_mapper(const char *text, char **ret_vg, char **ret_name)
{
	char *out[2] = { text_alloc(strlen(text) + 1, 1), text_alloc(strlen(text) + 1, 1) };
	size_t part = 0, len = 0;

	for (const char *c = text; *c; c++) {
		if (*c == '-' && c[1] == '-') {
			out[part][len++] = *c++;
		} else if (*c == '-') {
			if (part++)
				goto bad;
			len = 0;
		} else {
			out[part][len++] = *c;
		}
	}
	if (part == 1 && is_name(out[0]) && is_name(out[1])) {
		*ret_vg = out[0];
		*ret_name = out[1];
		return true;
	}
bad:
	free(out[0]);
	free(out[1]);
	return false;
}

bool lv_names_of_path(const char *path, char **ret_vg, char **ret_name)
{
	const char *slash;
	char *vg;

	if (!strncmp(path, "/dev/mapper/", 12))
		return !strchr(path + 12, '/') && split_mapper(path + 12, ret_vg, ret_name);
	if (strncmp(path, "/dev/", 5) || !(slash = strchr(path + 5, '/')) || strchr(slash + 1, '/'))
		return false;
	vg = text_format("%.*s", (int)(slash - path - 5), path + 5);
	if (!is_name(vg) || !is_name(slash + 1)) {
		free(vg);
		return false;
	}
	*ret_vg = vg;
	*ret_name = text_copy(slash + 1);
	return true;
}
