/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume group as LVM's fullreport tells it. */
#include "volumes/lvm_group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/lvm_report.h"

/* What is empty stays so here. */
static char *field(const json_t *row, const char *name)
{
	return text_copy(lvm_report_text(row, name));
}

bool lvm_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!strncmp(at, word, len) && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static void parse_pv(const json_t *row, struct lvm_pv *pv)
{
	*pv = (struct lvm_pv){
		.name = field(row, "pv_name"),
		.uuid = field(row, "pv_uuid"),
		.extents = lvm_report_number(row, "pv_pe_count"),
		.used = lvm_report_number(row, "pv_pe_alloc_count"),
		.allocatable = lvm_report_flag(row, "pv_allocatable"),
		.missing = lvm_report_flag(row, "pv_missing"),
	};
}

static void parse_lv(const json_t *row, struct lvm_lv *lv)
{
	const char *attr = json_get_string(row, "lv_attr");
	char *tags = field(row, "lv_tags"), *rest = tags, *tag;

	*lv = (struct lvm_lv){
		.name = lvm_report_name(row, "lv_name"),
		.uuid = field(row, "lv_uuid"),
		.layout = field(row, "lv_layout"),
		.role = field(row, "lv_role"),
		.parent = lvm_report_name(row, "lv_parent"),
		.origin = lvm_report_name(row, "origin"),
		.pool = lvm_report_name(row, "pool_lv"),
		.move_pv = field(row, "move_pv"),
		.health = field(row, "lv_health_status"),
		.sync = field(row, "sync_percent"),
		.action = field(row, "raid_sync_action"),
		.max_rate = field(row, "raid_max_recovery_rate"),
		.bytes = lvm_report_number(row, "lv_size"),
		.active = lvm_report_flag(row, "lv_active"),
		.open = lvm_report_flag(row, "lv_device_open"),
		.read_only = attr && strlen(attr) > 1 && (attr[1] == 'r' || attr[1] == 'R'),
		.converting = lvm_report_flag(row, "lv_converting"),
		.merging = lvm_report_flag(row, "lv_merging"),
	};
	while ((tag = strsep(&rest, ",")))
		if (*tag)
			text_list_add(&lv->tags, text_copy(tag));
	free(tags);
}

static void add_piece(struct lvm_group *group, struct lvm_piece piece)
{
	group->pieces = text_grow(group->pieces, group->piece_count + 1, sizeof(*group->pieces));
	group->pieces[group->piece_count++] = piece;
}

/* "PV:first-last PV:first-last ...", one for each stripe, or names of hidden volumes in place of PVs. */
static void parse_seg(const json_t *row, struct lvm_group *group)
{
	struct lvm_lv *lv = lvm_group_lv_by_uuid(group, json_get_string(row, "lv_uuid") ?: "");
	char *ranges = field(row, "seg_pe_ranges"), *rest = ranges, *range;
	uint64_t stripes = lvm_report_number(row, "stripes"), start = lvm_report_number(row, "seg_start_pe");
	unsigned stripe = 0;

	while (lv && (range = strsep(&rest, " "))) {
		char *colon = strrchr(range, ':');
		uint64_t first, last;
		struct lvm_pv *pv;

		if (!colon || sscanf(colon, ":%" SCNu64 "-%" SCNu64, &first, &last) != 2)
			continue;
		*colon = '\0';
		pv = lvm_group_pv(group, range);
		if (pv && last >= first)
			add_piece(group, (struct lvm_piece){
				.lv = (size_t)(lv - group->lvs), .pv = (size_t)(pv - group->pvs),
				.stripe = stripe, .at = stripes ? start / stripes : start,
				.start = first, .count = last - first + 1,
			});
		else if (!strncmp(range + (*range == '['), "pvmove", 6))
			lv->moving = true;
		stripe++;
	}
	if (lv && stripes > lv->stripes)
		lv->stripes = (unsigned)stripes;
	free(ranges);
}

