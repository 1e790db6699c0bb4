/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which running domain's disk a volume is, before there is a plan. */
#ifndef LIVE_H
#define LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;
struct facts;
struct live_move;
struct request;

/*
 * The disk that a swap names: request->domain and request->disk (a target, or
 * the path of its source).  ERR_REFUSED where it cannot be moved: the domain
 * does not run, it is no raw disk of a file or a device, it has a block job,
 * or libvirt, the definition and QEMU do not agree on it.
 */
int live_of_disk(const struct request *request, struct live_move *ret_live, struct err *err);

/*
 * Is the volume a disk of a running domain?  1 and *ret_live, 0 no (or libvirt
 * cannot be asked), -1 it is one that cannot be moved.
 */
int live_of_volume(const struct request *request, const struct facts *volume,
		   struct live_move *ret_live, struct err *err);

/* The disks that a migrate of a domain moves. */
struct live_disks {
	bool running;
	struct text_list targets;
	struct text_list paths;		/* of their sources */
	struct text_list left_out;	/* for people: which stay, and why */
};

/*
 * Those that request->disks names (by target or by path), each of which has to
 * be one that can be moved; or all that can, of request->domain.
 */
int live_disks_look(const struct request *request, struct live_disks *ret_disks, struct err *err);
void live_disks_free(struct live_disks *disks);

/* Take out of the volume's uses that disk of the domain, and its own QEMU. */
void live_drop_own_uses(const struct live_move *live, struct facts *facts);

/* Where the domain's disk is now, in words, for status; free it. */
char *live_now(const struct live_move *live);

#endif
