/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of jobs: one line each, as wide as the terminal is. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#include "support/json.h"
#include "support/text.h"

#define ID_LENGTH 36
#define ID_SHORTEST 8

/* So many characters of the ids that each is still the only one. */
static int id_width(const json_t *jobs)
{
	int width = ID_SHORTEST;
	const json_t *job, *other;
	size_t i, k;

	/* A handful of lines is what a terminal gets; for thousands it would not be worth it. */
	if (json_array_size(jobs) > 500)
		return ID_LENGTH;
	json_array_foreach(jobs, i, job) {
		const char *id = json_get_string(job, "job");

		json_array_foreach(jobs, k, other) {
			const char *another = json_get_string(other, "job");

			while (id && another && i != k && strcmp(id, another) && width < ID_LENGTH && !strncmp(id, another, (size_t)width))
				width++;
		}
	}
	return width;
}

/* Whole percents of the whole job as far as it can be told: of the copy, or of what runs now. */
static void percent(const json_t *job, const char *state, char buf[static 16])
{
	const json_t *now = json_object_get(job, "progress");
	uint64_t bytes = json_get_u64(json_object_get(job, "source"), "bytes");
	uint64_t at = json_get_u64(json_object_get(job, "copy"), "durable_offset");

	if (json_get_u64(now, "bytes_total")) {
		bytes = json_get_u64(now, "bytes_total");
		at = json_get_u64(now, "bytes_done");
	}
	if (state && (!strcmp(state, "cleaned") || (!strcmp(state, "committed") && !now)))
		snprintf(buf, 16, "100%%");
	else if (bytes && at)
		snprintf(buf, 16, "%u%%", at < bytes ? (unsigned)((__uint128_t)at * 99 / bytes) : 99);
	else
		snprintf(buf, 16, "-");
}

static void print_line(const char *line, int columns, FILE *out)
{
	fprintf(out, "%.*s\n", columns > 40 ? columns : 8192, line);
}

static void print_job(const json_t *job, int width, int columns, FILE *out)
{
	const json_t *now = json_object_get(job, "progress"), *seconds = json_object_get(now, "seconds_left");
	const char *state = json_get_string(job, "state"), *waits = json_get_string(job, "waits_for");
	const char *phase = json_get_string(now, "phase");
	uint64_t bytes_per_second = json_get_u64(now, "bytes_per_second");
	char done[16], rate[TEXT_SIZE_MAX + 2] = "-", left[TEXT_SIZE_MAX] = "-", size[TEXT_SIZE_MAX];
	char *volume = text_format("%s -> %s",
				   json_get_string(json_object_get(job, "source"), "path") ?:
				   json_get_string(json_object_get(job, "source"), "spec") ?: "?",
				   json_get_string(json_object_get(job, "destination"), "path") ?:
				   json_get_string(json_object_get(job, "destination"), "spec") ?: "?");
	bool running = json_get_bool(job, "running");
	char *line, *printable;

	percent(job, state, done);
	if (bytes_per_second)
		snprintf(rate, sizeof(rate), "%s/s", text_size(bytes_per_second, size));
	if (json_is_integer(seconds))
		text_duration((uint64_t)json_integer_value(seconds), left);
	line = text_format("%-*.*s %-9s %-9s %-13s %5s %11s %7s %s%s%s%s", width, width,
			   json_get_string(job, "job") ?: "?", json_get_string(job, "method") ?: "?",
			   state ? state : "damaged", phase ? phase : "-", done, rate, left, volume,
			   waits ? "  waits for " : "", waits ? waits : "",
			   running && !waits ? "  (running)" : "");
	printable = text_printable(line);
	print_line(printable, columns, out);
	free(printable);
	free(line);
	free(volume);
}

void report_print_jobs(const json_t *report, int columns, FILE *out)
{
	const json_t *jobs = json_object_get(report, "jobs"), *job;
	uint64_t left_out = json_get_u64(report, "left_out");
	/* Where the width does not matter, scripts find whole ids. */
	int width = columns > 0 ? id_width(jobs) : ID_LENGTH;
	size_t i;

	if (json_array_size(jobs)) {
		char *line = text_format("%-*s %-9s %-9s %-13s %5s %11s %7s %s", width, "JOB", "METHOD",
					 "STATE", "PHASE", "DONE", "RATE", "LEFT", "VOLUME");

		print_line(line, columns, out);
		free(line);
	} else {
		fprintf(out, "no jobs\n");
	}
	json_array_foreach(jobs, i, job)
		print_job(job, width, columns, out);
	if (left_out)
		fprintf(out, "JOB: %llu older ones that have ended are shown with --all\n",
			(unsigned long long)left_out);
}
