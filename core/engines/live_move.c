/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is journalled of moving the disk of a running domain. */
#include <stdlib.h>
#include <string.h>

#include "engines/step.h"
#include "support/err.h"
#include "support/json.h"

static const char *const apis[] = {
	[LIVE_API_AUTO] = "auto", [LIVE_API_COPY] = "copy", [LIVE_API_REBASE] = "rebase",
};

void live_move_free(struct live_move *live)
{
	free(live->uri);
	free(live->uuid);
	free(live->domain);
	free(live->target);
	free(live->old_path);
	free(live->new_path);
	free(live->old_name);
	free(live->new_source);
	free(live->definition);
	*live = (struct live_move){ 0 };
}

json_t *live_move_to_json(const struct live_move *live)
{
	json_t *json = json_object();

	json_put(json, "uri", json_name(live->uri));
	json_put(json, "uuid", json_string(live->uuid));
	json_put(json, "domain", json_name(live->domain));
	json_put(json, "target", json_name(live->target));
	json_put(json, "old_path", json_name(live->old_path));
	json_put(json, "new_path", json_name(live->new_path));
	json_put(json, "old_name", json_name(live->old_name));
	json_put(json, "new_source", json_name(live->new_source));
	json_put(json, "persistent", json_boolean(live->persistent));
	json_put(json, "definition", json_name(live->definition));
	json_put(json, "bytes", json_u64(live->bytes));
	json_put(json, "window", json_u64(live->window));
	json_put(json, "api", json_string(apis[live->api]));
	json_put(json, "sync_writes", json_boolean(live->sync_writes));
	json_put(json, "hold", json_boolean(live->hold));
	json_put(json, "granularity", json_u64(live->granularity));
	json_put(json, "max_pause_ms", json_u64(live->max_pause_ms));
	return json;
}

void live_move_from_json(struct live_move *live, const json_t *json)
{
	const char *api = json_get_string(json, "api");

	*live = (struct live_move){ 0 };
	if (!json_get_string(json, "uuid"))
		return;
	live->uri = json_name_get(json_object_get(json, "uri"));
	live->uuid = text_copy(json_get_string(json, "uuid"));
	live->domain = json_name_get(json_object_get(json, "domain"));
	live->target = json_name_get(json_object_get(json, "target"));
	live->old_path = json_name_get(json_object_get(json, "old_path"));
	live->new_path = json_name_get(json_object_get(json, "new_path"));
	live->old_name = json_name_get(json_object_get(json, "old_name"));
	live->new_source = json_name_get(json_object_get(json, "new_source"));
	live->persistent = json_get_bool(json, "persistent");
	live->definition = json_name_get(json_object_get(json, "definition"));
	live->bytes = json_get_u64(json, "bytes");
	live->window = json_get_u64(json, "window");
	for (size_t i = 0; api && i < sizeof(apis) / sizeof(apis[0]); i++)
		if (!strcmp(apis[i], api))
			live->api = (enum live_api)i;
	live->sync_writes = json_get_bool(json, "sync_writes");
	live->hold = json_get_bool(json, "hold");
	live->granularity = (uint32_t)json_get_u64(json, "granularity");
	live->max_pause_ms = json_get_u64(json, "max_pause_ms");
}

uint64_t move_bytes(const struct move *move)
{
	return move->live.uuid ? move->live.bytes : move->source.bytes;
}
