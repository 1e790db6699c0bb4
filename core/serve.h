/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The far side of a move between hosts: volmig serve, started by ssh for as
 * long as the other side needs it.
 *
 * Its part of the move is a job like others, of the same UUID, planned, journalled
 * and held here; but its steps are done when the other host asks for them, one
 * request after the other.  Requests and answers are JSON lines (sys/wire.h).
 * The first line says what the channel is: "control", one for a job; or
 * "data", on which nbdkit then serves the volume's bytes.
 *
 * When the control channel ends the job stays, resumable by the other host, as
 * long as its lease lasts.  Then what it made is removed; or, once it is
 * committed, the rest of it is done.
 */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct job;
struct text_list;

#define SERVE_PROTOCOL 1
#define SERVE_LEASE_MS 86400000ULL

struct serve_options {
	const char *state_dir;		/* as given, or NULL */
	struct text_list *allow;	/* directories, devices and groups; NULL: all that the user may */
	bool read_only;			/* nothing is made, written to or removed here */
	uint64_t lease_ms;
};

/* Serve one channel to its end.  An error is one of this side; the other side has heard of its own. */
int serve_run(const struct serve_options *options, int in, int out, struct err *err);

/* How much longer the job keeps what it made, if nobody comes for it; 0: no longer.  UINT64_MAX: it is no such job. */
uint64_t serve_lease_left(const struct job *job);

/*
 * End the job if its lease is over and nobody works on it: remove what it made
 * or, after its commit, do the rest.  1 it was, 0 it is not over, -1 it could not.
 */
int serve_expire(const char *state_dir, const char *id, struct err *err);

/* Who asked for the job: "host:/srv/a/web.img"; NULL: it is no such job. */
const char *serve_from(const struct job *job);

#endif
