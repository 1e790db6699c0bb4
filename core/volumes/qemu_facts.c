/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of volumes that QEMU opens, kept as JSON. */
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/qemu.h"

void qemu_facts_free(struct qemu_facts *facts)
{
	if (!facts)
		return;
	text_list_free(&facts->chain);
	free(facts->unusable);
	free(facts->pool);
	free(facts->image);
	free(facts->conf);
	free(facts->user);
	free(facts->pool_id);
	free(facts->id);
	free(facts->parent);
	free(facts->portal);
	free(facts->target);
	free(facts->chap_file);
	free(facts);
}

static json_t *list_to_json(const struct text_list *list)
{
	json_t *json = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(json, json_name(list->items[i]));
	return json;
}

static void list_from_json(struct text_list *list, const json_t *json)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json, i, item) {
		char *name = json_name_get(item);

		if (name)
			text_list_add(list, name);
	}
}

json_t *qemu_facts_to_json(const struct qemu_facts *facts)
{
	json_t *json = json_object();

	json_put(json, "driver", json_string(facts->driver));
	if (!strcmp(facts->driver, "iscsi")) {
		json_put(json, "portal", json_text(facts->portal));
		json_put(json, "target", json_text(facts->target));
		json_put(json, "lun", json_u64(facts->lun));
		json_put(json, "chap_file", json_name(facts->chap_file));
		return json;
	}
	json_put(json, "snapshots", json_u64(facts->snapshots));
	if (strcmp(facts->driver, "rbd")) {
		json_put(json, "cluster", json_u64(facts->cluster));
		json_put(json, "chain", list_to_json(&facts->chain));
		json_put(json, "unusable", json_text(facts->unusable));
		return json;
	}
	json_put(json, "pool", json_text(facts->pool));
	json_put(json, "image", json_text(facts->image));
	json_put(json, "conf", json_name(facts->conf));
	json_put(json, "user", json_text(facts->user));
	json_put(json, "pool_id", json_text(facts->pool_id));
	json_put(json, "id", json_text(facts->id));
	json_put(json, "parent", json_text(facts->parent));
	json_put(json, "object_bytes", json_u64(facts->object_bytes));
	return json;
}

int qemu_facts_from_json(struct qemu_facts **ret, const json_t *json, struct err *err)
{
	const char *driver = json_get_string(json, "driver");
	char *text = text_format("%s://", driver ? driver : "?");
	const char *known = qemu_driver_of(text);
	struct qemu_facts *facts;

	free(text);
	if (!known)
		return err_set(err, ERR_REFUSED, NULL, "the record of a volume has no usable \"driver\"");
	facts = text_alloc(1, sizeof(*facts));
	facts->driver = known;
	facts->cluster = json_get_u64(json, "cluster");
	list_from_json(&facts->chain, json_object_get(json, "chain"));
	facts->unusable = text_copy(json_get_string(json, "unusable"));
	facts->pool = text_copy(json_get_string(json, "pool"));
	facts->image = text_copy(json_get_string(json, "image"));
	facts->conf = json_name_get(json_object_get(json, "conf"));
	facts->user = text_copy(json_get_string(json, "user"));
	facts->pool_id = text_copy(json_get_string(json, "pool_id"));
	facts->id = text_copy(json_get_string(json, "id"));
	facts->parent = text_copy(json_get_string(json, "parent"));
	facts->snapshots = json_get_u64(json, "snapshots");
	facts->object_bytes = json_get_u64(json, "object_bytes");
	facts->portal = text_copy(json_get_string(json, "portal"));
	facts->target = text_copy(json_get_string(json, "target"));
	facts->lun = json_get_u64(json, "lun");
	facts->chap_file = json_name_get(json_object_get(json, "chap_file"));
	if ((!strcmp(known, "rbd") && !facts->pool) ||
	    (!strcmp(known, "iscsi") && (!facts->portal || !facts->target))) {
		qemu_facts_free(facts);
		return err_set(err, ERR_REFUSED, NULL, "the record of a volume that QEMU opens is incomplete");
	}
	*ret = facts;
	return 0;
}

bool qemu_is_rbd(const struct facts *facts)
{
	return facts->qemu && !strcmp(facts->qemu->driver, "rbd");
}

bool qemu_is_image(const struct facts *facts)
{
	return facts->qemu && !qemu_is_rbd(facts) && !qemu_is_lun(facts);
}

bool qemu_is_lun(const struct facts *facts)
{
	return facts->qemu && !strcmp(facts->qemu->driver, "iscsi");
}

bool volume_is_file(const struct facts *facts)
{
	return facts->kind && (!strcmp(facts->kind, file_volume_ops.kind) || qemu_is_image(facts));
}

struct rbd_name qemu_rbd_name(const struct facts *facts)
{
	const struct qemu_facts *qemu = facts->qemu;

	return (struct rbd_name){ .pool = qemu->pool, .image = qemu->image, .conf = qemu->conf, .user = qemu->user,
				  .pool_id = qemu->pool_id };
}
