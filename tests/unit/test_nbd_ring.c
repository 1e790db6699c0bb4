/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that leave their bytes in memory which QEMU's daemon shares with us. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/ioq.h"
#include "sys/nbd.h"
#include "sys/program.h"
#include "sys/qemu_daemon.h"

#define REQUESTS 8
#define SIZE (REQUESTS * MIB)
#define NAME "volmig-test-memory"

struct bench {
	struct qemu_daemon *daemon;
	struct nbd *nbd;
	struct ioq *q;
	unsigned char *memory;
	int fd, socket;			/* socket: which is libnbd's, only to be looked at */
};

/* The file "a" of SIZE bytes, behind that driver or none; and memory of that size. */
static void bench_open(struct bench *b, json_t *blockdev, bool writable)
{
	struct qemu_daemon_options options = {
		.object = "a",
		.blockdev = blockdev,
		.writable = writable,
		.ring = true,
		.connections = 1,
		.timeout_ms = QEMU_DAEMON_LIMIT_MS,
	};
	struct ioq_file file = { .fd = -1 };
	struct err err = ERR_INIT;

	if (qemu_daemon_start(&b->daemon, &options, &err) < 0)
		fail_msg("%s", err.cause);
	b->socket = qemu_daemon_connection(b->daemon);
	if (nbd_export_open_socket(&b->nbd, b->socket, "", "a", 10000, &err) < 0)
		fail_msg("%s", err.cause);
	json_decref(blockdev);
	nbd_export_set_ring(b->nbd, qemu_daemon_ring(b->daemon));
	b->fd = memfd_create(NAME, MFD_CLOEXEC);
	assert_int_equal(ftruncate(b->fd, SIZE), 0);
	b->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	assert_true(b->memory != MAP_FAILED);
	file.nbd = b->nbd;
	assert_int_equal(ioq_open(&b->q, NULL, &file, 1, b->memory, SIZE, REQUESTS + 1, &err), 0);
	if (nbd_export_has_ring(b->nbd))
		nbd_export_share(b->nbd, b->memory, SIZE, b->fd);
}

static void bench_close(struct bench *b)
{
	ioq_close(b->q);
	nbd_export_unshare(b->nbd);
	nbd_export_close(b->nbd);
	qemu_daemon_stop(b->daemon);
	munmap(b->memory, SIZE);
	close(b->fd);
}

static json_t *file_blockdev(void)
{
	char dir[4096], *path;
	json_t *json;

	assert_non_null(getcwd(dir, sizeof(dir)));
	path = text_format("%s/a", dir);
	json = json_pack("{s:s, s:s}", "driver", "file", "filename", path);
	free(path);
	return json;
}

static void need(void)
{
	char *path = program_find("qemu-storage-daemon");

	if (!path || nbd_export_missing() || le16toh(1) != 1 ||
	    system("qemu-storage-daemon --help | grep -q vhost-user-blk") != 0) {
		print_message("# skipped: needs qemu-storage-daemon with vhost-user-blk, little-endian\n");
		free(path);
		skip();
	}
	free(path);
}

/* Does the daemon have the memory that is shared? */
static bool daemon_has_memory(const struct bench *b)
{
	char *command = text_format("grep -q %s /proc/%ld/maps", NAME, (long)qemu_daemon_pid(b->daemon));
	bool has = system(command) == 0;

	free(command);
	return has;
}

static void submit(struct bench *b, enum ioq_op op, size_t at, uint64_t offset, size_t length)
{
	assert_true(ioq_submit(b->q, &(struct ioq_request){
		.op = op, .buffer = b->memory + at, .length = length, .offset = offset, .tag = offset,
	}));
}

/* Wait for that many; each is to end with that, or below zero with any error. */
static void expect(struct bench *b, unsigned count, int64_t result)
{
	struct ioq_result got[REQUESTS + 1];
	uint64_t until_ns = clock_ns() + 10000000000ULL;

	while (count) {
		int n = ioq_wait(b->q, got, REQUESTS + 1, 1000);

		assert_true(n >= 0 && clock_ns() < until_ns);
		for (int i = 0; i < n; i++)
			if (result < 0 && result != -1)
				assert_int_equal(got[i].result, result);
			else if (result < 0)
				assert_true(got[i].result < 0);
			else
				assert_int_equal(got[i].result, result);
		count -= (unsigned)n;
	}
}

