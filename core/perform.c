/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a command does from end to end: names in, a report and an outcome out. */
#include "perform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "ends.h"
#include "engines/throttle.h"
#include "hooks.h"
#include "inspect.h"
#include "job.h"
#include "live.h"
#include "luns.h"
#include "places.h"
#include "online.h"
#include "report.h"
#include "rewind.h"
#include "run.h"
#include "serve.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/progress.h"
#include "sys/lvm.h"
#include "sys/qemu_daemon.h"
#include "sys/ssh.h"
#include "sys/uuid.h"
#include "terms.h"
#include "volumes/lv.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

/* How long abort waits for the process that works on a job: its I/O may take its time. */
#define STOP_WAIT_NS (300 * 1000000000ULL)

void perform_lvm_options(const char *config, const char *devicesfile)
{
	lvm_setup(config, devicesfile);
}

void perform_ssh_command(const char *command)
{
	ssh_set_command(command);
}

static struct monitor *monitor_of(const struct perform_options *options)
{
	return options->progress ? progress_monitor(options->progress) : NULL;
}

/* The command comes to its end: let go of the job, and count it. */
static void let_go(struct job *job, const char *state_dir, const struct perform_options *options,
		   const json_t *report, const struct err *failure)
{
	bool ended = job->ended_here;

	/* Nobody may look for others' locks as long as there is one of our own. */
	job_close(job);
	if (!options->dry_run)
		history_note(state_dir, &options->history, ended ? report : NULL, failure);
}

/* Journal the end of a job that has run to its end, and make its receipt. */
static int finish(struct job *job, bool aborted, json_t **ret_report, struct err *err)
{
	json_t *report = report_job(job);
	int ret;

	json_put(report, "state", json_string(aborted ? "aborted" : "cleaned"));
	json_object_del(report, "stopped");
	ret = job_end(job, aborted, report, err);
	*ret_report = report;
	/* All is done but for the record of it. */
	if (ret < 0 && !*err->next)
		err_next(err, "volmig %s %s", aborted ? "abort" : "resume", job->id);
	return ret;
}

/*
 * The job's method has failed, and nothing is left of it: make the next one its
 * plan, if the ends are as that wants them.  err says why it failed, and in the
 * end why none went on.
 */
static bool try_next(struct job *job, struct err *err)
{
	struct err ignored = ERR_INIT;

	while (job->retreating) {
		struct err second = ERR_INIT;

		log_note("%s: %s failed and was undone: %s", job->id, job->plan.method, job->failure);
		if (job_go_on(job, &second) == 0 && ends_check(job, &second) == 0) {
			log_note("%s: going on by %s", job->id, job->plan.method);
			*err = (struct err)ERR_INIT;
			return true;
		}
		/* Nothing of it was begun, so the one after it may be asked. */
		if (!job->retreating && plan_has_next(&job->plan, GO_ON_ANY) &&
		    job_begin_retreat(job, &second, &ignored) == 0)
			continue;
		log_note("%s: %s cannot go on: %s%s%s", job->id, job->plan.method, second.object,
			 *second.object ? ": " : "", second.cause);
		break;
	}
	if (err->class == ERR_NONE)
		err_set(err, ERR_FAILED, NULL, "%s", job->failure);
	return false;
}

static int run_to_end(struct job *job, const struct perform_options *options,
		      json_t **ret_report, struct err *err)
{
	struct throttle *throttle = terms_throttle(job);
	struct err second = ERR_INIT;
	bool rolled_back = job->retreating;
	int ret;

	if (options->progress)
		progress_set_job(options->progress, job->id);
	do {
		ret = job->retreating ? -1 : run_job(job, monitor_of(options), throttle, &rolled_back, err);
	} while (ret < 0 && rolled_back && job->retreating && try_next(job, err));
	throttle_free(throttle);
	if (ret == 0)
		return finish(job, false, ret_report, err);
	if (rolled_back) {
		finish(job, true, ret_report, &second);
		return -1;
	}
	*ret_report = report_job(job);
	if (!*err->next && err->class == ERR_UNSURE)
		job_next_command(job->state_dir, "status", job->id, err);
	else if (!*err->next)
		job_next_command(job->state_dir, "resume", job->id, err);
	return -1;
}

