/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which domains use a volume, running or shut off: found by what the volume is,
 * not by what it is called.
 */
#ifndef VOLUMES_GUESTS_H
#define VOLUMES_GUESTS_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct facts;
struct virt;

/* One way in which one domain uses a volume. */
struct guest_use {
	char uuid[37];
	char *domain;		/* its name */
	char *role;		/* a disk's target, "vda"; or "kernel", "nvram", ... */
	bool disk;		/* role is a disk's target */
	bool backing;		/* the disk's image stands on it */
	bool mirror;		/* the disk is being mirrored onto it */
	bool running;		/* the domain is */
	bool live, config;	/* so it is in the running domain; in its definition */
	bool readonly, shareable;
	bool bare;		/* its <source> says where it is, and nothing else */
	char *device;		/* "disk", "lun", "cdrom", "floppy"; or NULL */
	char *definition;	/* the domain's XML as it is defined, if it is; or NULL */
	char *tied;		/* what else hangs on the disk being there ("3 snapshots"); or NULL */
	bool autostart;
	char *text;		/* "disk vda of domain web (shut off)"; also among facts->uses */
};

/*
 * Which libvirt is asked from now on, for the process as a whole: an operator
 * tells it once, and every look at a volume has to ask the same one.  NULL is
 * libvirt's default, and then nobody is asked where no libvirtd listens on its
 * local socket: no guest can use a volume on a host without one.  "none": nobody
 * is asked.  Several with spaces between them: the first has the domains that
 * anything is done to, and the volumes that domains of the others use are in use.
 */
void guests_set_uri(const char *uri);

/* What that comes to: as set, or from LIBVIRT_DEFAULT_URI; NULL: libvirt's default. */
const char *guests_uri(void);

/* The connection that is used for it, made when it is first wanted.  NULL, and no error: there is nobody to ask. */
int guests_connection(struct virt **ret_virt, struct err *err);

/* Is it worth saying that domains were not looked at?  A text for people, or NULL; free it. */
char *guests_unseen(void);

/*
 * Add to facts->guests and facts->uses who uses the volume.  A libvirtd that
 * is there but does not answer is ERR_REFUSED: then nobody knows.
 */
int guests_look(struct facts *facts, struct err *err);

void guests_free(struct guest_use *guests, size_t count);

/* Is one of the domains that use it running? */
bool guests_run(const struct facts *facts);

/* Is that text, one of facts->uses, the disk target of that domain, and not what that stands on? */
bool guests_is_disk(const struct facts *facts, const char *text, const char *uuid, const char *target);

/*
 * The uses that are in the way, "a, b and c", or NULL; free it.  Not in the way
 * are those by shut-off domains: of the one with that UUID, or with "*" of any;
 * with NULL all are.
 */
char *guests_uses_besides(const struct facts *facts, const char *uuid);

/* Is there none of those?  Else ERR_REFUSED of object, and what to do: "end that use" and then. */
int guests_check_unused(const struct facts *facts, const char *uuid, const char *object, const char *what,
			struct err *err);

#endif
