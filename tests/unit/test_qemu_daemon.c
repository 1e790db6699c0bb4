/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that serves a volume: started, noticed when it dies, ended, and never left behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/program.h"
#include "sys/qemu_daemon.h"
#include "sys/tool.h"

#define CLIENTS 3

/* Where the test is, which is its scratch directory. */
static const char *scratch_dir(void)
{
	static char dir[4096];

	assert_non_null(getcwd(dir, sizeof(dir)));
	return dir;
}

static json_t *blockdev_of(const char *driver, const char *name)
{
	char *path = text_format("%s/%s", scratch_dir(), name);
	json_t *json = json_pack("{s:s, s:{s:s, s:s}}", "driver", driver, "file", "driver", "file",
				 "filename", path);

	free(path);
	assert_non_null(json);
	return json;
}

static void need(const char *program)
{
	char *path = program_find(program);

	if (!path) {
		print_message("# skipped: needs %s\n", program);
		skip();
	}
	free(path);
}

static int start(struct qemu_daemon **ret, const char *driver, const char *name, bool writable,
		 struct err *err)
{
	struct qemu_daemon_options options = {
		.object = name,
		.blockdev = blockdev_of(driver, name),
		.writable = writable,
		.connections = CLIENTS,
		.timeout_ms = QEMU_DAEMON_LIMIT_MS,
	};
	int r = qemu_daemon_start(ret, &options, err);

	json_decref((json_t *)options.blockdev);
	return r;
}

/* Each client is spoken to, and there are no more than were asked for. */
static void check_clients(struct qemu_daemon *daemon)
{
	for (int i = 0; i < CLIENTS; i++) {
		char greeting[8];
		int fd = qemu_daemon_connection(daemon);

		assert_true(fd >= 0);
		assert_int_equal(recv(fd, greeting, sizeof(greeting), MSG_WAITALL), sizeof(greeting));
		assert_memory_equal(greeting, "NBDMAGIC", 8);
		close(fd);
	}
	assert_int_equal(qemu_daemon_connection(daemon), -1);
}

