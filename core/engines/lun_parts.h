/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What attaching and detaching a LUN share: what is recorded of it, and what is really there. */
#ifndef ENGINES_LUN_PARTS_H
#define ENGINES_LUN_PARTS_H

#include "engines/lun_attach.h"
#include "engines/lun_record.h"
#include "sys/iscsi.h"
#include "sys/multipath.h"

struct lun_now {
	int dirfd;			/* of the records, locked; -1: there are none */
	struct lun lun;
	char *text, *name, *session_name;	/* the LUN's, and its records' */
	struct lun_record record;	/* text NULL: there is none */
	bool recorded;			/* and it is of this boot */
	struct session_record own;	/* text NULL: there is none */
	unsigned session;		/* 0: none */
	bool ours;			/* by its record */
	struct iscsi_disk disk;
	bool there;
};

/* Look, and hold the records; to be closed, on failure, too. */
int lun_open(const char *text, const char *dir, bool make, struct lun_now *now, struct err *err);
void lun_close(struct lun_now *now);

/* Find now->disk: the recorded one, or else the session's of that LUN. */
bool lun_find_disk(struct lun_now *now);

/* Is the disk the volume that it was, and that the kernel takes it for? */
int lun_prove(const struct lun_now *now, struct err *err);
int lun_refuse_stale(const struct lun_now *now, struct err *err);

/*
 * Let go of the disk, and of the session where it is ours and not needed any
 * more; the records go with them.  flush: it may have been written to.
 */
int lun_release(struct lun_now *now, bool flush, struct lun_attachment *ret, struct err *err);

/* There is no session of ours any more: the node record goes, if it is ours, and the session's record. */
int lun_end_login(struct lun_now *now, struct err *err);

#endif
