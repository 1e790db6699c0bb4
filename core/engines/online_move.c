/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What moves inside a volume group share. */
#include "engines/online_move.h"

#include <stdlib.h>
#include <string.h>

#include "engines/step.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/lvm.h"
#include "volumes/lvm_report.h"

/* ---- the journal's form ---- */

static json_t *list_to_json(const struct text_list *list)
{
	json_t *json = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(json, json_text(list->items[i]));
	return json;
}

static void list_from_json(struct text_list *list, const json_t *json)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json, i, item)
		if (json_is_string(item))
			text_list_add(list, text_copy(json_string_value(item)));
}

void online_move_free(struct online_move *online)
{
	free(online->vg);
	free(online->vg_uuid);
	free(online->lv);
	free(online->lv_uuid);
	free(online->max_rate);
	text_list_free(&online->sources);
	text_list_free(&online->targets);
	text_list_free(&online->target_names);
	for (size_t i = 0; i < online->piece_count; i++) {
		free(online->pieces[i].lv_uuid);
		free(online->pieces[i].pv_uuid);
	}
	free(online->pieces);
	*online = (struct online_move){ 0 };
}

json_t *online_move_to_json(const struct online_move *online)
{
	json_t *json = json_object(), *pieces = json_array();

	if (!online->vg) {
		json_decref(json);
		json_decref(pieces);
		return json_null();
	}
	for (size_t i = 0; i < online->piece_count; i++) {
		const struct online_piece *piece = &online->pieces[i];

		json_array_append_new(pieces, json_pack("{s:s, s:s, s:I, s:I, s:I}", "lv", piece->lv_uuid,
			"pv", piece->pv_uuid, "stripe", (json_int_t)piece->stripe,
			"at", (json_int_t)piece->at, "count", (json_int_t)piece->count));
	}
	json_put(json, "vg", json_text(online->vg));
	json_put(json, "vg_uuid", json_text(online->vg_uuid));
	json_put(json, "lv", json_text(online->lv));
	json_put(json, "lv_uuid", json_text(online->lv_uuid));
	json_put(json, "sources", list_to_json(&online->sources));
	json_put(json, "targets", list_to_json(&online->targets));
	json_put(json, "target_names", list_to_json(&online->target_names));
	json_put(json, "legs", json_integer(online->legs));
	json_put(json, "add", json_integer(online->add));
	json_put(json, "max_pause_ms", json_u64(online->max_pause_ms));
	json_put(json, "max_rate", json_text(online->max_rate));
	json_put(json, "pieces", pieces);
	return json;
}

int online_move_from_json(struct online_move *online, const json_t *json, struct err *err)
{
	const json_t *item;
	size_t i;

	*online = (struct online_move){ 0 };
	if (!json_is_object(json))
		return 0;
	online->vg = text_copy(json_get_string(json, "vg"));
	online->vg_uuid = text_copy(json_get_string(json, "vg_uuid"));
	online->lv = text_copy(json_get_string(json, "lv"));
	online->lv_uuid = text_copy(json_get_string(json, "lv_uuid"));
	online->max_rate = text_copy(json_get_string(json, "max_rate"));
	list_from_json(&online->sources, json_object_get(json, "sources"));
	list_from_json(&online->targets, json_object_get(json, "targets"));
	list_from_json(&online->target_names, json_object_get(json, "target_names"));
	online->legs = (unsigned)json_get_u64(json, "legs");
	online->add = (unsigned)json_get_u64(json, "add");
	online->max_pause_ms = json_get_u64(json, "max_pause_ms");
	online->pieces = text_alloc(json_array_size(json_object_get(json, "pieces")) + 1,
				    sizeof(*online->pieces));
	json_array_foreach(json_object_get(json, "pieces"), i, item)
		online->pieces[online->piece_count++] = (struct online_piece){
			.lv_uuid = text_copy(json_get_string(item, "lv") ?: ""),
			.pv_uuid = text_copy(json_get_string(item, "pv") ?: ""),
			.stripe = (unsigned)json_get_u64(item, "stripe"),
			.at = json_get_u64(item, "at"),
			.count = json_get_u64(item, "count"),
		};
	if (online->vg && online->vg_uuid && online->lv && online->lv_uuid && online->sources.count &&
	    online->targets.count)
		return 0;
	online_move_free(online);
	return err_set(err, ERR_REFUSED, NULL, "the journal's plan does not say what is moved where in its group");
}

json_t *online_record_to_json(const struct online_record *record)
{
	return json_pack("{s:I, s:I, s:I, s:b}", "checks", (json_int_t)record->checks,
			 "repairs", (json_int_t)record->repairs,
			 "mismatches", (json_int_t)record->mismatches, "compared", record->compared);
}

struct online_record online_record_from_json(const json_t *json)
{
	return (struct online_record){
		.checks = json_get_u64(json, "checks"),
		.repairs = json_get_u64(json, "repairs"),
		.mismatches = json_get_u64(json, "mismatches"),
		.compared = json_get_bool(json, "compared"),
	};
}

/* ---- looking ---- */

void online_now_free(struct online_now *now)
{
	lvm_group_free(&now->group);
	*now = (struct online_now){ 0 };
}

