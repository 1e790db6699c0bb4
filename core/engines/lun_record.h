/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was attached of iSCSI, in two kinds of records beside those of other
 * attachments: one for each LUN, and one for each session that we have logged
 * in.  A session without a record is somebody else's.
 */
#ifndef ENGINES_LUN_RECORD_H
#define ENGINES_LUN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/uuid.h"
#include "volumes/lun.h"

struct err;

#define LUN_RECORD_PREFIX "lun-"
#define SESSION_RECORD_PREFIX "session-"
#define LUN_MARK_SIZE (sizeof("volmig:") + UUID_TEXT_SIZE)

struct lun_record {
	char boot[UUID_TEXT_SIZE];
	char *text;			/* iscsi://ADDRESS:PORT/IQN/LUN */
	char *job;			/* for which it was attached; NULL: for nobody in particular */
	bool pending;			/* the disk may not be there yet, and what follows is not known */
	bool readonly;			/* it is given out by a read-only device over it */
	bool found;			/* the disk was there before, and stays when we are done */
	char *disk;			/* "3:0:0:1" */
	uint64_t dev, diskseq;
	char *wwid;
	char *map;			/* multipath: /dev/mapper/NAME; or NULL */
};

struct session_record {
	char boot[UUID_TEXT_SIZE];
	char *text;			/* iscsi://ADDRESS:PORT/IQN/0 */
	char mark[LUN_MARK_SIZE];	/* which our node record carries */
	bool node;			/* the node record is ours, too */
	bool pending;			/* it may not have been made yet: ... */
	unsigned after;			/* ... then it has a higher number than this */
	unsigned session;
};

/* Names of the files; free them. */
char *lun_record_name(const struct lun *lun);
char *session_record_name(const struct lun *lun);

/* 1 found, 0 there is none, -1 error.  Free it. */
int lun_record_read(int dirfd, const char *name, struct lun_record *ret, struct err *err);
int session_record_read(int dirfd, const char *name, struct session_record *ret, struct err *err);
void lun_record_free(struct lun_record *record);
void session_record_free(struct session_record *record);

int lun_record_write(int dirfd, const char *name, const struct lun_record *record, struct err *err);
int session_record_write(int dirfd, const char *name, const struct session_record *record,
			 struct err *err);

/* Of this boot of the machine?  No session outlives it. */
bool lun_record_is_current(const char *boot);

/* Is the session the one that the record says we have logged in, or were about to? */
bool session_record_is_of(const struct session_record *record, unsigned session);

/* Call found() for each LUN's record, until it returns other than 0: that is returned.  What cannot be read is left out. */
int lun_record_each(int dirfd, int (*found)(const char *name, const struct lun_record *record, void *data),
		    void *data);

#endif
