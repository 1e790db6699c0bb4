/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One move of a batch, in the process that it has for itself. */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"
#include "report.h"
#include "support/clock.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"

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

void batch_child(const struct batch *batch, const struct batch_item *item, int gate, int out)
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
	inject_stop_at("stop-end", ret < 0);
	_exit(ret < 0);
}