static void serves_and_ends(void **state)
{
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon;
	pid_t pid;

	(void)state;
	need("qemu-storage-daemon");
	scratch_make("a", MIB);
	assert_int_equal(start(&daemon, "raw", "a", true, &err), 0);
	pid = qemu_daemon_pid(daemon);
	assert_true(qemu_daemon_runs(daemon, &err));
	check_clients(daemon);
	qemu_daemon_stop(daemon);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

/* The socket has no name when it is in use, and its directory may have a long one. */
static void leaves_no_name(void **state)
{
	char *dir = text_format("%s/%0150d", scratch_dir(), 7), *name;
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon;

	(void)state;
	need("qemu-storage-daemon");
	scratch_make("a", MIB);
	qemu_daemon_set_dir(dir);
	/* What a crash of another process with our number has left is no obstacle. */
	assert_int_equal(mkdir(dir, 0700), 0);
	name = text_format("%s/qemu-%ld.sock", dir, (long)getpid());
	close(open(name, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(start(&daemon, "raw", "a", false, &err), 0);
	assert_int_equal(rmdir(dir), 0);	/* so it is empty */
	check_clients(daemon);
	qemu_daemon_stop(daemon);
	qemu_daemon_set_dir(NULL);
	free(name);
	free(dir);
}

static void says_why_not(void **state)
{
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon = NULL;

	(void)state;
	need("qemu-storage-daemon");
	assert_int_equal(start(&daemon, "raw", "missing", true, &err), -1);
	assert_int_equal(err.class, ERR_FAILED);
	assert_non_null(strstr(err.cause, "No such file or directory"));
	/* Not all that it was started with. */
	assert_null(strstr(err.cause, "{"));

	scratch_make("a", MIB);
	err = (struct err)ERR_INIT;
	assert_int_equal(start(&daemon, "qcow2", "a", true, &err), -1);
	assert_non_null(strstr(err.cause, "not in qcow2 format"));
}

static void make_qcow2(const char *name)
{
	const char *const argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", name, "1M", NULL };
	struct tool tool = { .argv = argv, .object = name, .doing = "cannot make it", .timeout_ms = 10000 };
	struct err err = ERR_INIT;

	need("qemu-img");
	assert_int_equal(tool_run(&tool, NULL, &err), 0);
}

/* QEMU's own locks: one writer and nobody else. */
static void respects_locks(void **state)
{
	struct qemu_daemon *first, *second = NULL;
	struct err err = ERR_INIT;

	(void)state;
	need("qemu-storage-daemon");
	make_qcow2("a");
	assert_int_equal(start(&first, "qcow2", "a", true, &err), 0);
	assert_int_equal(start(&second, "qcow2", "a", false, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_int_equal(err.number, EBUSY);
	qemu_daemon_stop(first);
	err = (struct err)ERR_INIT;
	assert_int_equal(start(&second, "qcow2", "a", false, &err), 0);
	qemu_daemon_stop(second);
}

/* Its end is the end of all connections, and is told apart. */
static void death_is_noticed(void **state)
{
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon;
	struct pollfd end = { .events = POLLIN };
	char rest[1024];

	(void)state;
	need("qemu-storage-daemon");
	scratch_make("a", MIB);
	assert_int_equal(start(&daemon, "raw", "a", true, &err), 0);
	end.fd = qemu_daemon_connection(daemon);
	kill(qemu_daemon_pid(daemon), SIGKILL);
	while (poll(&end, 1, 10000) == 1 && recv(end.fd, rest, sizeof(rest), 0) > 0)
		;
	for (int i = 0; i < 1000 && qemu_daemon_runs(daemon, &(struct err)ERR_INIT); i++)
		clock_sleep_ms(10);
	assert_false(qemu_daemon_runs(daemon, &err));
	assert_non_null(strstr(err.cause, "killed by signal 9"));
	close(end.fd);
	qemu_daemon_stop(daemon);
}

static int die_with_daemon(void *data)
{
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon;
	pid_t pid;

	EXPECT(start(&daemon, "raw", "a", true, &err) == 0);
	pid = qemu_daemon_pid(daemon);
	EXPECT(write(*(int *)data, &pid, sizeof(pid)) == sizeof(pid));
	kill(getpid(), SIGKILL);
	return 1;
}

/* It does not outlive who started it, however that ends. */
static void dies_with_us(void **state)
{
	int ends[2];
	pid_t pid;
	int tries = 0;

	(void)state;
	need("qemu-storage-daemon");
	scratch_make("a", MIB);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(scratch_child(NULL, die_with_daemon, &ends[1]), SCRATCH_KILLED);
	assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
	/* In a container nobody may wait for orphans: one that is dead will do. */
	while (tries++ < 1000 && kill(pid, 0) == 0) {
		char *path = text_format("/proc/%ld/stat", (long)pid), line[256] = "", *state_of;
		FILE *file = fopen(path, "r");

		free(path);
		if (file && fgets(line, sizeof(line), file) && (state_of = strrchr(line, ')')) && state_of[2] == 'Z') {
			fclose(file);
			break;
		}
		if (file)
			fclose(file);
		clock_sleep_ms(10);
	}
	assert_true(tries < 1000);
	close(ends[0]);
	close(ends[1]);
}

/* Where there is no storage daemon its older relative does as well. */
static void qemu_nbd_does_as_well(void **state)
{
	char *old = text_copy(getenv("PATH")), *nbd = program_find("qemu-nbd");
	char *link = text_format("%s/qemu-nbd", scratch_dir());
	struct err err = ERR_INIT;
	struct qemu_daemon *daemon, *second = NULL;

	(void)state;
	need("qemu-nbd");
	make_qcow2("a");
	assert_int_equal(symlink(nbd, link), 0);
	setenv("PATH", scratch_dir(), 1);
	assert_int_equal(start(&daemon, "qcow2", "a", true, &err), 0);
	check_clients(daemon);
	assert_int_equal(start(&second, "qcow2", "a", true, &err), -1);
	assert_int_equal(err.number, EBUSY);
	qemu_daemon_stop(daemon);
	err = (struct err)ERR_INIT;
	assert_int_equal(start(&daemon, "raw", "missing", true, &err), -1);
	assert_non_null(strstr(err.cause, "No such file or directory"));
	assert_null(strstr(err.cause, "{"));

	unlink(link);
	err = (struct err)ERR_INIT;
	assert_int_equal(start(&daemon, "qcow2", "a", true, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.next, "qemu-utils"));
	setenv("PATH", old, 1);
	free(link);
	free(nbd);
	free(old);
}

static void tools_answer_or_are_ended(void **state)
{
	const char *const missing[] = { "no-such-tool", NULL };
	const char *const prints[] = { "printf", "{\"a\": 1}", NULL };
	const char *const fails[] = { "sh", "-c", "echo sh: first >&2; echo sh: last >&2; exit 3", NULL };
	const char *const hangs[] = { "sleep", "60", NULL };
	struct tool tool = { .argv = missing, .object = "x", .doing = "cannot look", .timeout_ms = 10000,
			     .drop = "sh: " };
	struct err err = ERR_INIT;
	json_t *json = NULL;

	(void)state;
	assert_int_equal(tool_run(&tool, NULL, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	tool.argv = prints;
	assert_int_equal(tool_run(&tool, &json, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
	json_decref(json);
	tool.argv = fails;
	assert_int_equal(tool_run(&tool, NULL, &err), -1);
	assert_string_equal(err.cause, "cannot look: last");
	assert_int_equal(err.number, 3);
	tool.argv = hangs;
	tool.timeout_ms = 100;
	assert_int_equal(tool_run(&tool, NULL, &err), -1);
	assert_non_null(strstr(err.cause, "has not answered"));
}

#define IN_SCRATCH(function) cmocka_unit_test_setup_teardown(function, scratch_enter, scratch_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(serves_and_ends),
		IN_SCRATCH(leaves_no_name),
		IN_SCRATCH(says_why_not),
		IN_SCRATCH(respects_locks),
		IN_SCRATCH(death_is_noticed),
		IN_SCRATCH(dies_with_us),
		IN_SCRATCH(qemu_nbd_does_as_well),
		IN_SCRATCH(tools_answer_or_are_ended),
	};

	return cmocka_run_group_tests_name("qemu_daemon", tests, NULL, NULL);
}
