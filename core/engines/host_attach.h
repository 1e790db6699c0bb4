/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Make a volume usable as a block device of this host, and undo it. */
#ifndef ENGINES_HOST_ATTACH_H
#define ENGINES_HOST_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct facts;

/*
 * What was attached, as recorded in the state directory: a file becomes a loop
 * device with direct I/O, a block device is usable as it is, and read-only
 * becomes a read-only loop device over itself.
 */
struct host_attachment {
	char device[4096];	/* "/dev/loop3", or the block device's own path; may be empty */
	bool loop;		/* it is a loop device that we made */
	bool readonly;
	bool already;		/* attach: it was attached before; detach: it was not attached */
	char note[512];		/* what the user should know (no direct I/O, ...); may be empty */
};

/*
 * dir holds one record per attached volume, written durably before the loop
 * device is made, named by the volume's identity.  Idempotent: a volume that
 * we attached already is not attached twice; one that we attached in the other
 * mode (read-only or not), or that somebody else has attached to a loop
 * device, is refused and named, and so is one in use.
 *
 * After a crash in between, the record tells that we were about to, and the
 * marker that our loop device carries: one without it is somebody else's.
 */
int host_attach(const struct facts *facts, bool readonly, const char *dir,
		struct host_attachment *ret, struct err *err);

/*
 * Release what host_attach() made, and prove that it is gone.  facts may also
 * be those of the loop device.  Refuses while the device is mounted, held or
 * open.  Idempotent: nothing attached is done already; a record without its
 * device (the host was rebooted) is removed.  A loop device that is not ours
 * is never touched: ERR_REFUSED, and it is named.
 */
int host_detach(const struct facts *facts, const char *dir,
		struct host_attachment *ret, struct err *err);

/* What host_attach() or host_detach() would do now: they only look. */
int host_attach_look(const struct facts *facts, bool readonly, const char *dir,
		     struct host_attachment *ret, struct err *err);
int host_detach_look(const struct facts *facts, const char *dir,
		     struct host_attachment *ret, struct err *err);

#endif
