/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the ends of a job are still as they were when it was planned. */
#include "ends.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "live.h"
#include "online.h"
#include "support/err.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

#define RESUME_THEN ", then resume again"

/* Nothing was written there yet: is it still what the user was told would be overwritten? */
static char *destination_changed(const struct job *job, const struct move *move, const struct facts *now)
{
	const struct facts *was = &move->destination;
	char *why = facts_not_same(was, now, job->same_boot);

	if (!why)
		why = facts_changed(was, now, job->same_boot);
	if (!why && strcmp(was->signature ?: "", now->signature ?: ""))
		why = text_format("it holds %s", now->signature ?: "nothing known any more");
	return why;
}

/* An end has changed: there is nothing to go on with. */
static int not_as_planned(const struct job *job, const char *path, const char *end, const char *why,
			  struct err *err)
{
	err_set(err, ERR_REFUSED, path, "the %s is not as it was when the job was planned: %s", end, why);
	job_next_command(job->state_dir, "abort", job->id, err);
	return -1;
}

/*
 * Is the directory of a new file there?  Not finding it, where a mount is
 * missing say, must not be taken for a reason to give the job up.
 */
static int check_place(const struct job *job, const struct move *move, struct err *err)
{
	const struct facts *was = &move->destination;
	struct facts now = { 0 };
	bool same = volume_inspect_path(was->dir, 0, &now, err) == 0 && !now.kind &&
		    !strcmp(now.dir, was->dir) && now.dir_ino == was->dir_ino &&
		    (job->same_boot ? now.dir_dev == was->dir_dev :
				      now.dir_birth_ns == was->dir_birth_ns);

	facts_free(&now);
	if (same)
		return 0;
	err_set(err, ERR_REFUSED, was->dir, "is not the directory it was when the job was planned");
	return err_next(err, "put it (or its mount) back, then resume again");
}

bool ends_repointed(const struct job *job)
{
	for (size_t i = 0; i < job->plan.step_count; i++)
		if (job->plan.steps[i] == &repoint_step)
			return job->steps_done > i || (job->steps_done == i && job->step_begun);
	return false;
}

/* The same source, unchanged and not in use. */
static int check_source(const struct job *job, const struct move *move, struct err *err)
{
	const struct facts *was = &move->source;
	const struct live_move *live = &move->live;
	struct facts now = { 0 };
	char *why = NULL;
	/* The source is only read for now: its device tells that it is the one, and who uses it. */
	unsigned flags = INSPECT_USES | INSPECT_OUTSIDE | INSPECT_DEVICE;
	int ret = -1;

	if (!live->uuid)
		flags |= INSPECT_SETTLED;
	if (volume_inspect_again(was, flags, &now, err) < 0) {
		err->class = ERR_REFUSED;
		if (!*err->next)
			err_next(err, "put it (or its mount) back, then resume again");
		goto out;
	}
	if (!now.kind)
		why = text_copy("it is gone");
	else
		why = facts_not_same(was, &now, job->same_boot);
	/* A guest goes on writing to its disk; and has it open. */
	if (live->uuid)
		live_drop_own_uses(live, &now);
	else if (!why)
		why = facts_changed(was, &now, job->same_boot);
	if (why) {
		not_as_planned(job, was->path, "source", why, err);
		goto out;
	}
	ret = guests_check_unused(&now, move_shut_off_users(move), was->path, RESUME_THEN, err);
out:
	free(why);
	facts_free(&now);
	return ret;
}

/* A destination that is there already: as it was, or as far as we have written to it. */
static int check_target(const struct job *job, const struct move *move, struct err *err)
{
	struct facts target = { 0 };
	char *why = NULL;
	int ret = -1;

	/* QEMU may have the only connection that its server takes; the steps look by libvirt. */
	if (move->live.uuid && job->written && facts_remote(&move->destination))
		return 0;
	if (volume_inspect_again(&move->destination, INSPECT_USES | (move->live.uuid ? 0 : INSPECT_SETTLED),
				 &target, err) < 0)
		goto out;
	if (!target.kind) {
		err_set(err, ERR_REFUSED, target.path, "the destination is not there");
		err_next(err, "bring it back, then resume again");
		goto out;
	}
	/* What is opened here is looked at as it is opened; by a server it would be written to unseen. */
	if (!job->written)
		why = destination_changed(job, move, &target);
	else if (facts_remote(&move->destination))
		why = facts_not_same(&move->destination, &target, job->same_boot);
	if (why) {
		not_as_planned(job, target.path, "destination", why, err);
		goto out;
	}
	if (move->live.uuid && job->written)
		live_drop_own_uses(&move->live, &target);
	/* Once its definition names it the domain may use it. */
	ret = ends_repointed(job) ? 0 :
	      guests_check_unused(&target, move->cold.uuid, target.path, RESUME_THEN, err);
out:
	free(why);
	facts_free(&target);
	return ret;
}

static int check_move(const struct job *job, const struct move *move, struct err *err)
{
	/* What is on another host is held there, and looked at by that one. */
	if (!facts_is_far(&move->source) && check_source(job, move, err) < 0)
		return -1;
	/*
	 * A group is found again by its UUID when it is needed, and what is in a
	 * pool under the names of the job is looked at before each act.
	 */
	if (facts_is_far(&move->destination) || move->lvm.create ||
	    (move->create && qemu_is_rbd(&move->destination)))
		return 0;
	return move->create ? check_place(job, move, err) : check_target(job, move, err);
}

int ends_check(const struct job *job, struct err *err)
{
	if (job->plan.move.online.vg)
		return online_check(job, err);
	for (size_t i = 0; !job_committed(job) && i < plan_moves(&job->plan); i++)
		if (check_move(job, plan_move(&job->plan, i), err) < 0)
			return -1;
	return 0;
}
