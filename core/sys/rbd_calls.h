/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that librbd runs in.  One that waits for a cluster which does not
 * answer can be ended there, and an assertion that fails ends nothing but it;
 * and the library is loaded and the cluster connected to but once.
 */
#ifndef SYS_RBD_CALLS_H
#define SYS_RBD_CALLS_H

/* Where a request has failed: the answer's "at". */
#define RBD_AT_LIBRARY "library"	/* with a "text" that says why */
#define RBD_AT_CONF "conf"
#define RBD_AT_CLUSTER "cluster"
#define RBD_AT_POOL "pool"
#define RBD_AT_IMAGE "image"
#define RBD_AT_LOCK "lock"

/*
 * In the process: answer what is asked for by one JSON object a line over talk,
 * until the other end is closed.  conf, user: as in struct rbd_name.
 *
 * A request: "do" (look, du, create, rename, remove, list), "pool", "image",
 * "connect_s" and "operation_s" (how long the cluster may take for each), "pool_id"
 * (of the only pool where it may be done, or none), and what do needs: "watchers" (a boolean), "free" (the id of the image whose lock
 * nobody shall have), "bytes", "to", "prefix".
 * An answer: what was asked for, or "error", an errno, and "at"; with the "pool_id"
 * where a pool was come to.  ESTALE at the pool: it is another.  To look at an
 * image that there is not is answered with "absent".
 */
_Noreturn void rbd_calls_serve(int talk, const char *conf, const char *user);

#endif
