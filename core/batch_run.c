/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The moves of a batch, each in a process of its own, in a process group of its own. */
#include "batch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "history.h"
#include "job.h"
#include "journal.h"
#include "report.h"
#include "support/clock.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/progress.h"
#include "sys/mounts.h"
#include "volumes/backing.h"

#define CHILDREN_MOST 64
#define TICK_MS 250
#define RETRY_MS 1000ULL		/* before the first retry; then twice as long, ... */
#define RETRY_MOST_MS 60000ULL		/* ... up to this */

struct child {
	pid_t pid;			/* 0: none */
	int pipe;
	int gate;			/* of one that waits for its turn; else -1 */
	size_t item;
	char *text;			/* what it has said so far */
	size_t length;
};

/*
 * While others work, the next child is there already and waits at its gate, a
 * pipe: it has looked at nothing yet, and where its turn does not come it ends
 * as if it had never been.
 */
struct running {
	struct batch *batch;
	struct child children[CHILDREN_MOST + 1];
	struct child *ahead;		/* one of them, or NULL; not among count */
	unsigned most, count;
	size_t first;			/* the lines before it are through */
	unsigned asked;			/* how often the children were told to stop */
	bool stopping;
	uint64_t bytes_done;
};

/* ---- in the child ---- */

/* Whoever still works on the job, a child of a batch that was killed say, comes to its end first. */
static int wait_for_worker(const struct batch *batch, const struct batch_item *item, struct err *err)
{
	while (job_worker(batch->state_dir, item->job_id)) {
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, item->job_id, "%s while waiting for the process that works on it",
				interrupt_reason());
			return err_next(err, "volmig resume %s", item->job_id);
		}
		clock_sleep_ms(50);
	}
	return 0;
}

static int do_move(const struct batch *batch, const struct batch_item *item, json_t **ret_report,
		   struct err *err)
{
	const struct batch_options *options = batch->options;
	struct perform_options perform = { .state_dir = options->state_dir,
		.connect = options->connect, .waits = options->waits };
	struct batch_move move = { 0 };
	struct terms terms;
	int ret;

	if (item->begun)
		return wait_for_worker(batch, item, err) < 0 ? -1 :
		       perform_resume(item->job_id, &perform, ret_report, err);
	if (options->reader->read(batch->defaults, item->text, &move, err) < 0) {
		options->reader->release(&move);
		return -1;
	}
	/* What a line says goes before what is said for all. */
	terms = *move.perform.terms;
	terms.limits = limits_over(&batch->limits, &terms.limits);
	terms.nice |= options->nice;
	if (!terms.windows)
		terms.windows = options->terms.windows;
	if (!terms.rates)
		terms.rates = options->terms.rates;
	if (!terms.max_latency_us)
		terms.max_latency_us = options->terms.max_latency_us;
	perform.terms = &terms;
	perform.wait_ms = move.perform.wait_ms;
	perform.job_id = item->job_id;
	ret = perform_move(&move.request, &perform, ret_report, err);
	options->reader->release(&move);
	return ret;
}

