/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that several commands share, and the frame every command is run in. */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "report.h"
#include "support/calendar.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/text.h"
#include "sys/journald.h"
#include "sys/uuid.h"

/* ---- tables ---- */

void output_table(struct output_options *out, struct poptOption table[static OUTPUT_TABLE_SIZE])
{
	const struct poptOption options[OUTPUT_TABLE_SIZE] = {
		{ "json", '\0', POPT_ARG_NONE, &out->json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "progress", '\0', POPT_ARG_STRING, &out->progress, 0,
		  "auto (a line, on a terminal), tty, json (one object a line) or none "
		  "(default: auto)", "MODE" },
		{ "progress-fd", '\0', POPT_ARG_INT, &out->progress_fd, 0,
		  "the descriptor that progress is written to (default: 2, standard error)", "N" },
		{ "metrics", '\0', POPT_ARG_STRING, &out->metrics, 0,
		  "write totals over all jobs to this file, for Prometheus' textfile collector", "FILE" },
		{ "keep", '\0', POPT_ARG_STRING, &out->keep, 0,
		  "keep so many receipts of jobs that have ended, or for so long, or both: "
		  "500, 90d, 500,90d (default: all)", "HOW" },
		{ "quiet", 'q', POPT_ARG_NONE, &out->quiet, 0, "print errors only", NULL },
		POPT_TABLEEND
	};

	memcpy(table, options, sizeof(options));
	out->progress_fd = 2;
}

void run_table(struct run_options *run, struct poptOption table[static RUN_TABLE_SIZE])
{
	const struct poptOption options[RUN_TABLE_SIZE] = {
		{ "dry-run", 'n', POPT_ARG_NONE, &run->dry_run, 0,
		  "print the plan and its reasons, change nothing", NULL },
		{ "job-id", '\0', POPT_ARG_STRING, &run->job_id, 0,
		  "the id of the job; one of that id that is done already is not "
		  "done again", "UUID" },
		{ "bwlimit", '\0', POPT_ARG_STRING, &run->bwlimit, 0,
		  "at most so many bytes per second, with K, M, G in powers of 1024", "RATE" },
		{ "verify", '\0', POPT_ARG_STRING, &run->verify, 0,
		  "full: read the destination back from the medium and compare; or none "
		  "(default: full)", "MODE" },
		{ "stall-timeout", '\0', POPT_ARG_STRING, &run->stall_timeout, 0,
		  "stop, resumable, when nothing moves for so long; 0: never "
		  "(default: 10m)", "TIME" },
		{ "wait-lock", '\0', POPT_ARG_STRING, &run->wait_lock, 0,
		  "wait so long for a volume that another job holds (default: 0)", "TIME" },
		{ "hook", '\0', POPT_ARG_ARGV, &run->hooks, 0,
		  "a command for the shell, called before and after each step with the job "
		  "as JSON on its standard input; may be given more than once", "CMD" },
		{ "hook-timeout", '\0', POPT_ARG_STRING, &run->hook_timeout, 0,
		  "kill a hook that takes longer; 0: never (default: 5m)", "TIME" },
		{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, run->terms_table, 0, NULL, NULL },
		POPT_TABLEEND
	};

	memcpy(table, options, sizeof(options));
	terms_table(&run->terms, run->terms_table);
}

void terms_table(struct terms_options *terms, struct poptOption table[static TERMS_TABLE_SIZE])
{
	const struct poptOption options[TERMS_TABLE_SIZE] = {
		{ "limit", '\0', POPT_ARG_ARGV, &terms->limits, 0,
		  "KEY=N: run only while fewer than N jobs use the same KEY, which is max-jobs, "
		  "device, vg, fs or host; may be given more than once", "LIMIT" },
		{ "window", '\0', POPT_ARG_ARGV, &terms->windows, 0,
		  "run only then: [DAYS] HH:MM-HH:MM; stop, resumable, at its end; may be "
		  "given more than once", "WHEN" },
		{ "rate-profile", '\0', POPT_ARG_STRING, &terms->rates, 0,
		  "limits of the rate over the day: HH:MM-HH:MM=RATE,...,else=RATE", "PROFILE" },
		{ "nice", '\0', POPT_ARG_NONE, &terms->nice, 0,
		  "let the I/O of others go first (I/O priority idle)", NULL },
		{ "max-latency", '\0', POPT_ARG_STRING, &terms->max_latency, 0,
		  "slow down while requests to the disks take longer than this", "TIME" },
		POPT_TABLEEND
	};

	memcpy(table, options, sizeof(options));
}

