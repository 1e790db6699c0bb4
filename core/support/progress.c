/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A monitor that draws a line on a terminal, or writes one JSON object a line. */
#include "support/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"

#define INTERVAL_NS 200000000ULL

/* The rate is that of the last seconds, so that it is true when it changes. */
#define RATE_SAMPLES 32

struct progress {
	struct monitor base;
	enum progress_mode mode;
	int fd;
	char job[64];
	char phase[24];
	size_t step, steps;
	bool ended;			/* the phase is; until then it is never 100 % */
	uint64_t total, done;
	uint64_t last_ns;
	bool drawn;
	struct {
		uint64_t ns, done;
	} samples[RATE_SAMPLES];
	unsigned sample_count;
};

/* For log_set_before(), which knows no arguments; one progress line a process. */
static struct progress *on_terminal;

static void write_text(struct progress *progress, const char *text)
{
	size_t length = strlen(text);
	struct pollfd ready = { .fd = progress->fd, .events = POLLOUT };

	/*
	 * Somebody who does not read must not hold a move up: he misses a line.
	 * A pipe that is ready takes PIPE_BUF bytes, and no line is longer.
	 */
	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return;
	while (length > 0) {
		ssize_t n = write(progress->fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* Nobody listens any more: that must not end a move. */
			progress->mode = PROGRESS_NONE;
			return;
		}
		text += n;
		length -= (size_t)n;
	}
}

static void sample(struct progress *progress, uint64_t now)
{
	unsigned at = progress->sample_count++ % RATE_SAMPLES;

	progress->samples[at].ns = now;
	progress->samples[at].done = progress->done;
}

static uint64_t rate(const struct progress *progress)
{
	unsigned oldest, newest;
	uint64_t ns;

	if (progress->sample_count < 2)
		return 0;
	newest = (progress->sample_count - 1) % RATE_SAMPLES;
	oldest = progress->sample_count > RATE_SAMPLES ? progress->sample_count % RATE_SAMPLES : 0;
	ns = progress->samples[newest].ns - progress->samples[oldest].ns;
	/* A mirror has less done than before when the guest writes faster than it copies. */
	if (!ns || progress->samples[newest].done < progress->samples[oldest].done)
		return 0;
	return (uint64_t)((double)(progress->samples[newest].done -
				   progress->samples[oldest].done) * 1e9 / (double)ns);
}

static void draw_json(struct progress *progress, uint64_t bytes_per_second)
{
	uint64_t left = progress->total > progress->done ? progress->total - progress->done : 0;
	json_t *json = json_object();
	char *text, *line;

	json_put(json, "job", *progress->job ? json_string(progress->job) : json_null());
	json_put(json, "phase", json_string(progress->phase));
	json_put(json, "step", json_u64(progress->step));
	json_put(json, "steps", json_u64(progress->steps));
	json_put(json, "bytes_done", json_u64(progress->done));
	json_put(json, "bytes_total", json_u64(progress->total));
	json_put(json, "bytes_per_second", json_u64(bytes_per_second));
	json_put(json, "seconds_left", bytes_per_second ? json_u64(left / bytes_per_second) : json_null());
	text = json_dumps(json, JSON_COMPACT);
	line = text_format("%s\n", text);
	write_text(progress, line);
	free(line);
	free(text);
	json_decref(json);
}

