/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What copying, comparing and zeroing have in common: leaves go through memory
 * with many requests in flight, and finish in any order, but count as passed
 * only in order.  Keeps the rate, the stall time-out, interruption, short
 * transfers, the first fault, and checkpoints while all goes on.
 *
 * Only block_*.c use it.
 */
#ifndef ENGINES_PIPELINE_H
#define ENGINES_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/block_copy.h"
#include "engines/blocks.h"
#include "engines/leaves.h"
#include "engines/pace.h"
#include "engines/slots.h"
#include "support/err.h"
#include "support/monitor.h"

#define PIPELINE_ITEMS 64		/* started and not yet passed */
#define PIPELINE_REQUESTS 64		/* in flight, but for a flush */

struct ioq;
struct pipeline;
struct volume;

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t round_down(uint64_t value, uint64_t unit)
{
	return value / unit * unit;
}

static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return round_down(value + unit - 1, unit);
}

enum item_state {
	ITEM_READING,
	ITEM_WRITING,
	ITEM_DONE,
};

/*
 * A leaf, or a part of one, that is read and written; or a range of any length
 * that needs no I/O.  next() gets it zeroed and fills the first half.
 */
struct item {
	uint64_t offset;		/* it accounts for [offset, offset + length) */
	uint64_t length;
	struct blocks read[2];		/* what to read of each file, of the leaf that offset is in */
	struct blocks write;		/* what to write; loaded() adds to it */
	struct blocks data, later;	/* next()'s notes to loaded() */
	bool write_zeroes;		/* next() says: write zeroes, there is nothing to read */
	struct mark counts;		/* added to the pipeline's mark when it is passed; no offset */

	/* The pipeline's own. */
	enum item_state state;
	unsigned in_flight;
	unsigned char *slot;		/* of memory; or NULL */
	bool tail;			/* the end is to be written without direct I/O */
	bool has_io;
	bool broken;			/* not all of it was transferred */
	struct blocks have[2];		/* what was read */
	unsigned char *buffer[2];	/* the leaf as each file has it */
};

struct pipeline_ops {
	/* Fill the next item in order.  1: there is one, 0: there are no more, -1: error. */
	int (*next)(struct pipeline *p, struct item *item, struct err *err);

	/*
	 * Everything asked for has been read.  The buffers hold the leaf:
	 * zeroes where nothing was read and beyond the file's end.  Where it
	 * asks for more in item->read, it is called once more when that is there.
	 */
	int (*loaded)(struct pipeline *p, struct item *item, struct err *err);

	/* Everything below mark is on stable storage: say so.  NULL: nobody cares. */
	int (*durable)(struct pipeline *p, const struct mark *mark, struct err *err);
};

struct pipeline_file {
	struct volume *vol;
	uint64_t end;			/* nothing beyond it is of interest */
	const char *read_fault;		/* what inject.h calls a fault of it */
	enum err_class short_class;	/* what it is when vol turns out to end before end */
};

struct request {
	struct item *item;
	bool write;
	unsigned file;
	uint64_t offset;
	uint64_t end;			/* where the range ends that has to be transferred */
	size_t length;			/* asked for; may reach beyond end for alignment */
	unsigned char *buffer;
};

struct pipeline {
	/* Filled by the owner before pipeline_run(). */
	const struct pipeline_ops *ops;
	struct pipeline_file files[2];
	unsigned file_count;
	unsigned buffers;		/* leaves of memory an item needs: 0, 1 or 2 */
	int write_file;			/* which file is written, -1 for none */
	bool grows;			/* writing may use up what is below it: ask has_room() */
	struct mark mark;		/* what is passed; begins where the work begins */
	uint64_t done;			/* what the monitor hears: bytes finished, in order or not */
	const struct block_copy_options *opt;
	struct monitor *mon;

	/* Its own. */
	struct ioq *q;
	uint64_t now_ns;		/* as of this round; asking may be a system call */
	uint64_t told;			/* what the monitor has heard of done */
	struct pace own_pace, *pace;
	uint64_t pace_wait_ns;
	uint64_t stall_ns, idle_ns;	/* idle: requests were in flight, and none came back */
	unsigned depth, active;
	unsigned reading, reading_most;	/* of the active ones, those that are being read */
	unsigned reads, writes;		/* requests in flight */
	struct waits waits;
	struct slots slots;
	uint64_t direct_end, write_end;	/* direct I/O can write up to the first */

	struct item items[PIPELINE_ITEMS];
	uint64_t head, tail;		/* items head to tail - 1 are started, modulo PIPELINE_ITEMS */
	struct request requests[PIPELINE_REQUESTS];
	unsigned free_requests[PIPELINE_REQUESTS], free_request_count;

	bool exhausted;			/* next() has no more */
	bool stopping;			/* a fault, or the user's wish: err is filled */
	bool abandoned;			/* ... without waiting for requests in flight */
	struct err *err;
	struct err later;		/* further errors, of which nobody wants to hear */

	bool flushing, flush_failed, flushed_all;
	struct mark flush_mark, durable;
	uint64_t flush_ns;		/* when the last flush began */
	uint64_t unflushed;		/* bytes moved since */
	uint64_t room_ns, room_bytes;	/* when was it asked for room, and what was begun since */
	uint64_t dropped;		/* the cache of what was read is dropped up to here */
};

/*
 * Run to the end, flush, and let go of everything.  On failure as block_copy()
 * says.  ret_result may be NULL; without its rewritten.
 */
int pipeline_run(struct pipeline *p, struct block_copy_result *ret_result, struct err *err);

/* What follows is between pipeline.c and pipeline_io.c. */

static inline struct item *pipeline_item(struct pipeline *p, uint64_t n)
{
	return &p->items[n % PIPELINE_ITEMS];
}

/* Where the leaf begins that the item's buffers hold. */
static inline uint64_t item_base(const struct item *item)
{
	return round_down(item->offset, LEAF_BYTES);
}

/* Issue what is to be read, then what is to be written, each the oldest first. */
void pipeline_issue(struct pipeline *p);

/* A request came back. */
void pipeline_complete(struct pipeline *p, unsigned index, int64_t result);

/* Nothing of the item is in flight, nor to be issued: what comes next for it? */
void pipeline_advance(struct pipeline *p, struct item *item);

/* Stop, and where to report why: the first fault is what the caller hears of. */
struct err *pipeline_fault(struct pipeline *p);
void pipeline_fault_at(struct pipeline *p, int number, const struct volume *vol,
		       const char *verb, uint64_t offset);

#endif
