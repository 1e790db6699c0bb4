/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Do a job's steps in order, or take them back; the journal goes before every act. */
#include "run.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "hooks.h"
#include "job.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"

/* Passes progress on to whoever draws it, and makes a journal record of each durable mark. */
struct journalling_monitor {
	struct monitor base;
	struct monitor *drawn;
	struct job *job;
	uint64_t step_ns;	/* when the step began, ... */
	uint64_t copied_ns;	/* ... and how long had been copied by then */
};

static void pass_phase(struct monitor *mon, const char *name, uint64_t total)
{
	struct journalling_monitor *self = (struct journalling_monitor *)mon;

	monitor_phase(self->drawn, name, total);
	pulse_phase(&self->job->pulse, name, total);
}

static void pass_advance(struct monitor *mon, uint64_t done)
{
	struct journalling_monitor *self = (struct journalling_monitor *)mon;

	monitor_advance(self->drawn, done);
	pulse_advance(&self->job->pulse, done);
}

static void pass_tick(struct monitor *mon)
{
	struct journalling_monitor *self = (struct journalling_monitor *)mon;

	monitor_tick(self->drawn);
	pulse_advance(&self->job->pulse, self->job->pulse.done);
}

static void pass_waited(struct monitor *mon, const struct waits *waits)
{
	struct journalling_monitor *self = (struct journalling_monitor *)mon;

	monitor_waited(self->drawn, waits);
	self->job->pulse.waits = *waits;
}

static int journal_durable(struct monitor *mon, const struct mark *mark, struct err *err)
{
	struct journalling_monitor *self = (struct journalling_monitor *)mon;

	/* Not what the record says by now: a step that connected again has added what it spent before that. */
	return job_note_durable(self->job, mark, self->copied_ns + clock_ns() - self->step_ns, err);
}

static int journal_records(struct monitor *mon, struct err *err)
{
	return job_note_records(((struct journalling_monitor *)mon)->job, err);
}

static int journal_sync_records(struct monitor *mon, struct err *err)
{
	return job_sync(((struct journalling_monitor *)mon)->job, err);
}

/* What steps are told, and what that stands on. */
struct context {
	struct step_context step;
	struct step_part parts[PLAN_MOVES_MAX];
	char *dirs[PLAN_MOVES_MAX];
};

static void context_begin(struct context *context, struct job *job, struct monitor *mon)
{
	*context = (struct context){
		.step = { .job_id = job->id, .same_boot = job->same_boot, .mon = mon },
	};
	for (size_t i = 0; i < plan_moves(&job->plan); i++) {
		context->parts[i] = (struct step_part){ plan_move(&job->plan, i), job_record(job, i) };
		context->dirs[i] = job_part_dir(job, i);
	}
}

static void context_end(struct context *context)
{
	for (size_t i = 0; i < PLAN_MOVES_MAX; i++)
		free(context->dirs[i]);
}

/* For a step of the plan: the move that it is done to, or all. */
static struct step_context *context_of(struct context *context, const struct job *job, size_t step)
{
	size_t of = job->plan.step_moves[step];
	struct step_context *ctx = &context->step;

	ctx->job_dir = context->dirs[of];
	ctx->move = context->parts[of].move;
	ctx->record = context->parts[of].record;
	ctx->parts = &context->parts[of];
	ctx->part_count = job->plan.steps[step]->joint ? plan_moves(&job->plan) : 1;
	/* Each further move has a directory of its own, made when it is first needed. */
	if (of)
		mkdir(ctx->job_dir, 0700);
	return ctx;
}

static int undo_steps(struct job *job, struct context *context, struct monitor *mon, struct err *err)
{
	size_t i = job->steps_done + (job->step_begun ? 1 : 0);

	if (job_committed(job)) {
		err_set(err, ERR_REFUSED, job->id, "the job is past its point of no return");
		return err_next(err, "volmig resume %s", job->id);
	}
	/* What cannot be taken back is found before it is journalled that all is. */
	for (size_t k = 0; k < i; k++)
		if (job->plan.steps[k]->may_undo &&
		    job->plan.steps[k]->may_undo(context_of(context, job, k), err) < 0)
			return -1;
	hooks_tell(job, "pre", "undo");
	if (!job->retreating && job_begin_abort(job, err) < 0)
		return -1;
	monitor_phase(mon, "undo", 0);
	while (i-- > 0) {
		const struct step_ops *step = job->plan.steps[i];

		if (step->undo && step->undo(context_of(context, job, i), err) < 0)
			return -1;
		if (job_undone_step(job, i, err) < 0)
			return -1;
	}
	hooks_tell(job, "post", "undo");
	return 0;
}

int run_undo(struct job *job, bool forget, struct monitor *mon, struct err *err)
{
	struct context context;
	int ret;

	context_begin(&context, job, mon);
	context.step.forget = forget;
	context.step.written = job->written;
	ret = undo_steps(job, &context, mon, err);
	context_end(&context);
	return ret;
}

