/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ssh://[user@]host[:port]/VOLUME: where a volume of another host is, and what it is called there. */
#ifndef VOLUMES_FAR_NAME_H
#define VOLUMES_FAR_NAME_H

#include <stdbool.h>

struct err;

#define FAR_NAME_PREFIX "ssh://"

struct far_host {
	char *user;		/* or NULL */
	char *host;		/* as ssh takes it: an IPv6 address without its brackets */
	unsigned port;		/* 0: ssh's own choice */
};

/*
 * Pure.  name is what that host calls it: "vg0/web" and, for a place, "vg1" as
 * they are here; all else is a path from the root, so that ssh://h/srv/a/x and
 * ssh://h//srv/a/x are both /srv/a/x.  Prefixes (lvm:, file:) are left as they
 * are.  Only the whole text "ssh://..." names a far volume: ERR_USAGE else.
 */
int far_name_parse(const char *text, bool is_place, struct far_host *ret_host, char **ret_name,
		   struct err *err);

/* Is name, as that host calls it, an image by its absolute path ("qcow2:/srv/web.qcow2"), or a place for one? */
bool far_name_is_image(const char *name);

/* "[user@]host[:port]", a key for what is the same way to the same host; free it. */
char *far_host_text(const struct far_host *host);

void far_host_free(struct far_host *host);

#endif
