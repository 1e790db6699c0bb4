/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One plan of several: the disks of a domain that move together, all or none.
 *
 * Each disk has been planned by itself.  The steps are put together in rounds:
 * what is made is made first, for all; then what is done to a disk alone is done
 * to one after the other, and a step that is joint (the pivot, the definition,
 * the commit) waits until all have come to it, and comes once.
 */
#include "plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "volumes/lv.h"

/* Two that make, or overwrite, the same thing. */
static int check_apart(const struct move *a, const struct move *b, struct err *err)
{
	char *one = move_final_path(a), *other = move_final_path(b);
	int ret = 0;

	if (!strcmp(one, other) || (a->destination.kind && b->destination.kind &&
				    facts_overlap(&a->destination, &b->destination))) {
		err_set(err, ERR_REFUSED, one, "is where both %s and %s would go", a->source.path,
			b->source.path);
		ret = err_next(err, "move one of them by itself, to a place of another name");
	} else if (facts_overlap(&a->source, &b->source)) {
		err_set(err, ERR_REFUSED, a->source.path, "is behind two disks that were to be moved, with %s",
			b->source.path);
		ret = err_next(err, "give each disk a volume of its own first");
	}
	free(one);
	free(other);
	return ret;
}

/* Each was found to fit by itself; files have to fit on their file system together. */
static int check_room(const struct plan *plans, size_t count, size_t first, struct err *err)
{
	const struct facts *place = &plans[first].move.destination;
	char need_text[TEXT_SIZE_MAX], have_text[TEXT_SIZE_MAX];
	uint64_t need = 0;

	if (!plans[first].move.create || plans[first].move.lvm.create)
		return 0;
	for (size_t i = first; i < count; i++) {
		const struct move *move = &plans[i].move;

		if (move->create && !move->lvm.create && move->destination.dir_dev == place->dir_dev &&
		    !strcmp(move->source.kind, "file") && strcmp(plans[i].method, "reflink"))
			need += move->source.allocated;
	}
	if (need <= place->dir_free)
		return 0;
	err_set(err, ERR_REFUSED, place->dir, "too little space for all of them: %s are free, the sources have %s allocated",
		text_size(place->dir_free, have_text), text_size(need, need_text));
	return err_next(err, "free some space, or choose another place");
}

/* The same of new volumes in one group, as far as they are thick. */
static int check_extents(const struct plan *plans, size_t count, size_t first, struct err *err)
{
	const struct move *place = &plans[first].move;
	char need_text[TEXT_SIZE_MAX], have_text[TEXT_SIZE_MAX];
	uint64_t need = 0, have;

	if (!place->lvm.create || place->lvm.pool)
		return 0;
	for (size_t i = first; i < count; i++) {
		const struct move *move = &plans[i].move;

		if (move->lvm.create && !move->lvm.pool &&
		    !strcmp(move->destination.lv->vg_uuid, place->destination.lv->vg_uuid))
			need += move->lvm.bytes;
	}
	have = place->destination.lv->free_extents * place->destination.lv->extent_bytes;
	if (need <= have)
		return 0;
	err_set(err, ERR_REFUSED, place->destination.lv->vg_name,
		"too little space in the volume group for all of them: %s are free, %s are needed",
		text_size(have, have_text), text_size(need, need_text));
	return err_next(err, "free some, extend the group, or choose another place");
}

static int check_set(const struct plan *plans, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct move *move = &plans[i].move;

		if (move->online.vg) {
			err_set(err, ERR_REFUSED, move->source.spec,
				"disks of a domain are not moved together inside a volume group");
			return err_next(err, "name the volumes themselves: volmig migrate %s PLACE", move->source.spec);
		}
		if (!move->live.uuid != !plans[0].move.live.uuid || !move->cold.uuid != !plans[0].move.cold.uuid)
			return err_set(err, ERR_REFUSED, move->source.spec,
				       "the domain was started or shut off just now");
		for (size_t k = 0; k < i; k++)
			if (check_apart(&plans[k].move, move, err) < 0)
				return -1;
		if (check_room(plans, count, i, err) < 0 || check_extents(plans, count, i, err) < 0)
			return -1;
	}
	return 0;
}

