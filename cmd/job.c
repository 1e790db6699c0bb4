/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig status, resume and abort: see a job, go on with it, undo it. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "support/clock.h"
#include "support/interrupt.h"
#include "support/text.h"

static int columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 0;
}

/* Print it once.  Returns what perform_status() does; the report goes to *ret_report. */
static int show(struct frame *frame, json_t **ret_report)
{
	int ret = perform_status(frame->arguments[0], &frame->perform, ret_report, &frame->err);

	if (ret == 0 && !frame->out.json && frame->argument_count)
		report_print(*ret_report, stdout);
	else if (ret == 0 && !frame->out.json)
		report_print_jobs(*ret_report, columns(), stdout);
	return ret;
}

/* Again and again, until a signal comes or nobody reads it any more. */
static int watch(struct frame *frame, uint64_t interval_ms)
{
	bool terminal = isatty(STDOUT_FILENO);

	interrupt_catch();
	for (;;) {
		uint64_t until = clock_ns() + interval_ms * 1000000;
		json_t *report = NULL;
		int ret;

		if (terminal && !frame->out.json)
			fputs("\033[H\033[2J", stdout);
		ret = show(frame, &report);
		if (ret == 0 && frame->out.json) {
			json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
			fputc('\n', stdout);
		} else if (ret == 0 && !terminal) {
			fputc('\n', stdout);
		}
		json_decref(report);
		if (ret < 0 || fflush(stdout) != 0)
			return ret;
		while (!interrupt_requested() && clock_ns() < until)
			clock_sleep_ms(50);
		if (interrupt_requested())
			return 1;
	}
}

int cmd_status(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	uint64_t interval_ms = 2000;
	char *every = NULL;
	int all = 0, again = 0;
	const struct poptOption table[] = {
		{ "all", '\0', POPT_ARG_NONE, &all, 0,
		  "show also the older ones of the jobs that have ended", NULL },
		{ "watch", '\0', POPT_ARG_NONE, &again, 0,
		  "show it again and again, until interrupted", NULL },
		{ "interval", '\0', POPT_ARG_STRING, &every, 0,
		  "how often --watch shows it (default: 2s)", "TIME" },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 0, 1);

	if (ret)
		goto out;
	frame.perform.all = all;
	if (every && (text_parse_time(every, &interval_ms) || !interval_ms || interval_ms > 86400000))
		ret = frame_usage(&frame, every, "--interval takes a time, from 1ms to 1d");
	else
		ret = again ? watch(&frame, interval_ms) : show(&frame, &report);
out:
	free(every);
	return frame_end(&frame, ret, report);
}

typedef int perform_job(const char *job, const struct perform_options *options,
			json_t **ret_report, struct err *err);

/* Those of resume and of abort. */
struct choices {
	int forget, keep_source, no_hook, now;
};

/* The frame's options have been set up in table, out's group among them. */
static int work_on(perform_job *perform, struct frame *frame, const struct poptOption *table,
		   const struct choices *choices, const struct cmd *cmd, const struct globals *globals,
		   int argc, const char **argv)
{
	json_t *report = NULL;
	int ret = frame_begin(frame, cmd, globals, argc, argv, table, 1, 1);

	if (ret)
		goto out;
	frame->perform.forget = choices->forget;
	frame->perform.no_hook = choices->no_hook;
	frame->perform.now = choices->now;
	/* Set in a file it is for moves that begin, and these have it in their plans. */
	frame->perform.keep_source = choices->keep_source && !frame_is_default(frame, "keep-source");
	ret = frame_start(frame);
	if (ret == 0)
		ret = perform(frame->arguments[0], &frame->perform, &report, &frame->err);
	if (ret == 0 && !frame->out.json && !frame->out.quiet)
		report_print(report, stdout);
out:
	return frame_end(frame, ret, report);
}

int cmd_resume(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct poptOption output[OUTPUT_TABLE_SIZE];
	struct choices choices = { .no_hook = 0 };
	const struct poptOption table[] = {
		{ "keep-source", '\0', POPT_ARG_NONE, &choices.keep_source, 0,
		  "neither wipe nor remove the source, whatever was planned", NULL },
		{ "no-hook", '\0', POPT_ARG_NONE, &choices.no_hook, 0,
		  "do not call the commands that the job was given by --hook", NULL },
		{ "now", '\0', POPT_ARG_NONE, &choices.now, 0,
		  "do not wait for the job's window, nor stop at its end, this time", NULL },
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};

	output_table(&frame.out, output);
	return work_on(perform_resume, &frame, table, &choices, cmd, globals, argc, argv);
}

int cmd_abort(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct poptOption output[OUTPUT_TABLE_SIZE];
	struct choices choices = { .forget = 0 };
	const struct poptOption table[] = {
		{ "forget", '\0', POPT_ARG_NONE, &choices.forget, 0,
		  "give up an unfinished destination whose directory is gone, wherever it is", NULL },
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};

	output_table(&frame.out, output);
	return work_on(perform_abort, &frame, table, &choices, cmd, globals, argc, argv);
}
