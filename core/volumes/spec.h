/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names by which users call volumes and places: read, not looked at. */
#ifndef VOLUMES_SPEC_H
#define VOLUMES_SPEC_H

#include <stdbool.h>

struct err;

/* What the name can be by its form alone; a path may turn out to be a file or a device. */
enum spec_kind {
	SPEC_PATH,		/* /srv/a/web.img, ./web.img, /dev/sdb */
	SPEC_FILE,		/* file:web.img: a file for certain, never a device */
	SPEC_LV,		/* vg0/web, lvm:vg0/web; for a place also vg0, lvm:vg0 */
	SPEC_NBD,		/* nbd://, nbds://, nbd+unix://, ...: an export, by libnbd's rules */
	SPEC_QEMU,		/* qcow2:, vmdk:, vhdx:, vdi:, rbd:, what QEMU's block drivers open */
	SPEC_ISCSI,		/* iscsi://portal/iqn/lun */
	SPEC_SSH,		/* ssh://[user@]host[:port]/VOLUME, of another host: see far_name.h */
};

enum spec_role {
	SPEC_VOLUME,		/* an existing thing */
	SPEC_PLACE,		/* where it shall go */
};

struct spec {
	enum spec_kind kind;
	char *text;		/* as given */
	char *path;		/* made absolute against the working directory, not resolved; or NULL (SPEC_LV, remote) */
	char *remote;		/* SPEC_NBD and what follows it: the text, file names in it made absolute; else NULL */
	char *vg, *lv;		/* SPEC_LV: the group and the volume (NULL: the group itself); else NULL */
	bool directory;		/* ends in '/': a directory for certain */
	bool place;		/* SPEC_SSH: it was read as a place */
};

/*
 * Pure: looks at nothing but the text (cwd is what relative names stand on).
 *
 * What is no name of its kind, and what has a password in it, is ERR_USAGE,
 * with how to write a file of that name if one was meant.  Whether this volmig
 * can move volumes of the kind is not looked at here.
 */
int spec_parse(struct spec *spec, const char *text, enum spec_role role,
	       const char *cwd, struct err *err);

/* What the kind is called in messages: "an NBD export", "a qcow2 image"; text is spec's. */
const char *spec_noun(const char *text);

void spec_free(struct spec *spec);

#endif
