/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what is wanted and what is there to a list of steps, or to a refusal with its reason. */
#include "plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

const char *command_name(enum command_kind command)
{
	return command == COMMAND_MIGRATE ? "migrate" : command == COMMAND_COPY ? "copy" : "swap";
}

void plan_add_step(struct plan *plan, const struct step_ops *step)
{
	assert(plan->step_count < PLAN_STEPS_MAX);
	plan->steps[plan->step_count++] = step;
}

void plan_add_not_moved(struct plan *plan, const char *method, char *reason)
{
	assert(plan->not_moved_count < sizeof(plan->not_moved) / sizeof(plan->not_moved[0]));
	plan->not_moved[plan->not_moved_count++] = (struct not_moved){ method, reason };
}

bool plan_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

int plan_check_volume(const struct facts *source, bool raw, struct err *err)
{
	if (!source->kind && source->dir && !strcmp(source->dir, source->path)) {
		err_set(err, ERR_REFUSED, source->spec, "is a directory, not a volume");
		return err_next(err, "name a file or a block device");
	}
	if (!source->kind) {
		err_set(err, ERR_REFUSED, source->spec, "no such volume");
		return err_next(err, "nothing was touched; check the name");
	}
	if (source->fs_type && (!strcmp(source->fs_type, "proc") || !strcmp(source->fs_type, "sysfs"))) {
		err_set(err, ERR_REFUSED, source->spec, "what is on %s is made up as it is read, and no volume",
			source->fs_type);
		return err_next(err, "name a file or a block device");
	}
	if (source->format && !raw) {
		err_set(err, ERR_REFUSED, source->spec,
			"looks like a %s image, whose bytes are not the volume's", source->format);
		return err_next(err, "use --format=raw if these bytes are the volume");
	}
	return 0;
}

/* No policy may forget the definition that has to follow. */
static int finish_cold(struct plan *plan, struct err *err)
{
	bool follows = !plan->move.cold.uuid;

	for (size_t i = 0; i < plan->step_count; i++)
		follows = follows || plan->steps[i] == &repoint_step;
	if (follows)
		return cold_move_finish(&plan->move, err);
	return err_set(err, ERR_REFUSED, plan->move.source.spec,
		       "method %s does not change the definition of domain %s", plan->method,
		       plan->move.cold.domain);
}

int plan_build(const struct request *request, const char *job_id,
	       struct facts *source, struct facts *destination,
	       struct plan *ret_plan, struct err *err)
{
	struct plan plan = { .command = request->command };
	struct move *move = &plan.move;
	int (*policy)(const struct request *, const char *, struct plan *, struct err *);
	struct facts from = { 0 }, to = { 0 };
	bool in_group, chain;

	move->source = *source;
	move->destination = *destination;
	move->verify = request->verify;
	move->sparse = request->sparse;
	move->delta = request->delta;
	move->bytes_per_second = request->bytes_per_second;
	move->stall_ms = request->stall_ms;

