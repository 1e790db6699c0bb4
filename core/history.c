/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is left of jobs when they are over: totals, a file for Prometheus, receipts. */
#include "history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "support/err.h"
#include "support/json.h"
#include "support/log.h"

/* ---- totals ---- */

/* All there is to count; each is a counter of the file, in this order. */
static const struct counter {
	const char *key;		/* in totals.json */
	const char *metric, *label, *value;
} counters[] = {
	{ "cleaned", "volmig_jobs_ended_total", "state", "cleaned" },
	{ "aborted", "volmig_jobs_ended_total", "state", "aborted" },
	{ "failed", "volmig_failures_total", "class", "failed" },
	{ "refused", "volmig_failures_total", "class", "refused" },
	{ "stopped", "volmig_failures_total", "class", "stopped" },
	{ "unsure", "volmig_failures_total", "class", "unsure" },
	{ "usage", "volmig_failures_total", "class", "usage" },
	{ "bytes_data", "volmig_bytes_total", "kind", "data" },
	{ "bytes_zero", "volmig_bytes_total", "kind", "zero" },
	{ "bytes_written", "volmig_bytes_total", "kind", "written" },
	{ "copy_seconds", "volmig_seconds_total", "phase", "copy" },
	{ "verify_seconds", "volmig_seconds_total", "phase", "verify" },
};

static const struct {
	const char *metric, *type, *help;
} families[] = {
	{ "volmig_jobs_ended_total", "counter", "Jobs that have ended, by state." },
	{ "volmig_failures_total", "counter", "Commands that failed or were stopped, by class of error." },
	{ "volmig_bytes_total", "counter", "Bytes of volumes moved by jobs that have ended, by kind." },
	{ "volmig_seconds_total", "counter", "Seconds that jobs that have ended took, by phase." },
};

static void add(json_t *totals, const char *key, double value)
{
	json_put(totals, key, json_real(json_number_value(json_object_get(totals, key)) + value));
}

/* What makes no sense is replaced by the next totals, so it is told of once. */
static json_t *totals_read(const char *path)
{
	json_error_t why;
	json_t *totals = json_load_file(path, JSON_REJECT_DUPLICATES, &why);

	if (json_is_object(totals))
		return totals;
	if (totals || json_error_code(&why) != json_error_cannot_open_file || access(path, F_OK) == 0)
		log_warning("%s: holds no totals: all is counted from 0 again", path);
	json_decref(totals);
	return json_object();
}

/* All of text, under that name or not at all; durable: whatever happens, also to the machine. */
static int replace(const char *path, const char *text, mode_t mode, bool durable)
{
	char *new_path = text_format("%s.%d.new", path, (int)getpid());
	int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int error = fd < 0 ? errno : 0;

	if (fd >= 0 && (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) < 0))
		error = errno ? errno : EIO;
	if (!error && durable && fdatasync(fd) < 0)
		error = errno;
	if (fd >= 0 && close(fd) < 0)
		error = errno;
	if (!error && rename(new_path, path) < 0)
		error = errno;
	if (error)
		unlink(new_path);
	free(new_path);
	return error;
}

/* ---- the file ---- */

static void print_counters(const json_t *totals, FILE *out)
{
	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", families[f].metric, families[f].help,
			families[f].metric, families[f].type);
		for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
			if (!strcmp(counters[i].metric, families[f].metric))
				fprintf(out, "%s{%s=\"%s\"} %.15g\n", counters[i].metric, counters[i].label,
					counters[i].value,
					json_number_value(json_object_get(totals, counters[i].key)));
	}
}

static void print_unfinished(const char *state_dir, FILE *out)
{
	static const char *const states[] = {
		"planned", "prepared", "copying", "synced", "verified", "committed", "other",
	};
	size_t count[sizeof(states) / sizeof(states[0])] = { 0 }, running = 0;
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;
	size_t ended;

	job_list_newest(state_dir, 0, false, &ids, &ended, &err);
	for (size_t i = 0; i < ids.count; i++) {
		size_t at = sizeof(states) / sizeof(states[0]) - 1;
		struct job job;

		if (job_open(state_dir, ids.items[i], JOB_LOOK, &job, &err) == 0) {
			for (size_t k = 0; k < at; k++)
				if (!strcmp(states[k], job_state(&job)))
					at = k;
			job_close(&job);
		}
		count[at]++;
		running += job_worker(state_dir, ids.items[i]) != 0;
	}
	text_list_free(&ids);
	fputs("# HELP volmig_jobs Unfinished jobs, by state.\n# TYPE volmig_jobs gauge\n", out);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		fprintf(out, "volmig_jobs{state=\"%s\"} %zu\n", states[i], count[i]);
	fprintf(out, "# HELP volmig_jobs_running Jobs that a process works on.\n"
		"# TYPE volmig_jobs_running gauge\nvolmig_jobs_running %zu\n", running);
}

