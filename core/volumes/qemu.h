/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Volumes that QEMU's block drivers open for us: image files with a format of
 * their own, Ceph RBD images, iSCSI LUNs.  sys/qemu_daemon serves them, and from there
 * on they are NBD exports like others.
 */
#ifndef VOLUMES_QEMU_H
#define VOLUMES_QEMU_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"
#include "sys/rbd.h"
#include "volumes/spec.h"
#include "volumes/volume.h"

struct err;

/* A name of that kind, taken apart; strings are owned. */
struct qemu_name {
	const char *driver;	/* "qcow2", "vmdk", "vhdx", "vdi", "rbd", "iscsi" */
	char *path;		/* image file: absolute, not resolved; else NULL */
	bool directory;		/* path ends in '/' */
	char *pool, *image;	/* rbd; image NULL: a pool, as a place */
	char *conf, *user;	/* rbd: conf=, absolute, and id=; or NULL */
	char *portal, *target;	/* iscsi: "192.0.2.7:3260" and the IQN */
	uint64_t lun;
	char *chap_file;	/* iscsi: chap-file=, absolute; or NULL */
};

/* The driver that text names by its prefix, or NULL: it is no name of that kind. */
const char *qemu_driver_of(const char *text);

/*
 * Pure, as spec_parse().
 *	DRIVER:PATH
 *	rbd:POOL/IMAGE[:conf=FILE][:id=USER]	(a place also without /IMAGE)
 *	iscsi://PORTAL[:PORT]/IQN/LUN[?chap-file=FILE]
 */
int qemu_name_parse(struct qemu_name *name, const char *text, enum spec_role role, const char *cwd,
		    struct err *err);
void qemu_name_free(struct qemu_name *name);

/* What facts hold of such a volume, or of the place for one (then facts->kind is NULL). */
struct qemu_facts {
	const char *driver;
	uint64_t snapshots;		/* of it alone: they go with it, and no copy has them */

	/* Image files; who they are is told by dev and ino, as of any file. */
	uint64_t cluster;		/* the format's unit of allocation */
	struct text_list chain;		/* what it stands on, canonical, the nearest first */
	char *unusable;			/* "it is encrypted"; or NULL */

	/* RBD. */
	char *pool, *image;		/* image NULL: a place, the pool */
	char *conf, *user;
	char *pool_id;			/* see struct rbd_image; of a place, too; NULL: recorded by a version that kept none */
	char *id;			/* the image's, which it keeps when it is renamed */
	char *parent;			/* that it is a clone of; or NULL */
	uint64_t object_bytes;

	/* iSCSI, by QEMU's own initiator. */
	char *portal, *target;
	uint64_t lun;
	char *chap_file;
};

void qemu_facts_free(struct qemu_facts *facts);
json_t *qemu_facts_to_json(const struct qemu_facts *facts);
int qemu_facts_from_json(struct qemu_facts **ret, const json_t *json, struct err *err);

/* Is that kind one of them?  The kind is the driver's name. */
bool volume_ops_is_qemu(const char *kind);

/* Is it (or would it be) an image file, in a directory? */
bool qemu_is_image(const struct facts *facts);
bool qemu_is_rbd(const struct facts *facts);
bool qemu_is_lun(const struct facts *facts);

/* Is it a file, of whatever format?  Then it has a directory, dev and ino, and is removed by its name. */
bool volume_is_file(const struct facts *facts);

/* The image that rbd facts speak of; valid as long as they are. */
struct rbd_name qemu_rbd_name(const struct facts *facts);

/* What text names, as a place, is looked at soon: what can be done towards that beforehand is begun. */
void qemu_expect(const char *text);

/* Look at what the name says; see volume_inspect(). */
int look_for_qemu(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err);

/* The same for what was looked at before. */
int look_at_qemu_again(const struct facts *was, unsigned flags, struct facts *facts, struct err *err);

/* What the header of the image at facts->path, of the driver in facts->qemu, says of it, and of what it stands on. */
int qemu_look_at_header(struct facts *facts, struct err *err);

/* An image file at a path recorded earlier, as volume_inspect_path(); another file there is no error. */
int qemu_inspect_path(const char *driver, const char *path, unsigned flags, struct facts *ret_facts,
		      struct err *err);

/*
 * The name that a copy of source has at a place that gives none: that of the
 * source, but an ending that tells of a format is replaced by the place's.
 */
char *qemu_new_name(const struct facts *source, const struct facts *place);

/* The source's name without such an ending; free it. */
char *qemu_stem(const struct facts *source);

/* Sizes that the driver can have: bytes, or the next one that it can. */
uint64_t qemu_round_size(const char *driver, uint64_t bytes);

struct qemu_daemon;

/*
 * Start a process that serves it, and connect to that: *ret_fd is a connected
 * socket of the caller's.  stall_ms: how long a request may wait for a cluster
 * or target that does not answer, 0: for ever.  ret_ring: the socket for requests
 * through memory (see sys/nbd.h), of the caller's, or -1; NULL: it is not wanted.  ERR_REFUSED when another QEMU
 * has it (wait_for_locks: for longer than it takes one to end), or when it is
 * not the file that facts speak of.
 */
int qemu_serve(const struct facts *facts, bool writable, uint64_t stall_ms, bool wait_for_locks,
	       struct qemu_daemon **ret, int *ret_fd, int *ret_ring, struct err *err);

#endif
