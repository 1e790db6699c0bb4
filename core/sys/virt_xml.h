/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XML of domains: which disks there are, and how one gets another source. */
#ifndef SYS_VIRT_XML_H
#define SYS_VIRT_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/text.h"

struct err;

/* Where a disk's bytes are: what <source> and the type attribute beside it say. */
struct virt_source {
	char *type;		/* "file", "block", "network", "volume", ...; NULL: there is none */
	char *path;		/* file, block, dir: as written */
	char *protocol, *name;	/* network: "nbd", "rbd", ... and the export or image */
	char *host, *socket;	/* network: the first host ("h", "h:port", "[::1]:port"), or a unix socket */
	char *conf, *user;	/* network: a file of its configuration, who asks; or NULL */
	bool tls;		/* it says that it is under TLS; where it does not, qemu.conf decides */
	char *tls_hostname;	/* the name that the server's certificate has, if not its host's */
	char *index;		/* by which the nodes of a running domain's QEMU are called; or NULL */
	char *pool, *volume;	/* volume: of a storage pool */
	bool sliced;		/* only a window of it is the disk */
	uint64_t slice_offset, slice_bytes;
};

struct virt_disk {
	char *target;		/* "vda" */
	char *bus;
	char *device;		/* "disk", "cdrom", "floppy", "lun" */
	char *format;		/* of the driver: "raw", "qcow2"; or NULL */
	char *serial, *alias;
	bool readonly, shareable;
	struct virt_source source;
	struct virt_source *backing;	/* what it stands on, nearest first, as far as the XML tells */
	size_t backing_count;

	/* A block job that mirrors it. */
	bool mirrored;
	char *mirror_job;	/* "copy", "active-commit"; may be empty while it begins or ends */
	char *mirror_ready;	/* NULL, "yes", "abort", "pivot" */
	struct virt_source mirror;

	size_t begin, end;			/* the element's place in the XML */
	size_t tag_end;				/* of its start tag */
	size_t source_begin, source_end;	/* the <source> element; equal: there is none */
	size_t backing_begin, backing_end;	/* the <backingStore> element, the same */
};

struct virt_disks {
	struct virt_disk *items;
	size_t count;
	/* What it boots from beside its disks: "kernel", "initrd", "loader", "nvram", and their paths. */
	struct text_list boot_roles, boot_paths;
};

/* The disks of a domain; or of a lone <disk> element. */
int virt_xml_disks(const char *xml, struct virt_disks *ret_disks, struct err *err);
void virt_disks_free(struct virt_disks *disks);

/* NULL: there is no such target. */
const struct virt_disk *virt_disk_by_target(const struct virt_disks *disks, const char *target);

/* For people, and to compare: the path, or "nbd:h/export", "pool/volume"; NULL without a source.  Free it. */
char *virt_source_text(const struct virt_source *source);

/*
 * A <disk> element for a raw volume, as destination of a copy or to be
 * attached (then with more of it put in by the caller).  window: bytes of it
 * that are the disk, 0: all.  Free it.
 */
char *virt_xml_raw_disk(bool is_device, const char *path, uint64_t window);

/* The same for a <source> element on the network.  Free it. */
char *virt_xml_network_disk(const char *source);

/* text as it may stand in an attribute in single quotes, or between tags; free it. */
char *virt_xml_escape(const char *text);

/*
 * The domain's XML with another source for one disk, and not a byte more
 * changed: its type and its <source>.  The source is a device or a file.
 */
int virt_xml_repoint(const char *xml, const char *target, bool is_device, const char *path,
		     char **ret_xml, struct err *err);

/*
 * The domain's XML without what says where that disk's bytes are (its type, its
 * <source>, and the <backingStore/> that libvirt puts beside it): two that
 * are equal so differ in the disk's source alone.  Free it.
 */
int virt_xml_without_source(const char *xml, const char *target, char **ret_xml, struct err *err);

#endif
