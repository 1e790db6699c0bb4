/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other processes, as /proc tells of them. */
#ifndef SYS_PROCS_H
#define SYS_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "support/text.h"

/* A regular file by its identity, or some block devices. */
struct procs_target {
	dev_t file_dev;
	ino_t file_ino;			/* 0: the devices are meant */
	const dev_t *devs;
	size_t dev_count;
	bool readers;			/* those that only read count as well */
};

/*
 * Add "open for writing by qemu (pid 12)" for each process that has the target
 * so ("open by ..." with readers), other than ourselves.  Returns whether we
 * do: a file for writing, a device in whatever mode, for any may be a claim.
 */
bool procs_open(const struct procs_target *target, struct text_list *uses);

/*
 * Add "mapped for writing by ..." for each process that has a shared mapping of
 * the file; it need not have the file open any more.
 */
void procs_mapped(const struct procs_target *target, struct text_list *uses);

/* The name of a process, "?" when it is gone.  Free it. */
char *procs_name(const char *pid);

/* Was it started with these two arguments, one after the other? */
bool procs_has_option(const char *pid, const char *option, const char *value);

#endif