static void free_words(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

void terms_options_free(struct terms_options *terms)
{
	free_words(terms->limits);
	free_words(terms->windows);
	free(terms->rates);
	free(terms->max_latency);
	free(terms->all_windows);
	*terms = (struct terms_options){ 0 };
}

void run_options_free(struct run_options *run)
{
	free(run->job_id);
	free(run->bwlimit);
	free(run->verify);
	free(run->stall_timeout);
	free(run->wait_lock);
	for (char **hook = run->hooks; hook && *hook; hook++)
		free(*hook);
	free(run->hooks);
	free(run->hook_timeout);
	terms_options_free(&run->terms);
}

void options_list(const struct poptOption *table)
{
	for (; table->longName || table->shortName || table->arg; table++) {
		if ((table->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE) {
			if (table->arg != (void *)poptHelpOptions)
				options_list(table->arg);
			continue;
		}
		if (table->argInfo & POPT_ARGFLAG_DOC_HIDDEN)
			continue;
		if (table->shortName)
			printf("-%c\t%s\n", table->shortName, table->argDescrip ? table->argDescrip : "");
		if (table->longName)
			printf("--%s\t%s\n", table->longName, table->argDescrip ? table->argDescrip : "");
	}
}

/* ---- the frame ---- */

int frame_usage(struct frame *frame, const char *object, const char *cause)
{
	const char *origin = config_origin(frame->globals->config, object);

	err_set(&frame->err, ERR_USAGE, object, "%s%s%s", cause, origin ? "; set in " : "",
		origin ? origin : "");
	return err_next(&frame->err, "see volmig %s --help", frame->cmd->name);
}

bool frame_is_default(const struct frame *frame, const char *option)
{
	return config_gave(frame->globals->config, frame->argv, option);
}

static int take_arguments(struct frame *frame, int min, int max)
{
	const char *argument;

	while ((argument = poptGetArg(frame->popt))) {
		if (frame->argument_count == max)
			return frame_usage(frame, argument, "one argument too many");
		frame->arguments[frame->argument_count++] = argument;
	}
	if (frame->argument_count < min) {
		char *cause = text_format("missing argument: volmig %s needs %s",
					  frame->cmd->name, frame->cmd->arguments);

		frame_usage(frame, NULL, cause);
		free(cause);
		return -1;
	}
	return 0;
}

/* "500", "90d", "500,90d" */
static int take_history(struct frame *frame)
{
	struct history_options *history = &frame->perform.history;
	char *copy = text_copy(frame->out.keep), *rest = copy, *word;
	int ret = 0;

	history->metrics = frame->out.metrics;
	while (ret == 0 && copy && (word = strsep(&rest, ","))) {
		bool number = *word && strspn(word, "0123456789") == strlen(word) && strlen(word) < 10;

		if (number && !history->keep_count)
			history->keep_count = strtoull(word, NULL, 10);
		else if (number || history->keep_ms || text_parse_time(word, &history->keep_ms))
			ret = -1;
		if (ret < 0 || (!history->keep_count && !history->keep_ms))
			ret = frame_usage(frame, frame->out.keep,
					  "--keep takes a number of receipts, a time, or both (500,90d)");
	}
	free(copy);
	return ret;
}

int frame_parse(struct frame *frame, const struct cmd *cmd, int argc, const char **argv,
		const struct poptOption *table, int min_arguments, int max_arguments)
{
	const char *name = argv[0];
	char program[64], usage[64];
	int code;

	frame->cmd = cmd;
	/* popt takes the program's name for its usage line from here. */
	snprintf(program, sizeof(program), "volmig %s", cmd->name);
	snprintf(usage, sizeof(usage), "[OPTION...] %s", cmd->arguments);
	argv[0] = program;
	frame->argv = config_arguments(frame->globals->config, table, false, argc, argv, &argc);
	frame->popt = poptGetContext("volmig", argc, frame->argv, table, 0);
	poptSetOtherOptionHelp(frame->popt, usage);
	code = poptGetNextOpt(frame->popt);
	argv[0] = name;
	if (code < -1) {
		const char *option = poptBadOption(frame->popt, POPT_BADOPTION_NOALIAS);

		return frame_usage(frame, option, poptStrerror(code));
	}
	return take_history(frame) < 0 ? -1 : take_arguments(frame, min_arguments, max_arguments);
}

int frame_begin(struct frame *frame, const struct cmd *cmd, const struct globals *globals,
		int argc, const char **argv, const struct poptOption *table,
		int min_arguments, int max_arguments)
{
	char prefix[64];

	if (globals->visit) {
		globals->visit(cmd, table, globals->visit_data);
		return 1;
	}
	frame->globals = globals;
	frame->perform.state_dir = globals->state_dir;
	frame->perform.connect = globals->connect;
	snprintf(prefix, sizeof(prefix), "volmig: %s: ", cmd->name);
	log_setup(globals->verbose ? LOG_VERBOSE : LOG_NORMAL, prefix);
	journald_setup();
	journald_field("VOLMIG_COMMAND", cmd->name);

	if (argc == 2 && !strcmp(argv[1], "--list-options")) {
		options_list(table);
		return 1;
	}
	if (frame_parse(frame, cmd, argc, argv, table, min_arguments, max_arguments) < 0)
		return -1;
	if (frame->out.quiet)
		log_set_level(LOG_QUIET);
	return 0;
}

int frame_time(struct frame *frame, const char *option, const char *text, uint64_t *ret_ms)
{
	int error = text ? text_parse_time(text, ret_ms) : 0;
	char *object;

	/* Further down it is nanoseconds, and added to what the clock says. */
	if (!error && *ret_ms > UINT64_MAX / 2000000)
		error = -ERANGE;
	if (!error)
		return 0;
	object = text_format("--%s=%s", option, text);
	frame_usage(frame, object, error == -ERANGE ? "the time is too long" :
		    "not a time; give a number with ms, s, m, h or d");
	free(object);
	return -1;
}

int frame_rate(struct frame *frame, const char *name, const char *text, uint64_t *ret_rate)
{
	int error = text_parse_size(text, ret_rate);
	char *object;

	if (!error && *ret_rate)
		return 0;
	object = text_format("%s=%s", name, text);
	frame_usage(frame, object, error == -ERANGE ? "the rate is too large" : !error ?
		    "the rate must not be zero; leave the option out for no limit" :
		    "not a rate; give bytes per second, with K, M or G");
	free(object);
	return -1;
}

/* Several windows are one list of them. */
static int take_windows(struct frame *frame, struct terms_options *options)
{
	for (char **word = options->windows; word && *word; word++) {
		struct calendar calendar;
		const char *why = calendar_parse_windows(*word, &calendar);
		char *all, *object;

		if (why) {
			object = text_format("--window=%s", *word);
			frame_usage(frame, object, why);
			free(object);
			return -1;
		}
		calendar_free(&calendar);
		all = options->all_windows ? text_format("%s, %s", options->all_windows, *word) :
					     text_copy(*word);
		free(options->all_windows);
		options->all_windows = all;
	}
	options->terms.windows = options->all_windows;
	return 0;
}

int frame_terms(struct frame *frame, struct terms_options *options)
{
	struct terms *terms = &options->terms;
	uint64_t ms = 0;

	for (char **word = options->limits; word && *word; word++)
		if (limits_add(&terms->limits, *word, &frame->err) < 0)
			return -1;
	if (take_windows(frame, options) < 0)
		return -1;
	if (options->rates) {
		struct calendar calendar;
		const char *why = calendar_parse_rates(options->rates, &calendar);

		if (why) {
			char *object = text_format("--rate-profile=%s", options->rates);

			frame_usage(frame, object, why);
			free(object);
			return -1;
		}
		calendar_free(&calendar);
		terms->rates = options->rates;
	}
	if (frame_time(frame, "max-latency", options->max_latency, &ms) < 0)
		return -1;
	if (options->max_latency && !ms)
		return frame_usage(frame, "--max-latency", "the time must not be zero; leave the option out");
	terms->max_latency_us = ms * 1000;
	terms->nice = options->nice;
	return 0;
}

static void say_waits(const char *what)
{
	log_note("waiting for %s", what);
}

int frame_run_options(struct frame *frame, struct run_options *run, struct request *request)
{
	static char id[UUID_TEXT_SIZE];

	frame->perform.dry_run = run->dry_run;
	if (run->job_id) {
		if (!uuid_canonical(run->job_id, id))
			return frame_usage(frame, run->job_id, "--job-id takes a UUID");
		frame->perform.job_id = id;
	}
	request->hooks = (const char *const *)run->hooks;
	if (run->verify && !strcmp(run->verify, "none"))
		request->verify = VERIFY_NONE;
	else if (run->verify && strcmp(run->verify, "full"))
		return frame_usage(frame, run->verify, "--verify takes full or none");
	if (run->bwlimit && frame_rate(frame, "--bwlimit", run->bwlimit, &request->bytes_per_second) < 0)
		return -1;
	if (frame_time(frame, "stall-timeout", run->stall_timeout, &request->stall_ms) < 0 ||
	    frame_time(frame, "wait-lock", run->wait_lock, &frame->perform.wait_ms) < 0 ||
	    frame_time(frame, "hook-timeout", run->hook_timeout, &request->hook_timeout_ms) < 0 ||
	    frame_terms(frame, &run->terms) < 0)
		return -1;
	frame->perform.terms = &run->terms.terms;
	frame->perform.waits = say_waits;
	return 0;
}

static void print_plan(const json_t *plan)
{
	report_print(plan, stdout);
	fputc('\n', stdout);
	fflush(stdout);
}

int frame_start(struct frame *frame)
{
	static const struct {
		const char *name;
		enum progress_mode mode;
	} modes[] = {
		{ "auto", PROGRESS_AUTO }, { "tty", PROGRESS_TTY },
		{ "json", PROGRESS_JSON }, { "none", PROGRESS_NONE },
	};
	enum progress_mode mode = PROGRESS_AUTO;
	const char *name = frame->out.progress ? frame->out.progress : "auto";
	bool known = false;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, name)) {
			mode = modes[i].mode;
			known = true;
		}
	if (!known)
		return frame_usage(frame, name, "--progress takes auto, tty, json or none");
	if (frame->out.progress_fd < 0 || fcntl(frame->out.progress_fd, F_GETFD) < 0)
		return frame_usage(frame, "--progress-fd", "not an open descriptor");
	if (frame->out.quiet && mode == PROGRESS_AUTO)
		mode = PROGRESS_NONE;
	interrupt_catch();
	frame->progress = progress_open(mode, frame->out.progress_fd);
	frame->perform.progress = frame->progress;
	if (!frame->out.json && !frame->out.quiet && !frame->perform.dry_run)
		frame->perform.announce = print_plan;
	return 0;
}

