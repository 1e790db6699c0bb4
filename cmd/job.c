/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig status, resume and abort: see a job, go on with it, undo it. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "options.h"
#include "report.h"

static int columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 0;
}

int cmd_status(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	const struct poptOption table[] = {
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 0, 1);

	if (ret)
		goto out;
	ret = perform_status(frame.arguments[0], &frame.perform, &report, &frame.err);
	if (ret == 0 && !frame.out.json && frame.argument_count)
		report_print(report, stdout);
	else if (ret == 0 && !frame.out.json)
		report_print_jobs(json_object_get(report, "jobs"), columns(), stdout);
out:
	return frame_end(&frame, ret, report);
}

typedef int perform_job(const char *job, const struct perform_options *options,
			json_t **ret_report, struct err *err);

/* The frame's options have been set up in table, out's group among them. */
static int work_on(perform_job *perform, struct frame *frame, const struct poptOption *table,
		   const int *forget, const struct cmd *cmd, const struct globals *globals,
		   int argc, const char **argv)
{
	json_t *report = NULL;
	int ret = frame_begin(frame, cmd, globals, argc, argv, table, 1, 1);

	if (ret)
		goto out;
	frame->perform.forget = *forget;
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
	const int forget = 0;
	const struct poptOption table[] = {
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};

	output_table(&frame.out, output);
	return work_on(perform_resume, &frame, table, &forget, cmd, globals, argc, argv);
}

int cmd_abort(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct poptOption output[OUTPUT_TABLE_SIZE];
	int forget = 0;
	const struct poptOption table[] = {
		{ "forget", '\0', POPT_ARG_NONE, &forget, 0,
		  "give up an unfinished destination whose directory is gone, wherever it is", NULL },
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};

	output_table(&frame.out, output);
	return work_on(perform_abort, &frame, table, &forget, cmd, globals, argc, argv);
}
