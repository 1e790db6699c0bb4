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

/* Which volumes the domain has whose definition may name the new ones by now. */
static int look_at_domain(const struct job *job, enum cold_names *ret_names, struct err *err)
{
	struct context context;

	*ret_names = ends_repointed(job) ? COLD_NAMES_OTHER : COLD_NAMES_OLD;
	/* What became of a change that was only begun, the definition tells. */
	if (*ret_names == COLD_NAMES_OLD || job->plan.steps[job->steps_done] != &repoint_step)
		return 0;
	return cold_move_names(context_begin(&context, job), ret_names, err);
}

int rewind_check_definition(const struct job *job, struct err *err)
{
	const struct cold_move *cold = &job->plan.move.cold;
	enum cold_names names;

	if (job_committed(job))
		return 0;
	if (look_at_domain(job, &names, err) < 0)
		return -1;
	if (names != COLD_TORN)
		return 0;
	err_set(err, ERR_REFUSED, cold->domain,
		"it was started while its definition changed: it runs on the old volume, and would start on the new one the next time");
	job_next_command(job->state_dir, "abort", job->id, err);
	return -1;
}

int rewind_unproven(struct job *job, struct err *err)
{
	enum cold_names names;

	if (job_committed(job))
		return 0;
	if (look_at_domain(job, &names, err) < 0)
		return -1;
	/* Once it names the new ones the domain may have run on them, and only they have what it wrote. */
	for (size_t i = 0; names == COLD_NAMES_OLD && i < plan_moves(&job->plan); i++)
		if (rewind_move(job, i, err) < 0)
			return -1;
	return 0;
}