static void wait_at_gate(int gate)
{
	char turn;
	ssize_t n;

	do
		n = read(gate, &turn, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(0);
	close(gate);
}

static _Noreturn void be_child(const struct batch *batch, const struct batch_item *item, int gate, int out)
{
	struct err err = ERR_INIT;
	json_t *report = NULL;
	char *text;
	int ret;

	wait_at_gate(gate);
	ret = do_move(batch, item, &report, &err);
	if (!report)
		report = report_failure("migrate", item->job_id);
	report_set_error(report, ret < 0 ? &err : NULL, 0);
	text = json_dumps(report, JSON_COMPACT);
	for (size_t at = 0, length = text ? strlen(text) : 0; at < length;) {
		ssize_t n = write(out, text + at, length - at);

		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	/* The batch need not wait until the kernel has taken us apart. */
	close(out);
	_exit(ret < 0);
}

/* ---- in the parent ---- */

/* A child for that line, which waits at its gate; -errno: there is none. */
static int start(struct running *run, size_t i)
{
	struct child *child = run->children;
	pid_t parent = getpid();
	int fds[2], gate[2], error;

	while (child->pid)
		child++;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(gate, O_CLOEXEC) < 0) {
		error = errno;
		close(fds[0]);
		close(fds[1]);
		return -error;
	}
	fflush(NULL);
	mounts_look_ahead();
	backing_look_ahead();
	child->pid = fork();
	if (child->pid == 0) {
		/* Ctrl-C is for the batch, which then asks each of its moves to stop. */
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		close(fds[0]);
		close(gate[1]);
		be_child(run->batch, &run->batch->items[i], gate[0], fds[1]);
	}
	error = errno;
	close(fds[1]);
	close(gate[0]);
	if (child->pid < 0) {
		child->pid = 0;
		close(fds[0]);
		close(gate[1]);
		return -error;
	}
	setpgid(child->pid, child->pid);
	child->pipe = fds[0];
	child->gate = gate[1];
	child->item = i;
	child->length = 0;
	run->ahead = child;
	return 0;
}

static void reap(struct child *child, int *ret_status)
{
	*ret_status = 0;
	while (waitpid(child->pid, ret_status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
}

/* Its turn does not come, or not now. */
static void drop_ahead(struct running *run)
{
	struct child *child = run->ahead;
	int status;

	if (!child)
		return;
	run->ahead = NULL;
	close(child->gate);
	close(child->pipe);
	reap(child, &status);
}

/* It is the turn of the one that waits. */
static void let_begin(struct running *run)
{
	struct child *child = run->ahead;
	struct batch_item *item = &run->batch->items[child->item];

	run->ahead = NULL;
	/* One that has ended meanwhile does not read it; that is seen by its pipe. */
	(void)!write(child->gate, "", 1);
	close(child->gate);
	child->gate = -1;
	item->state = BATCH_RUNS;
	item->tries++;
	run->count++;
	log_info("line %u: job %s begins", item->number, item->job_id);
}

void batch_item_failed(struct batch_item *item, const struct err *err)
{
	item->state = BATCH_FAILED;
	item->class = err->class;
	free(item->message);
	free(item->next);
	item->message = text_format("%s%s%s", err->object, *err->object ? ": " : "", err->cause);
	item->next = *err->next ? text_copy(err->next) : NULL;
}

/* Is it worth another try?  Not what was refused, nor what was asked to stop. */
static bool retry(struct running *run, struct batch_item *item)
{
	const struct batch_options *options = run->batch->options;
	uint64_t wait_ms = RETRY_MS;
	struct err ignored = ERR_INIT;

	if (run->stopping || item->tries > options->retries ||
	    (item->class != ERR_STOPPED && item->class != ERR_FAILED))
		return false;
	for (unsigned i = 1; i < item->tries && wait_ms < RETRY_MOST_MS; i++)
		wait_ms *= 2;
	wait_ms = wait_ms < RETRY_MOST_MS ? wait_ms : RETRY_MOST_MS;
	item->not_before_ns = clock_ns() + wait_ms * 1000000;
	item->state = BATCH_WAITS;
	log_note("line %u: %s; trying again in %u s (%u of %u)", item->number, item->message,
		 (unsigned)(wait_ms / 1000), item->tries, options->retries);
	/* A job that was rolled back is over: the next try is another one. */
	if (batch_find_job(run->batch, item, &ignored))
		item->state = BATCH_DONE;
	return true;
}

static void take_report(struct running *run, struct batch_item *item, const json_t *report,
			int wait_status)
{
	const json_t *error = json_object_get(report, "error");
	const json_t *source = json_object_get(report, "source");
	const json_t *destination = json_object_get(report, "destination");
	struct err err = ERR_INIT;

	if (json_get_string(source, "path")) {
		free(item->source);
		free(item->destination);
		item->source = text_copy(json_get_string(source, "path"));
		item->destination = text_copy(json_get_string(destination, "path"));
		item->bytes = json_get_u64(source, "bytes");
	}
	if (report && json_is_null(error)) {
		item->state = BATCH_DONE;
		return;
	}
	if (json_is_object(error)) {
		err_set(&err, err_class_by_name(json_get_string(error, "class") ?: ""),
			json_get_string(error, "object"), "%s", json_get_string(error, "message"));
		if (json_get_string(error, "next"))
			err_next(&err, "%s", json_get_string(error, "next"));
	} else {
		/* Killed: what it has journalled is what is known. */
		err_set(&err, ERR_STOPPED, item->job_id, "its process ended by %s %d",
			WIFSIGNALED(wait_status) ? "signal" : "status",
			WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
		err_next(&err, "volmig status %s", item->job_id);
	}
	batch_item_failed(item, &err);
	if (retry(run, item))
		return;
	if (run->batch->options->fault) {
		char *where = text_format("%s:%u", run->batch->shown, item->number);

		run->batch->options->fault(where, &err);
		free(where);
	}
	if (run->batch->options->fail_fast)
		run->stopping = true;
}

/* What counts is in the journals of the jobs, but they may be removed before the batch is done. */
static int note_outcome(struct batch *batch, const struct batch_item *item)
{
	struct err err = ERR_INIT;
	bool done = item->state == BATCH_DONE;
	json_t *record;

	if (!done && item->state != BATCH_FAILED)
		return 0;
	record = json_pack("{s:s, s:I, s:s, s:s, s:s?}", "rec", "outcome", "line", (json_int_t)item->number,
			   "job", item->job_id, "class", done ? "done" : err_class_name(item->class),
			   "message", done ? NULL : item->message);
	if ((done ? journal_append : journal_note)(batch->journal, record, &err) == 0)
		return 0;
	log_warning("%s: %s", err.object, err.cause);
	return -1;
}

/*
 * As the command of the line alone would; but here, and behind the batch's
 * journal, for this may remove the receipts of lines.
 */
static void count_job(const struct batch *batch, const struct batch_item *item, const json_t *report, bool noted)
{
	const char *state = json_get_string(report, "state") ?: "";
	bool ended = !strcmp(state, "cleaned") || !strcmp(state, "aborted");
	struct err err = ERR_INIT, ignored = ERR_INIT;
	struct batch_move move = { 0 };

	err.class = err_class_by_name(json_get_string(json_object_get(report, "error"), "class") ?: "");
	if (!report)
		err.class = ERR_STOPPED;
	if (batch->options->reader->read(batch->defaults, item->text, &move, &ignored) == 0) {
		if (!noted)
			move.perform.history.keep_count = move.perform.history.keep_ms = 0;
		history_note(batch->state_dir, &move.perform.history, ended ? report : NULL,
			     json_is_object(json_object_get(report, "error")) || !report ? &err : NULL);
	}
	batch->options->reader->release(&move);
}

/* The next line that may begin now, or count. */
static size_t next_item(const struct batch *batch, size_t from)
{
	uint64_t now = clock_ns();

	for (size_t i = from; i < batch->count; i++) {
		const struct batch_item *item = &batch->items[i];

		if (item->state == BATCH_WAITS && item->not_before_ns <= now)
			return i;
	}
	return batch->count;
}

/* Is it the turn of the one that waits at its gate?  One that is tried again may be before it by now. */
static bool may_begin_ahead(const struct running *run)
{
	return run->ahead && !run->stopping && !interrupt_requested() && run->count < run->most &&
	       next_item(run->batch, run->first) == run->ahead->item;
}

static void end_child(struct running *run, struct child *child)
{
	struct batch_item *item = &run->batch->items[child->item];
	json_t *report = json_loadb(child->text, child->length, 0, NULL);
	int status = 0;
	bool noted;

	close(child->pipe);
	if (!report)
		reap(child, &status);
	run->count--;
	take_report(run, item, report, status);
	/* What it has said is all that there is of it: the next one need not wait until that is noted, and it gone. */
	if (may_begin_ahead(run))
		let_begin(run);
	noted = note_outcome(run->batch, item) == 0;
	count_job(run->batch, item, report, noted);
	json_decref(report);
	if (item->state == BATCH_DONE) {
		run->bytes_done += item->bytes;
		if (run->batch->options->progress)
			monitor_advance(progress_monitor(run->batch->options->progress), run->bytes_done);
	}
	if (child->pid)
		reap(child, &status);
}

static void hear(struct running *run, struct child *child)
{
	char buf[16384];
	ssize_t n = read(child->pipe, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0 && child == run->ahead) {
		drop_ahead(run);
		return;
	}
	if (n <= 0) {
		end_child(run, child);
		return;
	}
	child->text = text_grow(child->text, child->length + (size_t)n, 1);
	memcpy(child->text + child->length, buf, (size_t)n);
	child->length += (size_t)n;
}

static void wait_for_children(struct running *run)
{
	struct pollfd fds[CHILDREN_MOST + 1];
	struct child *children[CHILDREN_MOST + 1];
	nfds_t count = 0;

	for (unsigned i = 0; i <= CHILDREN_MOST; i++) {
		if (!run->children[i].pid)
			continue;
		children[count] = &run->children[i];
		fds[count++] = (struct pollfd){ .fd = run->children[i].pipe, .events = POLLIN };
	}
	if (poll(fds, count, TICK_MS) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++)
		if (fds[i].revents)
			hear(run, children[i]);
}

/* Once for each time that we are asked ourselves. */
static void pass_stop_on(struct running *run)
{
	unsigned asked = (unsigned)interrupt_requested();

	if (!asked)
		return;
	run->stopping = true;
	drop_ahead(run);
	for (; run->asked < asked; run->asked++)
		for (unsigned i = 0; i <= CHILDREN_MOST; i++)
			if (run->children[i].pid)
				kill(-run->children[i].pid, SIGTERM);
}

static void begin_those_that_may(struct running *run)
{
	while (!run->stopping && run->count < run->most) {
		size_t i = next_item(run->batch, run->first);
		int error = 0;

		if (run->ahead && run->ahead->item != i)
			drop_ahead(run);
		if (i == run->batch->count)
			break;
		if (!run->ahead)
			error = start(run, i);
		if (error) {
			log_warning("cannot start another process: %s", strerror(-error));
			break;
		}
		let_begin(run);
	}
}

/* Where that fails it is tried again, and told of, when the turn has come. */
static void start_ahead(struct running *run)
{
	size_t i = run->stopping || run->ahead || !run->count ? run->batch->count :
		   next_item(run->batch, run->first);

	if (i < run->batch->count)
		start(run, i);
}

void batch_run(struct batch *batch)
{
	struct running run = { .batch = batch, .most = 1 };

	if (batch->limits.most[LIMIT_JOBS])
		run.most = batch->limits.most[LIMIT_JOBS];
	if (run.most > CHILDREN_MOST)
		run.most = CHILDREN_MOST;
	for (;;) {
		pass_stop_on(&run);
		begin_those_that_may(&run);
		start_ahead(&run);
		while (run.first < batch->count && batch->items[run.first].state != BATCH_WAITS &&
		       batch->items[run.first].state != BATCH_RUNS)
			run.first++;
		if (!run.count && (run.stopping || run.first == batch->count))
			break;
		wait_for_children(&run);
	}
	drop_ahead(&run);
	for (size_t i = 0; i < batch->count; i++)
		if (batch->items[i].state == BATCH_WAITS)
			batch->items[i].state = BATCH_LEFT;
	for (unsigned i = 0; i <= CHILDREN_MOST; i++)
		free(run.children[i].text);
}