static enum exit_status exit_status_of(const struct err *err)
{
	switch (err->class) {
	case ERR_NONE:
		return EXIT_DONE;
	case ERR_FAILED:
		return EXIT_FAILED;
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_REFUSED:
		return EXIT_REFUSED;
	case ERR_STOPPED:
		return EXIT_STOPPED;
	case ERR_UNSURE:
		return EXIT_UNSURE;
	}
	return EXIT_UNSURE;
}

/*
 * Program, command, object, cause, what became of the source, what to do next:
 * one line.  A refusal and a usage error touched nothing, by their meaning.
 */
static void print_error(const struct err *err, enum exit_status status, const json_t *report)
{
	char number[12];
	const char *source = json_get_string(json_object_get(report, "error"), "source_state");
	bool command = !strncmp(err->next, "volmig ", 7);
	bool touched = err->class != ERR_USAGE && err->class != ERR_REFUSED &&
		       json_object_get(report, "source");

	snprintf(number, sizeof(number), "%d", (int)status);
	journald_field("VOLMIG_OBJECT", err->object);
	journald_field("VOLMIG_EXIT_STATUS", number);
	journald_field("VOLMIG_NEXT", err->next);
	log_error("%s%s%s%s%s%s%s%s", err->object, *err->object ? ": " : "", err->cause,
		  touched && source ? "; source " : "", touched && source ? source : "",
		  *err->next ? "; " : "", command ? "go on with: " : "", err->next);
}

int frame_end(struct frame *frame, int result, json_t *report)
{
	enum exit_status status = result < 0 ? exit_status_of(&frame->err) : EXIT_DONE;
	const char *job = frame->perform.job_id;

	progress_close(frame->progress);
	if (!report && result <= 0 && (result < 0 || frame->out.json))
		report = report_failure(frame->cmd->name, job);
	if (report)
		report_set_error(report, result < 0 ? &frame->err : NULL, (int)status);
	if (frame->out.json && report) {
		json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		fputc('\n', stdout);
	}
	if (result < 0)
		print_error(&frame->err, status, report);
	json_decref(report);
	poptFreeContext(frame->popt);
	free(frame->argv);
	free(frame->out.progress);
	free(frame->out.metrics);
	free(frame->out.keep);
	/* A full disk or a closed pipe behind stdout must not look like success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE) {
		log_error("cannot write to standard output: %s", strerror(errno));
		return frame->out.json ? EXIT_UNSURE : EXIT_DONE;
	}
	return (int)status;
}
