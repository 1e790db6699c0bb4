/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume group as LVM's fullreport tells it. */
#include "volumes/lvm_group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/lvm.h"

#define LV_FIELDS "lv_name,lv_uuid,lv_attr,lv_layout,lv_role,lv_size,lv_active,lv_device_open," \
	"lv_parent,origin,pool_lv,move_pv,lv_tags,lv_health_status,sync_percent," \
	"raid_sync_action,raid_max_recovery_rate,lv_converting,lv_merging"

static const char *const report_words[] = {
	"-a", "--reportformat", "json", "--units", "b", "--nosuffix",
	"--configreport", "vg", "-o", "vg_name,vg_uuid,vg_extent_size,vg_exported,vg_partial,vg_shared,vg_clustered",
	"--configreport", "pv", "-o", "pv_name,pv_uuid,pv_pe_count,pv_pe_alloc_count,pv_allocatable,pv_missing",
	"--configreport", "lv", "-o", LV_FIELDS,
	"--configreport", "pvseg", "-o", "pvseg_start",
	"--configreport", "seg", "-o", "lv_uuid,segtype,stripes,seg_start_pe,seg_size_pe,seg_pe_ranges",
};

#define REPORT_WORDS (sizeof(report_words) / sizeof(report_words[0]))

/* Everything in a report is a string. */
static char *field(const json_t *row, const char *name)
{
	const char *text = json_get_string(row, name);

	return text_copy(text ? text : "");
}

/* LVM puts the name of what it hides into brackets. */
static char *plain_name(const json_t *row, const char *name)
{
	char *text = field(row, name);
	size_t len = strlen(text);

	if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
		memmove(text, text + 1, len - 2);
		text[len - 2] = '\0';
	}
	return text;
}

static uint64_t number(const json_t *row, const char *name)
{
	const char *text = json_get_string(row, name);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* A yes-or-no field is empty, or says what it is about. */
static bool flag(const json_t *row, const char *name)
{
	const char *text = json_get_string(row, name);

	return text && *text && strcmp(text, "unknown");
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
		.extents = number(row, "pv_pe_count"),
		.used = number(row, "pv_pe_alloc_count"),
		.allocatable = flag(row, "pv_allocatable"),
		.missing = flag(row, "pv_missing"),
	};
}

static void parse_lv(const json_t *row, struct lvm_lv *lv)
{
	const char *attr = json_get_string(row, "lv_attr");
	char *tags = field(row, "lv_tags"), *rest = tags, *tag;

	*lv = (struct lvm_lv){
		.name = plain_name(row, "lv_name"),
		.uuid = field(row, "lv_uuid"),
		.layout = field(row, "lv_layout"),
		.role = field(row, "lv_role"),
		.parent = plain_name(row, "lv_parent"),
		.origin = plain_name(row, "origin"),
		.pool = plain_name(row, "pool_lv"),
		.move_pv = field(row, "move_pv"),
		.health = field(row, "lv_health_status"),
		.sync = field(row, "sync_percent"),
		.action = field(row, "raid_sync_action"),
		.max_rate = field(row, "raid_max_recovery_rate"),
		.bytes = number(row, "lv_size"),
		.active = flag(row, "lv_active"),
		.open = flag(row, "lv_device_open"),
		.read_only = attr && strlen(attr) > 1 && (attr[1] == 'r' || attr[1] == 'R'),
		.converting = flag(row, "lv_converting"),
		.merging = flag(row, "lv_merging"),
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
	uint64_t stripes = number(row, "stripes"), start = number(row, "seg_start_pe");
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
	const json_t *found = NULL, *item, *row;
	size_t i;

	json_array_foreach(json_object_get(report, "report"), i, item) {
		const char *name = json_get_string(json_array_get(json_object_get(item, "vg"), 0), "vg_name");

		if (name && !strcmp(name, vg))
			found = item;
	}
	if (!found)
		return err_set(err, ERR_REFUSED, vg, "no such volume group");
	row = json_array_get(json_object_get(found, "vg"), 0);
	group.name = field(row, "vg_name");
	group.uuid = field(row, "vg_uuid");
	group.extent_bytes = number(row, "vg_extent_size");
	group.exported = flag(row, "vg_exported");
	group.partial = flag(row, "vg_partial");
	group.shared = flag(row, "vg_shared");
	group.clustered = flag(row, "vg_clustered");
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

#define FRESH_NS 1000000000ULL

static struct {
	char *vg;
	json_t *report;
	uint64_t read_at;
} last;

void lvm_group_changed(void)
{
	free(last.vg);
	json_decref(last.report);
	last.vg = NULL;
	last.report = NULL;
}

int lvm_group_read(const char *vg, struct lvm_group *ret, struct err *err)
{
	const char *argv[REPORT_WORDS + 3] = { "fullreport", vg };
	struct lvm_command command = { .argv = argv, .object = vg, .report = true };
	json_t *report = NULL;
	int result;

	if (last.vg && !strcmp(last.vg, vg) && clock_ns() - last.read_at < FRESH_NS)
		return lvm_group_parse(last.report, vg, ret, err);
	memcpy(argv + 2, report_words, sizeof(report_words));
	result = lvm_run(&command, &report, err);
	if (result == 0) {
		lvm_group_changed();
		last.vg = text_copy(vg);
		last.report = report;
		last.read_at = clock_ns();
		result = lvm_group_parse(report, vg, ret, err);
	}
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