/*
 * Does the name mean what it meant when the job was planned?  A relative one
 * stands on the working directory, so what it leads to has to agree.
 */
static bool same_name(const char *text, const struct facts *was)
{
	struct facts now = { 0 };
	struct err err = ERR_INIT;
	bool same;

	if (!text || strcmp(text, was->spec))
		return false;
	/* What is neither absolute nor a path is LVM's, and stands on nothing. */
	if (*text == '/' || !strncmp(text, "file:/", 6) || was->wwid || facts_is_far(was))
		return true;
	same = inspect_named(text, SPEC_VOLUME, 0, &now, &err) == 0 && !strcmp(now.path, was->path);
	facts_free(&now);
	return same;
}

/*
 * The caller chose an id that is known: the job it names answers.  1 when it
 * does (it is done), 0 when there is none, -1 when it cannot be done again.
 */
static int known_job(const struct request *request, const char *state_dir,
		     const struct perform_options *options, json_t **ret_report, struct err *err)
{
	char id[JOB_ID_SIZE];
	struct job job;
	int found = job_find(state_dir, options->job_id, id, err);

	if (found <= 0)
		return found;
	if (job_open(state_dir, id, JOB_LOOK, &job, err) < 0)
		return -1;
	*ret_report = report_job(&job);
	if ((request->domain ? strcmp(request->source, job.plan.set ? job.plan.set : job.plan.move.source.spec) :
			       !same_name(request->source, &job.plan.move.source)) ||
	    !same_name(request->destination, &job.plan.move.destination) ||
	    job.plan.command != request->command) {
		found = err_set(err, ERR_REFUSED, id, "that job is another move: %s %s %s",
				command_name(job.plan.command), job.plan.move.source.spec,
				job.plan.move.destination.spec);
	} else if (!job.ended) {
		found = err_set(err, ERR_REFUSED, id, "the job is unfinished (%s)", job_state(&job));
		job_next_command(state_dir, "resume", id, err);
	} else if (job.aborted) {
		found = err_set(err, ERR_REFUSED, id, "the job was aborted");
		err_next(err, "start it again under another id");
	}
	job_close(&job);
	return found;
}

/* Before anything was done: why it stops, in the journal and for the user. */
static void note_stop(struct job *job, json_t **ret_report, struct err *err)
{
	struct err second = ERR_INIT;

	if (err->class == ERR_STOPPED && job_note_stop(job, err, &second) < 0)
		log_warning("%s: %s", second.object, second.cause);
	*ret_report = report_job(job);
	if (!*err->next)
		job_next_command(job->state_dir, "resume", job->id, err);
}

/* Its steps are another host's to ask for; once it is committed it can be ended here as well. */
static int check_served(const struct job *job, struct err *err)
{
	if (!serve_from(job) || job_committed(job))
		return 0;
	err_set(err, ERR_REFUSED, job->id, "the job is a part of one of another host (%s), which goes on with it",
		serve_from(job));
	return err_next(err, "resume it there; or give this part up with volmig abort %s", job->id);
}

/* A job that is resumed, on the terms it was made with. */
static int wait_for_turn(const char *state_dir, struct job *job,
			 const struct perform_options *options, struct ticket **ret_ticket,
			 struct err *err)
{
	struct terms terms = terms_from_json(job->terms);

	if (terms_enter(state_dir, job, &terms, ret_ticket, err) < 0)
		return -1;
	return terms_wait(job, *ret_ticket, options->now, options->waits, err);
}

/* Nothing has been done yet: give the job up again. */
static void take_back(struct job *job, json_t **ret_report)
{
	struct err second = ERR_INIT;

	if (run_undo(job, false, NULL, &second) < 0 || finish(job, true, ret_report, &second) < 0)
		log_warning("cannot take the job back: %s", second.cause);
}

/* Where the sockets of servers of ours have a name for a moment. */
static void set_socket_dir(const char *state_dir)
{
	char *dir = text_format("%s/run", state_dir);

	qemu_daemon_set_dir(dir);
	free(dir);
}