static void fill(unsigned char *at, size_t length)
{
	for (size_t i = 0; i < length; i++)
		at[i] = (unsigned char)(i * 7 + i / 4096 + 1);
}

static void carries_both_ways(void **state)
{
	struct bench b;
	unsigned char *copy = malloc(SIZE);
	int fd;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	fill(b.memory, SIZE);
	memcpy(copy, b.memory, SIZE);
	/* From the last to the first place, so that offsets and addresses differ; more than one round. */
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < REQUESTS; i++)
			submit(&b, IOQ_WRITE, i * MIB, (REQUESTS - 1 - i) * MIB, MIB);
		expect(&b, REQUESTS, MIB);
	}
	assert_true(daemon_has_memory(&b));
	submit(&b, IOQ_FLUSH, 0, 0, 0);
	expect(&b, 1, 0);
	fd = open("a", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned char *read_back = malloc(MIB);

		assert_int_equal(pread(fd, read_back, MIB, (off_t)((REQUESTS - 1 - i) * MIB)), MIB);
		assert_memory_equal(read_back, copy + i * MIB, MIB);
		free(read_back);
	}
	close(fd);

	memset(b.memory, 0, SIZE);
	for (unsigned i = 0; i < REQUESTS; i++)
		submit(&b, IOQ_READ, i * MIB, (REQUESTS - 1 - i) * MIB, MIB);
	expect(&b, REQUESTS, MIB);
	assert_memory_equal(b.memory, copy, SIZE);
	/* What is no whole sector goes the other way. */
	memset(b.memory, 0, 4096);
	submit(&b, IOQ_READ, 0, (REQUESTS - 1) * MIB + 1, 513);
	expect(&b, 1, 513);
	assert_memory_equal(b.memory, copy + 1, 513);
	bench_close(&b);
	free(copy);
}

/* Memory that is not shared any more may be anything: it is left alone. */
static void ends_with_sharing(void **state)
{
	struct bench b;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	nbd_export_unshare(b.nbd);
	for (int i = 0; i < 1000 && daemon_has_memory(&b); i++)
		usleep(10000);
	assert_false(daemon_has_memory(&b));
	fill(b.memory, MIB);
	submit(&b, IOQ_WRITE, 0, MIB, MIB);
	expect(&b, 1, MIB);
	memset(b.memory, 0, MIB);
	submit(&b, IOQ_READ, 0, MIB, MIB);
	expect(&b, 1, MIB);
	assert_int_equal(b.memory[0], 1);
	bench_close(&b);
}

/* Of whose requests those of one kind fail. */
static json_t *failing_blockdev(const char *kind, int number)
{
	return json_pack("{s:s, s:o, s:[{s:s, s:s, s:i}]}", "driver", "blkdebug", "image", file_blockdev(),
			 "inject-error", "event", "none", "iotype", kind, "errno", number);
}

/* The ring knows good and bad; which error it is, is asked for. */
static void errors_have_their_number(void **state)
{
	struct bench b;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, failing_blockdev("write", ENOSPC), true);
	for (unsigned i = 0; i < REQUESTS; i++)
		submit(&b, IOQ_WRITE, i * MIB, i * MIB, MIB);
	expect(&b, REQUESTS, -ENOSPC);
	submit(&b, IOQ_READ, 0, 0, MIB);
	expect(&b, 1, MIB);
	bench_close(&b);
}

/*
 * A flush is asked for the other way, and QEMU leaves one out when it knows of
 * no write since the last: the disk that cannot flush tells that there is one.
 */
static void a_flush_covers_them(void **state)
{
	struct bench b;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, failing_blockdev("flush", EIO), true);
	submit(&b, IOQ_FLUSH, 0, 0, 0);
	expect(&b, 1, 0);
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	assert_true(daemon_has_memory(&b));
	submit(&b, IOQ_FLUSH, 0, 0, 0);
	expect(&b, 1, -EIO);
	bench_close(&b);
}

