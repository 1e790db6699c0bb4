/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which engine carries a queue, and what is the same for all of them. */
#include "sys/ioq_engine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"

static const char *reason_of(int number, char buf[static 64])
{
	switch (number) {
	case ENOSYS:
		return "this kernel has no io_uring, or one that is too old";
	case EPERM:
	case EACCES:
		return "io_uring is forbidden here";
	default:
		snprintf(buf, 64, "io_uring: %s", strerror(number));
		return buf;
	}
}

/* Of files alone: by the best engine there is, or by that which is wanted. */
static int open_plain(struct ioq **ret, const char *engine, const struct ioq_setup *setup,
		      struct err *err)
{
	const char *variable = engine ? NULL : getenv("VOLMIG_IO");
	const char *want = variable && *variable ? variable : engine;
	const char *reason = variable && *variable ? "VOLMIG_IO=sync" : "";
	char buf[64];
	int r;

	if (want && strcmp(want, "uring") != 0 && strcmp(want, "sync") != 0)
		return err_set(err, ERR_USAGE, variable ? "VOLMIG_IO" : NULL,
			       "no such I/O engine: %s (there are uring and sync)", want);
	if (!want || !strcmp(want, "uring")) {
		r = ioq_uring_engine.open(ret, setup);
		if (r == 0) {
			(*ret)->engine = &ioq_uring_engine;
			(*ret)->depth = setup->depth;
			return 0;
		}
		reason = reason_of(-r, buf);
		if (want)
			return err_sys(err, -r, NULL, "cannot use io_uring as asked");
	}
	r = ioq_sync_engine.open(ret, setup);
	if (r < 0)
		return err_sys(err, -r, NULL, "cannot set up I/O");
	(*ret)->engine = &ioq_sync_engine;
	(*ret)->depth = setup->depth;
	snprintf((*ret)->reason, sizeof((*ret)->reason), "%s", reason);
	return 0;
}

int ioq_open(struct ioq **ret, const char *engine, const struct ioq_file *files, unsigned file_count,
	     void *memory, size_t memory_size, unsigned depth, struct err *err)
{
	struct ioq_setup setup = { files, file_count, NULL, memory, memory_size, depth };
	unsigned exports = 0;
	int r;

	assert(file_count > 0 && file_count <= IOQ_FILES_MAX && depth > 0);
	for (unsigned i = 0; i < file_count; i++)
		exports += files[i].nbd != NULL;
	if (exports == 0)
		return open_plain(ret, engine, &setup, err);
	if (exports < file_count && open_plain(&setup.inner, engine, &setup, err) < 0)
		return -1;
	r = ioq_nbd_engine.open(ret, &setup);
	if (r < 0) {
		ioq_close(setup.inner);
		return err_sys(err, -r, NULL, "cannot set up I/O");
	}
	(*ret)->engine = &ioq_nbd_engine;
	(*ret)->depth = depth;
	if (setup.inner)
		snprintf((*ret)->reason, sizeof((*ret)->reason), "%s", setup.inner->reason);
	return 0;
}

const char *ioq_engine(const struct ioq *q)
{
	return q->engine->name;
}

const char *ioq_fallback_reason(const struct ioq *q)
{
	return q->reason[0] ? q->reason : NULL;
}

bool ioq_submit(struct ioq *q, const struct ioq_request *request)
{
	if (q->in_flight >= q->depth)
		return false;
	q->engine->submit(q, request);
	q->in_flight++;
	return true;
}

unsigned ioq_in_flight(const struct ioq *q)
{
	return q->in_flight;
}

int ioq_wait(struct ioq *q, struct ioq_result *results, unsigned max, unsigned timeout_ms)
{
	int n = q->engine->wait(q, results, max, timeout_ms);

	if (n > 0)
		q->in_flight -= (unsigned)n;
	return n;
}

void ioq_close(struct ioq *q)
{
	if (q)
		q->engine->close(q);
}
