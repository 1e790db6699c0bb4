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
#include <sys/pidfd.h>
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
#define END_NS (10 * 1000000000ULL)	/* a process that takes longer to end is told of, and in the end left alone */

struct child {
	pid_t pid;			/* 0: none */
	int pipe;			/* -1: it has said all, and is about to end, ... */
	uint64_t closed_ns;		/* ... since then */
	int end;			/* what tells that it has; -1: nothing does */
	bool through;			/* nothing depends on it any more */
	bool told;			/* the user was: it was stopped, or does not end */
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
	uint64_t asked_ns;		/* when they were the last time */
	bool stopping;
	uint64_t bytes_done;
};

/* A child for that line, which waits at its gate; -errno: there is none. */
static int start(struct running *run, size_t i)
{
	struct child *child = run->children;
	pid_t parent = getpid();
	int fds[2], gate[2], error;

	while (child->pid && child < run->children + CHILDREN_MOST)
		child++;
	/* So many that do not end. */
	if (child->pid)
		return -EAGAIN;
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
		batch_child(run->batch, &run->batch->items[i], gate[0], fds[1]);
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
	child->end = -1;
	child->through = child->told = false;
	child->item = i;
	child->length = 0;
	run->ahead = child;
	return 0;
}

/* Nobody waits for that here: a process may be stopped, or hang in the kernel, while it ends. */
static bool has_ended(struct child *child, int *ret_status)
{
	pid_t pid;

	*ret_status = 0;
	do
		pid = waitpid(child->pid, ret_status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (child->end >= 0)
		close(child->end);
	child->pid = 0;
	return true;
}

static void close_pipe(struct child *child)
{
	close(child->pipe);
	child->pipe = -1;
	child->closed_ns = clock_ns();
}

/* It is gone, or wait_for_children() will hear when it is. */
static void watch_end(struct child *child)
{
	int status;

	if (child->end < 0 && !(child->through && has_ended(child, &status)))
		child->end = pidfd_open(child->pid, 0);
}

/* Its turn does not come, or not now. */
static void drop_ahead(struct running *run)
{
	struct child *child = run->ahead;

	if (!child)
		return;
	run->ahead = NULL;
	close(child->gate);
	close_pipe(child);
	child->through = true;
	watch_end(child);
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

static void take_failure(struct running *run, struct batch_item *item, const struct err *err)
{
	batch_item_failed(item, err);
	if (retry(run, item))
		return;
	if (run->batch->options->fault) {
		char *where = text_format("%s:%u", run->batch->shown, item->number);

		run->batch->options->fault(where, err);
		free(where);
	}
	if (run->batch->options->fail_fast)
		run->stopping = true;
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
	take_failure(run, item, &err);
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

/* It has said all that it will. */
static void end_child(struct running *run, struct child *child)
{
	struct batch_item *item = &run->batch->items[child->item];
	json_t *report = json_loadb(child->text, child->length, 0, NULL);
	int status = 0;
	bool noted;

	/* What was killed tells by that. */
	if (!report && !has_ended(child, &status)) {
		watch_end(child);
		return;
	}
	child->through = true;
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
		watch_end(child);
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
		close_pipe(child);
		end_child(run, child);
		return;
	}
	child->text = text_grow(child->text, child->length + (size_t)n, 1);
	memcpy(child->text + child->length, buf, (size_t)n);
	child->length += (size_t)n;
}

static void look_for_end(struct running *run, struct child *child)
{
	int status;

	if (child->through)
		has_ended(child, &status);
	else
		end_child(run, child);
}

/* Once, that the batch may come no further because of it. */
static void tell_of(const struct running *run, struct child *child)
{
	unsigned number = run->batch->items[child->item].number;
	siginfo_t info = { 0 };
	bool stopped = waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
	bool ends = child->pipe < 0 && clock_ns() - child->closed_ns > END_NS;

	if (stopped && !child->told)
		log_warning("line %u: its process was stopped (SIGSTOP); let it go on with: kill -CONT %d",
			    number, (int)child->pid);
	else if (ends && !child->told)
		log_warning("line %u: its process (pid %d) does not end%s", number, (int)child->pid,
			    child->through ? ", which nothing waits for" : "");
	child->told = stopped || ends;
}

static void wait_for_children(struct running *run)
{
	struct pollfd fds[CHILDREN_MOST + 1];
	struct child *children[CHILDREN_MOST + 1];
	nfds_t count = 0;

	int ready;

	for (unsigned i = 0; i <= CHILDREN_MOST; i++) {
		struct child *child = &run->children[i];

		if (!child->pid)
			continue;
		children[count] = child;
		fds[count++] = (struct pollfd){ .fd = child->pipe >= 0 ? child->pipe : child->end, .events = POLLIN };
	}
	ready = poll(fds, count, TICK_MS);
	for (nfds_t i = 0; ready >= 0 && i < count; i++) {
		if (fds[i].revents && children[i]->pipe >= 0)
			hear(run, children[i]);
		else if (fds[i].revents || (!ready && children[i]->pipe < 0))
			look_for_end(run, children[i]);
		if (!ready && children[i]->pid)
			tell_of(run, children[i]);
	}
}

/* Once for each time that we are asked ourselves. */
static void pass_stop_on(struct running *run)
{
	unsigned asked = (unsigned)interrupt_requested();

	if (!asked)
		return;
	run->stopping = true;
	drop_ahead(run);
	for (; run->asked < asked; run->asked++) {
		run->asked_ns = clock_ns();
		for (unsigned i = 0; i <= CHILDREN_MOST; i++) {
			if (!run->children[i].pid)
				continue;
			kill(-run->children[i].pid, SIGTERM);
			/* One that was stopped would not come to it. */
			kill(-run->children[i].pid, SIGCONT);
		}
	}
}

/*
 * Asked for the second time the batch comes to its end, whatever its moves wait
 * for: they were told, and whoever goes on with the batch waits for them first.
 */
static bool give_up(struct running *run)
{
	if (run->asked < 2 || clock_ns() - run->asked_ns < END_NS)
		return false;
	for (unsigned i = 0; i <= CHILDREN_MOST; i++) {
		struct child *child = &run->children[i];
		struct batch_item *item = &run->batch->items[child->item];
		struct err err = ERR_INIT;

		if (!child->pid || child->through)
			continue;
		child->through = true;
		err_set(&err, ERR_STOPPED, item->job_id, "its process (pid %d) does not stop", (int)child->pid);
		err_next(&err, "look what it waits for, then volmig status %s", item->job_id);
		take_failure(run, item, &err);
		note_outcome(run->batch, item);
	}
	return true;
}

/* Whoever comes next finds nothing of us at work any more; but not at any price. */
static void wait_for_ends(struct running *run)
{
	uint64_t until = clock_ns() + END_NS;
	int asked = interrupt_requested();

	while (interrupt_requested() == asked && clock_ns() < until) {
		unsigned left = 0;

		for (unsigned i = 0; i <= CHILDREN_MOST; i++)
			left += run->children[i].pid != 0;
		if (!left)
			return;
		wait_for_children(run);
	}
	for (unsigned i = 0; i <= CHILDREN_MOST; i++)
		if (run->children[i].pid)
			tell_of(run, &run->children[i]);
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
	bool through;

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
		through = !run.count && (run.stopping || run.first == batch->count);
		if (through || give_up(&run))
			break;
		wait_for_children(&run);
	}
	drop_ahead(&run);
	if (through)
		wait_for_ends(&run);
	for (size_t i = 0; i < batch->count; i++)
		if (batch->items[i].state == BATCH_WAITS)
			batch->items[i].state = BATCH_LEFT;
	for (unsigned i = 0; i <= CHILDREN_MOST; i++)
		free(run.children[i].text);
}
