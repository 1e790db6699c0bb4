/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig batch: many moves, from a plan file or out of a directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "migrate.h"
#include "report.h"
#include "support/log.h"

/* What a line's strings stand on. */
struct line {
	struct frame frame;
	struct migrate_options move;
	struct poptOption output[OUTPUT_TABLE_SIZE], running[RUN_TABLE_SIZE], moving[MIGRATE_TABLE_SIZE];
	const char **argv;
};

/* For the options of files: what stands in front of the command holds for all of its lines. */
static const struct globals *line_globals;
static const struct history_options *line_history;

static const struct cmd line_cmd = { .name = "migrate", .arguments = "VOLUME PLACE" };

static int add_words(struct line *line, const char *text, int *argc, struct err *err)
{
	const char **words = NULL;
	int count = 0, code;

	if (!text[strspn(text, " \t")])
		return 0;
	code = poptParseArgvString(text, &count, &words);
	if (code < 0) {
		err_set(err, ERR_USAGE, NULL, "cannot be taken apart into words: %s", poptStrerror(code));
		return err_next(err, "check the quotes");
	}
	line->argv = realloc(line->argv, (size_t)(*argc + count + 1) * sizeof(*line->argv));
	if (!line->argv)
		abort();
	for (int i = 0; i < count; i++)
		line->argv[(*argc)++] = strdup(words[i]);
	line->argv[*argc] = NULL;
	free(words);
	return 0;
}

static void release_line(struct batch_move *move)
{
	struct line *line = move->own;

	if (!line)
		return;
	poptFreeContext(line->frame.popt);
	free(line->frame.argv);
	migrate_options_free(&line->move);
	free(line->frame.out.progress);
	free(line->frame.out.metrics);
	free(line->frame.out.keep);
	for (const char **word = line->argv; word && *word; word++)
		free((void *)(uintptr_t)*word);
	free(line->argv);
	free(line);
	move->own = NULL;
}

static int read_line(const char *defaults, const char *text, struct batch_move *ret, struct err *err)
{
	struct line *line = calloc(1, sizeof(*line));
	struct request request = REQUEST_DEFAULTS;
	int argc = 0;

	if (!line)
		abort();
	*ret = (struct batch_move){ .own = line };
	line->frame.globals = line_globals;
	if (add_words(line, "migrate", &argc, err) < 0 || add_words(line, defaults, &argc, err) < 0 ||
	    add_words(line, text, &argc, err) < 0)
		return -1;
	const struct poptOption table[] = {
		{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, line->moving, 0, NULL, NULL },
		OUTPUT_GROUP(line->output),
		POPT_TABLEEND
	};

	output_table(&line->frame.out, line->output);
	migrate_table(&line->move, line->running, line->moving);
	if (frame_parse(&line->frame, &line_cmd, argc, line->argv, table, 1, 2) < 0 ||
	    migrate_request(&line->frame, &line->move, &request) < 0) {
		*err = line->frame.err;
		return -1;
	}
	if (request.domain) {
		err_set(err, ERR_USAGE, "--domain", "is not for lines of a batch");
		return err_next(err, "name each disk's volume, or use volmig migrate");
	}
	if (line->move.run.dry_run || line->move.run.job_id) {
		err_set(err, ERR_USAGE, line->move.run.dry_run ? "--dry-run" : "--job-id",
			"is not for single lines: a batch is planned, and named, as a whole");
		return err_next(err, "volmig batch --dry-run plans all of it");
	}
	ret->request = request;
	if (!line->frame.out.metrics && !line->frame.out.keep)
		line->frame.perform.history = *line_history;
	ret->perform = line->frame.perform;
	return 0;
}

static void say_fault(const char *where, const struct err *err)
{
	bool command = !strncmp(err->next, "volmig ", 7);

	log_error("%s: %s%s%s%s%s%s", where, err->object, *err->object ? ": " : "", err->cause,
		  *err->next ? "; " : "", command ? "go on with: " : "", err->next);
}

static void say_waits(const char *what)
{
	log_info("waiting for %s", what);
}

