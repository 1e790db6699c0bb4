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
};

enum spec_role {
	SPEC_VOLUME,		/* an existing thing */
	SPEC_PLACE,		/* where it shall go */
};

struct spec {
	enum spec_kind kind;
	char *text;		/* as given */
	char *path;		/* made absolute against the working directory, not resolved; SPEC_LV: NULL */
	char *vg, *lv;		/* SPEC_LV: the group and the volume (NULL: the group itself); else NULL */
	bool directory;		/* ends in '/': a directory for certain */
};

/*
 * Pure: looks at nothing but the text (cwd is what relative names stand on).
 *
 * A name of a kind that this volmig cannot move (an NBD export, an iSCSI LUN,
 * ...) is told apart from nonsense: ERR_USAGE both, with a cause that
 * says which, and how to write a file of that name if one was meant.
 */
int spec_parse(struct spec *spec, const char *text, enum spec_role role,
	       const char *cwd, struct err *err);

void spec_free(struct spec *spec);

#endif
