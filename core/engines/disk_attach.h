/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Give a volume to a domain as a disk, and take it away again. */
#ifndef ENGINES_DISK_ATTACH_H
#define ENGINES_DISK_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct facts;
struct virt;

struct disk_attach_options {
	const char *domain;	/* its name or UUID */
	const char *target;	/* "vdb"; NULL: the first that is free */
	const char *bus;	/* "virtio", "scsi", "sata"; NULL: by the target, else virtio */
	const char *serial;	/* or NULL */
	bool readonly;
	bool live, config;	/* the running domain, its definition; neither: both that there are */
	uint64_t timeout_ms;	/* detach: how long to wait for the guest */
	bool dry_run;		/* look only */
};

/* How it is afterwards; or, after a failure, how it has been left. */
struct disk_attachment {
	char uuid[37];
	char domain[256];
	char target[32];
	bool live, config;	/* it is (attach), or was (detach), in the running domain, in its definition */
	bool already;		/* nothing had to be done */
};

/*
 * facts: inspected with uses.  Idempotent: what is there already, as it is
 * wanted, stays.  A volume that another domain or this host uses is
 * ERR_REFUSED.  What libvirt has made of it is looked at, not its answer.
 */
int disk_attach(struct virt *virt, const struct facts *facts, const struct disk_attach_options *options,
		struct disk_attachment *ret, struct err *err);

/*
 * The disk that is the volume, or with facts NULL options->target.  First from
 * the running domain, which takes until the guest lets go of it: when that does
 * not happen in time it is ERR_STOPPED, and the definition stays as it is.
 */
int disk_detach(struct virt *virt, const struct facts *facts, const struct disk_attach_options *options,
		struct disk_attachment *ret, struct err *err);

#endif
