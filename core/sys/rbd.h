/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ceph RBD images, by librbd: what they are, made, renamed, removed.  Every
 * call is under a time limit, and so is what the library does by itself: a
 * cluster that does not answer would keep it for ever.  The first call for a
 * cluster loads the library and connects, the others only ask.
 *
 * The functions are called rbd_image_*, for librbd has taken the shorter names.
 */
#ifndef SYS_RBD_H
#define SYS_RBD_H

#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;

/* Which image of which cluster; strings are the caller's. */
struct rbd_name {
	const char *pool, *image;
	const char *conf;	/* NULL: Ceph's own choice */
	const char *user;	/* without "client."; NULL: admin */
	/*
	 * Which pool that has to be, as struct rbd_image has it; NULL: whichever is called so.  To look for an
	 * image in another, or to do anything there, is an error (ERR_REFUSED, ESTALE): pools are made anew,
	 * and conf may lead to another cluster by now.
	 */
	const char *pool_id;
};

struct rbd_image {
	char *pool_id;			/* the cluster's fsid and the pool's number, which neither gets again */
	char *id;			/* of the image, whatever its name; one of its pool has it */
	uint64_t bytes;			/* exact; QEMU shows it rounded up to 512 */
	uint64_t object_bytes;
	uint64_t snapshots;
	char *parent;			/* "pool/image@snapshot" that it is a clone of, or NULL */
	struct text_list watchers;	/* addresses of clients that have it open */
	struct text_list lockers;	/* locks of others that were taken by hand, and whose they are */
};

/* Why there is no librbd to be had, or NULL. */
const char *rbd_image_missing(void);

void rbd_image_free(struct rbd_image *image);

/*
 * Something will be asked of that cluster soon: the library is loaded from now
 * on, beside whatever else is done before that.  Nothing is said to the cluster.
 */
void rbd_image_expect(const struct rbd_name *name);

/*
 * Look at it, and where watchers is true at who has it open or locked.  1 there it is, 0 there is no such image (in a pool that exists:
 * only its pool_id is set), -1 error: no cluster, no right to, no pool (ERR_REFUSED).
 */
int rbd_image_look(const struct rbd_name *name, bool watchers, struct rbd_image *ret_image, struct err *err);

/*
 * 0: the image of that name is the one with that id; else err says what there is.
 * free_lock: it is going to be written to; whoever has its exclusive lock shall
 * have let go of it.  For one that has died that is waited for.
 */
int rbd_image_check_id(const struct rbd_name *name, const char *id, bool free_lock, struct err *err);

/* How much of it is allocated, as the cluster counts; bytes when it does not tell. */
uint64_t rbd_image_allocated(const struct rbd_name *name, uint64_t bytes);

/* ERR_FAILED, number EEXIST: there is one of that name. */
int rbd_image_create(const struct rbd_name *name, uint64_t bytes, struct err *err);
int rbd_image_rename(const struct rbd_name *name, const char *to, struct err *err);

/* Waits for the watch of a client that has died to expire. */
int rbd_image_remove(const struct rbd_name *name, struct err *err);

/* The names of those images of name->pool that begin with prefix. */
int rbd_image_list(const struct rbd_name *name, const char *prefix, struct text_list *ret_images,
		   struct err *err);

/*
 * For programs that use librados otherwise than by this file: an entry of the
 * environment that keeps it from waiting for ever.  stall_ms: how long an
 * operation may wait for the cluster, 0: as long as it takes.  Free it.
 */
char *rbd_environment(uint64_t stall_ms);

#endif
