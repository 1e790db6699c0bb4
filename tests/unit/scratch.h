/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory of the test's own, with raw images in it; what fails here ends the test program. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

struct volume;

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)

/*
 * Group setup and teardown for cmocka: go into a new directory below $TMPDIR,
 * or below where we are (which is on a disk, where /tmp may be none).
 */
int scratch_enter(void **state);
int scratch_leave(void **state);

/* An image of so many bytes, all hole; what was there before is gone. */
void scratch_make(const char *name, uint64_t bytes);

/* Write what looks random and has no zero byte; the same seed gives the same. */
void scratch_fill(const char *name, uint64_t offset, uint64_t length, unsigned seed);

/* Write zeroes, so that they are allocated. */
void scratch_zeroes(const char *name, uint64_t offset, uint64_t length);

/* Change one bit. */
void scratch_flip(const char *name, uint64_t offset);

uint64_t scratch_allocated(const char *name);

/* Where the first bytes of the two differ; bytes when they do not. */
uint64_t scratch_differ(const char *a, const char *b, uint64_t bytes);

/* As the program opens it; flags are enum open_flags. */
void scratch_open(struct volume *vol, const char *name, unsigned flags);
void scratch_close(struct volume *vol);

/*
 * Run in a child process, for what leaves its traces in a process (faults that
 * fire once, limits, seccomp).  environment is "NAME=VALUE" or NULL.  Returns
 * what run() returned, 0 to 98, or SCRATCH_KILLED; anything else aborts.
 */
#define SCRATCH_KILLED 128
int scratch_child(const char *environment, int (*run)(void *data), void *data);

/* In a child, where cmocka's asserts must not be used: say what is wrong and return 1. */
#define EXPECT(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			return 1; \
		} \
	} while (0)

/*
 * The engine that a test is to run with, out of its initial state; the test is
 * skipped when it is io_uring and the kernel does not let us.
 */
const char *scratch_engine(void **state);

/* The entries of a table of tests for a test that runs with each of them. */
#define WITH_BOTH_ENGINES(function) \
	{ #function " (uring)", function, NULL, NULL, "uring" }, \
	{ #function " (sync)", function, NULL, NULL, "sync" }

/* Does a sanitizer or valgrind make memory and time mean little? */
bool scratch_is_slow(void);

#endif