static void death_ends_them(void **state)
{
	struct ioq_result none;
	struct bench b;
	int unread = -1;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	kill(qemu_daemon_pid(b.daemon), SIGSTOP);
	for (unsigned i = 0; i < REQUESTS; i++)
		submit(&b, i % 2 ? IOQ_READ : IOQ_WRITE, i * MIB, i * MIB, MIB);
	/* And they are not on their way through the socket. */
	assert_int_equal(ioq_wait(b.q, &none, 1, 0), 0);
	assert_int_equal(ioctl(b.socket, SIOCOUTQ, &unread), 0);
	assert_int_equal(unread, 0);
	kill(qemu_daemon_pid(b.daemon), SIGKILL);
	expect(&b, REQUESTS, -1);
	assert_true(nbd_export_is_connection_error(nbd_export_lost(b.nbd)));
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, -1);
	bench_close(&b);
}

/* Nobody who speaks that is at the other end. */
static void strangers_are_done_without(void **state)
{
	struct bench b;
	int ends[2];
	char greeting[] = "220 mail ready\r\n                        ";

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	nbd_export_unshare(b.nbd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(write(ends[1], greeting, sizeof(greeting)), sizeof(greeting));
	nbd_export_set_ring(b.nbd, ends[0]);
	nbd_export_share(b.nbd, b.memory, SIZE, b.fd);
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	close(ends[1]);
	bench_close(&b);
}

/* One that greets us as it should, and cannot map the memory: QEMU's closes the socket then. */
_Noreturn static void refuse_memory(int socket)
{
	struct {
		uint32_t request, flags, size;
	} head;
	uint64_t features = 1ULL << 32;		/* VIRTIO_F_VERSION_1 */
	char payload[256];

	while (recv(socket, &head, sizeof(head), MSG_WAITALL) == sizeof(head) && head.size <= sizeof(payload) &&
	       (!head.size || recv(socket, payload, head.size, MSG_WAITALL) == (ssize_t)head.size)) {
		if (head.request == 5)		/* VHOST_USER_SET_MEM_TABLE */
			break;
		if (head.request != 1)		/* VHOST_USER_GET_FEATURES */
			continue;
		head.flags |= 4;		/* a reply */
		head.size = sizeof(features);
		if (send(socket, &head, sizeof(head), 0) < 0 || send(socket, &features, sizeof(features), 0) < 0)
			break;
	}
	_exit(0);
}

static void a_server_may_not_map_it(void **state)
{
	struct bench b;
	int ends[2];
	pid_t pid;

	(void)state;
	need();
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	nbd_export_unshare(b.nbd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		refuse_memory(ends[1]);
	}
	close(ends[1]);
	nbd_export_set_ring(b.nbd, ends[0]);
	nbd_export_share(b.nbd, b.memory, SIZE, b.fd);
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	bench_close(&b);
}

/* A daemon that was built without it serves all the same.  (The last: it is remembered.) */
static void daemons_without_it_do(void **state)
{
	char *real = program_find("qemu-storage-daemon"), *path = text_copy(getenv("PATH")), dir[4096], *own;
	struct bench b;
	FILE *script;

	(void)state;
	need();
	assert_non_null(getcwd(dir, sizeof(dir)));
	own = text_format("%s:%s", dir, path);
	script = fopen("qemu-storage-daemon", "w");
	fprintf(script, "#!/bin/sh\ncase $* in\n*vhost-user-blk*)\n"
		"\techo \"qemu-storage-daemon: --export: Invalid parameter 'vhost-user-blk'\" >&2\n\texit 1\n\t;;\n"
		"esac\nexec %s \"$@\"\n", real);
	fclose(script);
	assert_int_equal(chmod("qemu-storage-daemon", 0700), 0);
	setenv("PATH", own, 1);
	scratch_make("a", SIZE);
	bench_open(&b, file_blockdev(), true);
	assert_false(nbd_export_has_ring(b.nbd));
	submit(&b, IOQ_WRITE, 0, 0, MIB);
	expect(&b, 1, MIB);
	assert_false(daemon_has_memory(&b));
	bench_close(&b);
	setenv("PATH", path, 1);
	free(own);
	free(path);
	free(real);
}

#define IN_SCRATCH(function) cmocka_unit_test_setup_teardown(function, scratch_enter, scratch_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(carries_both_ways),
		IN_SCRATCH(ends_with_sharing),
		IN_SCRATCH(errors_have_their_number),
		IN_SCRATCH(a_flush_covers_them),
		IN_SCRATCH(death_ends_them),
		IN_SCRATCH(strangers_are_done_without),
		IN_SCRATCH(a_server_may_not_map_it),
		IN_SCRATCH(daemons_without_it_do),
	};

	return cmocka_run_group_tests_name("nbd_ring", tests, NULL, NULL);
}
