/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue by io_uring, with registered files and buffers where the kernel lets us. */
#include "sys/ioq_engine.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BRIEF_BYTES (4U << 20)		/* of memory: up to so much, only little is to be done */

struct uring {
	struct ioq q;
	struct io_uring ring;
	int fds[IOQ_FILES_MAX];
	bool files_registered;
	bool memory_registered;
	int event_fd;			/* made when somebody wants to poll(); else -1 */
};

/*
 * We are one thread that comes back for its results anyway, so completions
 * need not interrupt it (6.1 and later), nor signal it (5.19 and later).
 */
static int init_ring(struct io_uring *ring, unsigned depth)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int r = -EINVAL;

	for (size_t i = 0; r == -EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++)
		r = io_uring_queue_init(depth, ring, flags[i]);
	return r;
}

/*
 * Waiting with a time-out inside io_uring_enter() came with 5.11, and so did
 * everything else used here; before it the time-out would be a request of its
 * own among ours.
 */
static bool new_enough(const struct io_uring *ring)
{
	return (ring->features & IORING_FEAT_EXT_ARG) && (ring->features & IORING_FEAT_NODROP);
}

static int uring_open(struct ioq **ret, const struct ioq_setup *setup)
{
	struct iovec memory = { setup->memory, setup->memory_size };
	struct uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	r = init_ring(&u->ring, setup->depth);
	if (r < 0) {
		free(u);
		return r;
	}
	if (!new_enough(&u->ring)) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return -ENOSYS;
	}
	for (unsigned i = 0; i < setup->file_count; i++)
		u->fds[i] = setup->files[i].fd;
	u->event_fd = -1;
	/*
	 * Registering saves work for each request, no more: where it is
	 * refused (mostly for RLIMIT_MEMLOCK), requests name the plain thing.
	 * For a few requests it takes longer than they do.
	 */
	if (setup->memory_size <= BRIEF_BYTES) {
		*ret = &u->q;
		return 0;
	}
	u->files_registered = io_uring_register_files(&u->ring, u->fds, setup->file_count) == 0;
	u->memory_registered = io_uring_register_buffers(&u->ring, &memory, 1) == 0;
	*ret = &u->q;
	return 0;
}

static void uring_submit(struct ioq *q, const struct ioq_request *r)
{
	struct uring *u = (struct uring *)q;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	int fd = u->files_registered ? (int)r->file : u->fds[r->file];
	unsigned length = (unsigned)r->length;

	/*
	 * The ring has room for depth entries, and none is queued beyond
	 * depth requests in flight, so there always is one.
	 */
	if (!sqe)
		abort();
	switch (r->op) {
	case IOQ_READ:
		if (u->memory_registered)
			io_uring_prep_read_fixed(sqe, fd, r->buffer, length, r->offset, 0);
		else
			io_uring_prep_read(sqe, fd, r->buffer, length, r->offset);
		break;
	case IOQ_WRITE:
		if (u->memory_registered)
			io_uring_prep_write_fixed(sqe, fd, r->buffer, length, r->offset, 0);
		else
			io_uring_prep_write(sqe, fd, r->buffer, length, r->offset);
		break;
	case IOQ_FLUSH:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	}
	if (u->files_registered)
		sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = r->tag;
}

/* What the kernel does not take now, it is given again with the next wait. */
static void uring_start(struct ioq *q)
{
	struct uring *u = (struct uring *)q;

	if (io_uring_sq_ready(&u->ring) > 0)
		io_uring_submit(&u->ring);
}

static int uring_wait(struct ioq *q, struct ioq_result *results, unsigned max,
		      unsigned timeout_ms)
{
	struct uring *u = (struct uring *)q;
	struct __kernel_timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &timeout, NULL);

	/* EAGAIN and EBUSY: the kernel is short of memory; what it did not take stays queued. */
	if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN && r != -EBUSY)
		return r;
	io_uring_for_each_cqe(&u->ring, head, cqe) {
		if (n == max)
			break;
		results[n].tag = cqe->user_data;
		results[n].result = cqe->res;
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	return (int)n;
}

/*
 * Not the ring's own descriptor: with completions that wait for us to come for
 * them (DEFER_TASKRUN) that one becomes readable only once we do.
 */
static int uring_poll_fd(struct ioq *q)
{
	struct uring *u = (struct uring *)q;

	if (u->event_fd < 0) {
		u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (u->event_fd >= 0 && io_uring_register_eventfd(&u->ring, u->event_fd) < 0) {
			close(u->event_fd);
			u->event_fd = -1;
		}
	}
	return u->event_fd;
}

static void uring_close(struct ioq *q)
{
	struct uring *u = (struct uring *)q;

	/*
	 * The kernel takes a ring apart in its own time, and keeps the files
	 * open until then: a device that was claimed (O_EXCL) could not be
	 * claimed again by the next step.  So they are let go of here, unless
	 * stuck requests would make that wait.
	 */
	if (u->files_registered && q->in_flight == 0)
		io_uring_unregister_files(&u->ring);
	io_uring_queue_exit(&u->ring);
	if (u->event_fd >= 0)
		close(u->event_fd);
	free(u);
}

const struct ioq_engine ioq_uring_engine = {
	.name	= "uring",
	.open	= uring_open,
	.submit	= uring_submit,
	.start	= uring_start,
	.wait	= uring_wait,
	.close	= uring_close,
	.poll_fd = uring_poll_fd,
};
