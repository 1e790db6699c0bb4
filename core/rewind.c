/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a job has to be done again after the machine was restarted. */
#include "rewind.h"

#include "ends.h"
#include "job.h"
#include "support/err.h"

/* What the steps of one of its moves, or of all, are told. */
struct context {
	struct step_context step;
	struct step_part parts[PLAN_MOVES_MAX];
};

static struct step_context *context_begin(struct context *context, const struct job *job)
{
	*context = (struct context){
		.step = {
			.job_id = job->id, .job_dir = job->dir, .move = &job->plan.move,
			.record = job_record(job, 0), .parts = context->parts,
			.part_count = plan_moves(&job->plan), .same_boot = job->same_boot,
		},
	};
	for (size_t i = 0; i < plan_moves(&job->plan); i++)
		context->parts[i] = (struct step_part){ plan_move(&job->plan, i), job_record(job, i) };
	return &context->step;
}

/*
 * What is to be written anew must not have been taken up meanwhile, under the
 * name that it has got; and it has to give that back.
 */
static int take_name_back(struct job *job, size_t of, struct err *err)
{
	struct context context;
	struct step_context ctx = step_part_context(context_begin(&context, job), of);

	for (size_t i = 0; i < job->steps_done + job->step_begun; i++)
		if (job->plan.steps[i] == &publish_step && job->plan.step_moves[i] == of)
			return publish_step.undo(&ctx, err);
	return 0;
}

/*
 * The machine was restarted, and nobody can tell whether a device was written
 * to meanwhile: what was read from it, or proven of it, has to be done again.
 */
static int rewind_move(struct job *job, size_t of, struct err *err)
{
	const struct progress_record *record = job_record(job, of);
	const struct move *move = plan_move(&job->plan, of);
	bool online = move->online.vg != NULL;
	bool source = online || facts_tell_changes(&move->source, job->same_boot) ||
		      source_is_counted(record, job->same_boot);
	/* A file that we made tells; of a volume that was not made yet there is nothing to tell. */
	bool target = online ||
		      (move->create && (!move->lvm.create || !record->target.kind)) ||
		      facts_tell_changes(move->create ? &record->target : &move->destination,
					 job->same_boot);

	/* A mirror is in QEMU, and has seen every write. */
	if (job_committed(job) || move->live.uuid || (online ? job->same_boot : source && target))
		return 0;
	for (size_t i = 0; i < job->plan.step_count; i++) {
		const struct step_ops *step = job->plan.steps[i];

		if (job->plan.step_moves[i] != of)
			continue;
		if (step == &scrub_leg_step && job->steps_done > i)
			return job_rewind(job, i, false, err);
		if (!source && (step == &copy_step || step == &reflink_step) &&
		    (job->steps_done > i || record->mark.offset))
			return take_name_back(job, of, err) < 0 ? -1 : job_rewind(job, i, true, err);
		if (step == &verify_step && job->steps_done > i)
			return job_rewind(job, i, false, err);
	}
	return 0;
}

/*
 * Once its definition names the new volumes, the domain may have run on them,
 * and only they have what it wrote: they must not be written to again.
 */
static int is_given_over(struct job *job, bool *ret_given, struct err *err)
{
	struct context context;
	bool old = false;

	*ret_given = ends_repointed(job);
	/* What became of a change that was only begun, the definition tells. */
	if (!*ret_given || job->plan.steps[job->steps_done] != &repoint_step)
		return 0;
	if (cold_move_names_old(context_begin(&context, job), &old, err) < 0)
		return -1;
	*ret_given = !old;
	return 0;
}

int rewind_unproven(struct job *job, struct err *err)
{
	bool given;

	if (job_committed(job))
		return 0;
	if (is_given_over(job, &given, err) < 0)
		return -1;
	for (size_t i = 0; !given && i < plan_moves(&job->plan); i++)
		if (rewind_move(job, i, err) < 0)
			return -1;
	return 0;
}