/* Under the lock of the state directory. */
static void write_metrics(const char *state_dir, const char *path, const json_t *totals)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int error;

	if (!out)
		abort();
	print_unfinished(state_dir, out);
	print_counters(totals, out);
	fprintf(out, "# HELP volmig_written_timestamp_seconds When this was written.\n"
		"# TYPE volmig_written_timestamp_seconds gauge\n"
		"volmig_written_timestamp_seconds %lld\n", (long long)time(NULL));
	fclose(out);
	/* Whoever collects it runs as somebody else. */
	error = replace(path, text, 0644, false);
	if (error)
		log_warning("%s: cannot write the metrics: %s", path, strerror(error));
	free(text);
}

static void count(const char *state_dir, const struct history_options *options,
		  const json_t *receipt, const struct err *failure)
{
	const json_t *copy = json_object_get(receipt, "copy"), *verify = json_object_get(receipt, "verify");
	struct err err = ERR_INIT;
	int lock = access(state_dir, W_OK) == 0 ? job_lock_store(state_dir, &err) : -1;
	json_t *totals;
	char *path, *text;

	if (lock < 0)
		return;
	path = text_format("%s/totals.json", state_dir);
	totals = totals_read(path);
	if (receipt) {
		add(totals, json_get_string(receipt, "state") ?: "cleaned", 1);
		for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
			if (!strncmp(counters[i].key, "bytes_", 6))
				add(totals, counters[i].key, (double)json_get_u64(copy, counters[i].key));
		add(totals, "copy_seconds", json_number_value(json_object_get(copy, "seconds")));
		add(totals, "verify_seconds", json_number_value(json_object_get(verify, "seconds")));
	}
	if (failure)
		add(totals, err_class_name(failure->class), 1);
	text = json_dumps(totals, JSON_COMPACT | JSON_REAL_PRECISION(15));
	if (!text || replace(path, text, 0600, true) != 0)
		log_warning("%s: cannot write it; the metrics miss a job", path);
	write_metrics(state_dir, options->metrics, totals);
	free(text);
	free(path);
	json_decref(totals);
	close(lock);
}

/* ---- receipts ---- */

static void remove_file(const char *dir, const char *name)
{
	char *path = text_format("%s/%s", dir, name);

	unlink(path);
	free(path);
}

/* Is there something in it besides what goes last?  Of what volmig left in LVM, say, there may be a record. */
static bool holds_more(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool more = !dir;

	while (dir && (entry = readdir(dir)))
		more |= strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
			strcmp(entry->d_name, "lock") && strcmp(entry->d_name, "journal.jsonl");
	if (dir)
		closedir(dir);
	return more;
}

/*
 * The journal goes last: a directory without one is what a crash leaves of a
 * job that was never planned, and is swept away as such.  One that holds what
 * nobody knows here stays, with its journal.
 */
static void remove_job(const char *state_dir, const char *id)
{
	static const char *const files[] = { "now.json", "now.json.new", "leaves", "control" };
	char *dir = job_dir(state_dir, id);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		remove_file(dir, files[i]);
	/* What a job of several volumes keeps of the others. */
	for (size_t i = 1; i < PLAN_MOVES_MAX; i++) {
		char *part = text_format("%s/%zu", dir, i);

		if (rmdir(part) < 0 && errno == ENOTEMPTY) {
			remove_file(part, "leaves");
			rmdir(part);
		}
		free(part);
	}
	if (!holds_more(dir)) {
		remove_file(dir, "lock");
		remove_file(dir, "journal.jsonl");
		rmdir(dir);
	}
	free(dir);
}

static uint64_t age_ms(const char *state_dir, const char *id)
{
	char *path = text_format("%s/jobs/%s/journal.jsonl", state_dir, id);
	struct stat st;
	time_t now = time(NULL);
	uint64_t age = 0;

	if (stat(path, &st) == 0 && st.st_mtim.tv_sec < now)
		age = (uint64_t)(now - st.st_mtim.tv_sec) * 1000;
	free(path);
	return age;
}

static void prune(const char *state_dir, const struct history_options *options)
{
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;
	int lock = job_lock_store(state_dir, &err);
	size_t left_out;

	if (lock < 0)
		return;
	job_list_newest(state_dir, SIZE_MAX, true, &ids, &left_out, &err);
	for (size_t i = 0; i < ids.count; i++) {
		bool too_many = options->keep_count && ids.count - i > options->keep_count;
		bool too_old = options->keep_ms && age_ms(state_dir, ids.items[i]) > options->keep_ms;

		/* What ends the journal is looked at once more: an unfinished job is never removed. */
		if ((too_many || too_old) && job_ended_quickly(state_dir, ids.items[i]) &&
		    !job_worker(state_dir, ids.items[i]))
			remove_job(state_dir, ids.items[i]);
	}
	text_list_free(&ids);
	close(lock);
}

void history_note(const char *state_dir, const struct history_options *options,
		  const json_t *receipt, const struct err *failure)
{
	if (options->metrics && (receipt || failure))
		count(state_dir, options, receipt, failure);
	if (receipt && (options->keep_count || options->keep_ms))
		prune(state_dir, options);
}
