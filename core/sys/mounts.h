/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which block devices and files are mounted, in every mount namespace that can be seen. */
#ifndef SYS_MOUNTS_H
#define SYS_MOUNTS_H

#include <stddef.h>
#include <sys/types.h>

struct mount {
	dev_t dev;		/* the block device */
	char *point;		/* as its namespace calls it */
	char *text;		/* "mounted on /mnt (mount namespace of sleep, pid 12)" */
};

/* One entry for each device of each mounted file system; our own namespace's come first. */
struct mount_list {
	struct mount *items;
	size_t count;
};

void mounts_read(struct mount_list *list);
void mounts_free(struct mount_list *list);

/*
 * Is the file mounted by itself somewhere, as containers have it?  The first
 * place, "mounted on /data/disk (mount namespace of sleep, pid 12)", or NULL; free it.
 */
char *mounts_of_file(dev_t dev, ino_t ino);

/*
 * It remembers for half a second what it has read.  Before what cannot be taken
 * back: all is to be read anew, namespaces that began just now too.
 */
void mounts_forget(void);

/* For processes that will be forked soon: know the namespaces, which they would all look for. */
void mounts_look_ahead(void);

/* Turn the \ooo with which /proc writes white space into what they stand for, in place. */
void mounts_unescape(char *text);

#endif
