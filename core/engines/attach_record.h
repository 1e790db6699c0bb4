/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of one volume that was attached to this host: a small JSON file. */
#ifndef ENGINES_ATTACH_RECORD_H
#define ENGINES_ATTACH_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/loopdev.h"
#include "sys/uuid.h"

struct err;

struct attach_record {
	char boot[UUID_TEXT_SIZE];	/* no attachment outlives a boot */
	char *path;			/* of the volume, for people */
	bool readonly;
	bool loop;			/* by a loop device, not as it is */
	char marker[LOOPDEV_MARKER_SIZE];	/* which that loop device carries, and no other */
	bool pending;			/* the loop device may not have been made yet */
	unsigned number;		/* of the loop device, once it was */
	uint64_t diskseq;		/* of the loop device, or of the volume itself; 0: not known */
};

/* A record of what is about to be done: pending, with a new marker, if that is a loop device. */
void attach_record_init(struct attach_record *record, const char *path, bool readonly, bool loop);

/* The loop device is there. */
void attach_record_done(struct attach_record *record, const struct loopdev *loop);

/* Is that loop device the one that the record is of? */
bool attach_record_is_of(const struct attach_record *record, const struct loopdev *loop);

/* Is what is there by the recorded device number, with that diskseq (0: not known), another device by now? */
bool attach_record_is_of_another(const struct attach_record *record, uint64_t diskseq);

/* Was it made since the machine started? */
bool attach_record_is_current(const struct attach_record *record);

/* 1 found, 0 there is none (dirfd may be -1), -1 error.  Free it. */
int attach_record_read(int dirfd, const char *name, struct attach_record *ret, struct err *err);
void attach_record_free(struct attach_record *record);

/* Both are durable when they return 0; what is not there is removed already. */
int attach_record_write(int dirfd, const char *name, const struct attach_record *record,
			struct err *err);
int attach_record_remove(int dirfd, const char *name, struct err *err);

#endif
