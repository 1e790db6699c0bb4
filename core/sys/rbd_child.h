/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that librbd runs in, seen from outside: one for each cluster and user. */
#ifndef SYS_RBD_CHILD_H
#define SYS_RBD_CHILD_H

#include <jansson.h>
#include <stdint.h>

struct err;
struct rbd_name;

/* It will be asked: the process is begun, and loads the library meanwhile. */
void rbd_child_begin(const struct rbd_name *name);

/*
 * Ask for something (see rbd_calls.h; request is taken over) and wait for the
 * answer, which is the caller's.  object, doing: what errors are about, "rbd:pool/web",
 * and what could not be done, "cannot look at the image".  NULL when there is no
 * answer in time, or the process dies (ERR_FAILED), or the user asks to stop
 * (ERR_STOPPED): it is not known then whether it was done.
 */
json_t *rbd_child_ask(const struct rbd_name *name, json_t *request, const char *object, const char *doing,
		      uint64_t timeout_ms, struct err *err);

#endif
