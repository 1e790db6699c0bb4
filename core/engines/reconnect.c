/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lost connections: when to try again, and when no more. */
#include "engines/reconnect.h"

#include <stdlib.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/monitor.h"
#include "support/text.h"
#include "sys/nbd.h"

#define MILLISECOND 1000000ULL
#define PAUSE_FIRST_MS 100
#define PAUSE_MOST_MS 5000
#define TICK_MS 100

/* What QEMU opens is as far away as the process that serves it. */
static bool is_remote(const struct step_context *ctx)
{
	const struct facts *source = &ctx->move->source, *target = &ctx->record->target;

	return facts_remote(source) || source->qemu || facts_remote(target) || target->qemu;
}

/* Is it the connection, and not what lies behind it? */
static bool is_connection(const struct reconnect *state, enum step_result result,
			  const struct err *err)
{
	if (interrupt_requested() || result == STEP_DONE || result == STEP_UNSURE)
		return false;
	if (state->opened)
		return nbd_export_is_connection_error(err->number);
	/*
	 * What could be opened before, and now cannot, whatever the reason is:
	 * its server may be about to come back.  What has come back as
	 * something else was refused, and that has no number.
	 */
	return state->attempts > 0 && (err->class != ERR_REFUSED || err->number);
}

static void note_once(struct step_context *ctx, const char *object)
{
	char *note = text_format("the connection to %s was lost and made anew", object);

	if (text_list_has(&ctx->record->notes, note))
		free(note);
	else
		text_list_add(&ctx->record->notes, note);
}

/* False: the user wants to stop. */
static bool pause(struct step_context *ctx, unsigned ms)
{
	uint64_t until_ns = clock_ns() + ms * MILLISECOND;

	while (clock_ns() < until_ns && !interrupt_requested()) {
		monitor_tick(ctx->mon);
		clock_sleep_ms(TICK_MS);
	}
	return !interrupt_requested();
}

bool reconnect_again(struct reconnect *state, struct step_context *ctx, enum step_result *result,
		     struct err *err)
{
	uint64_t stall_ns = ctx->move->stall_ms * MILLISECOND, now = clock_ns();
	uint64_t mark = ctx->record->mark.offset + state->reached;
	char waited[TEXT_SIZE_MAX];

	if (!is_remote(ctx))
		return false;
	if (!is_connection(state, *result, err)) {
		/* An earlier attempt may have written: so it is no refusal, nor is it as if nothing was. */
		if (state->attempts && (*result == STEP_STOPPED || (*result == STEP_UNDONE && !state->opened))) {
			*result = STEP_STOPPED;
			err->class = ERR_STOPPED;
		}
		return false;
	}
	if (!state->since_ns || mark > state->mark) {
		state->since_ns = now;
		state->mark = mark;
		state->pause_ms = PAUSE_FIRST_MS;
	}
	if (stall_ns && now - state->since_ns >= stall_ns) {
		err_context(err, state->opened ? "the connection was lost again and again for %s" :
						 "the connection did not come back for %s",
			    text_duration((now - state->since_ns) / (1000 * MILLISECOND), waited));
		err->class = ERR_STOPPED;
		*result = STEP_STOPPED;
		return false;
	}
	if (state->opened)
		log_note("%s: %s; connecting again", err->object, err->cause);
	note_once(ctx, err->object);
	/* The last attempt is made when the time is over, not before. */
	if (stall_ns && state->pause_ms * MILLISECOND > stall_ns - (now - state->since_ns))
		state->pause_ms = (unsigned)((stall_ns - (now - state->since_ns)) / MILLISECOND) + 1;
	if (!pause(ctx, state->pause_ms)) {
		*result = STEP_STOPPED;
		err->class = ERR_STOPPED;
		return false;
	}
	state->pause_ms = state->pause_ms * 2 < PAUSE_MOST_MS ? state->pause_ms * 2 : PAUSE_MOST_MS;
	state->attempts++;
	state->opened = false;
	/* What follows finds what this run has written, as another run would. */
	ctx->again = true;
	ctx->written = true;
	*err = (struct err)ERR_INIT;
	return true;
}
