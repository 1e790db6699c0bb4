/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts about a logical volume and its group: kept as JSON. */
#include <stddef.h>
#include <stdlib.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"

enum field_type {
	FIELD_NAME,		/* char *, owned */
	FIELD_U64,
	FIELD_BOOL,
	FIELD_LIST,		/* struct text_list */
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
};

#define FIELD(of, type, name) { #name, FIELD_##type, offsetof(struct of, name) }

static const struct field pv_fields[] = {
	FIELD(lv_pv, NAME, name),
	FIELD(lv_pv, NAME, uuid),
	FIELD(lv_pv, U64, dev),
	FIELD(lv_pv, U64, extents),
	FIELD(lv_pv, U64, free_extents),
	FIELD(lv_pv, U64, used_here),
	FIELD(lv_pv, BOOL, missing),
	FIELD(lv_pv, BOOL, allocatable),
	{ NULL, FIELD_NAME, 0 },
};

static const struct field pool_fields[] = {
	FIELD(lv_pool, NAME, name),
	FIELD(lv_pool, NAME, uuid),
	FIELD(lv_pool, U64, bytes),
	FIELD(lv_pool, U64, free_bytes),
	FIELD(lv_pool, U64, metadata_bytes),
	FIELD(lv_pool, U64, metadata_free_bytes),
	FIELD(lv_pool, U64, chunk_bytes),
	FIELD(lv_pool, NAME, discards),
	FIELD(lv_pool, BOOL, zeroes),
	FIELD(lv_pool, BOOL, active),
	{ NULL, FIELD_NAME, 0 },
};

static const struct field lv_fields[] = {
	FIELD(lv_facts, NAME, vg_name),
	FIELD(lv_facts, NAME, vg_uuid),
	FIELD(lv_facts, NAME, lock_type),
	FIELD(lv_facts, U64, extent_bytes),
	FIELD(lv_facts, U64, free_extents),
	FIELD(lv_facts, U64, missing_pvs),
	FIELD(lv_facts, BOOL, exported),
	FIELD(lv_facts, BOOL, partial),
	FIELD(lv_facts, BOOL, shared),
	FIELD(lv_facts, BOOL, read_only_group),
	FIELD(lv_facts, NAME, name),
	FIELD(lv_facts, NAME, uuid),
	FIELD(lv_facts, NAME, type),
	FIELD(lv_facts, NAME, layout),
	FIELD(lv_facts, NAME, role),
	FIELD(lv_facts, NAME, parent),
	FIELD(lv_facts, U64, bytes),
	FIELD(lv_facts, U64, stripes),
	FIELD(lv_facts, U64, stripe_bytes),
	FIELD(lv_facts, U64, segments),
	FIELD(lv_facts, NAME, origin),
	FIELD(lv_facts, NAME, origin_uuid),
	FIELD(lv_facts, LIST, snapshots),
	FIELD(lv_facts, LIST, thin_snapshots),
	FIELD(lv_facts, NAME, pool),
	FIELD(lv_facts, NAME, pool_uuid),
	FIELD(lv_facts, U64, mapped),
	FIELD(lv_facts, NAME, sync_percent),
	FIELD(lv_facts, NAME, sync_action),
	FIELD(lv_facts, U64, mismatches),
	FIELD(lv_facts, NAME, integrity),
	FIELD(lv_facts, NAME, moving),
	FIELD(lv_facts, BOOL, converting),
	FIELD(lv_facts, BOOL, suspended),
	FIELD(lv_facts, NAME, health),
	FIELD(lv_facts, LIST, tags),
	FIELD(lv_facts, NAME, read_ahead),
	FIELD(lv_facts, BOOL, activation_skip),
	FIELD(lv_facts, BOOL, read_only),
	FIELD(lv_facts, BOOL, fixed_minor),
	FIELD(lv_facts, U64, minor),
	FIELD(lv_facts, BOOL, hidden),
	FIELD(lv_facts, BOOL, active),
	FIELD(lv_facts, BOOL, open),
	FIELD(lv_facts, U64, dev),
	FIELD(lv_facts, NAME, wanted),
	FIELD(lv_facts, NAME, wanted_pool),
	FIELD(lv_facts, LIST, wanted_pvs),
	{ NULL, FIELD_NAME, 0 },
};

static void free_fields(void *record, const struct field *fields)
{
	for (const struct field *f = fields; f->key; f++) {
		void *at = (char *)record + f->offset;

		if (f->type == FIELD_NAME)
			free(*(char **)at);
		else if (f->type == FIELD_LIST)
			text_list_free(at);
	}
}

