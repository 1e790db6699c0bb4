/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An iSCSI LUN as a disk of this host: log in where there is no session with
 * its target, find the disk, and the reverse.
 *
 * A session that is there is shared, and never logged out by us.  One of ours
 * is, once no other LUN of it is in use.  A disk that was there before stays,
 * too.  Each act is recorded durably in dir before it is done, so that after a
 * crash at any instant attaching goes on and detaching undoes all of it.
 */
#ifndef ENGINES_LUN_ATTACH_H
#define ENGINES_LUN_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct err;

struct lun_options {
	const char *chap_file;	/* or NULL */
	bool discover;		/* ask the portal at which portals the target is, and use one of these */
	bool readonly;		/* the caller puts a read-only device over it, and gives that out */
	const char *job;	/* for which it is attached, or NULL */
};

struct lun_attachment {
	char text[512];		/* iscsi://ADDRESS:PORT/IQN/LUN */
	char device[256];	/* /dev/sdc, or multipath's /dev/mapper/NAME; empty: not there */
	char wwid[256];
	bool readonly;		/* as lun_options.readonly was */
	bool shared;		/* the session is, or would be, somebody else's */
	bool already;		/* attach: it was attached before; detach: it was not attached */
	char note[512];		/* what the user should know; may be empty */
};

/*
 * The disk is proven: it has a WWN, says the same when it is asked anew, and is
 * what it was if it was attached before; else ERR_REFUSED.  On failure nothing
 * is left that was not there before.
 */
int lun_attach(const char *text, const struct lun_options *options, const char *dir,
	       struct lun_attachment *ret, struct err *err);

/*
 * Idempotent.  What is in use is refused and named; a disk that is another
 * volume by now is refused, and nothing is flushed to it.  Gone already is done.
 */
int lun_detach(const char *text, const char *dir, struct lun_attachment *ret, struct err *err);

/* The same if it was attached for that job (lun_options.job), else nothing. */
int lun_detach_for(const char *text, const char *job, const char *dir, struct lun_attachment *ret,
		   struct err *err);

/* What these would do now; nothing is asked of the network. */
int lun_attach_look(const char *text, const struct lun_options *options, const char *dir,
		    struct lun_attachment *ret, struct err *err);
int lun_detach_look(const char *text, const char *dir, struct lun_attachment *ret, struct err *err);

/* The text of the LUN that is attached as that device, or of which that multipath device is made; NULL: none.  Free it. */
char *lun_attached_as(uint64_t dev, const char *dir);

#endif
