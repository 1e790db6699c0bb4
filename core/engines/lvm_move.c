/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is journalled of a move in which LVM has a part. */
#include "engines/lvm_move.h"

#include <stdlib.h>

#include "support/err.h"
#include "support/json.h"

void lvm_move_free(struct lvm_move *lvm)
{
	text_list_free(&lvm->pvs);
	free(lvm->type);
	free(lvm->pool);
	*lvm = (struct lvm_move){ 0 };
}

json_t *lvm_move_to_json(const struct lvm_move *lvm)
{
	json_t *json = json_object(), *pvs = json_array();

	for (size_t i = 0; i < lvm->pvs.count; i++)
		json_array_append_new(pvs, json_name(lvm->pvs.items[i]));
	json_put(json, "pvs", pvs);
	json_put(json, "create", json_boolean(lvm->create));
	json_put(json, "type", json_name(lvm->type));
	json_put(json, "pool", json_name(lvm->pool));
	json_put(json, "bytes", json_u64(lvm->bytes));
	json_put(json, "stripes", json_u64(lvm->stripes));
	json_put(json, "stripe_bytes", json_u64(lvm->stripe_bytes));
	json_put(json, "late_name", json_boolean(lvm->late_name));
	json_put(json, "activate_source", json_boolean(lvm->activate_source));
	json_put(json, "activate_destination", json_boolean(lvm->activate_destination));
	return json;
}

int lvm_move_from_json(struct lvm_move *ret, const json_t *json, struct err *err)
{
	struct lvm_move lvm = { 0 };
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(json, "pvs"), i, item) {
		char *name = json_name_get(item);

		if (name)
			text_list_add(&lvm.pvs, name);
	}
	lvm.create = json_get_bool(json, "create");
	lvm.type = json_name_get(json_object_get(json, "type"));
	lvm.pool = json_name_get(json_object_get(json, "pool"));
	lvm.bytes = json_get_u64(json, "bytes");
	lvm.stripes = json_get_u64(json, "stripes");
	lvm.stripe_bytes = json_get_u64(json, "stripe_bytes");
	lvm.late_name = json_get_bool(json, "late_name");
	lvm.activate_source = json_get_bool(json, "activate_source");
	lvm.activate_destination = json_get_bool(json, "activate_destination");
	if (lvm.create && (!lvm.type || !lvm.bytes)) {
		lvm_move_free(&lvm);
		return err_set(err, ERR_REFUSED, NULL,
			       "the journal's plan does not say what logical volume it makes");
	}
	*ret = lvm;
	return 0;
}
