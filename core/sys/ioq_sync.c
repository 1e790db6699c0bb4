/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue by pread and pwrite, one request after the other: works everywhere. */
#include "sys/ioq_engine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct sync {
	struct ioq q;
	int fds[IOQ_FILES_MAX];
	unsigned size;			/* of the ring below */
	unsigned first;			/* the oldest request; q.in_flight follow */
	struct ioq_request ring[];
};

static int sync_open(struct ioq **ret, const struct ioq_setup *setup)
{
	struct sync *s = calloc(1, sizeof(*s) + setup->depth * sizeof(s->ring[0]));

	if (!s)
		return -ENOMEM;
	for (unsigned i = 0; i < setup->file_count; i++)
		s->fds[i] = setup->files[i].fd;
	s->size = setup->depth;
	*ret = &s->q;
	return 0;
}

static void sync_submit(struct ioq *q, const struct ioq_request *request)
{
	struct sync *s = (struct sync *)q;

	s->ring[(s->first + q->in_flight) % s->size] = *request;
}

static int64_t run(const struct sync *s, const struct ioq_request *r)
{
	int fd = s->fds[r->file];
	ssize_t n = -1;

	switch (r->op) {
	case IOQ_READ:
		n = pread(fd, r->buffer, r->length, (off_t)r->offset);
		break;
	case IOQ_WRITE:
		n = pwrite(fd, r->buffer, r->length, (off_t)r->offset);
		break;
	case IOQ_FLUSH:
		n = fdatasync(fd);
		break;
	}
	return n < 0 ? -errno : n;
}

static int sync_wait(struct ioq *q, struct ioq_result *results, unsigned max,
		     unsigned timeout_ms)
{
	struct sync *s = (struct sync *)q;
	const struct ioq_request *r = &s->ring[s->first];

	if (max == 0)
		return 0;
	if (q->in_flight == 0) {
		/* A signal ends it early, as it ends the kernel's wait. */
		poll(NULL, 0, (int)timeout_ms);
		return 0;
	}
	results[0].tag = r->tag;
	results[0].result = run(s, r);
	s->first = (s->first + 1) % s->size;
	return 1;
}

static void sync_close(struct ioq *q)
{
	free(q);
}

const struct ioq_engine ioq_sync_engine = {
	.name	= "sync",
	.open	= sync_open,
	.submit	= sync_submit,
	.wait	= sync_wait,
	.close	= sync_close,
};