static void print_batch(const json_t *report, bool dry_run)
{
	const json_t *move;
	size_t i;

	printf("batch       %s (%s)\n", json_string_value(json_object_get(report, "batch")),
	       json_string_value(json_object_get(report, "state")));
	json_array_foreach(json_object_get(report, "moves"), i, move) {
		const json_t *plan = json_object_get(move, "plan");
		const char *state = json_string_value(json_object_get(move, "state"));
		const char *source = json_string_value(json_object_get(move, "source"));
		const char *destination = json_string_value(json_object_get(move, "destination"));

		if (dry_run && plan)
			state = json_string_value(json_object_get(plan, "method"));
		else if (!dry_run && !strcmp(state, "done"))
			continue;
		printf("line %-6lld %-10s %s -> %s\n",
		       (long long)json_integer_value(json_object_get(move, "line")), state,
		       source ? source : "?", destination ? destination : "?");
	}
	printf("done        %lld of %lld\n", (long long)json_integer_value(json_object_get(report, "done")),
	       (long long)json_integer_value(json_object_get(report, "of")));
}

/* What was typed must make one batch. */
static int check(struct frame *frame, const struct batch_options *options, int retries)
{
	if (options->plan && (options->from || options->to || options->select))
		return frame_usage(frame, options->plan, "a plan file, or --from and --to, but not both");
	if (!options->plan && (!options->from || !options->to))
		return frame_usage(frame, NULL, "name a plan file, or give --from and --to");
	if (retries < 0 || retries > 1000)
		return frame_usage(frame, "--retries", "takes a number from 0 to 1000");
	return 0;
}

int cmd_batch(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	static const struct batch_reader reader = { read_line, release_line };
	struct frame frame = { .err = ERR_INIT };
	struct batch_options options = { .state_dir = globals->state_dir, .reader = &reader };
	struct terms_options terms = { 0 };
	int dry_run = 0, fail_fast = 0, again = 0, no_nice = 0, retries = 0;
	char *from = NULL, *to = NULL, *select = NULL, *defaults = NULL;
	struct poptOption output[OUTPUT_TABLE_SIZE], conditions[TERMS_TABLE_SIZE];
	const struct poptOption table[] = {
		{ "from", '\0', POPT_ARG_STRING, &from, 0,
		  "no plan file: move all volumes of this volume group or directory", "PLACE" },
		{ "to", '\0', POPT_ARG_STRING, &to, 0, "... to this place", "PLACE" },
		{ "select", '\0', POPT_ARG_STRING, &select, 0, "... whose names match this glob, or with @TAG: that have this LVM tag", "WHICH" },
		{ "defaults", '\0', POPT_ARG_STRING, &defaults, 0,
		  "more options of migrate for each line", "OPTIONS" },
		{ "dry-run", 'n', POPT_ARG_NONE, &dry_run, 0, "plan all of it, change nothing", NULL },
		{ "again", '\0', POPT_ARG_NONE, &again, 0,
		  "begin anew, whatever was done of this batch before", NULL },
		{ "fail-fast", '\0', POPT_ARG_NONE, &fail_fast, 0,
		  "begin no further move once one has failed", NULL },
		{ "retries", '\0', POPT_ARG_INT, &retries, 0,
		  "try so many times again what a fault has stopped, not what was refused (default: 0)", "N" },
		{ "no-nice", '\0', POPT_ARG_NONE, &no_nice, 0,
		  "do not let the I/O of others go first", NULL },
		{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, conditions, 0, "On which terms:", NULL },
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret;

	line_globals = globals;
	options.connect = globals->connect;
	output_table(&frame.out, output);
	terms_table(&terms, conditions);
	ret = frame_begin(&frame, cmd, globals, argc, argv, table, 0, 1);
	if (ret)
		goto out;
	options.plan = frame.argument_count ? frame.arguments[0] : NULL;
	options.from = from;
	options.to = to;
	options.select = select;
	options.defaults = defaults;
	options.again = again;
	options.dry_run = dry_run;
	options.fail_fast = fail_fast;
	options.nice = !no_nice;
	options.retries = (unsigned)retries;
	options.fault = say_fault;
	options.waits = say_waits;
	frame.perform.dry_run = dry_run;
	ret = -1;
	if (check(&frame, &options, retries) < 0 || frame_terms(&frame, &terms) < 0 ||
	    frame_start(&frame) < 0)
		goto out;
	line_history = &frame.perform.history;
	options.history = frame.perform.history;
	options.terms = terms.terms;
	options.progress = frame.progress;
	ret = perform_batch(&options, &report, &frame.err);
	if (report && !frame.out.json && !frame.out.quiet && (ret == 0 || frame.err.class != ERR_USAGE))
		print_batch(report, dry_run);
out:
	ret = frame_end(&frame, ret, report);
	terms_options_free(&terms);
	free(from);
	free(to);
	free(select);
	free(defaults);
	return ret;
}
