/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files that look at volumes share: volume.c, directory.c, lv_look.c, qemu_look.c. */
#ifndef VOLUMES_LOOK_H
#define VOLUMES_LOOK_H

#include "volumes/volume.h"

struct lv_facts;

/* What lies on it: container magic and signatures. */
int look_inside(int fd, struct facts *facts, struct err *err);

/* The facts about the directory facts->dir, and about the file facts->path in it if there is one. */
int look_at_directory(struct facts *facts, struct err *err);

/* After that of a file: is it mounted somewhere by itself, so that removing it would leave it there?  Then it is unremovable. */
void look_for_mounts(struct facts *facts);

/*
 * The images beside it that stand on it, where flags ask for them.  Those elsewhere
 * are not found; when they are in use, their users have this one open, too.
 */
void look_for_overlays(unsigned flags, struct facts *facts);

/* What the system says against a name: nothing was touched, so it is a refusal. */
int look_refuse_sys(struct err *err, int number, const char *object, const char *text);

/*
 * Fill in the facts of a logical volume that LVM knows, or of a place in a
 * group.  lv is taken over.
 */
int look_at_lv(struct lv_facts *lv, unsigned flags, struct facts *facts, struct err *err);

/* "vg/name"; name NULL: the group. */
int look_for_lv(const char *vg, const char *name, unsigned flags, struct facts *facts,
		struct err *err);

/*
 * A path below /dev at which nothing is, or a device: does it name a logical
 * volume, active or not?  1 yes (looked at), 0 no, -1 error.
 */
int look_for_lv_path(const char *path, uint64_t dev, unsigned flags, struct facts *facts,
		     struct err *err);

/*
 * A LUN that is a disk of this host's kernel.  1 it is, and was looked at; 0 it is
 * none; -1 error.  again: what was such a disk before and is none now is ERR_FAILED.
 */
int look_for_lun(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err);
int look_at_lun_again(const struct facts *was, unsigned flags, struct facts *facts, struct err *err);

/* The path of its disk, proven to be what the kernel takes it for; NULL and err.  Free it. */
char *lun_node(const struct facts *facts, struct err *err);

/* Look at the block device at facts->path. */
int look_at_block(unsigned flags, struct facts *facts, struct err *err);

#endif
