/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One volume that QEMU's block drivers open, served by NBD from a process of
 * its own: qemu-storage-daemon, or qemu-nbd where there is none.
 *
 * There is no address at which anybody else could reach it.  Its clients are
 * connected before it is started, and by then the socket has no name any more.
 */
#ifndef SYS_QEMU_DAEMON_H
#define SYS_QEMU_DAEMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct qemu_daemon;

#define QEMU_DAEMON_CONNECTIONS_MAX 8
#define QEMU_DAEMON_LIMIT_MS 30000

struct qemu_daemon_options {
	const char *object;		/* what errors are about */
	const json_t *blockdev;		/* the volume as blockdev-add takes it, all nodes in one */
	const json_t *secret;		/* an object of QEMU that has to be there first, or NULL */
	const int *kept;		/* descriptors that it refers to, as /dev/fd/4 and on */
	size_t kept_count;
	const char *const *env;
	bool writable;
	bool ring;			/* requests through memory as well, where the daemon has that: see nbd.h */
	unsigned connections;		/* clients that it will have */
	uint64_t timeout_ms;		/* for opening the volume */
};

/*
 * Where sockets have a name while they are connected to: a directory that is
 * nobody else's, made where it is missing.  NULL (the default), or where it cannot be
 * made: one below $TMPDIR is made each time.
 */
void qemu_daemon_set_dir(const char *dir);

/*
 * Start it and wait until it serves.  -1: it does not run, and err says what
 * it said: ERR_REFUSED when the volume is locked by another QEMU (number EBUSY)
 * or the programs are missing, else ERR_FAILED.
 */
int qemu_daemon_start(struct qemu_daemon **ret, const struct qemu_daemon_options *options,
		      struct err *err);

/* A connection to it, one after the other, of the caller's to close; -1: all are given away. */
int qemu_daemon_connection(struct qemu_daemon *daemon);

/* The socket for requests through memory, of the caller's to close; -1: it has none, or it is given away. */
int qemu_daemon_ring(struct qemu_daemon *daemon);

pid_t qemu_daemon_pid(const struct qemu_daemon *daemon);

/* True while it runs.  Else err, where there is none yet, says how it ended and what it said. */
bool qemu_daemon_runs(struct qemu_daemon *daemon, struct err *err);

/* Has one of this process ended so lately without closing what it had open? */
bool qemu_daemon_died_within(uint64_t ms);

/*
 * End it, so that the volume is closed and its locks are given back; when it
 * does not want to, kill it.  Frees daemon; content with NULL.
 */
void qemu_daemon_stop(struct qemu_daemon *daemon);

#endif
