/* SPDX-License-Identifier: GPL-2.0-or-later */
/* multipathd, by its socket: which disks are paths to one device, and letting go of such a device. */
#ifndef SYS_MULTIPATH_H
#define SYS_MULTIPATH_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* Does it run here? */
bool multipath_runs(void);

struct multipath_map {
	char name[128];		/* /dev/mapper/NAME */
	char uuid[128];		/* its WWID, as multipathd has it */
	dev_t dev;
	unsigned paths;		/* how many it has */
};

/* The map that the disk "sdc" is a path of.  1; 0: of none, or there is no multipathd; -1 it does not answer. */
int multipath_map_of(const char *disk, struct multipath_map *ret_map, struct err *err);

/* Take the map away.  It must not be in use: then it stays, ERR_REFUSED. */
int multipath_remove(const struct multipath_map *map, struct err *err);

#endif
