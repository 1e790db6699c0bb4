/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NBD export as a device of this host's kernel, /dev/nbdN, and the reverse.
 *
 * The device carries a mark that is recorded durably in dir before it is made,
 * and by which alone it is found again: a device without it is somebody
 * else's, whatever its number.
 */
#ifndef ENGINES_EXPORT_ATTACH_H
#define ENGINES_EXPORT_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct facts;
struct host_attachment;

/* What is recorded of it. */
struct export_record {
	char *uri;
	char *mark;
	bool readonly;
	bool current;		/* of this boot: no device outlives it */
};
void export_record_free(struct export_record *record);

#define EXPORT_RECORD_PREFIX "nbd-"

/* 1 found, 0 there is none, -1 error.  Free it. */
int export_record_read(int dirfd, const char *name, struct export_record *ret, struct err *err);

/*
 * Is it attached already?  1 yes, as is wanted, and the server answers; 0 no;
 * -1 in the other way, or the server has gone.
 */
int export_attached(const char *uri, bool readonly, const char *dir, struct host_attachment *ret,
		    struct err *err);

/*
 * facts are those of the export, which was looked at just now and is not
 * attached.  look: only say whether it could be.  On failure nothing is left.
 */
int export_attach(const struct facts *facts, bool readonly, bool look, const char *dir,
		  struct host_attachment *ret, struct err *err);

/*
 * Flush the device, and disconnect it.  What is in use is refused, and named.
 * Idempotent.  A connection that has ended is never made anew, so a device that
 * cannot be flushed for that reason is let go of, too, and ret->note tells.
 * *ret_bytes is the size of the device; 0: there was none.
 */
int export_detach(const char *uri, bool look, const char *dir, struct host_attachment *ret,
		  uint64_t *ret_bytes, struct err *err);

/* The URI of the export that is attached as that device ("/dev/nbd3"); NULL: none of ours.  Free it. */
char *export_attached_as(const char *path, const char *dir);

#endif
