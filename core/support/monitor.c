/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long work talks upwards: what it is at, what is done, what is durable, shall it stop. */
#include "support/monitor.h"

#include <stddef.h>

void monitor_phase(struct monitor *mon, const char *name, uint64_t total)
{
	if (mon && mon->phase)
		mon->phase(mon, name, total);
}

void monitor_step(struct monitor *mon, size_t number, size_t count, const char *name)
{
	if (mon && mon->step)
		mon->step(mon, number, count, name);
}

void monitor_advance(struct monitor *mon, uint64_t done)
{
	if (mon && mon->advance)
		mon->advance(mon, done);
}

void monitor_tick(struct monitor *mon)
{
	if (mon && mon->tick)
		mon->tick(mon);
}

void monitor_waited(struct monitor *mon, const struct waits *waits)
{
	if (mon && mon->waited)
		mon->waited(mon, waits);
}

int monitor_note(struct monitor *mon, struct err *err)
{
	if (!mon || !mon->note)
		return 0;
	return mon->note(mon, err);
}

int monitor_sync(struct monitor *mon, struct err *err)
{
	if (!mon || !mon->sync)
		return 0;
	return mon->sync(mon, err);
}

int monitor_durable(struct monitor *mon, const struct mark *mark, struct err *err)
{
	if (!mon || !mon->durable)
		return 0;
	return mon->durable(mon, mark, err);
}
