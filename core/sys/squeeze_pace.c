/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When it pays to make bytes fewer. */
#include "sys/squeeze.h"

#define WINDOW (8U * 1024 * 1024)	/* so many bytes make a measurement, */
#define ENOUGH (512U * 1024)		/* and so many a judgement that it is slower without */
#define MISSES_MAX 7			/* up to 127 frames are left out after one that did not get smaller */
#define HOLD_MAX 1024			/* windows */
#define PLAIN_WINDOWS 64		/* then it is tried again, for the bytes may be others */

bool squeeze_pace_try(struct squeeze_pace *pace)
{
	if (pace->plain)
		return false;
	if (!pace->skip)
		return true;
	pace->skip--;
	return false;
}

static void begin(struct squeeze_pace *pace, bool plain)
{
	pace->plain = plain;
	pace->raw = pace->pack_ns = pace->line_ns = 0;
}

/* A window was tried.  Where the line took longer than the trying, less through it is faster. */
static void judge_packed(struct squeeze_pace *pace)
{
	bool idle = pace->pack_ns > pace->line_ns;

	pace->packed_rate = (double)(pace->pack_ns + pace->line_ns) / (double)pace->raw;
	pace->held++;
	if (idle && pace->held >= pace->hold) {
		pace->held = 0;
		begin(pace, true);
	} else {
		begin(pace, false);
	}
}

static void judge_plain(struct squeeze_pace *pace)
{
	if (pace->raw >= ENOUGH && (double)pace->line_ns > pace->packed_rate * (double)pace->raw) {
		/* The line is slower than the trying after all.  That it is worth another look is less and less likely. */
		pace->hold = !pace->hold ? 1 : pace->hold < HOLD_MAX ? pace->hold * 2 : HOLD_MAX;
		begin(pace, false);
	} else if (pace->raw >= (uint64_t)PLAIN_WINDOWS * WINDOW) {
		pace->hold = 0;
		begin(pace, false);
	}
}

void squeeze_pace_note(struct squeeze_pace *pace, size_t raw, bool tried, bool smaller, uint64_t pack_ns,
		       uint64_t line_ns)
{
	if (tried) {
		pace->misses = smaller ? 0 : pace->misses < MISSES_MAX ? pace->misses + 1 : MISSES_MAX;
		pace->skip = (1U << pace->misses) - 1;
	}
	pace->raw += raw;
	pace->pack_ns += pack_ns;
	pace->line_ns += line_ns;
	if (pace->plain)
		judge_plain(pace);
	else if (pace->raw >= WINDOW)
		judge_packed(pace);
}