static void add_step(struct plan *plan, const struct step_ops *step, size_t of)
{
	plan_add_step(plan, step);
	plan->step_moves[plan->step_count - 1] = (unsigned char)of;
}

/*
 * Does a step come before anything is copied?  A resume may go back to a copy,
 * and what comes behind that is done again: nothing must be made twice.
 */
static bool makes(const struct step_ops *step)
{
	return step == &activate_step || step == &create_file_step || step == &create_lv_step ||
	       step == &create_image_step;
}

/*
 * The step that comes next: of the first plan that has something to make, or else
 * something to do alone; or else the joint one that all have come to.
 */
static const struct step_ops *next_step(const struct plan *plans, const size_t *done, size_t count)
{
	const struct step_ops *alone = NULL, *joint = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct step_ops *step = done[i] < plans[i].step_count ? plans[i].steps[done[i]] : NULL;

		if (step && makes(step))
			return step;
		if (step && !step->joint)
			alone = alone ? alone : step;
		else
			joint = joint ? joint : step;
	}
	return alone ? alone : joint;
}

static void join_steps(struct plan *plan, const struct plan *plans, size_t count)
{
	size_t done[PLAN_MOVES_MAX] = { 0 };
	const struct step_ops *step;

	while ((step = next_step(plans, done, count))) {
		bool added = false;

		for (size_t i = 0; i < count; i++) {
			if (done[i] == plans[i].step_count || plans[i].steps[done[i]] != step)
				continue;
			done[i]++;
			if (!step->joint || !added)
				add_step(plan, step, step->joint ? 0 : i);
			added = true;
		}
	}
}

static void join_notes(struct plan *plan, struct plan *from)
{
	for (size_t i = 0; i < from->warnings.count; i++)
		if (!text_list_has(&plan->warnings, from->warnings.items[i]))
			text_list_add(&plan->warnings, text_copy(from->warnings.items[i]));
	for (size_t i = 0; i < from->not_moved_count; i++) {
		bool known = false;

		for (size_t k = 0; k < plan->not_moved_count; k++)
			known = known || !strcmp(plan->not_moved[k].method, from->not_moved[i].method);
		if (!known)
			plan_add_not_moved(plan, from->not_moved[i].method, text_copy(from->not_moved[i].reason));
	}
}

/* What is one move's alone in the job: the limit on the rate, the pause, and a name for what is unfinished. */
static void share(struct move *move, size_t index, size_t count, const char *job_id)
{
	move->live.max_pause_ms /= count;
	if (!index || !move->temp_name)
		return;
	free(move->temp_name);
	move->temp_name = text_format("%s%s.%zu", move->lvm.create ? "volmig_" : ".volmig-", job_id, index);
}

int plan_join(struct plan *plans, size_t count, const char *job_id, const char *set,
	      struct plan *ret_plan, struct err *err)
{
	struct plan plan = { .command = plans[0].command, .method = plans[0].method };

	if (count > PLAN_MOVES_MAX)
		return err_set(err, ERR_REFUSED, set, "no more than %d disks are moved together", PLAN_MOVES_MAX);
	if (check_set(plans, count, err) < 0)
		return -1;
	plan.set = text_copy(set);
	plan.more = text_alloc(count, sizeof(*plan.more));
	plan.hooks = plans[0].hooks;
	plans[0].hooks = (struct hook_options){ 0 };	/* handed over */
	join_steps(&plan, plans, count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(plans[i].method, plan.method))
			plan.method = "copy";
		join_notes(&plan, &plans[i]);
		share(&plans[i].move, i, count, job_id);
		*(i ? &plan.more[plan.more_count++] : &plan.move) = plans[i].move;
		plans[i].move = (struct move){ 0 };	/* handed over */
		plan_free(&plans[i]);
	}
	*ret_plan = plan;
	return 0;
}