static json_t *list_to_json(const struct text_list *list)
{
	json_t *json = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(json, json_text(list->items[i]));
	return json;
}

static json_t *fields_to_json(const void *record, const struct field *fields)
{
	json_t *json = json_object();

	for (const struct field *f = fields; f->key; f++) {
		const void *at = (const char *)record + f->offset;

		switch (f->type) {
		case FIELD_NAME:
			json_put(json, f->key, json_name(*(char *const *)at));
			break;
		case FIELD_U64:
			json_put(json, f->key, json_u64(*(const uint64_t *)at));
			break;
		case FIELD_BOOL:
			json_put(json, f->key, json_boolean(*(const bool *)at));
			break;
		case FIELD_LIST:
			json_put(json, f->key, list_to_json(at));
			break;
		}
	}
	return json;
}

static bool field_from_json(void *at, enum field_type type, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!value)
		return true;
	switch (type) {
	case FIELD_NAME:
		*(char **)at = json_name_get(value);
		return json_is_null(value) || *(char **)at;
	case FIELD_U64:
		*(uint64_t *)at = (uint64_t)json_integer_value(value);
		return json_is_integer(value);
	case FIELD_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	case FIELD_LIST:
		json_array_foreach(value, i, item) {
			if (!json_is_string(item))
				return false;
			text_list_add(at, text_copy(json_string_value(item)));
		}
		return json_is_array(value);
	}
	return false;
}

/* NULL when all is well, else the key that is not. */
static const char *fields_from_json(void *record, const struct field *fields, const json_t *json)
{
	for (const struct field *f = fields; f->key; f++)
		if (!field_from_json((char *)record + f->offset, f->type, json_object_get(json, f->key)))
			return f->key;
	return NULL;
}

void lv_facts_free(struct lv_facts *lv)
{
	if (!lv)
		return;
	for (size_t i = 0; i < lv->pv_count; i++)
		free_fields(&lv->pvs[i], pv_fields);
	for (size_t i = 0; i < lv->pool_count; i++)
		free_fields(&lv->pools[i], pool_fields);
	free(lv->pvs);
	free(lv->pools);
	free_fields(lv, lv_fields);
	free(lv);
}

json_t *lv_facts_to_json(const struct lv_facts *lv)
{
	json_t *json, *pvs = json_array(), *pools = json_array();

	json = fields_to_json(lv, lv_fields);
	for (size_t i = 0; i < lv->pv_count; i++)
		json_array_append_new(pvs, fields_to_json(&lv->pvs[i], pv_fields));
	for (size_t i = 0; i < lv->pool_count; i++)
		json_array_append_new(pools, fields_to_json(&lv->pools[i], pool_fields));
	json_put(json, "pvs", pvs);
	json_put(json, "pools", pools);
	return json;
}

int lv_facts_from_json(struct lv_facts **ret, const json_t *json, struct err *err)
{
	const json_t *pvs = json_object_get(json, "pvs"), *pools = json_object_get(json, "pools");
	struct lv_facts *lv = text_alloc(1, sizeof(*lv));
	const char *bad = json_is_object(json) ? fields_from_json(lv, lv_fields, json) : "lv";
	const json_t *item;
	size_t i;

	lv->pvs = text_alloc(json_array_size(pvs) + 1, sizeof(*lv->pvs));
	lv->pools = text_alloc(json_array_size(pools) + 1, sizeof(*lv->pools));
	json_array_foreach(pvs, i, item) {
		const char *wrong = fields_from_json(&lv->pvs[lv->pv_count++], pv_fields, item);

		bad = wrong ? wrong : bad;
	}
	json_array_foreach(pools, i, item) {
		const char *wrong = fields_from_json(&lv->pools[lv->pool_count++], pool_fields, item);

		bad = wrong ? wrong : bad;
	}
	if (!bad && (!lv->vg_name || !lv->vg_uuid || (lv->name && !lv->uuid)))
		bad = "vg_name";
	if (bad) {
		lv_facts_free(lv);
		return err_set(err, ERR_REFUSED, NULL,
			       "the record of a logical volume has no usable \"%s\"", bad);
	}
	*ret = lv;
	return 0;
}

struct lv_facts *lv_facts_copy(const struct lv_facts *lv)
{
	struct err err = ERR_INIT;
	struct lv_facts *copy = NULL;
	json_t *json;

	if (!lv)
		return NULL;
	json = lv_facts_to_json(lv);
	if (lv_facts_from_json(&copy, json, &err) < 0)
		abort();
	json_decref(json);
	return copy;
}
