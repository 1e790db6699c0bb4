/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking the far host for its part of a plan. */
#include "far_plan.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/wire.h"
#include "sys/zstd.h"
#include "volumes/far.h"
#include "volumes/far_name.h"
#include "volumes/volume.h"
#include "wanted.h"

void far_plan_free(struct far_plan *far)
{
	far_move_free(&far->move);
	text_list_free(&far->warnings);
	*far = (struct far_plan){ 0 };
}

/* Nothing has been done yet that could be resumed. */
static int refused(struct err *err)
{
	if (err->class == ERR_STOPPED && err->number == WIRE_LOST)
		err->class = ERR_REFUSED;
	return -1;
}

/* What it will be, where it will be made, or what is overwritten. */
static int take_destination(const json_t *reply, const char *host, struct facts *destination,
			    struct err *err)
{
	struct facts there = { 0 }, all = { 0 };
	char *path = json_name_get(json_object_get(reply, "path"));
	int ret = facts_from_json(&there, json_object_get(reply, "facts"), err);

	if (ret == 0 && (!path || facts_is_far(&there)))
		ret = err_set(err, ERR_REFUSED, host, "its plan cannot be understood");
	if (ret == 0) {
		free(there.path);
		there.path = text_copy(path);
		far_facts(host, destination->spec, &there, &all);
		all.bytes = json_get_u64(reply, "bytes");
		facts_free(destination);
		*destination = all;
	}
	facts_free(&there);
	free(path);
	return ret;
}

int far_plan_ask(const struct request *request, const char *job_id, unsigned flags,
		 struct facts *source, struct facts *destination, struct far_plan *ret, struct err *err)
{
	bool is_source = facts_is_far(source);
	struct facts *end = is_source ? source : destination;
	struct far_plan far = { 0 };
	struct far_host host = { 0 };
	json_t *reply = NULL, *ask;
	const json_t *warning;
	char *name = NULL;
	int result = -1;
	size_t i;

	if (!facts_is_far(end))
		return 0;
	if (is_source && facts_is_far(destination)) {
		err_set(err, ERR_REFUSED, destination->spec, "source and destination are both on other hosts");
		return err_next(err, "run volmig on one of the two");
	}
	if (is_source && !source->kind) {
		err_set(err, ERR_REFUSED, source->spec, "no such volume");
		return err_next(err, "nothing was touched; check the name");
	}
	/* What is not there goes nowhere; the planner says so. */
	if (!is_source && !source->kind)
		return 0;
	if (request->compress && zstd_missing() && !request->compress_is_default) {
		err_set(err, ERR_REFUSED, "--compress", "%s", zstd_missing());
		return err_next(err, "leave --compress out");
	}
	if (far_name_parse(end->spec, !is_source, &host, &name, err) < 0)
		return -1;
	far.move.host = far_host_text(&host);
	far.move.is_source = is_source;
	far.move.wanted = wanted_to_json(request, is_source, name, is_source ? destination : source);
	ask = json_pack("{s:s, s:s, s:O, s:b}", "do", "plan", "job", job_id, "wanted", far.move.wanted,
			"uses", (flags & INSPECT_USES) != 0);
	if (far_ask(far.move.host, ask, NULL, &reply, err) < 0) {
		refused(err);
		goto out;
	}
	if (!is_source && take_destination(reply, far.move.host, destination, err) < 0)
		goto out;
	if (!is_source && json_get_bool(reply, "create"))
		far.move.makes = text_copy(json_get_string(reply, "kind"));
	far.removes = json_get_bool(reply, "removes");
	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
		text_list_add(&far.warnings, text_format("%s: %s", far.move.host, json_string_value(warning)));
	/* It costs time and no bytes: so it is no reason to refuse. */
	far.move.compress = request->compress && !zstd_missing() && json_get_bool(reply, "compress");
	if (request->compress && zstd_missing())
		text_list_add(&far.warnings, text_format("nothing is compressed: %s", zstd_missing()));
	else if (request->compress && !far.move.compress)
		text_list_add(&far.warnings, text_format("nothing is compressed: volmig on %s cannot", far.move.host));
	*ret = far;
	far = (struct far_plan){ 0 };
	result = 1;
out:
	json_decref(reply);
	far_host_free(&host);
	free(name);
	far_plan_free(&far);
	return result;
}
