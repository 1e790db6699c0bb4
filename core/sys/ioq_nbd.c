/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue where a file is an NBD export: its requests go to the server, those
 * of other files to the engine that would have all of them else.  One poll()
 * waits for both.
 */
#include "sys/ioq_engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/nbd.h"

struct mixed {
	struct ioq q;
	struct nbd *exports[IOQ_FILES_MAX];	/* NULL: the file is inner's */
	unsigned file_count;
	struct ioq *inner;			/* NULL: there are exports only */
};

static int mixed_open(struct ioq **ret, const struct ioq_setup *setup)
{
	struct mixed *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->file_count = setup->file_count;
	for (unsigned i = 0; i < setup->file_count; i++)
		m->exports[i] = setup->files[i].nbd;
	m->inner = setup->inner;
	*ret = &m->q;
	return 0;
}

static void mixed_submit(struct ioq *q, const struct ioq_request *request)
{
	struct mixed *m = (struct mixed *)q;
	bool ok;

	if (m->exports[request->file]) {
		/* Sending takes a while, in which the other file's requests get on. */
		if (m->inner && m->inner->engine->start)
			m->inner->engine->start(m->inner);
		nbd_export_submit(m->exports[request->file], request);
		return;
	}
	ok = ioq_submit(m->inner, request);
	assert(ok);
}

static unsigned collect(struct mixed *m, struct ioq_result *results, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->file_count && n < max; i++)
		if (m->exports[i])
			n += nbd_export_results(m->exports[i], results + n, max - n);
	return n;
}

/* What the other engine has: its system call hands it what is new, too. */
static int ask_inner(struct mixed *m, struct ioq_result *results, unsigned max)
{
	return m->inner && max && ioq_in_flight(m->inner) ? ioq_wait(m->inner, results, max, 0) : 0;
}

static int mixed_wait(struct ioq *q, struct ioq_result *results, unsigned max, unsigned timeout_ms)
{
	struct mixed *m = (struct mixed *)q;
	struct pollfd fds[1 + IOQ_FILES_MAX * NBD_POLLS_MOST];
	unsigned count = 0, done = 0, begins[IOQ_FILES_MAX], counts[IOQ_FILES_MAX];
	int n, ring = -1;
	uint64_t events;

	/* Before results are taken, so that none of them comes without an event behind it. */
	if (m->inner && m->inner->engine->poll_fd)
		ring = m->inner->engine->poll_fd(m->inner);
	if (ring >= 0 && read(ring, &events, sizeof(events)) < 0 && errno != EAGAIN)
		return -errno;
	n = ask_inner(m, results, max);
	if (n < 0)
		return n;
	done = (unsigned)n + collect(m, results + n, max - (unsigned)n);
	if (m->inner && ioq_in_flight(m->inner)) {
		/* An engine that works only when it is asked to is not waited for. */
		if (ring < 0)
			timeout_ms = 0;
		else
			fds[count++] = (struct pollfd){ .fd = ring, .events = POLLIN };
	}
	for (unsigned i = 0; i < m->file_count; i++) {
		begins[i] = count;
		counts[i] = m->exports[i] ? nbd_export_poll(m->exports[i], fds + count) : 0;
		count += counts[i];
	}
	/* A signal ends it early. */
	if (poll(fds, count, done ? 0 : (int)timeout_ms) <= 0)
		return (int)done;
	for (unsigned i = 0; i < m->file_count; i++)
		if (counts[i])
			nbd_export_turn(m->exports[i], fds + begins[i], counts[i]);
	done += collect(m, results + done, max - done);
	if (ring >= 0 && count && fds[0].fd == ring && fds[0].revents) {
		n = ask_inner(m, results + done, max - done);
		/* What has come in already must not be lost; the error comes back. */
		if (n < 0 && !done)
			return n;
		done += n > 0 ? (unsigned)n : 0;
	}
	return (int)done;
}

static void mixed_close(struct ioq *q)
{
	struct mixed *m = (struct mixed *)q;

	ioq_close(m->inner);
	free(m);
}

const struct ioq_engine ioq_nbd_engine = {
	.name	= "nbd",
	.open	= mixed_open,
	.submit	= mixed_submit,
	.wait	= mixed_wait,
	.close	= mixed_close,
};
