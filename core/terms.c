/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On which terms a job runs. */
#include "terms.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/throttle.h"
#include "job.h"
#include "support/calendar.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "sys/ioprio.h"

json_t *terms_to_json(const struct terms *terms)
{
	return json_pack("{s:o, s:s?, s:s?, s:b, s:I}", "limits", limits_to_json(&terms->limits),
			 "windows", terms->windows, "rates", terms->rates, "nice", terms->nice,
			 "max_latency_us", (json_int_t)terms->max_latency_us);
}

struct terms terms_from_json(const json_t *json)
{
	return (struct terms){
		.limits = limits_from_json(json_object_get(json, "limits")),
		.windows = json_get_string(json, "windows"),
		.rates = json_get_string(json, "rates"),
		.nice = json_get_bool(json, "nice"),
		.max_latency_us = json_get_u64(json, "max_latency_us"),
	};
}

static bool are_plain(const struct terms *terms)
{
	struct limits none = { { 0 } };

	return !terms->windows && !terms->rates && !terms->nice && !terms->max_latency_us &&
	       !memcmp(&terms->limits, &none, sizeof(none));
}

int terms_enter(const char *state_dir, struct job *job, const struct terms *terms,
		struct ticket **ret, struct err *err)
{
	struct terms none = { 0 };
	struct text_list things = { 0 };
	int r;

	if (!terms)
		terms = &none;
	limits_things(&job->plan, &things);
	r = limits_enter(state_dir, job->id, &terms->limits, &things, ret, err);
	text_list_free(&things);
	if (r < 0)
		return -1;
	if (are_plain(terms))
		return 0;
	return job_note_terms(job, terms_to_json(terms), limits_number(*ret), err);
}

int terms_window(const char *windows, const char *object, struct err *err)
{
	struct calendar calendar;
	time_t now = calendar_now(), change;
	char when[32];
	bool open;

	interrupt_after(0);
	if (!windows)
		return 0;
	if (calendar_parse_windows(windows, &calendar))
		return err_set(err, ERR_STOPPED, object, "its windows cannot be read: %s", windows);
	open = calendar_is_open(&calendar, now, &change);
	calendar_free(&calendar);
	if (!open)
		return err_set(err, ERR_STOPPED, object, "outside of its window (%s)%s%s", windows,
			       change ? ", which opens " : "", change ? calendar_text(change, when) : "");
	if (change)
		interrupt_after((unsigned)(change - now));
	return 0;
}

static void next_of_window(const struct job *job, struct err *err)
{
	char *resume;

	job_next_command(job->state_dir, "resume", job->id, err);
	resume = text_copy(err->next);
	err_next(err, "%s, with --now if it shall not wait for that", resume);
	free(resume);
}

int terms_wait(const struct job *job, struct ticket *ticket, bool any_time, void (*waits)(const char *what),
	       struct err *err)
{
	struct terms terms = terms_from_json(job->terms);

	if (terms_window(any_time ? NULL : terms.windows, job->id, err) < 0) {
		next_of_window(job, err);
		return -1;
	}
	if (terms.nice && ioprio_idle() < 0)
		log_info("cannot lower the I/O priority: %s", strerror(errno));
	return limits_wait(ticket, waits, err);
}

static char *control_of(const struct job *job)
{
	return text_format("%s/control", job->dir);
}

struct throttle *terms_throttle(const struct job *job)
{
	struct terms terms = terms_from_json(job->terms);
	char *control = control_of(job);
	struct throttle *throttle = throttle_new(control, &job->plan.move, terms.rates,
						 terms.max_latency_us);

	free(control);
	return throttle;
}

int terms_set_rate(const struct job *job, uint64_t bytes_per_second, struct err *err)
{
	char *control = control_of(job), *fresh = text_format("%s.new", control);
	char *text = text_format("{\"bytes_per_second\":%llu}\n", (unsigned long long)bytes_per_second);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int ret = 0;

	/* Replaced as a whole, for it may be read just now. */
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fdatasync(fd) < 0 ||
	    rename(fresh, control) < 0) {
		ret = err_sys(err, errno, control, "cannot change the job");
		unlink(fresh);
	}
	if (fd >= 0)
		close(fd);
	free(text);
	free(fresh);
	free(control);
	return ret;
}
