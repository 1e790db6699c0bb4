/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that several commands share, and the frame every command is run in. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <jansson.h>
#include <popt.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd.h"
#include "perform.h"
#include "plan.h"
#include "support/err.h"
#include "terms.h"

/* --json, --progress, --progress-fd, --metrics, --keep, --quiet */
struct output_options {
	int json;
	int quiet;
	char *progress;
	int progress_fd;
	char *metrics;
	char *keep;
};

/* --limit, --window, --rate-profile, --nice, --max-latency */
struct terms_options {
	char **limits;
	char **windows;
	char *rates;
	int nice;
	char *max_latency;

	struct terms terms;		/* once frame_terms() has read them; its strings are in here */
	char *all_windows;
};

#define TERMS_TABLE_SIZE 6

void terms_table(struct terms_options *terms, struct poptOption table[static TERMS_TABLE_SIZE]);
void terms_options_free(struct terms_options *terms);

/* --dry-run, --job-id, --bwlimit, --verify, --stall-timeout, --wait-lock, --hook, --hook-timeout */
struct run_options {
	int dry_run;
	char *job_id;
	char *bwlimit;
	char *verify;
	char *stall_timeout;
	char *wait_lock;
	char **hooks;
	char *hook_timeout;
	struct terms_options terms;
	struct poptOption terms_table[TERMS_TABLE_SIZE];
};

#define OUTPUT_TABLE_SIZE 7
#define RUN_TABLE_SIZE 10

/* Fill a popt table that writes into out or run; for POPT_ARG_INCLUDE_TABLE. */
void output_table(struct output_options *out, struct poptOption table[static OUTPUT_TABLE_SIZE]);
void run_table(struct run_options *run, struct poptOption table[static RUN_TABLE_SIZE]);

#define OUTPUT_GROUP(table) \
	{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)(table), 0, "Output:", NULL }
#define RUN_GROUP(table) \
	{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)(table), 0, "How to run:", NULL }

/* One run of a command. */
struct frame {
	const struct cmd *cmd;
	const struct globals *globals;
	struct output_options out;
	struct err err;
	poptContext popt;
	const char **argv;		/* what was typed, and what files say */
	const char *arguments[8];
	int argument_count;
	struct progress *progress;
	struct perform_options perform;
};

/*
 * Parse the command line by table, which may include out's group, and demand
 * min to max arguments.  Returns 0 to go on; otherwise the command ends with
 * frame_end() (help was asked for, or err is set).
 */
int frame_begin(struct frame *frame, const struct cmd *cmd, const struct globals *globals,
		int argc, const char **argv, const struct poptOption *table,
		int min_arguments, int max_arguments);

/* The part of it that only parses: for a line of a batch. */
int frame_parse(struct frame *frame, const struct cmd *cmd, int argc, const char **argv,
		const struct poptOption *table, int min_arguments, int max_arguments);

/* Take what run says over into frame->perform and request (which may be NULL). */
int frame_run_options(struct frame *frame, struct run_options *run, struct request *request);

/* Read what was typed into options->terms. */
int frame_terms(struct frame *frame, struct terms_options *options);

/* A rate, not zero, that was typed as the value of what is called name. */
int frame_rate(struct frame *frame, const char *name, const char *text, uint64_t *ret_rate);

/* The value of an option that is a time, in ms; text NULL: *ret_ms stays.  Returns -1 with a usage error. */
int frame_time(struct frame *frame, const char *option, const char *text, uint64_t *ret_ms);

/* Catch signals, set up progress.  Call right before the core is. */
int frame_start(struct frame *frame);

/*
 * Print the report (taken over, may be NULL) or the error as the user asked,
 * and release everything.  result is what the core returned.
 */
int frame_end(struct frame *frame, int result, json_t *report);

/* Is it set for all commands, in a file, and was not asked for by who typed this one?  For after frame_begin(). */
bool frame_is_default(const struct frame *frame, const char *option);

/* ERR_USAGE with a hint at --help; returns -1. */
int frame_usage(struct frame *frame, const char *object, const char *cause);

/* Print "--name<TAB>ARG" for each option of a table and the tables it includes. */
void options_list(const struct poptOption *table);

void run_options_free(struct run_options *run);

#endif
