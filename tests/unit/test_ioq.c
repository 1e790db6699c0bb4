/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both queues do the same, and io_uring is done without where it is forbidden. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "scratch.h"
#include "support/err.h"
#include "sys/ioq.h"

#define DEPTH 4

struct bench {
	struct ioq *q;
	struct ioq_file files[2];
	unsigned char *memory;
	size_t size;
};

static void bench_close(struct bench *b)
{
	ioq_close(b->q);
	munmap(b->memory, b->size);
	close(b->files[0].fd);
	close(b->files[1].fd);
}

/* Two files, "a" with data and "b" empty, 1 MiB each. */
static int bench_open(struct bench *b, const char *engine)
{
	struct err err = ERR_INIT;

	scratch_make("a", MIB);
	scratch_fill("a", 0, MIB, 1);
	scratch_make("b", MIB);
	b->files[0] = (struct ioq_file){ .fd = open("a", O_RDONLY | O_CLOEXEC) };
	b->files[1] = (struct ioq_file){ .fd = open("b", O_RDWR | O_CLOEXEC) };
	b->size = DEPTH * MIB;
	b->memory = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ioq_open(&b->q, engine, b->files, 2, b->memory, b->size, DEPTH, &err);
}

static void wait_for(struct ioq *q, struct ioq_result *result)
{
	int n;

	do {
		n = ioq_wait(q, result, 1, 1000);
		assert_true(n >= 0);
	} while (n == 0);
}

static void submit(struct bench *b, enum ioq_op op, unsigned file, size_t at, size_t length,
		   uint64_t offset, uint64_t tag)
{
	assert_true(ioq_submit(b->q, &(struct ioq_request){
		.op = op, .file = file, .buffer = b->memory + at, .length = length,
		.offset = offset, .tag = tag,
	}));
}

static void test_copy_a_file(void **state)
{
	struct ioq_result result;
	struct bench b;
	unsigned seen = 0;

	assert_int_equal(bench_open(&b, scratch_engine(state)), 0);
	assert_string_equal(ioq_engine(b.q), *state);
	assert_null(ioq_fallback_reason(b.q));
	for (unsigned i = 0; i < DEPTH; i++)
		submit(&b, IOQ_READ, 0, i * MIB, 256 * KIB, i * 256 * KIB, i);
	assert_int_equal(ioq_in_flight(b.q), DEPTH);
	for (unsigned i = 0; i < DEPTH; i++) {
		wait_for(b.q, &result);
		assert_int_equal(result.result, 256 * KIB);
		seen |= 1U << result.tag;
	}
	assert_int_equal(seen, (1U << DEPTH) - 1);
	assert_int_equal(ioq_in_flight(b.q), 0);
	for (unsigned i = 0; i < DEPTH; i++)
		submit(&b, IOQ_WRITE, 1, i * MIB, 256 * KIB, i * 256 * KIB, i);
	for (unsigned i = 0; i < DEPTH; i++) {
		wait_for(b.q, &result);
		assert_int_equal(result.result, 256 * KIB);
	}
	submit(&b, IOQ_FLUSH, 1, 0, 0, 0, 99);
	wait_for(b.q, &result);
	assert_int_equal(result.tag, 99);
	assert_int_equal(result.result, 0);
	bench_close(&b);
	assert_int_equal(scratch_differ("a", "b", MIB), MIB);
}

static void test_short_and_failing(void **state)
{
	struct ioq_result result;
	struct bench b;

	assert_int_equal(bench_open(&b, scratch_engine(state)), 0);
	submit(&b, IOQ_READ, 0, 0, 8192, MIB - 100, 1);
	wait_for(b.q, &result);
	assert_int_equal(result.result, 100);
	submit(&b, IOQ_READ, 0, 0, 8192, MIB, 2);
	wait_for(b.q, &result);
	assert_int_equal(result.result, 0);
	/* File 0 is open for reading only. */
	submit(&b, IOQ_WRITE, 0, 0, 4096, 0, 3);
	wait_for(b.q, &result);
	assert_int_equal(result.tag, 3);
	assert_int_equal(result.result, -EBADF);
	bench_close(&b);
}

static void test_depth_is_the_limit(void **state)
{
	const struct ioq_request request = { .op = IOQ_FLUSH, .file = 1 };
	struct ioq_result results[DEPTH];
	struct bench b;
	int n;

	assert_int_equal(bench_open(&b, scratch_engine(state)), 0);
	for (int round = 0; round < 100; round++) {
		while (ioq_in_flight(b.q) < DEPTH)
			assert_true(ioq_submit(b.q, &request));
		assert_false(ioq_submit(b.q, &request));
		n = ioq_wait(b.q, results, DEPTH, 1000);
		assert_true(n >= 0);
		assert_int_equal(ioq_in_flight(b.q), DEPTH - (unsigned)n);
	}
	bench_close(&b);
}

static void nothing(int signum)
{
	(void)signum;
}

