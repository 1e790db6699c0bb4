/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A queue of reads, writes and flushes on a few open files or NBD exports, with buffers known beforehand. */
#ifndef SYS_IOQ_H
#define SYS_IOQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct nbd;

enum ioq_op {
	IOQ_READ,
	IOQ_WRITE,
	IOQ_FLUSH,		/* fdatasync; orders itself after nothing: wait for the writes first */
};

struct ioq_file {
	int fd;
	struct nbd *nbd;	/* instead of fd; or NULL */
};

struct ioq_request {
	enum ioq_op op;
	unsigned file;		/* index into the files given to ioq_open() */
	void *buffer;		/* inside the memory given to ioq_open() */
	size_t length;
	uint64_t offset;
	uint64_t tag;		/* comes back with the result */
};

struct ioq_result {
	uint64_t tag;
	int64_t result;		/* bytes transferred (may be short), or a negative errno */
};

struct ioq;

/*
 * Open a queue over files and over one block of page-aligned memory.
 *
 * engine is "uring", "sync", or NULL: what the environment variable VOLMIG_IO
 * says, else io_uring where the kernel has it and allows it (sysctl, seccomp),
 * else pread and pwrite.  depth is the most requests in flight.  What is an
 * export is none of that engine's business, but goes to its server.
 */
int ioq_open(struct ioq **ret, const char *engine, const struct ioq_file *files, unsigned file_count,
	     void *memory, size_t memory_size, unsigned depth, struct err *err);

/* "uring" or "sync", of exports alone "nbd". */
const char *ioq_engine(const struct ioq *q);

/* Why it is not io_uring though the caller did not say so, or NULL. */
const char *ioq_fallback_reason(const struct ioq *q);

/* Queue a request; false when depth requests are in flight already. */
bool ioq_submit(struct ioq *q, const struct ioq_request *request);

unsigned ioq_in_flight(const struct ioq *q);

/*
 * Hand what is queued to the kernel and wait for at least one result, but not
 * longer than timeout_ms.  Returns the number of results, 0 on time-out or
 * when a signal came, or a negative errno.  The sync engine does its work in
 * here, one request a call, and cannot be timed out while the kernel has it.
 */
int ioq_wait(struct ioq *q, struct ioq_result *results, unsigned max, unsigned timeout_ms);

/*
 * NULL is fine.  Does not wait for requests that are still in flight: the
 * kernel finishes them, so the memory must be one that nobody uses again, and
 * the files stay open until then, whoever closes them.  Exports stay the
 * caller's, and forget their requests when they are closed.
 */
void ioq_close(struct ioq *q);

#endif
