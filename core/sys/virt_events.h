/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt's event loop has heard, for the thread that waits for it. */
#ifndef SYS_VIRT_EVENTS_H
#define SYS_VIRT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct virt_event;
struct virt_events;

/* Counted: each callback of a connection holds it until it is deregistered. */
struct virt_events *virt_events_new(void);
struct virt_events *virt_events_get(struct virt_events *events);
void virt_events_put(struct virt_events *events);

void virt_events_add(struct virt_events *events, const struct virt_event *event);

/* False: none came in time, or the user asked to stop. */
bool virt_events_next(struct virt_events *events, uint64_t timeout_ms, struct virt_event *ret_event);

#endif
