/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that lets a guest go on when the one that suspended it is killed.
 *
 * A suspended guest waits for ever, and libvirt forgets who suspended it.  So
 * before one is, another process is there, with a connection to libvirt of its own, that
 * knows of our end by a socket that closes.
 */
#ifndef ENGINES_LIVE_GUARD_H
#define ENGINES_LIVE_GUARD_H

#include <stdint.h>
#include <sys/types.h>

struct err;
struct live_move;

struct live_guard {
	pid_t pid;		/* 0: there is none */
	int socket;
};

#define LIVE_GUARD_NONE { .socket = -1 }

/*
 * Have one for the domain; on success it is connected and listens.  It is this
 * very program with the command "guard", has nothing of ours but standard error,
 * and no signal of the terminal's reaches it.
 */
int live_guard_begin(struct live_guard *guard, const struct live_move *live, uint64_t limit_ms,
		     struct err *err);

/* The guest goes on: it is not needed any more.  Content with none. */
void live_guard_end(struct live_guard *guard);

/* We cannot let the guest go on: from here on it tries to, for a while, also when we have ended. */
void live_guard_leave(struct live_guard *guard);

/*
 * What that process does, with standard input as the socket: nothing, unless the
 * socket closes without a word; then let the domain of that UUID go on, now and
 * if it is suspended within a few seconds from now, for a call to do that may still
 * be under way.  uri NULL: libvirt's default.
 */
int live_guard_run(const char *uri, const char *uuid, struct err *err);

#endif
