/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engines behind sys/ioq.h have in common; nobody else includes it. */
#ifndef SYS_IOQ_ENGINE_H
#define SYS_IOQ_ENGINE_H

#include "sys/ioq.h"

#define IOQ_FILES_MAX 4

/* The arguments of ioq_open(). */
struct ioq_setup {
	const struct ioq_file *files;
	unsigned file_count;
	struct ioq *inner;		/* for exports: the queue of the other files */
	void *memory;
	size_t memory_size;
	unsigned depth;
};

struct ioq {
	const struct ioq_engine *engine;
	unsigned depth;
	unsigned in_flight;		/* kept by ioq.c */
	char reason[128];		/* why it is not io_uring; empty if it is, or was not wanted */
};

struct ioq_engine {
	const char *name;

	/* 0, or a negative errno when the kernel will not have it. */
	int (*open)(struct ioq **ret, const struct ioq_setup *setup);

	/* There is room: ioq.c has made sure of it. */
	void (*submit)(struct ioq *q, const struct ioq_request *request);

	/* Begin what was submitted, and do not wait.  NULL: wait() does it. */
	void (*start)(struct ioq *q);

	int (*wait)(struct ioq *q, struct ioq_result *results, unsigned max,
		    unsigned timeout_ms);
	void (*close)(struct ioq *q);

	/* Readable when there are results.  NULL: it does its work in wait(). */
	int (*poll_fd)(struct ioq *q);
};

extern const struct ioq_engine ioq_uring_engine, ioq_sync_engine, ioq_nbd_engine;

#endif
