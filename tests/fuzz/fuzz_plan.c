/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a plan file, as windows, as a profile of rates: taken apart, or refused with a reason. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "batch_plan.h"
#include "fuzz.h"
#include "support/calendar.h"

static void check_plan(const char *text, size_t size)
{
	struct batch_faults faults = { 0 };
	struct batch_text plan;
	unsigned last = 0;

	batch_text_parse(text, size, &plan, &faults);
	assert(plan.defaults);
	for (size_t i = 0; i < plan.count; i++) {
		assert(plan.lines[i].number > last);
		assert(*plan.lines[i].text && !strchr(plan.lines[i].text, '\n'));
		last = plan.lines[i].number;
	}
	for (size_t i = 0; i < faults.count; i++)
		assert(faults.items[i].number && faults.items[i].err.class == ERR_USAGE &&
		       *faults.items[i].err.cause);
	batch_text_free(&plan);
	batch_faults_free(&faults);
}

static void check_calendar(const char *text)
{
	struct calendar calendar;
	time_t now = 1795694400, change;

	if (!calendar_parse_windows(text, &calendar)) {
		bool open = calendar_is_open(&calendar, now, &change);

		assert(calendar.count);
		assert(change > now || (open && !change));
	}
	calendar_free(&calendar);
	if (!calendar_parse_rates(text, &calendar))
		calendar_rate(&calendar, now);
	calendar_free(&calendar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_plan(text, size);
	/* Each span is asked about many times, and a list of thousands says nothing new. */
	if (size < 200)
		check_calendar(text);
	free(text);
	return 0;
}
