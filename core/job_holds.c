/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volumes unfinished jobs hold. */
#include "job_holds.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "job.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"

/*
 * Is what another job recorded the same volume?  After a reboot device numbers
 * mean something else: then the place counts as well as the identity.
 */
static bool is_held(const struct facts *wanted, const struct facts *held, bool same_boot)
{
	char *other;

	if (!wanted->kind || !held->kind || !strcmp(wanted->kind, peer_volume_ops.kind))
		return false;
	if (facts_overlap(wanted, held))
		return true;
	if (same_boot)
		return false;
	if (!strcmp(wanted->path, held->path))
		return true;
	other = facts_not_same(held, wanted, false);
	free(other);
	return !other;
}

static bool holds(const struct move *move, const struct job *other, const struct facts *held)
{
	return is_held(&move->source, held, other->same_boot) ||
	       is_held(&move->destination, held, other->same_boot);
}

/* Does a move touch what another job holds by one of its own: its ends, the file it makes, the name it will have? */
static bool collides_with_move(const struct move *move, const struct job *other, size_t i)
{
	const struct move *held = plan_move(&other->plan, i);
	char *mine = move_final_path(move), *theirs = move_final_path(held);
	/* Physical volumes are a place for many. */
	bool same_name = !move->online.vg && !held->online.vg && !strcmp(mine, theirs) &&
			 (!facts_is_far(&move->destination) || !move->destination.kind ||
			  strcmp(move->destination.kind, peer_volume_ops.kind));

	free(mine);
	free(theirs);
	return same_name || holds(move, other, &held->source) || holds(move, other, &held->destination) ||
	       holds(move, other, &job_record(other, i)->target);
}

static bool collides_with_job(const struct plan *plan, const struct job *other)
{
	for (size_t i = 0; i < plan_moves(plan); i++)
		for (size_t k = 0; k < plan_moves(&other->plan); k++)
			if (collides_with_move(plan_move(plan, i), other, k))
				return true;
	return false;
}

int job_find_conflict(const char *state_dir, const char *id, const struct plan *plan,
		      bool learn, pid_t *ret_worker, struct err *err)
{
	struct text_list ids = { 0 };
	int ret = 0;

	if (job_list_unfinished(state_dir, learn, &ids, err) < 0)
		return -1;
	for (size_t i = 0; ret == 0 && i < ids.count; i++) {
		struct err unread = ERR_INIT;
		struct job other;

		if (!strcmp(ids.items[i], id))
			continue;
		/* What a journal that cannot be read holds nobody knows: it might be these. */
		if (job_open(state_dir, ids.items[i], JOB_LOOK, &other, &unread) < 0) {
			err_set(err, ERR_REFUSED, ids.items[i],
				"what this unfinished job holds cannot be told: %s", unread.cause);
			ret = err_next(err, "%s%sremove %s/jobs/%s only when nothing of that job is needed any more",
				       unread.next, *unread.next ? "; " : "", state_dir, ids.items[i]);
			break;
		}
		if (!other.ended && collides_with_job(plan, &other)) {
			char *path = move_final_path(&other.plan.move);

			*ret_worker = job_worker(state_dir, other.id);
			err_set(err, ERR_REFUSED, plan->move.source.spec,
				"job %s (%s, %s) holds a volume of this move: %s -> %s", other.id,
				job_state(&other), *ret_worker ? "running" : "not running",
				other.plan.move.source.path, path);
			if (*ret_worker)
				err_next(err, "wait for it with --wait-lock");
			else
				err_next(err, "volmig resume %s, or volmig abort %s", other.id, other.id);
			free(path);
			ret = -1;
		}
		job_close(&other);
	}
	text_list_free(&ids);
	return ret;
}

int job_check_conflicts(const char *state_dir, const char *id, const struct plan *plan,
			uint64_t wait_ms, struct err *err)
{
	uint64_t until = clock_ns() + wait_ms * 1000000;

	for (;;) {
		struct timespec pause = { .tv_nsec = 200000000 };
		pid_t worker = 0;

		if (job_find_conflict(state_dir, id, plan, false, &worker, err) == 0)
			return 0;
		if (!worker || clock_ns() >= until)
			return -1;
		if (interrupt_requested())
			return err_set(err, ERR_FAILED, id, "interrupted while waiting; nothing was touched");
		nanosleep(&pause, NULL);
	}
}
