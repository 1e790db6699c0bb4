/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps of a live move share: how they connect, look, wait, and tell what they found. */
#ifndef ENGINES_LIVE_PARTS_H
#define ENGINES_LIVE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/live_look.h"
#include "engines/step.h"
#include "support/err.h"

/* How often the XML is read while nothing is heard. */
#define LIVE_LOOK_MS 250

/* A pivot or a cancellation that is under way, and what QEMU still has open, get so long. */
#define LIVE_SETTLE_MS 30000

/* What the steps are done to, for the plan. */
char *live_disk_name(const struct move *move);
char *live_both_names(const struct move *move);

/* How long one call, or one request to a volume, may take. */
uint64_t live_call_limit(const struct move *move);

int live_connect(const struct step_context *ctx, struct virt **ret_virt, struct err *err);

/* Does the failure say nothing about the guest, but that libvirt could not be asked? */
bool live_is_silence(const struct err *err);

/* Set err to what was found, why if there is one, else where; returns result. */
enum step_result live_found(struct step_context *ctx, enum step_result result, enum err_class class,
			    enum live_where where, const char *why, struct err *err);

/* The same where nobody can tell which of the two volumes counts. */
enum step_result live_unsure(struct step_context *ctx, enum live_where where, const char *why,
			     struct err *err);

/* The mirror has ended without the disk having moved. */
enum step_result live_mirror_failed(struct step_context *ctx, struct err *err);

/*
 * The domain does not run, says libvirt.  A libvirtd that lost track of it says
 * so too: then a QEMU still has one of the two open, and *ret_user (free it) says which.
 */
bool live_is_orphaned(struct step_context *ctx, char **ret_user);

/* Look until libvirt, the definition and QEMU say something that can be relied on. */
int live_settle(struct step_context *ctx, struct virt *virt, enum live_where *ret_where,
		char **ret_why, struct err *err);

/* Nobody of this host has the volume open any more, or time is up; uuid: but that domain, shut off. */
void live_wait_closed(const char *path, const char *uuid);

/* Return when something has happened, or after so long. */
void live_wait_event(struct virt *virt, uint64_t ms);

/*
 * Begin to mirror the disk, of a context for one part, as one of count that
 * share the limit.  That it fails does not mean that there is no mirror: look.
 */
int live_begin_mirror(struct step_context *ctx, struct virt *virt, size_t count, struct err *err);

/*
 * A mirror that is ready looks for what the guest has written ten times a second,
 * and copies it at the rate it was given.  Before the pivot, which waits for
 * that, have it do so now and without a limit.  ERR_STOPPED where it does not come
 * to an end with it: with a destination that hangs the guest would, too.
 */
int live_hurry(struct step_context *ctx, struct virt *virt, struct err *err);

/* There was no pivot after all: back to its part of the limit. */
void live_hurry_no_more(struct step_context *ctx, struct virt *virt, size_t count);

/* Wait until the mirrors of all parts are ready (or their disks have moved); the first that fails ends it. */
enum step_result live_wait_ready(struct step_context *ctx, struct virt *virt, struct err *err);

/*
 * Let a guest go on that one of our steps has, or may have, suspended; also when
 * an earlier run was killed meanwhile.  Tried hard, for a guest that stands
 * still is worse than anything that could be had by it.
 */
int live_let_go_on(struct virt *virt, const struct live_move *live, struct err *err);

/* Has one of the disks been moved, by us or by somebody else, or can nobody tell?  announced: the pivot was. */
int live_may_undo(struct step_context *ctx, bool announced, struct err *err);

#endif
