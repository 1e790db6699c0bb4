/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volume a domain's disk really is: what libvirt says, what the definition says, what QEMU says. */
#ifndef ENGINES_LIVE_LOOK_H
#define ENGINES_LIVE_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/step.h"
#include "sys/hash.h"
#include "sys/virt.h"
#include "sys/virt_xml.h"

struct err;

enum live_where {
	LIVE_OLD,		/* the guest uses the old volume, and there is no mirror */
	LIVE_MIRROR,		/* ... and it is being mirrored onto the new one */
	LIVE_READY,		/* ... and the two are the same from now on */
	LIVE_CANCEL,		/* ... and that is being given up */
	LIVE_PIVOT,		/* a pivot is under way */
	LIVE_NEW,		/* the guest uses the new volume */
	LIVE_OFF,		/* the domain does not run; its definition (if it has one) has the old volume */
	LIVE_OFF_NEW,		/* the same with the new volume */
	LIVE_FOREIGN,		/* somebody else's job is on the disk, or it is another volume */
	LIVE_SPLIT,		/* libvirt, the definition and QEMU do not agree */
};

/* For people: "mirrored, ready". */
const char *live_where_text(enum live_where where);

/*
 * Look.  ask_qemu: also QEMU itself, without which a split state is not seen.
 * *ret_why (free it) says what was found where that is not plain; it may be NULL.
 * -1: libvirt, or QEMU, cannot be asked; err->number as of sys/virt.h.
 */
int live_look(struct virt *virt, const struct live_move *live, bool ask_qemu,
	      enum live_where *ret_where, char **ret_why, struct err *err);

/*
 * Before the pivot is announced: is the mirror still there and ready, or has the
 * guest been moved by somebody else?  Anything else is what the step that asks
 * has to return.
 */
enum step_result live_still_ready(struct step_context *ctx, struct virt *virt, bool *ret_moved,
				  struct err *err);

/* The path that QEMU itself has behind a device, by its alias; NULL: it has none.  Free it. */
int live_qemu_path(struct virt *virt, const char *uuid, const char *alias, char **ret_path,
		   struct err *err);

/*
 * The directory of the certificates by which QEMU has opened an export under
 * TLS; NULL: it is under none, or QEMU does not tell.  Free it.
 */
char *live_qemu_certificates(struct virt *virt, const char *uuid, const struct virt_source *source);

/* Two names of one volume of this host; or of another one, then by the texts. */
bool live_same_volume(const char *a, const char *b);

/* What is journalled of a definition, in which there may be passwords: returns hex. */
const char *live_definition_hash(const char *xml, char hex[static HASH_HEX]);

/* Does only where these disks' bytes are differ from the definition as it was?  1 yes, 0 no, -1 cannot be told. */
int live_definition_same(struct virt *virt, const struct step_part *parts, size_t count, struct err *err);

#endif
