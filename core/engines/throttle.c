/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast a job may go just now. */
#include "engines/throttle.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/pace.h"
#include "engines/step.h"
#include "support/calendar.h"
#include "support/clock.h"
#include "support/inject.h"
#include "support/json.h"
#include "support/log.h"
#include "sys/blkdev.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

#define LOOK_NS 500000000ULL
#define LEAST_RATE (1ULL << 20)		/* however slow the devices are, a job gets on */
#define FREE_LOOKS 20			/* after so many looks without trouble there is no limit any more */

struct throttle {
	struct pace pace;
	uint64_t own;			/* as the job was planned */
	bool overridden;
	uint64_t set;			/* by volmig set, in place of that */
	struct calendar rates;

	char *control;
	struct timespec control_time;
	ino_t control_ino;

	uint64_t max_latency_us;
	struct blkdev_list disks;
	struct blkdev_times *times;	/* of each disk, at the last look */
	uint64_t polite;		/* what the devices allow; 0: anything */
	unsigned quiet;			/* looks in a row at which they were quick enough */

	uint64_t looked_ns;
	uint64_t done;			/* bytes, at the last look */
};

static void add_disks(struct throttle *throttle, const struct facts *facts)
{
	bool is_file = !facts->kind || volume_is_file(facts);

	/* Or a pool, of a cluster. */
	if (facts_remote(facts) || facts_is_far(facts) || (is_file && !facts->dir))
		return;
	blkdev_physical((dev_t)(is_file ? facts->dir_dev : facts->dev), &throttle->disks);
	for (size_t i = 0; facts->lv && i < facts->lv->pv_count; i++)
		if (facts->lv->pvs[i].dev && (facts->lv->pvs[i].used_here || !facts->lv->name))
			blkdev_physical((dev_t)facts->lv->pvs[i].dev, &throttle->disks);
}

static void read_control(struct throttle *throttle)
{
	struct stat st;
	json_t *json;

	if (stat(throttle->control, &st) < 0) {
		throttle->overridden = false;
		return;
	}
	if (st.st_ino == throttle->control_ino && st.st_mtim.tv_sec == throttle->control_time.tv_sec &&
	    st.st_mtim.tv_nsec == throttle->control_time.tv_nsec)
		return;
	json = json_load_file(throttle->control, 0, NULL);
	if (!json)
		return;		/* it is replaced as a whole, so this is none of ours */
	throttle->control_ino = st.st_ino;
	throttle->control_time = st.st_mtim;
	throttle->overridden = json_is_integer(json_object_get(json, "bytes_per_second"));
	throttle->set = json_get_u64(json, "bytes_per_second");
	json_decref(json);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return !a ? b : !b || a < b ? a : b;
}

uint64_t throttle_rate(struct throttle *throttle)
{
	uint64_t rate;

	if (!throttle)
		return 0;
	read_control(throttle);
	/* What an operator says now goes before what was planned, but not before politeness. */
	if (throttle->overridden)
		rate = throttle->set;
	else
		rate = lesser(throttle->own, calendar_rate(&throttle->rates, calendar_now()));
	return lesser(rate, throttle->polite);
}

/* The longest average time of a request at any of the disks since the last look, in us; 0: none was made. */
static uint64_t latency(struct throttle *throttle)
{
	uint64_t worst = 0;

	for (size_t i = 0; i < throttle->disks.count; i++) {
		struct blkdev_times now, *was = &throttle->times[i];

		if (!blkdev_times(throttle->disks.devs[i], &now))
			continue;
		if (was->requests && now.requests > was->requests) {
			uint64_t us = (now.ms - was->ms) * 1000 / (now.requests - was->requests), more;

			us += inject_number("request-us", &more) ? more : 0;

			worst = us > worst ? us : worst;
		}
		*was = now;
	}
	return worst;
}

/* Down by half what was reached, and slowly up again. */
static void be_polite(struct throttle *throttle, uint64_t rate_reached)
{
	uint64_t us = latency(throttle);

	if (us > throttle->max_latency_us) {
		uint64_t half = lesser(throttle->polite, rate_reached ? rate_reached : LEAST_RATE) / 2;

		throttle->polite = half > LEAST_RATE ? half : LEAST_RATE;
		throttle->quiet = 0;
		log_info("requests take %llu us, going on at %llu bytes/s", (unsigned long long)us,
			 (unsigned long long)throttle->polite);
	} else if (throttle->polite) {
		throttle->polite += throttle->polite / 8;
		if (++throttle->quiet >= FREE_LOOKS)
			throttle->polite = 0;
	}
}

void throttle_look(struct throttle *throttle, uint64_t now_ns, uint64_t bytes_done)
{
	uint64_t passed = now_ns - throttle->looked_ns;

	if (passed < LOOK_NS)
		return;
	if (throttle->max_latency_us) {
		/* Each phase counts from its start. */
		uint64_t moved = bytes_done > throttle->done ? bytes_done - throttle->done : 0;

		be_polite(throttle, moved * 1000 / (passed / 1000000));
	}
	throttle->looked_ns = now_ns;
	throttle->done = bytes_done;
	pace_set(&throttle->pace, throttle_rate(throttle));
}

struct throttle *throttle_new(const char *control, const struct move *move, const char *rates,
			      uint64_t max_latency_us)
{
	struct throttle *throttle = text_alloc(1, sizeof(*throttle));

	throttle->control = text_copy(control);
	throttle->own = move->bytes_per_second;
	throttle->max_latency_us = max_latency_us;
	if (rates)
		calendar_parse_rates(rates, &throttle->rates);
	if (max_latency_us) {
		add_disks(throttle, &move->source);
		add_disks(throttle, &move->destination);
		throttle->times = text_alloc(throttle->disks.count + 1, sizeof(*throttle->times));
		latency(throttle);
	}
	throttle->looked_ns = clock_ns();
	pace_init(&throttle->pace, throttle_rate(throttle), throttle->looked_ns);
	return throttle;
}

void throttle_free(struct throttle *throttle)
{
	if (!throttle)
		return;
	blkdev_list_free(&throttle->disks);
	calendar_free(&throttle->rates);
	free(throttle->times);
	free(throttle->control);
	free(throttle);
}

struct pace *throttle_pace(struct throttle *throttle)
{
	return throttle ? &throttle->pace : NULL;
}
