/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A far end, as it is journalled. */
#include "engines/far_move.h"

#include <stdlib.h>

#include "support/json.h"
#include "support/text.h"

void far_move_free(struct far_move *far)
{
	free(far->host);
	free(far->makes);
	json_decref(far->wanted);
	*far = (struct far_move){ 0 };
}

json_t *far_move_to_json(const struct far_move *far)
{
	json_t *json = json_object();

	json_put(json, "host", json_string(far->host));
	json_put(json, "is_source", json_boolean(far->is_source));
	json_put(json, "makes", far->makes ? json_string(far->makes) : json_null());
	json_put(json, "compress", json_boolean(far->compress));
	json_put(json, "wanted", json_incref(far->wanted));
	return json;
}

void far_move_from_json(struct far_move *far, const json_t *json)
{
	*far = (struct far_move){ 0 };
	if (!json_is_object(json) || !json_get_string(json, "host"))
		return;
	far->host = text_copy(json_get_string(json, "host"));
	far->is_source = json_get_bool(json, "is_source");
	far->makes = text_copy(json_get_string(json, "makes"));
	far->compress = json_get_bool(json, "compress");
	far->wanted = json_deep_copy(json_object_get(json, "wanted"));
}
