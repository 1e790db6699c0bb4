/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Something that may hang in the kernel, under a time limit: done by a child
 * process.  A thread would not do, for a process cannot end while one of its
 * threads waits for a device that does not answer.
 */
#ifndef SUPPORT_CHILD_H
#define SUPPORT_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * run() is called in the child, which has none of our descriptors; it makes
 * system calls and nothing else, and what it has to tell lies in memory that is
 * shared (mmap).  0 and *ret_status what it returned (0 ... 255); -1 when it has
 * not come back in time (it is killed, and left to the kernel), or there could
 * be no child.
 */
int child_run(int (*run)(void *data), void *data, uint64_t limit_ms, int *ret_status);

/* The same, but the child has these two; a negative one is none. */
int child_run_with(int (*run)(void *data), void *data, const int fds[2], uint64_t limit_ms, int *ret_status);

#endif
