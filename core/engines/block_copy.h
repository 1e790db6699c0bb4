/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copy engine: copy, read back and compare, zero.  One thread, a ring of 1 MiB slots. */
#ifndef ENGINES_BLOCK_COPY_H
#define ENGINES_BLOCK_COPY_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/monitor.h"

struct err;
struct leaves;
struct pace;
struct throttle;
struct volume;

/*
 * With delta, an end that is dear to read is not, where its hashes are known.
 * A leaf whose hash the other end has too is taken for equal.  Of a source
 * the others are read; of a destination they are written as a whole.
 */
enum block_known {
	BLOCK_KNOWS_NONE,
	BLOCK_KNOWS_SOURCE,
	BLOCK_KNOWS_DESTINATION,
};

struct block_copy_options {
	const char *engine;		/* "uring", "sync", NULL: the best there is */
	unsigned depth;			/* slots of 1 MiB, 1 to 16; 0: by the devices' topology */
	uint64_t bytes_per_second;	/* 0: as fast as possible */
	struct pace *pace;		/* instead: a limit that is changed while it runs; or NULL */
	struct throttle *throttle;	/* whoever changes it, asked every now and then; or NULL */
	uint64_t stall_ms;		/* give up when nothing moves for so long; 0: never */
	bool sparse;			/* keep holes, leave zeroes out */
	bool delta;			/* read the destination, write only what differs */
	enum block_known knows;		/* delta: the end of which there are hashes, ... */
	struct leaves *known;		/* ... in here, of all that lies behind the start */
	struct mark start;		/* resume here; offset is a multiple of 1 MiB */
};

#define BLOCK_COPY_DEFAULTS { .sparse = true }

struct block_copy_result {
	struct mark mark;		/* as far as it came */
	uint64_t nanoseconds;		/* spent here, without what came before a resume */
	uint64_t rewritten;		/* delta: bytes that differed; with hashes of an end: that were carried */
	struct waits waits;
	char engine[8];
	char fallback[128];		/* why it is not io_uring; empty if it is */
};

/*
 * Copy all of src onto dst.
 *
 * Both volumes must be open, and dst at least as large as src; the planner has
 * checked that, so here it is only asserted.  leaves NULL: nothing is hashed.
 * What lies in dst beyond the end of src is left alone, but for the rest of
 * the last sector, which becomes zero.
 *
 * mon hears of bytes once the destination has acknowledged them, and of a
 * durable mark after each flush of dst and leaves: at least every 512 MiB or
 * 5 s, and at the end.
 *
 * On success everything is on stable storage.  On failure no request is left
 * in flight (but after a stall, or when asked to stop at once, when the caller
 * must not use the volumes any more), and dst is intact up to the last durable
 * mark.  Being asked to stop (interrupt_requested()) and every fault of the
 * media is ERR_STOPPED: the object is the volume's path, the cause names the
 * offset; a source that got shorter is ERR_REFUSED.
 */
int block_copy(struct volume *src, struct volume *dst, struct leaves *leaves,
	       const struct block_copy_options *opt, struct monitor *mon,
	       struct block_copy_result *ret_result, struct err *err);

/*
 * Read what leaves are of, from the start on, from src into them, writing
 * nothing: for a copy that was not made by block_copy(), or before one is.
 * Progress is counted from 0.
 */
int block_hash(struct volume *src, struct leaves *leaves,
	       const struct block_copy_options *opt, struct monitor *mon,
	       struct block_copy_result *ret_result, struct err *err);

/* The number of an ERR_FAILED that says: these bytes are not what they should be. */
#define BLOCK_DIFFERS EBADMSG

/*
 * Read vol back from the medium and compare it with leaves.  Holes that vol's
 * own map proves are not read.  A difference is ERR_FAILED with the
 * number BLOCK_DIFFERS, and the cause names
 * the offset of the first MiB that differs and how many do.
 */
int block_verify(struct volume *vol, struct leaves *leaves,
		 const struct block_copy_options *opt, struct monitor *mon,
		 struct block_copy_result *ret_result, struct err *err);

/*
 * The same in two parts: the leaves that hold something, whatever vol's map
 * says, and the rest.  *ret_pieces: how many pieces of that many bytes, which
 * LEAF_BYTES is a multiple of, were seen to hold something.
 */
int block_verify_data(struct volume *vol, struct leaves *leaves, uint64_t piece,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct block_copy_result *ret_result, uint64_t *ret_pieces, struct err *err);
int block_verify_rest(struct volume *vol, struct leaves *leaves,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct block_copy_result *ret_result, struct err *err);

/*
 * Compare the last leaf below a durable offset with what vol holds now: cheap
 * proof at resume that it is the volume we left.  1 yes, 0 no, -1 error.
 */
int block_check_leaf(struct volume *vol, struct leaves *leaves, uint64_t offset,
		     struct err *err);

enum block_zero_how {
	BLOCK_ZERO_FREE,	/* by the cheapest way; space may be given back */
	BLOCK_ZERO_WRITE,	/* overwrite what is allocated with zeroes: a wipe */
};

/*
 * Make [offset, end) of vol read as zero, flushed.  FREE falls back to writing
 * where the medium cannot do better.  Progress is counted from 0 to
 * end - offset.  Interrupted: ERR_STOPPED; may be done again from the start.
 */
int block_zero(struct volume *vol, uint64_t offset, uint64_t end,
	       enum block_zero_how how, const struct block_copy_options *opt,
	       struct monitor *mon, struct err *err);

/* Does [offset, end) read as zero from the medium?  ERR_FAILED names where it does not. */
int block_verify_zero(struct volume *vol, uint64_t offset, uint64_t end,
		      const struct block_copy_options *opt, struct monitor *mon,
		      struct err *err);

#endif
