/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the far side share: serve.c, the requests; serve_plan.c; serve_data.c; serve_lease.c. */
#ifndef SERVE_PARTS_H
#define SERVE_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "job.h"
#include "serve.h"
#include "sys/wire.h"

struct err;
struct plan;
struct wanted;

struct session {
	const struct serve_options *options;
	char *state_dir;
	struct wire wire;
	struct job job;			/* of a control channel, once there is one */
	bool attached;
	bool lost;			/* nobody listens any more */
};

/* Plan this side's part as it is now; flags of volume.h.  ERR_REFUSED for what is not allowed here. */
int serve_plan(const struct session *session, const struct wanted *wanted, const char *id,
	       unsigned flags, struct plan *ret_plan, struct err *err);

/* What a volume is that may become a source. */
int serve_look(const struct session *session, const char *name, struct facts *ret, struct err *err);

/* Does an image that is open still stand on nothing but what may be served?  Its header may have changed since the plan. */
int serve_check_image(const struct session *session, const struct facts *facts, struct err *err);

/* Is the job where its bytes are moved?  ERR_REFUSED if not. */
bool serve_moves_bytes(const struct job *job, struct err *err);

/* The volume's bytes from here on; comes back only with an error. */
int serve_data(struct session *session, const json_t *hello, struct err *err);

/* End the process that serves the job's bytes, and wait until it is gone. */
int serve_end_data(const char *job_dir, struct err *err);

/* End whoever else works on the job: the other side has come by a new connection. */
int serve_take_over(const char *state_dir, const char *id, struct err *err);

/* The job is still wanted: its lease begins anew. */
void serve_renew(const struct job *job);

/* See to it that the job is ended when its lease is over, whatever becomes of this process. */
void serve_watch(const struct session *session);

/* The job has ended: nobody needs to watch. */
void serve_unwatch(const char *job_dir);

/* Take a lock on a file of the job's directory that lasts as long as this process; -1 and the holder. */
int serve_lock(const char *job_dir, const char *name, pid_t *ret_holder);

/* End a process and wait for it. */
int serve_end_process(pid_t pid, bool gently, const char *object, struct err *err);

#endif