/* What is said for all moves, in a file perhaps, is no reason to refuse one. */
static void warn_of_terms(const struct terms *terms, struct plan *plan)
{
	if (plan->move.online.vg && terms && (terms->rates || terms->max_latency_us))
		text_list_add(&plan->warnings, text_format("LVM moves the bytes, and does not heed %s",
							   !terms->max_latency_us ? "--rate-profile" :
							   !terms->rates ? "--max-latency" :
							   "--rate-profile and --max-latency"));
}

int perform_move(const struct request *request, const struct perform_options *options,
		 json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct plan plan = { 0 };
	struct job job = { .lock = -1 };
	struct ticket *ticket = NULL;
	struct luns luns = { 0 };
	char id[UUID_TEXT_SIZE];
	int ret = -1, known;

	guests_set_uri(options->connect);
	set_socket_dir(state_dir);
	if (options->job_id) {
		snprintf(id, sizeof(id), "%s", options->job_id);
		known = known_job(request, state_dir, options, ret_report, err);
		if (known) {
			ret = known > 0 ? 0 : -1;
			goto out;
		}
	} else {
		uuid_new(id);
	}
	if (luns_attach(request, id, state_dir, options->dry_run, &luns, err) < 0)
		goto out;
	if (options->wait_ms && !options->dry_run) {
		/* Whoever works on a volume uses and changes it: wait first, then look. */
		if (perform_plan(request, state_dir, id, 0, &plan, err) < 0 ||
		    job_check_conflicts(state_dir, id, &plan, options->wait_ms, err) < 0)
			goto out;
		plan_free(&plan);
	}
	if (perform_plan(request, state_dir, id, INSPECT_USES, &plan, err) < 0 ||
	    luns_check(&luns, &plan, err) < 0)
		goto out;
	warn_of_terms(options->terms, &plan);
	if (options->dry_run) {
		*ret_report = report_plan(&plan, id);
		ret = job_check_conflicts(state_dir, id, &plan, 0, err);
		goto out;
	}
	if (hooks_check(err) < 0 || job_state_dir_make(state_dir, err) < 0 ||
	    job_create(state_dir, id, &plan, &job, err) < 0)
		goto out;
	/* From here on the job holds both ends, and waits for its turn. */
	if (terms_enter(state_dir, &job, options->terms, &ticket, err) < 0 ||
	    terms_wait(&job, ticket, false, options->waits, err) < 0) {
		/* Also for want of room in the state directory: there is a job, and it can go on later. */
		err->class = ERR_STOPPED;
		note_stop(&job, ret_report, err);
		goto out;
	}
	/* But are they still what was looked at? */
	if (ends_check(&job, err) < 0) {
		take_back(&job, ret_report);
		err_next(err, "start again");
		goto out;
	}
	if (options->announce) {
		json_t *report = report_plan(&job.plan, id);

		options->announce(report);
		json_decref(report);
	}
	ret = run_to_end(&job, options, ret_report, err);
out:
	/* A job that goes on later keeps them. */
	if (ret < 0 && err->class != ERR_STOPPED && err->class != ERR_UNSURE)
		luns_give_up(&luns);
	luns_free(&luns);
	limits_leave(ticket);
	let_go(&job, state_dir, options, *ret_report, ret < 0 ? err : NULL);
	plan_free(&plan);
	free(state_dir);
	return ret;
}

static int find_existing(const char *state_dir, const char *text, char id[static JOB_ID_SIZE],
			 struct err *err)
{
	int found = job_find(state_dir, text, id, err);

	if (found < 0)
		return -1;
	if (!found) {
		err_set(err, ERR_USAGE, text, "no such job in %s", state_dir);
		return err_next(err, "volmig status");
	}
	return 0;
}

/* The libvirt that the job's domain is of; NULL: there is none, or it is the default one's. */
static const char *move_uri(const struct move *move)
{
	return move->live.uuid ? move->live.uri : move->cold.uri;
}

