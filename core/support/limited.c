/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A call that may never come back, under a time limit. */
#include "support/limited.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "support/clock.h"
#include "support/interrupt.h"

/* Of all such calls: there are never many at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

void condition_wait_ms(pthread_cond_t *condition, pthread_mutex_t *held, uint64_t ms)
{
	uint64_t until_ns = clock_ns() + ms * 1000000;
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000),
	};

	pthread_cond_timedwait(condition, held, &until);
}

void thread_start(void *(*run)(void *data), void *data)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, &attributes, run, data) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

static void init(void)
{
	condition_init(&ended);
}

static void *run_it(void *data)
{
	struct limited *self = data;
	bool abandoned;

	self->run(self);
	pthread_mutex_lock(&lock);
	self->done = true;
	abandoned = self->abandoned;
	pthread_cond_broadcast(&ended);
	pthread_mutex_unlock(&lock);
	if (abandoned)
		self->release(self);
	return NULL;
}

bool limited_run(struct limited *self, uint64_t limit_ms)
{
	uint64_t until = clock_ns() + limit_ms * 1000000;
	bool done;

	pthread_once(&once, init);
	self->done = self->abandoned = false;
	thread_start(run_it, self);
	pthread_mutex_lock(&lock);
	/* In slices, because no signal ends such a wait. */
	while (!self->done && clock_ns() < until && interrupt_requested() < 2)
		condition_wait_ms(&ended, &lock, 100);
	done = self->done;
	self->abandoned = !done;
	pthread_mutex_unlock(&lock);
	return done;
}