	if (request->live && facts_is_far(destination))
		return err_set(err, ERR_REFUSED, source->spec,
			       "used by running domain %s, which a copy on another host would leave behind",
			       request->live->domain);
	if (request->compress && !request->compress_is_default && !facts_is_far(source) && !facts_is_far(destination)) {
		err_set(err, ERR_USAGE, "--compress", "is for bytes on their way to another host or from it, ssh://HOST/...");
		return err_next(err, "leave --compress out");
	}
	if (request->live && qemu_is_image(source)) {
		err_set(err, ERR_REFUSED, source->spec, "used by running domain %s, and images of QEMU's formats are only moved when nobody uses them",
			request->live->domain);
		return err_next(err, "shut the domain down");
	}
	if ((request->thin_pool || request->thick) && !request->thin_is_default && !facts_is_far(destination) &&
	    (!destination->lv || destination->kind))
		return err_set(err, ERR_USAGE, request->thick ? "--thick" : "--thin",
			       "is for a new logical volume");
	/* What LVM moves inside a group it moves in use or not, by a guest too. */
	if (destination->lv && destination->lv->wanted_pvs.count)
		policy = plan_lvm;
	else if (request->live)
		policy = plan_live;
	else
		policy = source->lv || destination->lv ? plan_lvm : plan_copy;
	/* The others move a domain's disk only when it is shut off. */
	in_group = destination->lv && destination->lv->wanted_pvs.count;
	chain = in_group && request->command == COMMAND_MIGRATE && request->fallback == FALLBACK_ALWAYS &&
		!strcmp(request->method, "auto") && !request->force_host_copy &&
		plan_copy_facts(source, &from) && plan_copy_facts(destination, &to);
	if ((policy != plan_live && !in_group && plan_cold(request, &plan, err) < 0) ||
	    policy(request, job_id, &plan, err) < 0 || finish_cold(&plan, err) < 0) {
		/* The facts stay the caller's. */
		move->source = (struct facts){ 0 };
		move->destination = (struct facts){ 0 };
		plan_free(&plan);
		facts_free(&from);
		facts_free(&to);
		return -1;
	}
	for (size_t i = 0; request->hooks && request->hooks[i]; i++)
		text_list_add(&plan.hooks.commands, text_copy(request->hooks[i]));
	plan.hooks.timeout_ms = request->hook_timeout_ms;
	if (chain && plan.move.online.vg)
		plan_next_build(request, job_id, &from, &to, &plan);
	facts_free(&from);
	facts_free(&to);
	*source = (struct facts){ 0 };
	*destination = (struct facts){ 0 };
	*ret_plan = plan;
	return 0;
}

const struct move *plan_move(const struct plan *plan, size_t i)
{
	return i ? &plan->more[i - 1] : &plan->move;
}

size_t plan_moves(const struct plan *plan)
{
	return 1 + plan->more_count;
}

void plan_free(struct plan *plan)
{
	move_free(&plan->move);
	for (size_t i = 0; i < plan->more_count; i++)
		move_free(&plan->more[i]);
	free(plan->more);
	free(plan->set);
	for (size_t i = 0; i < plan->not_moved_count; i++)
		free(plan->not_moved[i].reason);
	text_list_free(&plan->warnings);
	text_list_free(&plan->hooks.commands);
	json_decref(plan->serve);
	if (plan->next)
		plan_free(plan->next);
	free(plan->next);
	*plan = (struct plan){ 0 };
}

json_t *plan_to_json(const struct plan *plan)
{
	json_t *json = json_object(), *steps = json_array();
	json_t *not_moved = json_array(), *warnings = json_array();

	for (size_t i = 0; i < plan->step_count; i++)
		json_array_append_new(steps, json_string(plan->steps[i]->name));
	for (size_t i = 0; i < plan->not_moved_count; i++)
		json_array_append_new(not_moved, json_pack(
			"{s:s, s:o}", "method", plan->not_moved[i].method,
			"reason", json_text(plan->not_moved[i].reason)));
	for (size_t i = 0; i < plan->warnings.count; i++)
		json_array_append_new(warnings, json_text(plan->warnings.items[i]));
	json_put(json, "command", json_string(command_name(plan->command)));
	json_put(json, "method", json_string(plan->method));
	json_put(json, "move", move_to_json(&plan->move));
	if (plan->set) {
		json_t *more = json_array(), *of = json_array();

		for (size_t i = 0; i < plan->more_count; i++)
			json_array_append_new(more, move_to_json(&plan->more[i]));
		for (size_t i = 0; i < plan->step_count; i++)
			json_array_append_new(of, json_integer(plan->step_moves[i]));
		json_put(json, "set", json_text(plan->set));
		json_put(json, "more", more);
		json_put(json, "step_moves", of);
	}
	json_put(json, "steps", steps);
	json_put(json, "not_moved", not_moved);
	json_put(json, "warnings", warnings);
	json_put(json, "hooks", hook_options_to_json(&plan->hooks));
	if (plan->serve)
		json_put(json, "serve", json_incref(plan->serve));
	if (plan->next)
		json_put(json, "next", plan_to_json(plan->next));
	return json;
}

