/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One volume that QEMU's block drivers open, served by NBD from a process of its own. */
#include "sys/qemu_daemon.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/nbd.h"
#include "sys/program.h"
#include "sys/tool.h"

#define TICK_MS 100
#define STOP_MS 10000		/* to flush and close a volume that was flushed before */
#define NODE "disk"
#define RING "vhost-user-blk"
#define FIRST_KEPT 3		/* the number of the first descriptor that a program is handed */

/*
 * A server takes memory for each request and gives it back.  Were that the
 * kernel's each time, clearing it would cost more than copying into it.
 */
#define KEEP_MEMORY "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=67108864:glibc.malloc.trim_threshold=536870912"

struct qemu_daemon {
	char *object;
	pid_t pid;		/* 0: it has been waited for */
	int pidfd;
	int status;		/* of waitpid(), when pid is 0 */
	int said;		/* its standard error */
	char *arguments[2];	/* which it repeats in messages */
	int connections[QEMU_DAEMON_CONNECTIONS_MAX];
	unsigned connection_count, given;
	int ring;		/* connected, and not given away; else -1 */
};

static char *socket_dir;

void qemu_daemon_set_dir(const char *dir)
{
	free(socket_dir);
	socket_dir = text_copy(dir);
}

/* A directory for the name of a socket; *ret_made: it is to be removed again. */
static char *name_dir(bool *ret_made, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char *dir;

	*ret_made = false;
	if (socket_dir && (mkdir(socket_dir, 0700) == 0 || errno == EEXIST))
		return text_copy(socket_dir);
	/* There may be no state directory yet: what is only looked at makes none. */
	*ret_made = true;
	dir = text_format("%s/volmig-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		err_sys(err, errno, dir, "cannot make a private directory");
		free(dir);
		return NULL;
	}
	return dir;
}

/*
 * A listening socket that has clients and no name.  Connecting does not wait
 * for anybody to accept.
 */
static int listen_and_connect(int *connections, unsigned *ret_count, unsigned count, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int dir = -1, listener = -1, ret = -1;
	bool made = false;
	char *path = name_dir(&made, err), name[48];

	if (!path)
		return -1;
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dir < 0 || listener < 0)
		goto fail;
	/* However long the directory's path is. */
	snprintf(name, sizeof(name), "qemu-%ld.sock", (long)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir, name);
	/* One that a crash has left under our number. */
	unlinkat(dir, name, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		goto fail;
	if (listen(listener, QEMU_DAEMON_CONNECTIONS_MAX) < 0)
		goto fail;
	while (*ret_count < count) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			goto fail;
		connections[(*ret_count)++] = fd;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			goto fail;
	}
	ret = listener;
	listener = -1;		/* handed over */
fail:
	if (ret < 0)
		err_sys(err, errno, path, "cannot make a private socket");
	if (dir >= 0) {
		unlinkat(dir, name, 0);
		close(dir);
	}
	if (listener >= 0)
		close(listener);
	if (made)
		rmdir(path);
	free(path);
	return ret;
}

/* One argument of the daemon; free it. */
static char *argument(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	if (!text)
		abort();
	json_decref(json);
	return text;
}

/* As qemu-storage-daemon wants to have it; the listening socket is its descriptor 3. */
static void storage_daemon(struct qemu_daemon *daemon, const struct qemu_daemon_options *options,
			   const char *path, int ring, const char **argv, char **to_free)
{
	char number[16];
	json_t *blockdev = json_deep_copy(options->blockdev);
	size_t n = 0;

	json_put(blockdev, "node-name", json_string(NODE));
	argv[n++] = path;
	if (options->secret) {
		argv[n++] = "--object";
		argv[n++] = daemon->arguments[0] = argument(json_deep_copy(options->secret));
	}
	argv[n++] = "--blockdev";
	argv[n++] = daemon->arguments[1] = argument(blockdev);
	argv[n++] = "--nbd-server";
	argv[n++] = to_free[0] = argument(json_pack("{s:{s:s, s:s}, s:i}", "addr", "type", "fd", "str", "3",
						    "max-connections", (int)options->connections));
	argv[n++] = "--export";
	argv[n++] = to_free[1] = argument(json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "nbd", "id", "export",
						    "node-name", NODE, "name", "", "writable", options->writable));
	if (ring >= 0) {
		snprintf(number, sizeof(number), "%d", ring);
		argv[n++] = "--export";
		argv[n++] = to_free[2] = argument(json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:b}", "type", RING, "id", "ring",
							    "node-name", NODE, "addr", "type", "fd", "str", number,
							    "writable", options->writable));
	}
	argv[n] = NULL;
}

/* The same for qemu-nbd, which takes sockets from whoever starts it as systemd does. */
static void nbd_server(struct qemu_daemon *daemon, const struct qemu_daemon_options *options,
		       const char *path, const char **argv, char **to_free)
{
	char *json = argument(json_deep_copy(options->blockdev));
	size_t n = 0;

	argv[n++] = path;
	if (options->secret) {
		argv[n++] = "--object";
		argv[n++] = daemon->arguments[0] = argument(json_deep_copy(options->secret));
	}
	argv[n++] = "--persistent";
	argv[n++] = to_free[0] = text_format("--shared=%u", options->connections);
	argv[n++] = options->writable ? "--discard=unmap" : "--read-only";
	argv[n++] = daemon->arguments[1] = text_format("json:%s", json);
	argv[n] = NULL;
	free(json);
}