/* Where all steps are done, the last of them has let go of them. */
static int attach_luns(const struct job *job, const char *state_dir, struct err *err)
{
	return job->steps_done < job->plan.step_count ?
	       luns_attach_again(&job->plan, job->id, state_dir, err) : 0;
}

/* The job ends without its source going away. */
static int keep_source(struct job *job, struct err *err)
{
	for (size_t i = 0; i < plan_moves(&job->plan); i++) {
		const struct move *move = plan_move(&job->plan, i);

		if (move->online.vg)
			return err_set(err, ERR_REFUSED, job->id, "a volume that moves inside its group leaves no source that could be kept");
		if (facts_is_far(&move->source)) {
			err_set(err, ERR_REFUSED, job->id, "the source is %s's to keep or to remove",
				move->source.host);
			return err_next(err, "volmig abort %s there, then resume here", job->id);
		}
	}
	return job_keep_source(job, err);
}

int perform_resume(const char *text, const struct perform_options *options,
		   json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct job job = { .lock = -1 };
	struct ticket *ticket = NULL;
	char id[JOB_ID_SIZE];
	int ret = -1;

	if (find_existing(state_dir, text, id, err) < 0 ||
	    job_open(state_dir, id, JOB_WORK, &job, err) < 0)
		goto out;
	guests_set_uri(options->connect ? options->connect : move_uri(&job.plan.move));
	set_socket_dir(state_dir);
	if (options->no_hook)
		text_list_free(&job.plan.hooks.commands);
	if (job.ended) {
		*ret_report = report_job(&job);
		if (job.aborted)
			err_set(err, ERR_REFUSED, id, "the job was aborted, there is nothing to go on with");
		else
			ret = 0;
	} else if (job.aborting && !job.retreating) {
		*ret_report = report_job(&job);
		err_set(err, ERR_REFUSED, id, "undoing the job has begun");
		job_next_command(state_dir, "abort", id, err);
	} else if (check_served(&job, err) < 0 ||
		   (options->keep_source && keep_source(&job, err) < 0)) {
		*ret_report = report_job(&job);
	} else if (wait_for_turn(state_dir, &job, options, &ticket, err) < 0) {
		note_stop(&job, ret_report, err);
	} else if (job.retreating && run_undo(&job, false, monitor_of(options), err) < 0) {
		/* What is not undone cleanly is not gone on with. */
		err->class = ERR_UNSURE;
		*ret_report = report_job(&job);
		job_next_command(state_dir, "abort", id, err);
	} else if (!job.retreating && (attach_luns(&job, state_dir, err) < 0 ||
				       rewind_check_definition(&job, err) < 0 ||
				       ends_check(&job, err) < 0 ||
				       rewind_unproven(&job, err) < 0)) {
		*ret_report = report_job(&job);
	} else {
		ret = run_to_end(&job, options, ret_report, err);
	}
out:
	limits_leave(ticket);
	let_go(&job, state_dir, options, *ret_report, ret < 0 ? err : NULL);
	free(state_dir);
	return ret;
}

