/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Times of day on days of the week, by the civil time of TZ. */
#include "support/calendar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "support/clock.h"
#include "support/inject.h"
#include "support/text.h"

#define DAY_MINUTES (24 * 60)
#define ALL_DAYS 0x7fU

static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

/* ---- reading ---- */

static const char *skip(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

static bool take_day(const char **p, unsigned *ret)
{
	for (unsigned i = 0; i < 7; i++)
		if (!strncasecmp(*p, day_names[i], 3) && !isalpha((unsigned char)(*p)[3])) {
			*p = skip(*p + 3);
			*ret = i;
			return true;
		}
	return false;
}

/* "Mon" or "Fri-Mon", added to *days. */
static bool take_days(const char **p, unsigned *days)
{
	unsigned from, to;

	if (!take_day(p, &from))
		return false;
	to = from;
	if (**p == '-') {
		*p = skip(*p + 1);
		if (!take_day(p, &to))
			return false;
	}
	for (unsigned i = from;; i = (i + 1) % 7) {
		*days |= 1U << i;
		if (i == to)
			return true;
	}
}

/* "5:00" or "05:00"; 24:00 is the end of the day. */
static bool take_time(const char **p, int *ret)
{
	const char *s = *p;
	int hour = 0, minute;

	for (int i = 0; i < 2 && isdigit((unsigned char)*s); i++)
		hour = hour * 10 + (*s++ - '0');
	if (s == *p || s[0] != ':' || !isdigit((unsigned char)s[1]) || !isdigit((unsigned char)s[2]))
		return false;
	minute = (s[1] - '0') * 10 + (s[2] - '0');
	if (minute > 59 || hour * 60 + minute > DAY_MINUTES)
		return false;
	*p = skip(s + 3);
	*ret = hour * 60 + minute;
	return true;
}

static const char *take_span(const char **p, struct calendar_span *span)
{
	if (!take_time(p, &span->from) || **p != '-')
		return "a span of time is HH:MM-HH:MM, with days (Mon, Mon-Fri) in front";
	*p = skip(*p + 1);
	if (!take_time(p, &span->to))
		return "a span of time is HH:MM-HH:MM, with days (Mon, Mon-Fri) in front";
	if (span->from == DAY_MINUTES)
		return "a day begins at 00:00, not at 24:00";
	if (span->from == span->to)
		return "it ends when it begins; all day is 00:00-24:00";
	return NULL;
}

static const char *take_rate(const char **p, uint64_t *ret)
{
	char word[32];
	size_t length = strcspn(*p, ", \t");

	if (length >= sizeof(word))
		return "no rate; give bytes per second, with K, M or G, or max";
	memcpy(word, *p, length);
	word[length] = '\0';
	*p = skip(*p + length);
	*ret = 0;
	if (!strcmp(word, "max"))
		return NULL;
	if (text_parse_size(word, ret) < 0 || !*ret)
		return "no rate; give bytes per second, with K, M or G, or max";
	return NULL;
}

/* One item of the list; pending: days that stood in front of a comma. */
static const char *take_item(const char **p, bool rates, unsigned *pending,
			     struct calendar *calendar)
{
	struct calendar_span span = { .days = *pending };
	const char *why = NULL;

	if (rates && !strncasecmp(*p, "else", 4) && !isalpha((unsigned char)(*p)[4]) && !*pending) {
		*p = skip(*p + 4);
	} else {
		if (isalpha((unsigned char)**p) && !take_days(p, &span.days))
			return "no such day; they are Mon Tue Wed Thu Fri Sat Sun";
		if (span.days && (**p == ',')) {
			*pending = span.days;
			return NULL;
		}
		why = take_span(p, &span);
		if (!span.days)
			span.days = ALL_DAYS;
		*pending = 0;
	}
	if (!why && rates) {
		if (**p != '=')
			return "a rate is given behind =";
		*p = skip(*p + 1);
		why = take_rate(p, &span.rate);
	}
	if (why)
		return why;
	calendar->spans = text_grow(calendar->spans, calendar->count + 1, sizeof(span));
	calendar->spans[calendar->count++] = span;
	return NULL;
}

static const char *parse(const char *text, bool rates, struct calendar *ret)
{
	const char *p = skip(text), *why = NULL;
	unsigned pending = 0;

	*ret = (struct calendar){ 0 };
	do {
		why = take_item(&p, rates, &pending, ret);
		if (!why && *p && *p != ',')
			why = "there is something behind it";
		if (!why && *p == ',')
			p = skip(p + 1);
		else if (!why && pending)
			why = "days without a time";
		else
			break;
	} while (!why);
	if (why)
		calendar_free(ret);
	return why;
}

const char *calendar_parse_windows(const char *text, struct calendar *ret)
{
	return parse(text, false, ret);
}

const char *calendar_parse_rates(const char *text, struct calendar *ret)
{
	return parse(text, true, ret);
}

void calendar_free(struct calendar *calendar)
{
	free(calendar->spans);
	*calendar = (struct calendar){ 0 };
}

/* ---- asking ---- */

static bool shows(time_t t, const struct tm *wanted)
{
	struct tm tm;

	localtime_r(&t, &tm);
	return tm.tm_min == wanted->tm_min && tm.tm_hour == wanted->tm_hour &&
	       tm.tm_mday == wanted->tm_mday;
}

static long civil_minutes(time_t t)
{
	struct tm tm;

	localtime_r(&t, &tm);
	return ((tm.tm_year * 366L + tm.tm_yday) * 24 + tm.tm_hour) * 60 + tm.tm_min;
}

/*
 * The first instant at which clocks show that time, or have passed it where
 * they are set forward over it.  day counts from that of base.
 */
static time_t instant(const struct tm *base, int day, int minutes)
{
	static const time_t steps[] = { 7200, 3600, 1800 };
	struct tm wanted = {
		.tm_year = base->tm_year, .tm_mon = base->tm_mon, .tm_mday = base->tm_mday + day,
		.tm_hour = 12,
	};
	struct tm tm;
	time_t t;
	long aim;

	/* Noon is every day, so this makes a date of it. */
	mktime(&wanted);
	wanted.tm_hour = minutes / 60;
	wanted.tm_min = minutes % 60;
	wanted.tm_isdst = -1;
	if (minutes == DAY_MINUTES)
		return instant(base, day + 1, 0);
	tm = wanted;
	t = mktime(&tm);
	if (shows(t, &wanted)) {
		/* Set back: the clock shows it twice. */
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (shows(t - steps[i], &wanted))
				return t - steps[i];
		return t;
	}
	aim = ((wanted.tm_year * 366L + wanted.tm_yday) * 24 + minutes / 60) * 60 + minutes % 60;
	for (t -= 4 * 3600 + t % 60; civil_minutes(t) < aim; t += 60)
		;
	return t;
}

static bool span_covers(const struct calendar_span *span, time_t now, time_t *ret_end,
			time_t *ret_next)
{
	struct tm base;

	localtime_r(&now, &base);
	*ret_next = 0;
	for (int day = -1; day <= 8; day++) {
		unsigned weekday = (unsigned)(base.tm_wday + day + 7) % 7;
		time_t from, to;

		if (!(span->days & 1U << weekday))
			continue;
		from = instant(&base, day, span->from);
		to = instant(&base, span->to <= span->from ? day + 1 : day, span->to);
		if (from <= now && now < to) {
			*ret_end = to;
			return true;
		}
		if (from > now && to > from && !*ret_next)
			*ret_next = from;
	}
	return false;
}

bool calendar_is_open(const struct calendar *windows, time_t now, time_t *ret_change)
{
	time_t until = now, next = 0;
	bool open = false;

	/* Spans may follow or overlap each other; a week of them is for ever. */
	for (bool more = true; more && until - now < 8 * 86400;) {
		more = false;
		for (size_t i = 0; i < windows->count; i++) {
			time_t end, begin;

			if (span_covers(&windows->spans[i], until, &end, &begin)) {
				until = end;
				more = true;
			} else if (!open && begin && (!next || begin < next)) {
				next = begin;
			}
		}
		open = open || more;
	}
	if (ret_change)
		*ret_change = !open ? next : until - now < 8 * 86400 ? until : 0;
	return open;
}

uint64_t calendar_rate(const struct calendar *rates, time_t now)
{
	for (size_t i = 0; i < rates->count; i++) {
		const struct calendar_span *span = &rates->spans[i];
		time_t end, next;

		if (!span->days || span_covers(span, now, &end, &next))
			return span->rate;
	}
	return 0;
}

const char *calendar_text(time_t when, char buf[static 32])
{
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(buf, 32, "%a %H:%M", &tm);
	return buf;
}

time_t calendar_now(void)
{
	static uint64_t began_ns;
	uint64_t shown;

	if (!inject_number("now", &shown))
		return time(NULL);
	/* It goes on from there. */
	if (!began_ns)
		began_ns = clock_ns();
	return (time_t)(shown + (clock_ns() - began_ns) / 1000000000);
}
