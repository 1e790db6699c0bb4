/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times of day on days of the week, as people and their clocks see them: when
 * work may be done, and how fast.  What counts is the civil time of TZ; a night
 * in which the clock is set is an hour longer or shorter.
 */
#ifndef SUPPORT_CALENDAR_H
#define SUPPORT_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct calendar_span {
	unsigned days;		/* on which it begins: bit 0 is Sunday; 0 stands for "else" */
	int from, to;		/* minutes of the day; to <= from: it ends on the next day */
	uint64_t rate;		/* of a profile: bytes per second, 0: as fast as possible */
};

struct calendar {
	struct calendar_span *spans;
	size_t count;
};

/*
 * "22:00-05:00", "Mon-Fri 22:00-05:00, Sat,Sun 00:00-24:00": the days are those
 * on which a span begins.  Returns NULL, or why it is none (a constant).
 */
const char *calendar_parse_windows(const char *text, struct calendar *ret);

/* "22:00-05:00=max,else=50M": the first that fits counts; without "else" it is max. */
const char *calendar_parse_rates(const char *text, struct calendar *ret);

void calendar_free(struct calendar *calendar);

/*
 * Is there a span at that time?  *ret_change (may be NULL) gets the time from
 * which on it is otherwise, or 0 when that never comes.
 */
bool calendar_is_open(const struct calendar *windows, time_t now, time_t *ret_change);

/* The rate at that time. */
uint64_t calendar_rate(const struct calendar *rates, time_t now);

/* "Fri 22:00", for messages; returns buf. */
const char *calendar_text(time_t when, char buf[static 32]);

/* The wall clock; a test can say what it shows (inject.h, "now"). */
time_t calendar_now(void);

#endif
