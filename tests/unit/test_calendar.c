/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows and rates over the day, across midnight, weeks and set clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/calendar.h"

/* What the UTC clock shows at that time, "YYYY-MM-DD HH:MM", as seconds since the epoch. */
static time_t utc(const char *text)
{
	struct tm tm = { 0 };

	assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
				&tm.tm_hour, &tm.tm_min), 5);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}

static void show(time_t when, char buf[static 32])
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(buf, 32, "%Y-%m-%d %H:%M", &tm);
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"

/* All times in UTC; Berlin is at +1, and at +2 from 29 March to 25 October 2026. */
static const struct {
	const char *zone, *windows, *now;
	bool open;
	const char *change;		/* NULL: never */
} table[] = {
	/* 25 November 2026 is a Wednesday. */
	{ "UTC", "22:00-05:00", "2026-11-25 21:59", false, "2026-11-25 22:00" },
	{ "UTC", "22:00-05:00", "2026-11-25 22:00", true, "2026-11-26 05:00" },
	{ "UTC", "22:00-05:00", "2026-11-26 04:59", true, "2026-11-26 05:00" },
	{ "UTC", "22:00-05:00", "2026-11-26 05:00", false, "2026-11-26 22:00" },
	{ "UTC", "9:30-17:00", "2026-11-25 12:00", true, "2026-11-25 17:00" },
	{ "UTC", "Mon-Fri 22:00-05:00", "2026-11-28 04:00", true, "2026-11-28 05:00" },
	{ "UTC", "Mon-Fri 22:00-05:00", "2026-11-28 23:00", false, "2026-11-30 22:00" },
	{ "UTC", "Fri-Mon 22:00-05:00", "2026-11-30 23:00", true, "2026-12-01 05:00" },
	{ "UTC", "sat,sun 00:00-24:00", "2026-11-28 12:00", true, "2026-11-30 00:00" },
	{ "UTC", "00:00-24:00", "2026-11-25 12:00", true, NULL },
	{ "UTC", "22:00-02:00, 01:00-05:00", "2026-11-25 23:00", true, "2026-11-26 05:00" },
	{ "UTC", "22:00-02:00,03:00-05:00", "2026-11-26 02:30", false, "2026-11-26 03:00" },
	{ "UTC", "Wed 10:00-11:00", "2026-11-25 11:00", false, "2026-12-02 10:00" },
	{ BERLIN, "22:00-05:00", "2026-11-25 21:00", true, "2026-11-26 04:00" },
	{ BERLIN, "22:00-05:00", "2026-11-25 20:59", false, "2026-11-25 21:00" },
	/* The clock is set forward: the night of six hours, and what is in the hour that there is not. */
	{ BERLIN, "22:00-05:00", "2026-03-28 21:00", true, "2026-03-29 03:00" },
	{ BERLIN, "02:30-04:00", "2026-03-29 00:59", false, "2026-03-29 01:00" },
	{ BERLIN, "02:30-04:00", "2026-03-29 01:00", true, "2026-03-29 02:00" },
	{ BERLIN, "01:00-02:30", "2026-03-29 00:30", true, "2026-03-29 01:00" },
	/* ... and back: the night of eight hours, and the hour that comes twice. */
	{ BERLIN, "22:00-05:00", "2026-10-24 20:00", true, "2026-10-25 04:00" },
	{ BERLIN, "02:30-04:00", "2026-10-25 00:30", true, "2026-10-25 03:00" },
	{ BERLIN, "02:30-04:00", "2026-10-25 00:29", false, "2026-10-25 00:30" },
	{ BERLIN, "22:00-02:30", "2026-10-25 00:15", true, "2026-10-25 00:30" },
	{ NEW_YORK, "22:00-05:00", "2026-11-01 02:00", true, "2026-11-01 10:00" },
};

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void test_windows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct calendar calendar;
		time_t change = -1;
		char buf[32] = "never";
		bool open;

		set_zone(table[i].zone);
		assert_null(calendar_parse_windows(table[i].windows, &calendar));
		open = calendar_is_open(&calendar, utc(table[i].now), &change);
		if (change)
			show(change, buf);
		if (open != table[i].open || strcmp(buf, table[i].change ? table[i].change : "never"))
			fail_msg("%s: %s at %s: %s until %s", table[i].zone, table[i].windows,
				 table[i].now, open ? "open" : "closed", buf);
		calendar_free(&calendar);
	}
}

static void test_no_windows(void **state)
{
	static const char *const bad[] = {
		"", " ", ",", "22:00", "22:00-", "-05:00", "22-05", "22:00-05:00,", "22:0-05:00",
		"22:60-05:00", "25:00-05:00", "24:00-05:00", "22:00-24:01", "22:00-22:00", "Mon",
		"Mon,Tue", "Moon 22:00-05:00", "Mon-22:00-05:00", "Mon- 22:00-05:00", "22:00-05:00 x",
		"22:00-05:00=max", "else", "22:00-05:00 Mon", "022:00-05:00", "\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct calendar calendar;

		if (!calendar_parse_windows(bad[i], &calendar))
			fail_msg("\"%s\" is taken for windows", bad[i]);
		assert_null(calendar.spans);
	}
}

static void test_rates(void **state)
{
	struct calendar calendar;

	(void)state;
	set_zone("UTC");
	assert_null(calendar_parse_rates("22:00-05:00=max,Sat,Sun 08:00-20:00=100M,else=50M", &calendar));
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-25 23:00")), 0);
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-25 12:00")), 50 << 20);
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-28 12:00")), 100 << 20);
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-28 21:00")), 50 << 20);
	calendar_free(&calendar);
	assert_null(calendar_parse_rates("08:00-18:00=1.5M", &calendar));
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-25 12:00")), 3 << 19);
	assert_int_equal(calendar_rate(&calendar, utc("2026-11-25 20:00")), 0);
	calendar_free(&calendar);
}

static void test_no_rates(void **state)
{
	static const char *const bad[] = {
		"", "22:00-05:00", "22:00-05:00=", "22:00-05:00=0", "22:00-05:00=fast", "else", "else=",
		"else=50M,", "22:00-05:00=max else=5M", "Mon=5M", "Mon,else=5M", "22:00-05:00=-1",
		"22:00-05:00=11111111111111111111111111111111111111111",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct calendar calendar;

		if (!calendar_parse_rates(bad[i], &calendar))
			fail_msg("\"%s\" is taken for a profile", bad[i]);
		assert_null(calendar.spans);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_no_windows),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_no_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
