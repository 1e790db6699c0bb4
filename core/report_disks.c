/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of reports that is about the disks of a domain. */
#include "report_disks.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/json.h"
#include "support/text.h"

char *report_step_object(const struct plan *plan, size_t i)
{
	const struct step_ops *step = plan->steps[i];
	struct text_list objects = { 0 };
	char *joined;

	if (!step->joint)
		return step->object(plan_move(plan, plan->step_moves[i]));
	for (size_t k = 0; k < plan_moves(plan); k++)
		text_list_add(&objects, step->object(plan_move(plan, k)));
	joined = text_list_join(&objects);
	text_list_free(&objects);
	return joined;
}

json_t *report_pivot(const struct progress_record *record)
{
	return json_pack("{s:s, s:f, s:f, s:b}", "called",
			 record->pivot == PIVOT_DONE ? "done" : record->pivot == PIVOT_CALLED ? "yes" : "no",
			 "seconds", (double)record->pivot_ns / 1e9,
			 "suspended_seconds", (double)record->suspended_ns / 1e9,
			 "suspended", record->suspended);
}

void report_add_disk(json_t *json, const struct move *move, json_t *disk)
{
	json_t *disks = json_object_get(json, "disks");

	if (!disks) {
		disks = json_array();
		json_put(json, "disks", disks);
	}
	json_put(disk, "disk", json_text(move->live.uuid ? move->live.target : move->cold.target));
	json_array_append_new(disks, disk);
}

static json_t *value_at(const json_t *json, const char *object, const char *key)
{
	return json_object_get(json_object_get(json, object), key);
}

/* The sum, or with most the greatest, of what the disks have there; nothing where none has it. */
static void sum_up(json_t *json, const char *object, const char *key, bool most)
{
	double real = 0;
	json_int_t whole = 0;
	bool is_real = false, any = false;
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(json, "disks"), i, disk) {
		const json_t *value = value_at(disk, object, key);
		double number = json_number_value(value);

		if (!json_is_number(value))
			continue;
		any = true;
		is_real = json_is_real(value);
		whole = most && whole > json_integer_value(value) ? whole :
			(most ? 0 : whole) + json_integer_value(value);
		real = most && real > number ? real : (most ? 0 : real) + number;
	}
	if (any)
		json_put(json_object_get(json, object), key, is_real ? json_real(real) : json_integer(whole));
}

/* What all of them say there; where they do not agree, what the first says that is not last. */
static void agree(json_t *json, const char *object, const char *key, const char *last)
{
	const char *said = NULL;
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(json, "disks"), i, disk) {
		const char *text = json_string_value(value_at(disk, object, key));

		if (!said || !strcmp(said, last))
			said = text;
		if (!said)
			break;
	}
	if (value_at(json, object, key))
		json_put(json_object_get(json, object), key, said ? json_string(said) : json_null());
}

void report_sum_disks(json_t *json, const struct plan *plan)
{
	static const struct {
		const char *object, *key;
	} sums[] = {
		{ "source", "bytes" }, { "source", "allocated_before" },
		{ "destination", "bytes" }, { "destination", "allocated_after" },
		{ "copy", "bytes_data" }, { "copy", "bytes_zero" }, { "copy", "bytes_written" },
		{ "copy", "durable_offset" }, { "verify", "seconds" }, { "verify", "bytes_compared" },
	};
	bool live = plan->move.live.uuid;
	json_int_t moved = 0;
	const json_t *disk;
	size_t i;

	if (!plan->more_count)
		return;
	for (i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		sum_up(json, sums[i].object, sums[i].key, false);
	/* Mirrors go side by side. */
	sum_up(json, "copy", "seconds", live);
	agree(json, "source", "state", "removed");
	agree(json, "destination", "state", "complete");
	agree(json, "verify", "result", "equal");
	json_array_foreach(json_object_get(json, "disks"), i, disk) {
		json_int_t bytes = json_integer_value(value_at(disk, "source", "allocated_before"));

		moved += bytes;
	}
	if (json_object_get(json, "bytes_to_move") && strcmp(plan->method, "reflink"))
		json_put(json, "bytes_to_move", json_integer(moved));
	json_put(json_object_get(json, "source"), "spec", json_text(plan->set));
	json_put(json_object_get(json, "source"), "kind", json_string("disks"));
	json_put(json_object_get(json, "source"), "path", json_null());
	json_put(json_object_get(json, "source"), "holds", json_null());
	json_put(json_object_get(json, "destination"), "path", json_null());
	if (json_is_object(json_object_get(json, "verify")))
		json_put(json_object_get(json, "verify"), "tree_hash", json_null());
	json_object_del(json_object_get(json, "domain"), "disk");
}

char *report_disk_text(const json_t *disk)
{
	char size[TEXT_SIZE_MAX];
	const char *now = json_get_string(disk, "now");

	return text_format("%s: %s -> %s, %s%s%s", json_get_string(disk, "disk"),
			   json_string_value(value_at(disk, "source", "path")),
			   json_string_value(value_at(disk, "destination", "path")),
			   text_size((uint64_t)json_integer_value(value_at(disk, "source", "bytes")), size),
			   now ? ": " : "", now ? now : "");
}

char *report_row_suspended(const json_t *report)
{
	const json_t *pivot = json_object_get(report, "pivot");
	double seconds = json_number_value(json_object_get(pivot, "suspended_seconds"));

	if (json_is_true(json_object_get(pivot, "suspended")))
		return text_copy("the guest, when volmig was stopped; resume and abort see to it that it goes on");
	return seconds > 0 ? text_format("the guest, for %.0f ms, while all disks were moved", seconds * 1000) : NULL;
}
