/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A call that may never come back, under a time limit: it is made by a thread
 * of its own, which is left to itself when the time is over.
 */
#ifndef SUPPORT_LIMITED_H
#define SUPPORT_LIMITED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded, as the first member, in what holds the call's arguments and results. */
struct limited {
	void (*run)(struct limited *self);	/* by the thread; signals pass it by */
	void (*release)(struct limited *self);	/* frees all of it */
	bool done, abandoned;			/* private */
};

/*
 * True: run has come back, and self is the caller's to release.  False: it has
 * not in time (or the user asked a second time to stop), and self belongs to
 * the thread, which releases it should the call ever end.
 */
bool limited_run(struct limited *self, uint64_t limit_ms);

/* A thread that nobody waits for, and that signals pass by.  Aborts when there can be none. */
void thread_start(void *(*run)(void *data), void *data);

/* Wait for a condition that was made with condition_init(), at most so long. */
void condition_init(pthread_cond_t *condition);
void condition_wait_ms(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t ms);

#endif
