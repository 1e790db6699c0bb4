/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Look at what a request names, and plan it: one volume, or several disks of a domain. */
#include "perform.h"

#include <stdlib.h>
#include <string.h>

#include "far_plan.h"
#include "inspect.h"
#include "live.h"
#include "places.h"
#include "plan.h"
#include "support/err.h"
#include "volumes/guests.h"
#include "volumes/lv.h"
#include "volumes/lvm_group.h"
#include "volumes/lvm_report.h"
#include "volumes/qemu.h"

/*
 * Look at the source; and where it is a running domain's disk, at that: then
 * it is wanted->live.
 */
static int inspect_source(struct request *wanted, unsigned flags, struct live_move *live,
			  struct facts *source, struct err *err)
{
	int found;

	if (!wanted->domain) {
		if (inspect_named(wanted->source, SPEC_VOLUME, flags, source, err) < 0)
			return -1;
		if (wanted->command != COMMAND_MIGRATE || !source->kind || !guests_run(source))
			return 0;
		found = live_of_volume(wanted, source, live, err);
		if (found <= 0)
			return found;
	} else {
		if (live_of_disk(wanted, live, err) < 0)
			return -1;
		if (inspect_named(live->old_name ? live->old_name : live->old_path, SPEC_VOLUME, flags, source,
				  err) < 0) {
			if (live->old_name && !strncmp(live->old_name, "nbds", 4) && !*err->next)
				err_next(err, "name certificates by which it can be read: --tls-certificates=DIR");
			return -1;
		}
		free(source->spec);
		source->spec = text_copy(wanted->source);
	}
	live_drop_own_uses(live, source);
	wanted->live = live;
	return 0;
}

/* A move inside a group is planned from what lies where in all of it. */
static int look_into_own_group(const struct facts *source, const struct facts *destination,
			       struct lvm_group *group, struct request *wanted, struct err *err)
{
	if (!source->lv || !destination->lv || !destination->lv->wanted_pvs.count)
		return 0;
	if (lvm_group_read(source->lv->vg_name, group, err) < 0)
		return -1;
	wanted->group = group;
	return 0;
}

/* Look at both ends of one volume's move, and plan. */
static int plan_one(const struct request *request, const char *state_dir, const char *id,
		    unsigned flags, struct plan *plan, struct err *err)
{
	struct request wanted = *request;
	char *state = realpath(state_dir, NULL);
	struct facts source = { 0 }, destination = { 0 };
	struct live_move live = { 0 };
	struct lvm_group group = { 0 };
	struct far_plan far = { 0 };
	int ret = -1, is_far = 0;

	wanted.state_dir = state;
	wanted.connect = guests_uri();
	/* Beside the look at the source. */
	if (request->destination)
		qemu_expect(request->destination);
	if (inspect_source(&wanted, flags, &live, &source, err) == 0 &&
	    places_look(request, &source, flags, &destination, err) == 0 &&
	    look_into_own_group(&source, &destination, &group, &wanted, err) == 0 &&
	    (is_far = far_plan_ask(&wanted, id, flags, &source, &destination, &far, err)) >= 0) {
		wanted.far = is_far ? &far : NULL;
		ret = plan_build(&wanted, id, &source, &destination, plan, err);
	}
	if (ret == 0 && is_far) {
		plan->move.far = far.move;
		far.move = (struct far_move){ 0 };
		for (size_t i = 0; i < far.warnings.count; i++)
			text_list_add(&plan->warnings, text_copy(far.warnings.items[i]));
	}
	far_plan_free(&far);
	free(state);
	live_move_free(&live);
	lvm_group_free(&group);
	facts_free(&source);
	facts_free(&destination);
	return ret;
}

/* ---- the disks of a domain ---- */

static int plan_disks(const struct request *request, const struct live_disks *disks,
		      const char *state_dir, const char *id, unsigned flags, struct plan *plan,
		      struct err *err)
{
	struct plan *plans = text_alloc(disks->targets.count, sizeof(*plans));
	const char **targets = text_alloc(disks->targets.count + 1, sizeof(*targets));
	int ret = 0;

	for (size_t i = 0; i < disks->targets.count; i++)
		targets[i] = disks->targets.items[i];
	for (size_t i = 0; ret == 0 && i < disks->targets.count; i++) {
		struct request one = *request;
		char *source = text_format("%s:%s", request->domain, disks->targets.items[i]);

		/* A running domain's disk is found by its name, a shut-off one's is a volume that has it as its user. */
		one.disks = targets;
		one.disk = disks->running ? disks->targets.items[i] : NULL;
		one.domain = disks->running ? request->domain : NULL;
		one.source = disks->running ? source : disks->paths.items[i];
		ret = plan_one(&one, state_dir, id, flags, &plans[i], err);
		free(source);
	}
	if (ret == 0 && disks->targets.count == 1) {
		*plan = plans[0];
		plans[0] = (struct plan){ 0 };	/* handed over */
	} else if (ret == 0) {
		ret = plan_join(plans, disks->targets.count, id, request->source, plan, err);
	}
	if (ret == 0) {
		/* What it was asked for by, whatever the disks are by now. */
		free(plan->set);
		plan->set = text_copy(request->source);
		for (size_t i = 0; i < disks->left_out.count; i++)
			text_list_add(&plan->warnings, text_copy(disks->left_out.items[i]));
	}
	for (size_t i = 0; i < disks->targets.count; i++)
		plan_free(&plans[i]);
	free(plans);
	free(targets);
	return ret;
}

static int plan_domain(const struct request *request, const char *state_dir, const char *id,
		       unsigned flags, struct plan *plan, struct err *err)
{
	struct live_disks disks = { 0 };
	int ret = live_disks_look(request, &disks, err);

	if (ret == 0)
		ret = plan_disks(request, &disks, state_dir, id, flags, plan, err);
	live_disks_free(&disks);
	return ret;
}

int perform_plan(const struct request *request, const char *state_dir, const char *id,
		 unsigned flags, struct plan *plan, struct err *err)
{
	bool domain = request->command == COMMAND_MIGRATE && request->domain;
	char *unseen;
	int ret;

	/* One read of LVM's metadata serves all of it. */
	lvm_report_hold();
	ret = (domain ? plan_domain : plan_one)(request, state_dir, id, flags, plan, err);
	lvm_report_release();
	unseen = ret == 0 ? guests_unseen() : NULL;
	if (unseen)
		text_list_add(&plan->warnings, unseen);
	return ret;
}