/* Where do the extents of one leg lie?  "Only" does not hold for one that has none. */
static void place_of(const struct online_move *online, const struct lvm_group *group,
		     const struct lvm_lv *leg, bool *ret_only_targets, bool *ret_on_sources)
{
	size_t in = 0, out = 0, old = 0;

	for (size_t i = 0; i < group->piece_count; i++) {
		const struct lvm_piece *piece = &group->pieces[i];
		const char *pv = group->pvs[piece->pv].uuid;

		if (&group->lvs[piece->lv] != leg)
			continue;
		in += text_list_has(&online->targets, pv);
		out += !text_list_has(&online->targets, pv);
		old += text_list_has(&online->sources, pv);
	}
	*ret_only_targets = in && !out;
	*ret_on_sources = old > 0;
}

static void count_leg(const struct online_move *online, struct online_now *now, const struct lvm_lv *leg)
{
	bool ours, old;

	place_of(online, &now->group, leg, &ours, &old);
	now->legs++;
	now->ours += ours;
	now->old += old;
}

static void count_legs(const struct online_move *online, struct online_now *now)
{
	const struct lvm_group *group = &now->group;

	now->legs = now->ours = now->old = 0;
	if (!lvm_has_word(now->lv->layout, "raid1")) {
		count_leg(online, now, now->lv);
		return;
	}
	for (unsigned i = 0; i < now->lv->stripes; i++) {
		char *name = text_format("%s_rimage_%u", now->lv->name, i);
		const struct lvm_lv *leg = lvm_group_lv(group, name);
		unsigned before = now->ours;

		if (leg)
			count_leg(online, now, leg);
		if (i == 0)
			now->ours_first = now->ours > before;
		free(name);
	}
}

int online_look(const struct online_move *online, struct online_now *ret, struct err *err)
{
	struct online_now now = { 0 };

	if (lvm_group_read(online->vg, &now.group, err) < 0)
		return -1;
	now.lv = lvm_group_lv_by_uuid(&now.group, online->lv_uuid);
	if (strcmp(now.group.uuid, online->vg_uuid) || !now.lv) {
		char *name = text_format("%s/%s", online->vg, online->lv);

		err_set(err, ERR_REFUSED, name, strcmp(now.group.uuid, online->vg_uuid) ?
			"another volume group has that name now" : "the volume is gone");
		free(name);
		online_now_free(&now);
		return -1;
	}
	count_legs(online, &now);
	for (size_t i = 0; i < now.group.pv_count; i++)
		if (text_list_has(&online->sources, now.group.pvs[i].uuid))
			now.left += lvm_extents_on(&now.group, now.lv->name, &now.group.pvs[i]);
	for (size_t i = 0; i < now.group.lv_count; i++) {
		const struct lvm_lv *lv = &now.group.lvs[i];

		/* Its own extents, or those of a part of it, lie on a pvmove volume then. */
		if (!lv->moving || !lvm_is_part(&now.group, lv, now.lv->name))
			continue;
		now.moving_from = "?";
		for (size_t j = 0; j < now.group.lv_count; j++)
			if (*now.group.lvs[j].move_pv)
				now.moving_from = now.group.lvs[j].move_pv;
	}
	*ret = now;
	return 0;
}

bool online_pvmove_from(const struct lvm_group *group, const char *pv)
{
	for (size_t i = 0; i < group->lv_count; i++)
		if (!strcmp(group->lvs[i].move_pv, pv))
			return true;
	return false;
}

int online_pv_names(const struct lvm_group *group, const struct text_list *uuids,
		    const char **argv, size_t *count, size_t max, struct err *err)
{
	for (size_t i = 0; i < uuids->count; i++) {
		const struct lvm_pv *pv = lvm_group_pv_by_uuid(group, uuids->items[i]);

		if (!pv || pv->missing)
			return err_set(err, ERR_REFUSED, pv ? pv->name : uuids->items[i],
				       "the physical volume is missing from %s", group->name);
		if (*count + 1 >= max)
			return err_set(err, ERR_REFUSED, group->name, "too many physical volumes");
		argv[(*count)++] = pv->name;
	}
	argv[*count] = NULL;
	return 0;
}

/* ---- changing ---- */

int online_change(const char *object, const char *const *argv, struct err *err)
{
	struct lvm_command command = { .argv = argv, .object = object };
	int ret = lvm_run(&command, NULL, err);

	lvm_report_changed();
	return ret;
}

static int change_tag(const struct step_context *ctx, const struct online_now *now, bool add, struct err *err)
{
	char *tag = text_format("volmig.job.%s", ctx->job_id);
	char *name = text_format("%s/%s", now->group.name, now->lv->name);
	const char *argv[] = { "lvchange", "-y", add ? "--addtag" : "--deltag", tag, name, NULL };
	int ret = 0;

	if (text_list_has(&now->lv->tags, tag) != add)
		ret = online_change(name, argv, err);
	free(tag);
	free(name);
	return ret;
}

int online_tag(const struct step_context *ctx, const struct online_now *now, struct err *err)
{
	return change_tag(ctx, now, true, err);
}

int online_untag(const struct step_context *ctx, const struct online_now *now, struct err *err)
{
	return change_tag(ctx, now, false, err);
}

char *online_object(const struct online_move *online)
{
	char *names = text_list_join(&online->target_names);
	char *text = text_format("%s/%s -> %s", online->vg, online->lv, names);

	free(names);
	return text;
}
