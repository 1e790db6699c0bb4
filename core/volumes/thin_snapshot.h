/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the map of a thin volume through a metadata snapshot of its pool.
 *
 * A pool has one such snapshot at most, and keeps it over reboots.  So a process
 * of its own reserves it, and releases it whatever becomes of volmig; and a
 * record tells, after a crash of all of the machine, that it is ours.  One that
 * is not ours is never released.
 */
#ifndef VOLUMES_THIN_SNAPSHOT_H
#define VOLUMES_THIN_SNAPSHOT_H

#include <stdint.h>
#include <sys/types.h>

struct err;
struct thin_map;

/*
 * The map of the thin volume dev, of that size, which nobody writes to
 * meanwhile; fd is it, open.  record is the path of a file for a record; its
 * directory exists.  1: *ret is it.  0: it is no thin volume, or all of it is
 * mapped.  -1: there is no map that can be trusted, and err says why; a caller
 * can read everything.  ERR_STOPPED: interrupted.
 *
 * Nothing is left behind but what thin_snapshot_recover() finds.
 */
int thin_snapshot_map(dev_t dev, int fd, uint64_t bytes, const char *record,
		      struct thin_map **ret, struct err *err);

/*
 * Release what an earlier run left reserved by that record, and remove the
 * record; no record is success.  A pool that is not active is so for that time.
 * ERR_STOPPED when the process that it belongs to is still at work after a
 * while, or the pool cannot be had.
 */
int thin_snapshot_recover(const char *record, struct err *err);

/* The pool that the record is about, device-mapper's name; NULL: there is no record.  Free it. */
char *thin_snapshot_pool(const char *record);

#endif