/* A method's name as a string that lives for ever. */
static const char *method_name(const char *name)
{
	static const char *const names[] = { "copy", "reflink", "live", "pvmove", "lvconvert" };

	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return names[i];
	return NULL;
}

/* The further moves of a job that has several. */
static int set_from_json(struct plan *plan, const json_t *json, struct err *err)
{
	const json_t *more = json_object_get(json, "more"), *item;
	size_t i;

	if (!json_is_array(more))
		return 0;
	if (json_array_size(more) >= PLAN_MOVES_MAX)
		return err_set(err, ERR_REFUSED, NULL, "the journal's plan has too many moves");
	plan->set = text_copy(json_get_string(json, "set") ?: "");
	plan->more = text_alloc(json_array_size(more) + 1, sizeof(*plan->more));
	json_array_foreach(more, i, item) {
		if (move_from_json(&plan->more[i], item, err) < 0)
			return -1;
		plan->more_count++;
	}
	return 0;
}

int plan_from_json(struct plan *ret_plan, const json_t *json, struct err *err)
{
	struct plan plan = { 0 };
	const char *command = json_get_string(json, "command");
	const json_t *item;
	json_int_t of;
	size_t i;

	plan.command = command && !strcmp(command, "copy") ? COMMAND_COPY :
		       command && !strcmp(command, "swap") ? COMMAND_SWAP : COMMAND_MIGRATE;
	plan.method = method_name(json_get_string(json, "method"));
	if (!command || !plan.method)
		return err_set(err, ERR_REFUSED, NULL, "the journal's plan has a command or a method that this volmig does not know");
	if (move_from_json(&plan.move, json_object_get(json, "move"), err) < 0)
		return -1;
	if (set_from_json(&plan, json, err) < 0) {
		plan_free(&plan);
		return -1;
	}
	json_array_foreach(json_object_get(json, "steps"), i, item) {
		const char *name = json_string_value(item);
		const struct step_ops *step = name ? step_by_name(name) : NULL;

		if (!step || plan.step_count == PLAN_STEPS_EACH * plan_moves(&plan)) {
			err_set(err, ERR_REFUSED, NULL,
				"the journal's plan has a step that this volmig does not know: %s",
				name ? name : "(none)");
			plan_free(&plan);
			return -1;
		}
		of = json_integer_value(json_array_get(json_object_get(json, "step_moves"), i));
		if (of < 0 || (size_t)of >= plan_moves(&plan)) {
			plan_free(&plan);
			return err_set(err, ERR_REFUSED, NULL, "the journal's plan has a step of a move that it has not");
		}
		plan_add_step(&plan, step);
		plan.step_moves[plan.step_count - 1] = (unsigned char)of;
	}
	json_array_foreach(json_object_get(json, "not_moved"), i, item) {
		const char *reason = json_get_string(item, "reason");
		const char *method = method_name(json_get_string(item, "method"));

		if (method && plan.not_moved_count < 8)
			plan_add_not_moved(&plan, method, text_copy(reason ? reason : ""));
	}
	json_array_foreach(json_object_get(json, "warnings"), i, item)
		text_list_add(&plan.warnings, text_copy(json_string_value(item)));
	hook_options_from_json(&plan.hooks, json_object_get(json, "hooks"));
	if (json_is_object(json_object_get(json, "serve")))
		plan.serve = json_deep_copy(json_object_get(json, "serve"));
	if (!plan.step_count) {
		plan_free(&plan);
		return err_set(err, ERR_REFUSED, NULL, "the journal's plan has no steps");
	}
	if (json_object_get(json, "next")) {
		plan.next = text_alloc(1, sizeof(*plan.next));
		if (plan_from_json(plan.next, json_object_get(json, "next"), err) < 0) {
			plan_free(&plan);
			return -1;
		}
	}
	*ret_plan = plan;
	return 0;
}