/* Ask the process that works on a job to stop, and wait until it is gone. */
static int stop_worker(const char *state_dir, const char *id, struct err *err)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	pid_t pid = job_worker(state_dir, id);
	uint64_t until = clock_ns() + STOP_WAIT_NS;
	int fd;

	if (!pid)
		return 0;
	if (pid < 0) {
		err_set(err, ERR_REFUSED, id, "the job is running where its process cannot be seen");
		return err_next(err, "abort it in its own container or pid name space");
	}
	/* The descriptor holds the process, so that the signal cannot reach another of that pid. */
	fd = pidfd_open(pid, 0);
	if (fd >= 0 && job_worker(state_dir, id) == pid)
		pidfd_send_signal(fd, SIGTERM, NULL, 0);
	if (fd >= 0)
		close(fd);
	while (job_worker(state_dir, id)) {
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, id, "interrupted while waiting for pid %d to stop", (int)pid);
			return err_next(err, "volmig abort %s", id);
		}
		if (clock_ns() >= until) {
			err_set(err, ERR_UNSURE, id, "pid %d does not stop", (int)pid);
			return err_next(err, "look what it waits for, then volmig abort %s", id);
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

int perform_abort(const char *text, const struct perform_options *options,
		  json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct job job = { .lock = -1 };
	char id[JOB_ID_SIZE];
	int ret = -1;

	if (find_existing(state_dir, text, id, err) < 0)
		goto out;
	/* Do not stop what could not be undone afterwards. */
	if (job_open(state_dir, id, JOB_LOOK, &job, err) < 0)
		goto out;
	if (job_committed(&job) && !job.ended) {
		*ret_report = report_job(&job);
		err_set(err, ERR_REFUSED, id, "the job is past its point of no return");
		job_next_command(state_dir, "resume", id, err);
		goto out;
	}
	job_close(&job);
	if (stop_worker(state_dir, id, err) < 0 ||
	    job_open(state_dir, id, JOB_WORK, &job, err) < 0)
		goto out;
	guests_set_uri(options->connect ? options->connect : move_uri(&job.plan.move));
	if (job.ended) {
		*ret_report = report_job(&job);
		if (job.aborted)
			ret = 0;
		else
			err_set(err, ERR_REFUSED, id, "the job is done, there is nothing to undo");
	} else if ((job.retreating && job_begin_abort(&job, err) < 0) ||
		   run_undo(&job, options->forget, monitor_of(options), err) < 0 ||
		   (!options->forget && luns_let_go(&job.plan, id, state_dir, err) < 0)) {
		*ret_report = report_job(&job);
		/* Undone in part: doing it again goes on where it stopped. */
		if (err->class == ERR_FAILED)
			err->class = ERR_STOPPED;
		if (!*err->next)
			job_next_command(state_dir, "abort", id, err);
	} else {
		ret = finish(&job, true, ret_report, err);
	}
out:
	let_go(&job, state_dir, options, *ret_report, ret < 0 ? err : NULL);
	free(state_dir);
	return ret;
}

/* Is it this program that moves the bytes, and here? */
static int check_rate(const struct job *job, struct err *err)
{
	const struct move *move = &job->plan.move;

	if (serve_from(job)) {
		err_set(err, ERR_REFUSED, job->id, "the job is a part of one of another host (%s), which says how fast it goes",
			serve_from(job));
		return err_next(err, "volmig set %s there", job->id);
	}
	if (!move->online.vg)
		return 0;
	err_set(err, ERR_REFUSED, job->id, "%s", strcmp(job->plan.method, "pvmove") ?
		"LVM moves it, at the rate that the job began with" :
		"LVM moves it by pvmove, and has no way to limit the rate of that");
	return strcmp(job->plan.method, "pvmove") ?
	       err_next(err, "lvchange --maxrecoveryrate RATE %s", move->source.path) :
	       err_next(err, "wait for it, or end it with volmig abort %s", job->id);
}

int perform_set_rate(const char *text, uint64_t bytes_per_second,
		     const struct perform_options *options, json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct job job = { .lock = -1 };
	char id[JOB_ID_SIZE];
	int ret = -1;

	if (find_existing(state_dir, text, id, err) < 0 ||
	    job_open(state_dir, id, JOB_LOOK, &job, err) < 0)
		goto out;
	*ret_report = report_job(&job);
	if (job.ended)
		err_set(err, ERR_REFUSED, id, "the job has ended (%s)", job_state(&job));
	else if (check_rate(&job, err) == 0)
		ret = terms_set_rate(&job, bytes_per_second, err);
out:
	job_close(&job);
	free(state_dir);
	return ret;
}

int perform_serve(struct serve_options *serve, const struct perform_options *options, struct err *err)
{
	int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	int ret = -1;

	guests_set_uri(options->connect);
	serve->state_dir = options->state_dir;
	/* Whatever else somebody might print must not get among the messages. */
	if (in < 0 || out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		err_sys(err, errno, NULL, "cannot set up the channel");
	else if (chdir("/") < 0)
		err_sys(err, errno, "/", "cannot go there");
	else
		ret = serve_run(serve, in, out, err);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return ret;
}