/* What went wrong in its own words, without what it was started with.  Free it. */
static char *words_of(const struct qemu_daemon *daemon)
{
	char *said = program_said(daemon->said, NULL), *words = tool_last_words(said, "qemu-");
	const char *at = strstr(words, ": ") ? strstr(words, ": ") + 2 : words;

	free(said);
	for (size_t i = 0; i < 2; i++) {
		const char *found = daemon->arguments[i] ? strstr(at, daemon->arguments[i]) : NULL;

		if (!found)
			continue;
		found += strlen(daemon->arguments[i]);
		at = found + strspn(found, "': ");
	}
	said = text_copy(at);
	free(words);
	return said;
}

/* It has ended before it served. */
static int not_started(struct qemu_daemon *daemon, struct err *err)
{
	char *words = words_of(daemon);

	if (strstr(words, RING)) {
		err_set(err, ERR_FAILED, daemon->object, "QEMU cannot open it: %s", words);
		err->number = EOPNOTSUPP;
	} else if (strstr(words, " lock")) {
		err_set(err, ERR_REFUSED, daemon->object, "in use by a running QEMU, or by another program that locks it: %s", words);
		err->number = EBUSY;
		err_next(err, "shut the guest down, or end that program");
	} else if (strstr(words, "Unknown driver") || strstr(words, "Unknown protocol")) {
		err_set(err, ERR_REFUSED, daemon->object, "this QEMU cannot open it: %s", words);
		err_next(err, "install the package qemu-block-extra");
	} else {
		err_set(err, ERR_FAILED, daemon->object, "QEMU cannot open it: %s", words);
	}
	free(words);
	return -1;
}

static uint64_t died_ns;	/* when the last one did, instead of closing what it had open; 0: none has */

static bool reap(struct qemu_daemon *daemon)
{
	if (daemon->pid && waitpid(daemon->pid, &daemon->status, WNOHANG) == daemon->pid) {
		daemon->pid = 0;
		if (!WIFEXITED(daemon->status))
			died_ns = clock_ns();
	}
	return !daemon->pid;
}

