/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal's form of what a run of steps has found out, and back. */
#include "engines/step.h"

#include <stdio.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"

json_t *mark_to_json(const struct mark *mark)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "offset", (json_int_t)mark->offset,
			 "bytes_data", (json_int_t)mark->bytes_data,
			 "bytes_zero", (json_int_t)mark->bytes_zero,
			 "bytes_written", (json_int_t)mark->bytes_written);
}

struct mark mark_from_json(const json_t *json)
{
	return (struct mark){
		.offset = json_get_u64(json, "offset"),
		.bytes_data = json_get_u64(json, "bytes_data"),
		.bytes_zero = json_get_u64(json, "bytes_zero"),
		.bytes_written = json_get_u64(json, "bytes_written"),
	};
}

static const char *const pivots[] = {
	[PIVOT_NOT_CALLED] = "not called", [PIVOT_CALLED] = "called", [PIVOT_DONE] = "done",
};

json_t *progress_record_to_json(const struct progress_record *record)
{
	json_t *notes = json_array();
	json_t *json = json_object();
	char hex[HASH_HEX];

	for (size_t i = 0; i < record->notes.count; i++)
		json_array_append_new(notes, json_text(record->notes.items[i]));
	json_put(json, "target", record->target.kind ? facts_to_json(&record->target) : json_null());
	json_put(json, "mark", mark_to_json(&record->mark));
	json_put(json, "copy_ns", json_u64(record->copy_ns));
	json_put(json, "verify_ns", json_u64(record->verify_ns));
	json_put(json, "waits", json_pack("{s:I, s:I, s:I, s:I}",
		"read_ns", (json_int_t)record->waits.read_ns,
		"write_ns", (json_int_t)record->waits.write_ns,
		"flush_ns", (json_int_t)record->waits.flush_ns,
		"limit_ns", (json_int_t)record->waits.limit_ns));
	json_put(json, "source_diskseq", json_u64(record->source_diskseq));
	json_put(json, "source_written", json_u64(record->source_written));
	json_put(json, "source_boot", json_string(record->source_boot));
	json_put(json, "verified_boot", json_string(record->verified_boot));
	json_put(json, "resumed_at", json_u64(record->resumed_at));
	json_put(json, "rewritten", json_u64(record->rewritten));
	json_put(json, "wire_raw", json_u64(record->wire_raw));
	json_put(json, "wire_bytes", json_u64(record->wire_bytes));
	json_put(json, "allocated_after", json_u64(record->allocated_after));
	json_put(json, "leaf", json_string(hash_hex(&record->leaf, hex)));
	json_put(json, "tree_hash", json_string(record->tree_hash));
	json_put(json, "verified", json_boolean(record->verified));
	json_put(json, "source_stays", json_boolean(record->source_stays));
	json_put(json, "wipe_begun", json_boolean(record->wipe_begun));
	json_put(json, "wipe_skipped", json_boolean(record->wipe_skipped));
	json_put(json, "cloned", json_boolean(record->cloned));
	json_put(json, "live_compared", json_u64(record->live_compared));
	json_put(json, "pivot", json_string(pivots[record->pivot]));
	json_put(json, "single_connection", json_boolean(record->single_connection));
	json_put(json, "pivot_ns", json_u64(record->pivot_ns));
	json_put(json, "suspended", json_boolean(record->suspended));
	json_put(json, "suspended_ns", json_u64(record->suspended_ns));
	json_put(json, "online", online_record_to_json(&record->online));
	json_put(json, "notes", notes);
	return json;
}

void progress_record_free(struct progress_record *record)
{
	facts_free(&record->target);
	text_list_free(&record->notes);
	*record = (struct progress_record){ 0 };
}

static void boot_from_json(char boot[static UUID_TEXT_SIZE], const json_t *json, const char *key)
{
	snprintf(boot, UUID_TEXT_SIZE, "%s", json_get_string(json, key) ?: "");
}

int progress_record_from_json(struct progress_record *record, const json_t *json, struct err *err)
{
	const json_t *target = json_object_get(json, "target"), *waits, *note;
	const char *hash = json_get_string(json, "tree_hash"), *pivot;
	size_t i;

	progress_record_free(record);
	if (json_is_object(target) && facts_from_json(&record->target, target, err) < 0)
		return -1;
	record->mark = mark_from_json(json_object_get(json, "mark"));
	record->copy_ns = json_get_u64(json, "copy_ns");
	record->verify_ns = json_get_u64(json, "verify_ns");
	record->source_diskseq = json_get_u64(json, "source_diskseq");
	record->source_written = json_get_u64(json, "source_written");
	boot_from_json(record->source_boot, json, "source_boot");
	boot_from_json(record->verified_boot, json, "verified_boot");
	record->resumed_at = json_get_u64(json, "resumed_at");
	waits = json_object_get(json, "waits");
	record->waits.read_ns = json_get_u64(waits, "read_ns");
	record->waits.write_ns = json_get_u64(waits, "write_ns");
	record->waits.flush_ns = json_get_u64(waits, "flush_ns");
	record->waits.limit_ns = json_get_u64(waits, "limit_ns");
	record->rewritten = json_get_u64(json, "rewritten");
	record->wire_raw = json_get_u64(json, "wire_raw");
	record->wire_bytes = json_get_u64(json, "wire_bytes");
	record->allocated_after = json_get_u64(json, "allocated_after");
	hash_from_hex(json_get_string(json, "leaf"), &record->leaf);
	snprintf(record->tree_hash, sizeof(record->tree_hash), "%s", hash ? hash : "");
	record->verified = json_get_bool(json, "verified");
	record->source_stays = json_get_bool(json, "source_stays");
	record->wipe_begun = json_get_bool(json, "wipe_begun");
	record->wipe_skipped = json_get_bool(json, "wipe_skipped");
	record->cloned = json_get_bool(json, "cloned");
	record->live_compared = json_get_u64(json, "live_compared");
	pivot = json_get_string(json, "pivot");
	for (i = 0; pivot && i < sizeof(pivots) / sizeof(pivots[0]); i++)
		if (!strcmp(pivots[i], pivot))
			record->pivot = (enum pivot_record)i;
	record->single_connection = json_get_bool(json, "single_connection");
	record->pivot_ns = json_get_u64(json, "pivot_ns");
	record->suspended = json_get_bool(json, "suspended");
	record->suspended_ns = json_get_u64(json, "suspended_ns");
	record->online = online_record_from_json(json_object_get(json, "online"));
	json_array_foreach(json_object_get(json, "notes"), i, note)
		text_list_add(&record->notes, text_copy(json_string_value(note)));
	return 0;
}
