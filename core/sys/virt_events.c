/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring of events; when nobody fetches them the oldest are lost. */
#include "sys/virt_events.h"

#include <pthread.h>
#include <stdlib.h>

#include "support/clock.h"
#include "support/interrupt.h"
#include "support/limited.h"
#include "support/text.h"
#include "sys/virt.h"

#define EVENTS_MAX 256

struct virt_events {
	unsigned references;
	pthread_mutex_t lock;
	pthread_cond_t added;
	struct virt_event items[EVENTS_MAX];
	size_t first, count;
};

struct virt_events *virt_events_new(void)
{
	struct virt_events *events = text_alloc(1, sizeof(*events));

	events->references = 1;
	pthread_mutex_init(&events->lock, NULL);
	condition_init(&events->added);
	return events;
}

struct virt_events *virt_events_get(struct virt_events *events)
{
	pthread_mutex_lock(&events->lock);
	events->references++;
	pthread_mutex_unlock(&events->lock);
	return events;
}

void virt_events_put(struct virt_events *events)
{
	bool last;

	pthread_mutex_lock(&events->lock);
	last = --events->references == 0;
	pthread_mutex_unlock(&events->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&events->lock);
	pthread_cond_destroy(&events->added);
	free(events);
}

void virt_events_add(struct virt_events *events, const struct virt_event *event)
{
	pthread_mutex_lock(&events->lock);
	if (events->count == EVENTS_MAX) {
		events->first = (events->first + 1) % EVENTS_MAX;
		events->count--;
	}
	events->items[(events->first + events->count++) % EVENTS_MAX] = *event;
	pthread_cond_broadcast(&events->added);
	pthread_mutex_unlock(&events->lock);
}

bool virt_events_next(struct virt_events *events, uint64_t timeout_ms, struct virt_event *ret_event)
{
	uint64_t now = clock_ns(), until = now + timeout_ms * 1000000;
	bool found;

	pthread_mutex_lock(&events->lock);
	while (!events->count && now < until && !interrupt_requested()) {
		uint64_t left_ms = (until - now) / 1000000 + 1;

		/* In slices, because no signal ends such a wait. */
		condition_wait_ms(&events->added, &events->lock, left_ms < 100 ? left_ms : 100);
		now = clock_ns();
	}
	found = events->count > 0;
	if (found) {
		*ret_event = events->items[events->first];
		events->first = (events->first + 1) % EVENTS_MAX;
		events->count--;
	}
	pthread_mutex_unlock(&events->lock);
	return found;
}
