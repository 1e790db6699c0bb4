/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long work talks upwards: what it is at, what is done, what is durable, shall it stop. */
#ifndef SUPPORT_MONITOR_H
#define SUPPORT_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Counters of one copy, durable together with its offset, so that a resumed
 * job's receipt still tells the whole.
 */
struct mark {
	uint64_t offset;		/* everything below it is on stable storage */
	uint64_t bytes_data;		/* carried as data */
	uint64_t bytes_zero;		/* holes and zeroes, not carried */
	uint64_t bytes_written;		/* data written; less than bytes_data with delta */
};

/* Where the time went while nothing could be done but wait. */
struct waits {
	uint64_t read_ns;		/* only reads were in flight, or more of them */
	uint64_t write_ns;
	uint64_t flush_ns;
	uint64_t limit_ns;		/* the rate that was asked for did not allow more */
};

struct monitor {
	/* A phase begins: "copy", "verify", ...; total 0: it cannot be counted. */
	void (*phase)(struct monitor *mon, const char *name, uint64_t total);

	/* The step of that name begins, number of count; a phase may follow. */
	void (*step)(struct monitor *mon, size_t number, size_t count, const char *name);

	/* So many bytes of the phase are finished, not merely queued. */
	void (*advance)(struct monitor *mon, uint64_t done);

	/* Time passes, whether anything moves or not; some times a second. */
	void (*tick)(struct monitor *mon);

	/* What the phase has waited for so far; comes with the ticks of one that copies. */
	void (*waited)(struct monitor *mon, const struct waits *waits);

	/* Called after a flush; what it records must be durable when it returns 0. */
	int (*durable)(struct monitor *mon, const struct mark *mark,
		       struct err *err);

	/* What the step's record says has changed: kept should we be killed, if not in a power cut. */
	int (*note)(struct monitor *mon, struct err *err);

	/* What was noted is durable when it returns 0. */
	int (*sync)(struct monitor *mon, struct err *err);
};

/* Each is content with a NULL monitor or a NULL slot. */
void monitor_phase(struct monitor *mon, const char *name, uint64_t total);
void monitor_step(struct monitor *mon, size_t number, size_t count, const char *name);
void monitor_advance(struct monitor *mon, uint64_t done);
void monitor_tick(struct monitor *mon);
void monitor_waited(struct monitor *mon, const struct waits *waits);
int monitor_durable(struct monitor *mon, const struct mark *mark, struct err *err);
int monitor_note(struct monitor *mon, struct err *err);
int monitor_sync(struct monitor *mon, struct err *err);

#endif