/* The server speaks first: what can be read from a connection is its greeting. */
static int wait_for_greeting(struct qemu_daemon *daemon, uint64_t timeout_ms, struct err *err)
{
	uint64_t until = clock_ns() + timeout_ms * 1000000;
	int asked = interrupt_requested();

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = daemon->pidfd, .events = POLLIN },
			{ .fd = daemon->connections[0], .events = POLLIN },
		};
		char byte;

		poll(fds, 2, TICK_MS);
		if (reap(daemon))
			return not_started(daemon, err);
		if (fds[1].revents && recv(daemon->connections[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
			return 0;
		if (interrupt_requested() > asked)
			return err_set(err, ERR_STOPPED, daemon->object, "interrupted while QEMU was opening it");
		if (clock_ns() >= until)
			return err_set(err, ERR_FAILED, daemon->object, "QEMU has not opened it in %llu seconds",
				       (unsigned long long)(timeout_ms / 1000));
	}
}

/* The program's path, free it; *ret_is_nbd: it is the lesser one. */
static char *server_program(const char *object, bool *ret_is_nbd, struct err *err)
{
	char *path = program_find("qemu-storage-daemon");

	*ret_is_nbd = !path;
	if (!path)
		path = tool_find("qemu-nbd", object, err);
	return path;
}

static int start(struct qemu_daemon **ret, const struct qemu_daemon_options *options, bool ring,
		 struct err *err)
{
	struct qemu_daemon *daemon = text_alloc(1, sizeof(*daemon));
	int kept[PROGRAM_KEPT_MAX], listener = -1, ring_listener = -1, result = -1;
	struct program program = { .kept = kept };
	char *path = NULL, *to_free[3] = { NULL, NULL, NULL };
	const char *argv[16];
	const char **env = NULL;
	size_t env_count = 0;
	unsigned ring_count = 0;
	bool is_nbd;

	assert(options->connections > 0 && options->connections <= QEMU_DAEMON_CONNECTIONS_MAX);
	assert(options->kept_count + 2 <= PROGRAM_KEPT_MAX);
	*daemon = (struct qemu_daemon){ .object = text_copy(options->object), .pidfd = -1, .said = -1, .ring = -1 };
	path = server_program(options->object, &is_nbd, err);
	if (!path)
		goto out;
	ring = ring && !is_nbd;
	while (options->env && options->env[env_count])
		env_count++;
	env = text_alloc(env_count + 4, sizeof(*env));
	for (size_t i = 0; i < env_count; i++)
		env[i] = options->env[i];
	env[env_count] = KEEP_MEMORY;
	env[env_count + 1] = is_nbd ? PROGRAM_LISTEN_PID : NULL;
	env[env_count + 2] = is_nbd ? "LISTEN_FDS=1" : NULL;
	env[env_count + 3] = NULL;
	if (is_nbd)
		nbd_server(daemon, options, path, argv, to_free);
	else
		storage_daemon(daemon, options, path, ring ? FIRST_KEPT + 1 + (int)options->kept_count : -1, argv, to_free);
	listener = listen_and_connect(daemon->connections, &daemon->connection_count, options->connections, err);
	if (listener < 0 || (daemon->said = program_memory(err)) < 0)
		goto out;
	kept[program.kept_count++] = listener;
	for (size_t i = 0; i < options->kept_count; i++)
		kept[program.kept_count++] = options->kept[i];
	if (ring) {
		ring_listener = listen_and_connect(&daemon->ring, &ring_count, 1, err);
		if (ring_listener < 0)
			goto out;
		kept[program.kept_count++] = ring_listener;
	}
	program.argv = argv;
	program.env = env;
	program.errors = daemon->said;
	daemon->pid = program_start(&program, err);
	if (daemon->pid < 0) {
		daemon->pid = 0;
		goto out;
	}
	/* Nobody but the daemon has them from here on: with the daemon all connections end. */
	close(listener);
	listener = -1;
	if (ring_listener >= 0)
		close(ring_listener);
	ring_listener = -1;
	daemon->pidfd = pidfd_open(daemon->pid, 0);
	/* Its client is loaded while it starts; that there is none is said when it is wanted. */
	nbd_export_missing();
	result = wait_for_greeting(daemon, options->timeout_ms, err);
out:
	if (listener >= 0)
		close(listener);
	if (ring_listener >= 0)
		close(ring_listener);
	for (size_t i = 0; i < sizeof(to_free) / sizeof(to_free[0]); i++)
		free(to_free[i]);
	free(env);
	free(path);
	if (result < 0)
		qemu_daemon_stop(daemon);
	else
		*ret = daemon;
	return result;
}

int qemu_daemon_start(struct qemu_daemon **ret, const struct qemu_daemon_options *options,
		      struct err *err)
{
	static bool none;
	bool ring = options->ring && !none;
	int r = start(ret, options, ring, err);

	/* Some are built without it (RHEL's): once a process that is found out. */
	if (r == 0 || !ring || err->number != EOPNOTSUPP)
		return r;
	none = true;
	*err = (struct err)ERR_INIT;
	return start(ret, options, false, err);
}

int qemu_daemon_connection(struct qemu_daemon *daemon)
{
	return daemon->given < daemon->connection_count ? daemon->connections[daemon->given++] : -1;
}

int qemu_daemon_ring(struct qemu_daemon *daemon)
{
	int ring = daemon->ring;

	daemon->ring = -1;
	return ring;
}

pid_t qemu_daemon_pid(const struct qemu_daemon *daemon)
{
	return daemon->pid;
}

bool qemu_daemon_runs(struct qemu_daemon *daemon, struct err *err)
{
	char *words;

	if (!reap(daemon))
		return true;
	words = words_of(daemon);
	if (err->class == ERR_NONE && WIFSIGNALED(daemon->status))
		err_set(err, ERR_FAILED, daemon->object, "the QEMU process that served it was killed by signal %d",
			WTERMSIG(daemon->status));
	else if (err->class == ERR_NONE)
		err_set(err, ERR_FAILED, daemon->object, "the QEMU process that served it has ended: %s", words);
	free(words);
	return false;
}

bool qemu_daemon_died_within(uint64_t ms)
{
	return died_ns && clock_ns() - died_ns < ms * 1000000;
}

void qemu_daemon_stop(struct qemu_daemon *daemon)
{
	uint64_t until = clock_ns() + STOP_MS * 1000000ULL, ignored;
	struct pollfd over = { .events = POLLIN };

	if (!daemon)
		return;
	/* Who is asked to end while clients talk to it would wait for them. */
	for (unsigned i = daemon->given; i < daemon->connection_count; i++)
		close(daemon->connections[i]);
	if (daemon->ring >= 0)
		close(daemon->ring);
	over.fd = daemon->pidfd;
	/* More than once: a signal that comes just before QEMU (7.2) waits for events does not wake it. */
	while (!reap(daemon) && clock_ns() < until && interrupt_requested() < 2) {
		kill(daemon->pid, inject_number("kill-server", &ignored) ? SIGKILL : SIGTERM);
		poll(&over, 1, TICK_MS);
	}
	if (!reap(daemon)) {
		kill(daemon->pid, SIGKILL);
		/* One that waits for a device which does not answer is the kernel's to end. */
		for (int i = 0; i < 20 && !reap(daemon); i++)
			poll(&over, 1, TICK_MS);
	}
	if (daemon->pidfd >= 0)
		close(daemon->pidfd);
	if (daemon->said >= 0)
		close(daemon->said);
	free(daemon->arguments[0]);
	free(daemon->arguments[1]);
	free(daemon->object);
	free(daemon);
}