/*
 * A step failed, and the job is given up.  If rolling back fails too, the
 * first error is still the one to tell; the second becomes a warning.
 */
static int roll_back(struct job *job, struct monitor *mon, bool *ret_rolled_back, struct err *err)
{
	struct err second = ERR_INIT;

	/* Where the record of it cannot be written there will be no next method. */
	if (plan_has_next(&job->plan, job->record.go_on) && job_begin_retreat(job, err, &second) < 0)
		log_warning("%s%s%s", second.object, *second.object ? ": " : "", second.cause);
	second = (struct err)ERR_INIT;
	if (run_undo(job, false, mon, &second) == 0) {
		*ret_rolled_back = true;
		if (err->class != ERR_REFUSED)
			err->class = ERR_FAILED;
		return -1;
	}
	log_warning("cannot roll back: %s%s%s", second.object, *second.object ? ": " : "", second.cause);
	err->class = ERR_UNSURE;
	return -1;
}

static int stop(struct job *job, struct err *err)
{
	struct err second = ERR_INIT;

	if (job_note_stop(job, err, &second) < 0)
		log_warning("%s: %s", second.object, second.cause);
	hooks_tell(job, "stopped", NULL);
	return -1;
}

static int run_steps(struct job *job, const struct step_ops *before, struct journalling_monitor *mon,
		     struct context *context, bool *ret_rolled_back, struct err *err)
{
	struct monitor *drawn = mon->drawn;
	size_t first = job->steps_done;

	/* The steps of one job may be asked for one by one. */
	pulse_end(&job->pulse);
	pulse_begin(&job->pulse, job->dir);
	/* The process that died may not have come to it. */
	if (first > 0 && !job->step_begun)
		hooks_tell(job, "post", job->plan.steps[first - 1]->name);
	while (job->steps_done < job->plan.step_count) {
		const struct step_ops *step = job->plan.steps[job->steps_done];
		struct step_context *ctx = context_of(context, job, job->steps_done);
		enum step_result result;

		if (step == before)
			return 0;
		if (!interrupt_requested() && hooks_call(job, "pre", step->name, err) < 0)
			return stop(job, err);
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, job->id, "%s before %s", interrupt_reason(), step->name);
			return stop(job, err);
		}
		log_info("%s: step %zu of %zu: %s", job->id, job->steps_done + 1,
			 job->plan.step_count, step->name);
		ctx->again = job->step_begun;
		ctx->committed = job_committed(job);
		mon->step_ns = clock_ns();
		mon->copied_ns = ctx->record->copy_ns;
		monitor_step(drawn, job->steps_done + 1, job->plan.step_count, step->name);
		pulse_step(&job->pulse, job->steps_done + 1, job->plan.step_count, step->name);
		if (job_begin_step(job, err) < 0)
			return -1;
		result = step->run(ctx, err);
		if (result == STEP_UNDONE && job_committed(job))
			result = STEP_STOPPED;	/* only forward from there */
		/* A command that is stuck half-way: nobody can tell what it has done, or will do yet. */
		if (result != STEP_DONE && err->class == ERR_UNSURE)
			result = STEP_UNSURE;
		switch (result) {
		case STEP_DONE:
			if (job_done_step(job, err) < 0)
				return -1;
			hooks_tell(job, "post", step->name);
			break;
		case STEP_UNDONE:
			return roll_back(job, &mon->base, ret_rolled_back, err);
		case STEP_STOPPED:
			/* A refusal is one only as long as nothing has been done. */
			if (err->class != ERR_REFUSED || job->steps_done > first)
				err->class = ERR_STOPPED;
			return stop(job, err);
		case STEP_UNSURE:
			err->class = ERR_UNSURE;
			return stop(job, err);
		}
	}
	return 0;
}

static int run(struct job *job, const struct step_ops *before, struct monitor *drawn,
	       struct throttle *throttle, bool *ret_rolled_back, struct err *err)
{
	struct journalling_monitor mon = {
		.base = { .phase = pass_phase, .advance = pass_advance, .tick = pass_tick,
			  .waited = pass_waited, .durable = journal_durable, .note = journal_records,
			  .sync = journal_sync_records },
		.drawn = drawn,
		.job = job,
	};
	struct context context;
	int ret;

	context_begin(&context, job, &mon.base);
	context.step.throttle = throttle;
	context.step.written = job->written;
	context.step.keep_source = job->keep_source;
	*ret_rolled_back = false;
	ret = run_steps(job, before, &mon, &context, ret_rolled_back, err);
	context_end(&context);
	return ret;
}

int run_job(struct job *job, struct monitor *mon, struct throttle *throttle, bool *ret_rolled_back,
	    struct err *err)
{
	return run(job, NULL, mon, throttle, ret_rolled_back, err);
}

int run_until(struct job *job, const struct step_ops *before, struct monitor *mon,
	      bool *ret_rolled_back, struct err *err)
{
	return run(job, before, mon, NULL, ret_rolled_back, err);
}
