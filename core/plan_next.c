/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a job goes on with when its method fails and was undone: the plan of the next one. */
#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"
#include "support/err.h"
#include "volumes/volume.h"

/*
 * The same facts once more, as the planner wants them: with their uses, among
 * which a guest that has the volume is one that cannot be named more closely.
 */
bool plan_copy_facts(const struct facts *from, struct facts *ret)
{
	struct err ignored = ERR_INIT;
	json_t *json = facts_to_json(from);
	int r = facts_from_json(ret, json, &ignored);

	json_decref(json);
	for (size_t i = 0; r == 0 && i < from->uses.count; i++)
		text_list_add(&ret->uses, text_copy(from->uses.items[i]));
	return r == 0;
}

bool plan_was_tried(const struct request *request, const char *method)
{
	for (size_t i = 0; i < PLAN_TRIED_MAX && request->tried[i]; i++)
		if (!strcmp(request->tried[i], method))
			return true;
	return false;
}

void plan_next_build(const struct request *request, const char *job_id, struct facts *source,
		     struct facts *destination, struct plan *plan)
{
	struct request again = *request;
	struct plan *next = text_alloc(1, sizeof(*next));
	struct err refused = ERR_INIT;
	size_t tried = 0;

	while (tried < PLAN_TRIED_MAX && again.tried[tried])
		tried++;
	if (tried < PLAN_TRIED_MAX)
		again.tried[tried] = plan->method;
	if (tried == PLAN_TRIED_MAX ||
	    plan_build(&again, job_id, source, destination, next, &refused) < 0)
		free(next);
	else
		plan->next = next;
}

static void set_not_moved(struct plan *plan, const char *method, const char *reason)
{
	for (size_t i = 0; i < plan->not_moved_count; i++) {
		if (strcmp(plan->not_moved[i].method, method))
			continue;
		free(plan->not_moved[i].reason);
		plan->not_moved[i].reason = text_copy(reason);
		return;
	}
	plan_add_not_moved(plan, method, text_copy(reason));
}

/* Was nothing else said of that method than that it comes before? */
static bool is_put_off(const struct plan *plan, const char *method)
{
	for (size_t i = 0; i < plan->not_moved_count; i++)
		if (!strcmp(plan->not_moved[i].method, method))
			return !strcmp(plan->not_moved[i].reason, PLAN_TRIED_FIRST);
	return false;
}

/* Does it read back what it has written, so that it may go where another method was let down? */
static bool proves(const struct plan *plan)
{
	return plan->move.verify == VERIFY_FULL;
}

bool plan_has_next(const struct plan *plan, enum go_on go_on)
{
	/* What another host has asked for it goes on with itself. */
	const struct plan *next = go_on == GO_ON_NEVER || plan->serve ? NULL : plan->next;

	while (next && go_on == GO_ON_PROVING && !proves(next))
		next = next->next;
	return next;
}

void plan_go_on(struct plan *plan, enum go_on go_on, const char *reason)
{
	char *why = text_format("it failed, and was undone: %s", reason);

	for (bool first = true; first || (go_on == GO_ON_PROVING && !proves(plan)); first = false) {
		struct plan *next = plan->next;

		set_not_moved(next, plan->method, first ? why : "it proves nothing, and the target did not keep what it was given");
		/* What has become of those before it. */
		for (size_t i = 0; i < plan->not_moved_count; i++)
			if (is_put_off(next, plan->not_moved[i].method))
				set_not_moved(next, plan->not_moved[i].method, plan->not_moved[i].reason);
		plan->next = NULL;
		plan_free(plan);
		*plan = *next;
		free(next);
	}
	free(why);
}