static void test_waits_end(void **state)
{
	/* Again and again: the first may come before the wait has begun. */
	const struct itimerval soon = {
		.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000,
	};
	const struct itimerval never = { .it_value.tv_usec = 0 };
	struct sigaction action = { .sa_handler = nothing };
	struct ioq_result result;
	struct bench b;

	assert_int_equal(bench_open(&b, scratch_engine(state)), 0);
	assert_int_equal(ioq_wait(b.q, &result, 1, 0), 0);
	assert_int_equal(ioq_wait(b.q, &result, 1, 10), 0);
	/*
	 * Without the signal this would take a day; and so it does under
	 * valgrind, which holds signals back during a call that it believes
	 * cannot block.
	 */
	if (!scratch_is_slow()) {
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &soon, NULL);
		assert_int_equal(ioq_wait(b.q, &result, 1, 86400000), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	}
	bench_close(&b);
}

static void test_environment(void **state)
{
	struct err err = ERR_INIT;
	struct bench b;

	(void)state;
	setenv("VOLMIG_IO", "sync", 1);
	assert_int_equal(bench_open(&b, NULL), 0);
	assert_string_equal(ioq_engine(b.q), "sync");
	assert_string_equal(ioq_fallback_reason(b.q), "VOLMIG_IO=sync");
	bench_close(&b);

	/* The caller's word goes first. */
	setenv("VOLMIG_IO", "nonsense", 1);
	assert_int_equal(bench_open(&b, "sync"), 0);
	ioq_close(b.q);
	b.q = NULL;
	assert_int_equal(ioq_open(&b.q, NULL, b.files, 2, b.memory, b.size, DEPTH, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_string_equal(err.object, "VOLMIG_IO");
	b.q = NULL;
	bench_close(&b);

	setenv("VOLMIG_IO", "", 1);
	assert_int_equal(bench_open(&b, NULL), 0);
	bench_close(&b);
	unsetenv("VOLMIG_IO");
}

static int forbidden(void *data)
{
	int number = *(int *)data;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	struct err err = ERR_INIT;
	struct ioq_result result;
	struct bench b;

	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	EXPECT(bench_open(&b, NULL) == 0);
	EXPECT(!strcmp(ioq_engine(b.q), "sync"));
	EXPECT(!strcmp(ioq_fallback_reason(b.q), number == EPERM ? "io_uring is forbidden here" :
		       "this kernel has no io_uring, or one that is too old"));
	EXPECT(ioq_submit(b.q, &(struct ioq_request){ .op = IOQ_READ, .buffer = b.memory,
						      .length = 4096 }));
	EXPECT(ioq_wait(b.q, &result, 1, 1000) == 1 && result.result == 4096);
	ioq_close(b.q);
	b.q = NULL;
	/* What was asked for by name is not quietly replaced. */
	EXPECT(ioq_open(&b.q, "uring", b.files, 2, b.memory, b.size, DEPTH, &err) == -1);
	EXPECT(err.class == ERR_FAILED && err.number == number);
	bench_close(&b);
	return 0;
}

static void test_forbidden_by_seccomp(void **state)
{
	int numbers[] = { EPERM, ENOSYS };

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(scratch_child(NULL, forbidden, &numbers[i]), 0);
}

static int little_memory(void *data)
{
	const struct rlimit limit = { 64 * KIB, 64 * KIB };
	struct ioq_result result;
	struct bench b;

	(void)data;
	if (geteuid() == 0)
		EXPECT(chmod(".", 0777) == 0 && setresgid(65534, 65534, 65534) == 0 &&
		       setresuid(65534, 65534, 65534) == 0);
	EXPECT(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	EXPECT(bench_open(&b, NULL) == 0);
	EXPECT(!strcmp(ioq_engine(b.q), "uring"));
	EXPECT(ioq_submit(b.q, &(struct ioq_request){ .op = IOQ_READ, .buffer = b.memory,
						      .length = MIB }));
	EXPECT(ioq_wait(b.q, &result, 1, 10000) == 1 && result.result == (int64_t)MIB);
	EXPECT(ioq_submit(b.q, &(struct ioq_request){ .op = IOQ_WRITE, .file = 1,
						      .buffer = b.memory, .length = MIB }));
	EXPECT(ioq_wait(b.q, &result, 1, 10000) == 1 && result.result == (int64_t)MIB);
	bench_close(&b);
	EXPECT(scratch_differ("a", "b", MIB) == MIB);
	return 0;
}

static void test_without_locked_memory(void **state)
{
	const char *uring = "uring";
	struct bench b;

	(void)state;
	scratch_engine((void **)&uring);
	assert_int_equal(bench_open(&b, "sync"), 0);
	bench_close(&b);
	unlink("a");
	unlink("b");
	assert_int_equal(scratch_child(NULL, little_memory, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH_ENGINES(test_copy_a_file),
		WITH_BOTH_ENGINES(test_short_and_failing),
		WITH_BOTH_ENGINES(test_depth_is_the_limit),
		WITH_BOTH_ENGINES(test_waits_end),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_forbidden_by_seccomp),
		cmocka_unit_test(test_without_locked_memory),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
