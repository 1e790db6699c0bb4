/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What LVM's fullreport says of a group and a volume in it; pure. */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "support/json.h"
#include "volumes/lv.h"

/* Nothing is deeper than a pool's parts on raid with integrity. */
#define DEPTH_MAX 8

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_get_string(row, key);

	return text ? text : "";
}

/* What is empty is NULL. */
static char *copy_of(const json_t *row, const char *key)
{
	const char *text = text_of(row, key);

	return *text ? text_copy(text) : NULL;
}

static uint64_t number_of(const json_t *row, const char *key)
{
	const char *text = text_of(row, key);

	return *text == '-' ? 0 : strtoull(text, NULL, 10);
}

static bool flag_of(const json_t *row, const char *key)
{
	const char *text = text_of(row, key);

	return *text && strcmp(text, "unknown");
}

/* "12.34" percent of bytes. */
static uint64_t share_of(const json_t *row, const char *key, uint64_t bytes)
{
	const char *text = text_of(row, key), *dot = strchr(text, '.');
	uint64_t hundredths = strtoull(text, NULL, 10) * 100;

	if (dot && dot[1])
		hundredths += (uint64_t)(dot[1] - '0') * 10 + (dot[2] ? (uint64_t)(dot[2] - '0') : 0);
	/* Rounded up: what is in use is never made less. */
	return hundredths >= 10000 ? bytes : bytes / 10000 * hundredths +
	       (bytes % 10000 * hundredths + 9999) / 10000;
}

/* A name without the brackets that a hidden volume has. */
static char *plain_name(const char *name)
{
	size_t len = strlen(name);

	if (len > 2 && name[0] == '[' && name[len - 1] == ']')
		return text_format("%.*s", (int)(len - 2), name + 1);
	return text_copy(name);
}

static bool is_named(const json_t *row, const char *key, const char *name)
{
	char *plain = plain_name(text_of(row, key));
	bool same = !strcmp(plain, name);

	free(plain);
	return same;
}

static const json_t *row_with(const json_t *rows, const char *key, const char *value)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (!strcmp(text_of(row, key), value))
			return row;
	return NULL;
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
		const char *parent = text_of(row, "lv_parent");
		char *plain;

		if (!strcmp(text_of(row, "lv_uuid"), uuid))
			return true;
		if (!*parent)
			return false;
		plain = plain_name(parent);
		row = row_named(lvs, plain);
		free(plain);
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

		pv->name = copy_of(row, "pv_name");
		pv->uuid = copy_of(row, "pv_uuid");
		pv->missing = flag_of(row, "pv_missing");
		if (!pv->missing && number_of(row, "pv_major"))
			pv->dev = makedev((unsigned)number_of(row, "pv_major"),
					  (unsigned)number_of(row, "pv_minor"));
		pv->extents = number_of(row, "pv_pe_count");
		pv->free_extents = pv->extents - number_of(row, "pv_pe_alloc_count");
		pv->allocatable = flag_of(row, "pv_allocatable");
		json_array_foreach(segments, k, segment) {
			const char *uuid = text_of(segment, "lv_uuid");

			if (lv->uuid && *uuid && pv->uuid && !strcmp(text_of(segment, "pv_uuid"), pv->uuid) &&
			    is_part_of(lvs, row_with(lvs, "lv_uuid", uuid), lv->uuid))
				pv->used_here += number_of(segment, "pvseg_size");
		}
	}
}

