/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another host's volmig, asked over ssh: what it says of its volumes, its part
 * of a job, and a channel for a volume's bytes.  There is one control channel
 * a host, made when it is first wanted, and made again when it breaks.
 */
#ifndef VOLUMES_FAR_H
#define VOLUMES_FAR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct facts;
struct monitor;
struct ssh;

/* A request that nobody answers within it has failed; what takes longer shows that it is alive. */
#define FAR_LIMIT_MS 60000

/*
 * Ask once.  request ("do" and its arguments) is taken over; *ret (may be
 * NULL) is the answer, the caller's.  The other side's refusals and failures
 * come back as they were there, with the host in front of the object; a line
 * that is dead is ERR_STOPPED with the number WIRE_LOST (sys/wire.h).
 */
int far_ask(const char *host, json_t *request, struct monitor *mon, json_t **ret, struct err *err);

/*
 * The same about a job, of which the channel becomes the one: begun there if
 * that is what is asked, else it must be known.  Goes on over new lines, up to
 * stall_ms (0: for ever) without any.  ERR_FAILED with the number ENOENT: the
 * job is not known there (any more).
 */
int far_ask_job(const char *host, const char *job_id, json_t *request, uint64_t stall_ms,
		struct monitor *mon, json_t **ret, struct err *err);

/* Say that we are still there, unless it was said just now. */
void far_ping(const char *host);

/*
 * The job that far_open_data() is about, and whether its bytes are compressed on
 * their way; for what opens volumes without knowing jobs.
 */
void far_use_job(const char *job_id, bool compress);

/*
 * A channel for the bytes of the volume that the job has there, ready for NBD.
 * Tried again for some seconds when a line dies meanwhile; as far_ask().
 */
int far_open_data(const char *host, bool write, struct ssh *ret_ssh, uint64_t *ret_bytes,
		  struct err *err);

/* End such a channel, of which the socket is closed. */
void far_close_data(struct ssh *ssh);

/* Has all that came over them been what it should?  ERR_REFUSED. */
int far_check_data(const char *host, struct err *err);

/* What has gone over such channels that compress, and was not told yet. */
void far_take_counts(uint64_t *ret_raw, uint64_t *ret_wire);

/* Facts of a volume there: far is taken over. */
void far_facts(const char *host, const char *spec, struct facts *far, struct facts *ret);

/* Close what is open. */
void far_hang_up(void);

#endif