int lvm_group_parse(const json_t *report, const char *vg, struct lvm_group *ret, struct err *err)
{
	struct lvm_group group = { 0 };
	const json_t *found = lvm_report_group(report, vg, NULL), *item, *row;
	size_t i;

	if (!found)
		return err_set(err, ERR_REFUSED, vg, "no such volume group");
	row = json_array_get(json_object_get(found, "vg"), 0);
	group.name = field(row, "vg_name");
	group.uuid = field(row, "vg_uuid");
	group.extent_bytes = lvm_report_number(row, "vg_extent_size");
	group.exported = lvm_report_flag(row, "vg_exported");
	group.partial = lvm_report_flag(row, "vg_partial");
	group.shared = lvm_report_flag(row, "vg_shared");
	item = json_object_get(found, "pv");
	group.pvs = text_alloc(json_array_size(item) + 1, sizeof(*group.pvs));
	json_array_foreach(item, i, row)
		parse_pv(row, &group.pvs[group.pv_count++]);
	item = json_object_get(found, "lv");
	group.lvs = text_alloc(json_array_size(item) + 1, sizeof(*group.lvs));
	json_array_foreach(item, i, row)
		parse_lv(row, &group.lvs[group.lv_count++]);
	json_array_foreach(json_object_get(found, "seg"), i, row)
		parse_seg(row, &group);
	*ret = group;
	return 0;
}

#define FRESH_MS 1000

int lvm_group_read(const char *vg, struct lvm_group *ret, struct err *err)
{
	json_t *report = NULL;
	int result = lvm_report_read(vg, FRESH_MS, &report, err);

	if (result == 0)
		result = lvm_group_parse(report, vg, ret, err);
	json_decref(report);
	return result;
}

void lvm_group_free(struct lvm_group *group)
{
	for (size_t i = 0; i < group->pv_count; i++) {
		free(group->pvs[i].name);
		free(group->pvs[i].uuid);
	}
	for (size_t i = 0; i < group->lv_count; i++) {
		struct lvm_lv *lv = &group->lvs[i];
		char *texts[] = { lv->name, lv->uuid, lv->layout, lv->role, lv->parent, lv->origin, lv->pool,
				  lv->move_pv, lv->health, lv->sync, lv->action, lv->max_rate };

		for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
			free(texts[j]);
		text_list_free(&lv->tags);
	}
	free(group->name);
	free(group->uuid);
	free(group->pvs);
	free(group->lvs);
	free(group->pieces);
	*group = (struct lvm_group){ 0 };
}

struct lvm_lv *lvm_group_lv(const struct lvm_group *group, const char *name)
{
	for (size_t i = 0; i < group->lv_count; i++)
		if (!strcmp(group->lvs[i].name, name))
			return &group->lvs[i];
	return NULL;
}

struct lvm_lv *lvm_group_lv_by_uuid(const struct lvm_group *group, const char *uuid)
{
	for (size_t i = 0; i < group->lv_count; i++)
		if (!strcmp(group->lvs[i].uuid, uuid))
			return &group->lvs[i];
	return NULL;
}

struct lvm_pv *lvm_group_pv(const struct lvm_group *group, const char *name)
{
	for (size_t i = 0; i < group->pv_count; i++)
		if (!strcmp(group->pvs[i].name, name))
			return &group->pvs[i];
	return NULL;
}

struct lvm_pv *lvm_group_pv_by_uuid(const struct lvm_group *group, const char *uuid)
{
	for (size_t i = 0; i < group->pv_count; i++)
		if (!strcmp(group->pvs[i].uuid, uuid))
			return &group->pvs[i];
	return NULL;
}

bool lvm_is_part(const struct lvm_group *group, const struct lvm_lv *lv, const char *name)
{
	/* Pools on raid on images: more than this many storeys there are not. */
	for (int depth = 0; lv && depth < 8; depth++) {
		if (!strcmp(lv->name, name))
			return true;
		lv = *lv->parent ? lvm_group_lv(group, lv->parent) : NULL;
	}
	return false;
}

uint64_t lvm_extents_on(const struct lvm_group *group, const char *name, const struct lvm_pv *pv)
{
	uint64_t extents = 0;

	for (size_t i = 0; i < group->piece_count; i++)
		if (&group->pvs[group->pieces[i].pv] == pv &&
		    lvm_is_part(group, &group->lvs[group->pieces[i].lv], name))
			extents += group->pieces[i].count;
	return extents;
}