static int columns_of(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* The line for people; free it. */
static char *line_text(const struct progress *progress, uint64_t bytes_per_second)
{
	char done[TEXT_SIZE_MAX], total[TEXT_SIZE_MAX], speed[TEXT_SIZE_MAX], left[TEXT_SIZE_MAX];
	char *step = progress->steps ? text_format(" (%zu/%zu)", progress->step, progress->steps) :
				       text_copy("");
	unsigned percent;
	char *text;

	if (!progress->total) {
		text = text_format("%s%s ...", progress->phase, step);
	} else {
		/* Rounded down, and what is written still has to be flushed. */
		percent = (unsigned)((__uint128_t)progress->done * 100 / progress->total);
		if (percent > 99 && !progress->ended)
			percent = 99;
		text = text_format("%s%s  %u%%  %s of %s  %s/s  %s left", progress->phase, step, percent,
				   text_size(progress->done, done), text_size(progress->total, total),
				   text_size(bytes_per_second, speed),
				   bytes_per_second ? text_duration((progress->total - progress->done) /
								    bytes_per_second, left) : "?");
	}
	free(step);
	return text;
}

static void draw_line(struct progress *progress, uint64_t bytes_per_second)
{
	char *text = line_text(progress, bytes_per_second);
	char *line = text_format("\r\033[K%.*s", columns_of(progress->fd) - 1, text);

	write_text(progress, line);
	progress->drawn = true;
	free(line);
	free(text);
}

/* Somebody asked, whatever is drawn otherwise. */
static void answer(struct progress *progress)
{
	char *text = line_text(progress, rate(progress));

	log_plain("%s%s%s", progress->job, *progress->job ? ": " : "", text);
	free(text);
}

static void draw(struct progress *progress, bool force)
{
	uint64_t now = clock_ns();

	if (interrupt_wants_report()) {
		sample(progress, now);
		answer(progress);
	}
	if (progress->mode == PROGRESS_NONE && now - progress->last_ns >= INTERVAL_NS) {
		/* Only to be able to answer. */
		progress->last_ns = now;
		sample(progress, now);
	}
	if (progress->mode == PROGRESS_NONE || (!force && now - progress->last_ns < INTERVAL_NS))
		return;
	progress->last_ns = now;
	sample(progress, now);
	if (progress->mode == PROGRESS_JSON)
		draw_json(progress, rate(progress));
	else
		draw_line(progress, rate(progress));
}

/* It has come to its end if all of it is done: say so. */
static void end_phase(struct progress *progress)
{
	progress->ended = true;
	if (progress->done && progress->done == progress->total)
		draw(progress, true);
	progress->ended = false;
}

static void begin_phase(struct monitor *mon, const char *name, uint64_t total)
{
	struct progress *progress = (struct progress *)mon;

	end_phase(progress);
	snprintf(progress->phase, sizeof(progress->phase), "%s", name);
	progress->total = total;
	progress->done = 0;
	progress->sample_count = 0;
	draw(progress, true);
}

static void begin_step(struct monitor *mon, size_t number, size_t count, const char *name)
{
	struct progress *progress = (struct progress *)mon;

	end_phase(progress);
	progress->step = number;
	progress->steps = count;
	snprintf(progress->phase, sizeof(progress->phase), "%s", name);
	progress->total = 0;
	progress->done = 0;
	progress->sample_count = 0;
	draw(progress, progress->mode == PROGRESS_TTY);
}

static void advance(struct monitor *mon, uint64_t done)
{
	struct progress *progress = (struct progress *)mon;

	/* A resumed copy begins in the middle: that was not fast, it was before. */
	if (!progress->done && done)
		progress->sample_count = 0;
	progress->done = done;
	draw(progress, false);
}

static void tick(struct monitor *mon)
{
	draw((struct progress *)mon, false);
}

static void clear_on_terminal(void)
{
	if (on_terminal)
		progress_clear(on_terminal);
}

struct progress *progress_open(enum progress_mode mode, int fd)
{
	struct progress *progress = text_alloc(1, sizeof(*progress));

	if (mode == PROGRESS_AUTO)
		mode = isatty(fd) ? PROGRESS_TTY : PROGRESS_NONE;
	progress->base.phase = begin_phase;
	progress->base.step = begin_step;
	progress->base.advance = advance;
	progress->base.tick = tick;
	progress->mode = mode;
	progress->fd = fd;
	if (mode == PROGRESS_TTY) {
		on_terminal = progress;
		log_set_before(clear_on_terminal);
	}
	return progress;
}

void progress_set_job(struct progress *progress, const char *job_id)
{
	snprintf(progress->job, sizeof(progress->job), "%s", job_id);
}

struct monitor *progress_monitor(struct progress *progress)
{
	return &progress->base;
}

void progress_clear(struct progress *progress)
{
	if (progress->drawn)
		write_text(progress, "\r\033[K");
	progress->drawn = false;
}

void progress_close(struct progress *progress)
{
	if (!progress)
		return;
	if (progress->mode == PROGRESS_JSON)
		end_phase(progress);
	progress_clear(progress);
	if (on_terminal == progress) {
		on_terminal = NULL;
		log_set_before(NULL);
	}
	free(progress);
}
