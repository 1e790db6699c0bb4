/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exports of NBD servers and queues over them, with nbdkit at the other end of a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "support/err.h"
#include "sys/ioq.h"
#include "sys/nbd.h"

static pid_t server;

static bool have_nbdkit(void)
{
	return system("nbdkit --version >/dev/null 2>&1") == 0;
}

/* nbdkit -s with these arguments, connected to us; without one the test is skipped. */
static struct nbd *serve_within(uint64_t limit_ms, const char *const *arguments)
{
	const char *argv[16] = { "nbdkit", "-s", "--log=null" };
	struct err err = ERR_INIT;
	struct nbd *nbd = NULL;
	int fds[2], n = 3;

	if (nbd_export_missing() || !have_nbdkit())
		skip();
	while (*arguments)
		argv[n++] = *arguments++;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		dup2(fds[1], STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		execvp("nbdkit", (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	if (nbd_export_open_socket(&nbd, fds[0], "", "the export", limit_ms, &err) < 0)
		fail_msg("%s", err.cause);
	return nbd;
}

#define serve(...) serve_within(10000, (const char *const[]){ __VA_ARGS__, NULL })

static void end(struct nbd *nbd)
{
	nbd_export_close(nbd);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

/* It is stopped when that is known, not when it was asked for. */
static void stop_server(void)
{
	int status;

	kill(server, SIGSTOP);
	assert_int_equal(waitpid(server, &status, WUNTRACED), server);
	assert_true(WIFSTOPPED(status));
}

static void test_names(void **state)
{
	(void)state;
	assert_true(nbd_export_is_uri("nbd://h"));
	assert_true(nbd_export_is_uri("nbds+unix:///x?socket=y"));
	assert_false(nbd_export_is_uri("nbd:h"));
	assert_false(nbd_export_is_uri("/nbd://h"));
	assert_true(nbd_export_is_connection_error(ENOTCONN));
	assert_false(nbd_export_is_connection_error(ENOSPC));
	assert_false(nbd_export_is_connection_error(0));
}

static void test_read_and_write(void **state)
{
	struct nbd *nbd = serve("memory", "1000001");
	struct err err = ERR_INIT;
	char data[] = "what was written", back[sizeof(data)];

	(void)state;
	assert_int_equal(nbd_export_info(nbd)->bytes, 1000001);
	assert_int_equal(nbd_export_info(nbd)->block_min, 1);
	assert_false(nbd_export_info(nbd)->read_only);
	assert_int_equal(nbd_export_write(nbd, data, sizeof(data), 999980, &err), 0);
	assert_int_equal(nbd_export_read(nbd, back, sizeof(back), 999980, &err), 0);
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(nbd_export_zero(nbd, 999980, sizeof(data), false, &err), 0);
	assert_int_equal(nbd_export_read(nbd, back, sizeof(back), 999980, &err), 0);
	for (size_t i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0);
	assert_int_equal(nbd_export_flush(nbd, &err), 0);
	/* Beyond the end: an error, and the connection stands. */
	assert_int_equal(nbd_export_write(nbd, data, sizeof(data), 1000000, &err), -1);
	assert_true(err.number != 0);
	assert_int_equal(nbd_export_lost(nbd), 0);
	end(nbd);
}

/* More than a block status can say at once, and extents that are merged. */
static void test_map(void **state)
{
	struct nbd *nbd = serve("memory", "20G");
	struct err err = ERR_INIT;
	uint64_t start, stop;
	char *data = malloc(MIB);

	(void)state;
	memset(data, 'x', MIB);
	assert_int_equal(nbd_export_next_data(nbd, 0, &start, &stop, &err), 0);
	assert_int_equal(start, 20 * GIB);
	assert_int_equal(stop, 20 * GIB);
	end(nbd);

	nbd = serve("memory", "20G");
	/* Two extents that touch: one. */
	assert_int_equal(nbd_export_write(nbd, data, MIB, 9 * GIB, &err), 0);
	assert_int_equal(nbd_export_write(nbd, data, MIB, 9 * GIB + MIB, &err), 0);
	assert_int_equal(nbd_export_next_data(nbd, 0, &start, &stop, &err), 0);
	assert_int_equal(start, 9 * GIB);
	assert_int_equal(stop, 9 * GIB + 2 * MIB);
	assert_int_equal(nbd_export_next_data(nbd, start + 5, &start, &stop, &err), 0);
	assert_int_equal(start, 9 * GIB + 5);
	assert_int_equal(nbd_export_next_data(nbd, stop, &start, &stop, &err), 0);
	assert_int_equal(start, 20 * GIB);
	/* Back again. */
	assert_int_equal(nbd_export_next_data(nbd, 0, &start, &stop, &err), 0);
	assert_int_equal(start, 9 * GIB);
	free(data);
	end(nbd);
}

static void test_without_a_map(void **state)
{
	struct nbd *nbd = serve("--filter=noextents", "memory", "1M");
	struct err err = ERR_INIT;
	uint64_t start, stop;

	(void)state;
	assert_int_equal(nbd_export_next_data(nbd, 4096, &start, &stop, &err), 0);
	assert_int_equal(start, 4096);
	assert_int_equal(stop, MIB);
	end(nbd);
}

static void test_without_zeroing(void **state)
{
	struct nbd *nbd = serve("--filter=nozero", "memory", "1M");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nbd_export_zero(nbd, 0, MIB, false, &err), 1);
	end(nbd);
}

static void test_read_only(void **state)
{
	struct nbd *nbd = serve("-r", "memory", "1M");
	struct err err = ERR_INIT;

	(void)state;
	assert_true(nbd_export_info(nbd)->read_only);
	assert_int_equal(nbd_export_write(nbd, "x", 1, 0, &err), -1);
	assert_int_equal(err.number, EPERM);
	end(nbd);
}

/* A server that does not answer is given up in time, and everything after it fails at once. */
static void test_silent_server(void **state)
{
	struct nbd *nbd = serve_within(2000, (const char *const[]){ "memory", "1M", NULL });
	struct err err = ERR_INIT;
	char byte;

	(void)state;
	stop_server();
	assert_int_equal(nbd_export_read(nbd, &byte, 1, 0, &err), -1);
	assert_int_equal(err.number, ETIME);
	assert_int_equal(nbd_export_lost(nbd), ETIME);
	assert_int_equal(nbd_export_flush(nbd, &err), -1);
	assert_int_equal(err.number, ETIME);
	end(nbd);
}

static unsigned gather(struct ioq *q, struct ioq_result *results, unsigned count)
{
	unsigned n = 0;

	for (unsigned tries = 0; n < count && tries < 1000; tries++) {
		int got = ioq_wait(q, results + n, count - n, 100);

		assert_true(got >= 0);
		n += (unsigned)got;
	}
	return n;
}

/* From a file to an export and back into memory, both in one queue. */
static void test_queue(void **state)
{
	struct nbd *nbd = serve("memory", "8M");
	struct err err = ERR_INIT;
	struct ioq_file files[2] = { { .fd = -1 }, { .fd = -1, .nbd = nbd } };
	struct ioq_result results[8];
	unsigned char *memory = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioq *q;

	scratch_make("a", 8 * MIB);
	scratch_fill("a", 0, 8 * MIB, 1);
	files[0].fd = open("a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(ioq_open(&q, scratch_engine(state), files, 2, memory, 16 * MIB, 8, &err), 0);
	assert_string_equal(ioq_engine(q), "nbd");
	for (unsigned i = 0; i < 8; i++)
		assert_true(ioq_submit(q, &(struct ioq_request){
			.op = IOQ_READ, .file = 0, .buffer = memory + i * MIB, .length = MIB,
			.offset = i * MIB, .tag = i }));
	assert_false(ioq_submit(q, &(struct ioq_request){ .op = IOQ_FLUSH, .file = 1 }));
	assert_int_equal(gather(q, results, 8), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_true(ioq_submit(q, &(struct ioq_request){
			.op = IOQ_WRITE, .file = 1, .buffer = memory + i * MIB, .length = MIB,
			.offset = i * MIB, .tag = i }));
	assert_int_equal(gather(q, results, 8), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(results[i].result, MIB);
	assert_true(ioq_submit(q, &(struct ioq_request){ .op = IOQ_FLUSH, .file = 1, .tag = 77 }));
	assert_int_equal(gather(q, results, 1), 1);
	assert_int_equal(results[0].tag, 77);
	assert_int_equal(results[0].result, 0);
	assert_true(ioq_submit(q, &(struct ioq_request){
		.op = IOQ_READ, .file = 1, .buffer = memory + 8 * MIB, .length = 8 * MIB, .tag = 5 }));
	assert_int_equal(gather(q, results, 1), 1);
	assert_int_equal(results[0].result, 8 * MIB);
	assert_memory_equal(memory, memory + 8 * MIB, 8 * MIB);

	/* The server dies: what is in flight fails, and so does what comes after. */
	stop_server();
	for (unsigned i = 0; i < 4; i++)
		assert_true(ioq_submit(q, &(struct ioq_request){
			.op = IOQ_WRITE, .file = 1, .buffer = memory, .length = MIB, .tag = i }));
	kill(server, SIGKILL);
	assert_int_equal(gather(q, results, 4), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_true(nbd_export_is_connection_error((int)-results[i].result));
	assert_true(nbd_export_lost(nbd) != 0);
	assert_true(ioq_submit(q, &(struct ioq_request){ .op = IOQ_FLUSH, .file = 1, .tag = 9 }));
	assert_int_equal(gather(q, results, 1), 1);
	assert_true(results[0].result < 0);
	assert_int_equal(ioq_in_flight(q), 0);
	ioq_close(q);
	close(files[0].fd);
	munmap(memory, 16 * MIB);
	end(nbd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_without_a_map),
		cmocka_unit_test(test_without_zeroing),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_silent_server),
		WITH_BOTH_ENGINES(test_queue),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
