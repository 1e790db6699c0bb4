/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a running job is doing this very second, for other processes to see. */
#include "pulse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/json.h"
#include "support/text.h"

#define INTERVAL_NS 1000000000ULL

void pulse_begin(struct pulse *pulse, const char *job_dir)
{
	*pulse = (struct pulse){
		.path = text_format("%s/now.json", job_dir),
		.new_path = text_format("%s/now.json.new", job_dir),
		/* Small jobs come to their end without a single write. */
		.written_ns = clock_ns(),
	};
	/* Of a process that died. */
	unlink(pulse->path);
}

/* Over the last seconds; 0: not known. */
static uint64_t rate(const struct pulse *pulse)
{
	unsigned newest = (pulse->sample_count - 1) % PULSE_SAMPLES;
	unsigned oldest = pulse->sample_count > PULSE_SAMPLES ? pulse->sample_count % PULSE_SAMPLES : 0;
	uint64_t ns, bytes;

	/* A mirror has less done than before when the guest writes faster than it copies. */
	if (pulse->sample_count < 2 || pulse->samples[newest].done < pulse->samples[oldest].done)
		return 0;
	ns = pulse->samples[newest].ns - pulse->samples[oldest].ns;
	bytes = pulse->samples[newest].done - pulse->samples[oldest].done;
	return ns ? (uint64_t)((double)bytes * 1e9 / (double)ns) : 0;
}

static void sample(struct pulse *pulse, uint64_t now)
{
	unsigned at = pulse->sample_count++ % PULSE_SAMPLES;

	pulse->samples[at].ns = now;
	pulse->samples[at].done = pulse->done;
}

/* Neither synced nor missed where it cannot be written: a move does not depend on it. */
static void beat(struct pulse *pulse, bool force)
{
	uint64_t now = clock_ns(), bytes_per_second, left;
	json_t *json;
	char *text;
	int fd;

	if (!pulse->path || (!force && now - pulse->written_ns < INTERVAL_NS))
		return;
	pulse->written_ns = now;
	sample(pulse, now);
	bytes_per_second = rate(pulse);
	left = pulse->total > pulse->done ? pulse->total - pulse->done : 0;
	json = json_object();
	json_put(json, "phase", json_string(pulse->phase));
	json_put(json, "step", json_u64(pulse->step));
	json_put(json, "steps", json_u64(pulse->steps));
	json_put(json, "bytes_done", json_u64(pulse->done));
	json_put(json, "bytes_total", json_u64(pulse->total));
	json_put(json, "bytes_per_second", json_u64(bytes_per_second));
	json_put(json, "seconds_left", bytes_per_second && pulse->total ?
		 json_u64(left / bytes_per_second) : json_null());
	json_put(json, "waited_for", waits_to_json(&pulse->waits, 0));
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	fd = open(pulse->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		bool whole = text && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

		close(fd);
		pulse->seen = whole && rename(pulse->new_path, pulse->path) == 0;
		if (!pulse->seen)
			unlink(pulse->new_path);
	}
	free(text);
}

void pulse_phase(struct pulse *pulse, const char *name, uint64_t total)
{
	snprintf(pulse->phase, sizeof(pulse->phase), "%s", name);
	pulse->total = total;
	pulse->done = 0;
	pulse->waits = (struct waits){ 0 };
	pulse->sample_count = 0;
	/* Whoever looks must not find the phase before for as long as this one does not move. */
	beat(pulse, pulse->seen);
}

void pulse_step(struct pulse *pulse, size_t step, size_t steps, const char *name)
{
	pulse->step = step;
	pulse->steps = steps;
	pulse_phase(pulse, name, 0);
}

void pulse_advance(struct pulse *pulse, uint64_t done)
{
	/* A resumed copy begins in the middle: that was not fast, it was before. */
	if (!pulse->done && done)
		pulse->sample_count = 0;
	pulse->done = done;
	beat(pulse, false);
}

void pulse_end(struct pulse *pulse)
{
	if (pulse->path) {
		unlink(pulse->new_path);
		unlink(pulse->path);
	}
	free(pulse->path);
	free(pulse->new_path);
	*pulse = (struct pulse){ .path = NULL };
}

json_t *waits_to_json(const struct waits *waits, uint64_t all_ns)
{
	uint64_t sum = waits->read_ns + waits->write_ns + waits->flush_ns + waits->limit_ns;
	double all = (double)(all_ns > sum ? all_ns : sum);

	if (!sum)
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:f}", "reads", (double)waits->read_ns / all,
			 "writes", (double)waits->write_ns / all,
			 "flushes", (double)waits->flush_ns / all,
			 "limit", (double)waits->limit_ns / all);
}

json_t *pulse_read(const char *job_dir)
{
	char *path = text_format("%s/now.json", job_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buf[4096];
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;
	json_t *json = n > 0 ? json_loadb(buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (fd >= 0)
		close(fd);
	free(path);
	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
	}
	return json;
}