static void read_pools(const json_t *group, struct lv_facts *lv)
{
	const json_t *rows = json_object_get(group, "lv"), *segments = json_object_get(group, "seg"), *row;
	size_t i;

	lv->pools = text_alloc(json_array_size(rows) + 1, sizeof(*lv->pools));
	json_array_foreach(rows, i, row) {
		const json_t *segment = row_with(segments, "lv_uuid", text_of(row, "lv_uuid"));
		struct lv_pool *pool;

		if (strcmp(text_of(segment, "segtype"), "thin-pool"))
			continue;
		pool = &lv->pools[lv->pool_count++];
		pool->name = plain_name(text_of(row, "lv_name"));
		pool->uuid = copy_of(row, "lv_uuid");
		pool->bytes = number_of(row, "lv_size");
		pool->metadata_bytes = number_of(row, "lv_metadata_size");
		pool->chunk_bytes = number_of(segment, "chunk_size");
		pool->discards = copy_of(segment, "discards");
		pool->zeroes = !strcmp(text_of(segment, "zero"), "zero");
		/* Of one that is not active LVM tells nothing. */
		pool->active = *text_of(row, "data_percent");
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

		if (strcmp(text_of(row, "origin_uuid"), lv->uuid))
			continue;
		name = plain_name(text_of(row, "lv_name"));
		if (strstr(text_of(row, "lv_role"), "thicksnapshot"))
			text_list_add(&lv->snapshots, name);
		else if (strstr(text_of(row, "lv_role"), "thinsnapshot"))
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
	const json_t *segment = row_with(json_object_get(group, "seg"), "lv_uuid",
					 text_of(row, "lv_uuid"));
	const char *active = text_of(row, "lv_active");
	const json_t *other;
	size_t i;

	lv->name = plain_name(text_of(row, "lv_name"));
	lv->uuid = copy_of(row, "lv_uuid");
	lv->hidden = text_of(row, "lv_name")[0] == '[';
	lv->type = copy_of(segment, "segtype");
	lv->layout = copy_of(row, "lv_layout");
	lv->role = copy_of(row, "lv_role");
	lv->parent = *text_of(row, "lv_parent") ? plain_name(text_of(row, "lv_parent")) : NULL;
	lv->bytes = number_of(row, "lv_size");
	lv->stripes = number_of(segment, "stripes");
	lv->stripe_bytes = number_of(segment, "stripe_size");
	json_array_foreach(json_object_get(group, "seg"), i, other)
		lv->segments += !strcmp(text_of(other, "lv_uuid"), lv->uuid);
	lv->origin = *text_of(row, "origin") ? plain_name(text_of(row, "origin")) : NULL;
	lv->origin_uuid = copy_of(row, "origin_uuid");
	lv->pool = *text_of(row, "pool_lv") ? plain_name(text_of(row, "pool_lv")) : NULL;
	lv->pool_uuid = copy_of(row, "pool_lv_uuid");
	lv->mapped = lv->bytes;
	if (lv->type && !strcmp(lv->type, "thin") && *text_of(row, "data_percent"))
		lv->mapped = share_of(row, "data_percent", lv->bytes);
	lv->sync_percent = copy_of(row, "sync_percent");
	lv->sync_action = copy_of(row, "raid_sync_action");
	lv->mismatches = number_of(row, "raid_mismatch_count");
	lv->integrity = copy_of(row, "raidintegritymode");
	lv->moving = copy_of(row, "move_pv");
	lv->converting = flag_of(row, "lv_converting");
	lv->suspended = flag_of(row, "lv_suspended");
	lv->health = copy_of(row, "lv_health_status");
	split_tags(text_of(row, "lv_tags"), &lv->tags);
	lv->read_ahead = copy_of(row, "lv_read_ahead");
	lv->activation_skip = flag_of(row, "lv_skip_activation");
	/* The attribute tells it of an inactive one as well: "-ri-..." */
	lv->read_only = text_of(row, "lv_attr")[0] && text_of(row, "lv_attr")[1] == 'r';
	lv->fixed_minor = flag_of(row, "lv_fixed_minor");
	lv->minor = lv->fixed_minor ? number_of(row, "lv_minor") : 0;
	lv->active = *active && strcmp(active, "unknown");
	lv->open = flag_of(row, "lv_device_open");
	if (lv->active && *text_of(row, "lv_kernel_minor") != '-')
		lv->dev = makedev((unsigned)number_of(row, "lv_kernel_major"),
				  (unsigned)number_of(row, "lv_kernel_minor"));
}

struct lv_facts *lv_from_report(const json_t *report, const char *vg, const char *vg_uuid,
				const char *name, const char *lv_uuid)
{
	const json_t *groups = json_object_get(report, "report"), *group, *lv_row = NULL;
	struct lv_facts *lv;
	size_t i;

	json_array_foreach(groups, i, group) {
		const json_t *row = json_array_get(json_object_get(group, "vg"), 0);
		const char *row_uuid = text_of(row, "vg_uuid");

		/* Physical volumes without a group come as one without a name. */
		if (!*row_uuid || (vg && strcmp(text_of(row, "vg_name"), vg)) ||
		    (vg_uuid && strcmp(row_uuid, vg_uuid)))
			continue;
		if (lv_uuid)
			lv_row = row_with(json_object_get(group, "lv"), "lv_uuid", lv_uuid);
		else if (name)
			lv_row = row_named(json_object_get(group, "lv"), name);
		if (lv_uuid && !lv_row)
			continue;
		lv = text_alloc(1, sizeof(*lv));
		lv->vg_name = copy_of(row, "vg_name");
		lv->vg_uuid = copy_of(row, "vg_uuid");
		lv->lock_type = copy_of(row, "vg_lock_type");
		if (lv->lock_type && !strcmp(lv->lock_type, "none")) {
			free(lv->lock_type);
			lv->lock_type = NULL;
		}
		lv->extent_bytes = number_of(row, "vg_extent_size");
		lv->free_extents = number_of(row, "vg_free_count");
		lv->missing_pvs = number_of(row, "vg_missing_pv_count");
		lv->exported = flag_of(row, "vg_exported");
		lv->partial = flag_of(row, "vg_partial");
		lv->shared = flag_of(row, "vg_shared") || flag_of(row, "vg_clustered");
		lv->read_only_group = !strcmp(text_of(row, "vg_permissions"), "read-only");
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
	return NULL;
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
