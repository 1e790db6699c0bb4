/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel whose bytes are made smaller on their way.  Between the two ends
 * go frames: a header of two big-endian numbers, and a payload.
 *
 *	bits 31-24 of the first number: 'P', the payload is the bytes as they are, or 'Z', what zstd made of them
 *	bits 23-0 of it: how long the payload is, at least 1
 *	the second: how many bytes it stands for, at most SQUEEZE_MAX; more than it has itself ('Z'), or just those
 *
 * Every frame stands alone.  Nothing that comes in is trusted: one frame that
 * is otherwise is the end of the channel.
 */
#ifndef SYS_SQUEEZE_H
#define SYS_SQUEEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct zstd;

#define SQUEEZE_HEADER 8U
#define SQUEEZE_MAX (256U * 1024)

struct squeeze_frame {
	bool packed;
	uint32_t length;	/* of the payload */
	uint32_t raw;		/* of what it stands for */
};

/* False: no header that could be.  On success length <= raw <= SQUEEZE_MAX. */
bool squeeze_parse(const unsigned char header[static SQUEEZE_HEADER], struct squeeze_frame *ret);

/* The payload's bytes, frame->raw of them; -1: the payload is not what the header says. */
int squeeze_unpack(struct zstd *zstd, const struct squeeze_frame *frame, const void *payload, void *raw);

/* A frame of length bytes, at most SQUEEZE_MAX; its size with its header.  try_it: see whether zstd makes them fewer. */
size_t squeeze_pack(struct zstd *zstd, bool try_it, const void *raw, size_t length,
		    unsigned char frame[static SQUEEZE_HEADER + SQUEEZE_MAX]);

/*
 * Whether it pays to try, from what was seen so far.  Pure.
 *
 * What did not get smaller is followed by others of its kind: after each miss
 * more is sent as it is before the next try.  And where trying takes longer than
 * the line, the line is not what is waited for: then it is seen whether
 * the bytes come through faster as they are.
 */
struct squeeze_pace {
	unsigned misses, skip;		/* tries that were in vain, one after the other; and how many to leave out */
	bool plain;			/* nothing is tried for now */
	uint64_t raw;			/* bytes since that began, or the window */
	uint64_t pack_ns, line_ns;	/* and the time that they took */
	double packed_rate;		/* nanoseconds a byte, when it was tried last */
	unsigned hold, held;		/* so many windows until it is seen anew, and so many have passed */
};

bool squeeze_pace_try(struct squeeze_pace *pace);

/* raw bytes went out: tried: they were tried to be made smaller, and were; in so much time. */
void squeeze_pace_note(struct squeeze_pace *pace, size_t raw, bool tried, bool smaller, uint64_t pack_ns,
		       uint64_t line_ns);

/* Over both directions: of the bytes as they are, and of frames. */
struct squeeze_counts {
	uint64_t raw, wire;
	bool refused;			/* something came in that is no frame */
};

/* A process that stands between a channel of frames and a socket of plain bytes. */
struct squeeze {
	pid_t pid;			/* 0: there is none */
	struct squeeze_counts *counts;	/* shared with it */
};

/*
 * Start it, between in and out (may be the same), which are the caller's to
 * close and not to use any more, and *ret_plain.  It ends when the plain side
 * does, after what was on its way from there; and, where dies_with_us, with who
 * has started it.  When the other side ends, nothing more comes to the plain one.
 */
int squeeze_start(struct squeeze *ret, int in, int out, bool dies_with_us, int *ret_plain, struct err *err);

/* The plain end is closed: wait for what is on its way, not for long, and see to it that it has ended. */
void squeeze_end(struct squeeze *squeeze, struct squeeze_counts *ret_counts);

#endif
