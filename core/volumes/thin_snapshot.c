/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper of a metadata snapshot; see thin_snapshot.h.
 *
 * The record is a line "POOL UUID" before the snapshot is reserved, and a line
 * with its root after it; it is locked as long as the keeper lives.  Without
 * the second line, after a crash of the machine in between, it cannot be told
 * whether the snapshot is ours: then it stays, and the user is told.
 */
#include "volumes/thin_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/text.h"
#include "sys/dm.h"
#include "sys/lvm.h"
#include "volumes/lvm_report.h"
#include "volumes/thin.h"
#include "volumes/thin_map.h"

#define RELEASE "release_metadata_snap"
#define RESERVE "reserve_metadata_snap"
#define WAIT_MS 30000

/* How the keeper ends, besides 0. */
enum {
	KEEPER_FAILED = 1,
	KEEPER_FOREIGN,			/* somebody else's snapshot is there */
	KEEPER_NO_TOOL,
	KEEPER_TOOL_FAILED,
	KEEPER_NOT_RELEASED,
};

static int sync_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? text_format("%.*s", (int)(slash - path), path) : text_copy(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = fd >= 0 && fsync(fd) == 0 ? 0 : -1;

	if (fd >= 0)
		close(fd);
	free(dir);
	return ret;
}

static int append(int fd, const char *line)
{
	size_t len = strlen(line);

	return write(fd, line, len) == (ssize_t)len && fdatasync(fd) == 0 ? 0 : -1;
}

/*
 * Start thin_dump, with the pipe as its output; 0, or an errno.  What the keeper
 * has open besides is /dev/null or closed by exec; and by no fork(), which would
 * go through all the memory that the keeper has of volmig.
 */
static int start_tool(const struct thin_volume *thin, int out, pid_t *ret_pid)
{
	static const char *const paths[] = { "thin_dump", "/usr/sbin/thin_dump", "/sbin/thin_dump" };
	char id[32], device[THIN_NAME_MAX + 16];
	char *argv[] = { (char *)"thin_dump", (char *)"-m", (char *)"--dev-id", id, device, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = -1;
	sigset_t all;

	snprintf(id, sizeof(id), "%" PRIu64, thin->id);
	snprintf(device, sizeof(device), "/dev/mapper/%s", thin->pool.metadata_name);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attributes) ||
	    posix_spawn_file_actions_adddup2(&actions, out, 1) ||
	    posix_spawnattr_setsigdefault(&attributes, &all) ||
	    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF))
		abort();
	for (size_t i = 0; i < 3 && error; i++)
		error = posix_spawnp(ret_pid, paths[i], &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return error;
}

/* Run it, and wait for its end: when nobody reads any more, that is soon. */
static int run_tool(const struct thin_volume *thin, int out)
{
	pid_t pid;
	int status, error = start_tool(thin, out, &pid);

	close(out);
	if (error)
		return error == EAGAIN || error == ENOMEM ? KEEPER_FAILED : KEEPER_NO_TOOL;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return KEEPER_FAILED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : KEEPER_TOOL_FAILED;
}

/* Release the snapshot whose root is root, and no other. */
static int release(const char *pool_name, const char *uuid, uint64_t root, struct err *err)
{
	struct thin_pool pool;

	if (thin_pool_look(pool_name, &pool, err) < 0)
		return -1;
	if (strcmp(pool.uuid, uuid) || pool.root != root)
		return 0;
	return dm_message(pool_name, 0, RELEASE, NULL, err);
}

/*
 * What the keeper does, from its first act to its last.  It has nothing of the
 * parent's open but out: a volume that it kept open would look as if in use.
 */
static int keep(const struct thin_volume *thin, const char *record, int out)
{
	const struct thin_pool *pool = &thin->pool;
	struct err err = ERR_INIT;
	struct thin_pool now = thin->pool;
	char *line = text_format("%s %s\n", pool->name, pool->uuid);
	int fd = open(record, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = KEEPER_FAILED;

	if (fd < 0 || flock(fd, LOCK_EX) < 0 || append(fd, line) < 0 || sync_directory_of(record) < 0)
		goto out;
	if (dm_message(pool->name, 0, RESERVE, NULL, &err) < 0) {
		ret = err.number == EBUSY ? KEEPER_FOREIGN : KEEPER_FAILED;
		goto out;
	}
	ret = KEEPER_NOT_RELEASED;
	if (thin_pool_look_again(&now, &err) < 0 || !now.root)
		goto out;
	free(line);
	line = text_format("%" PRIu64 "\n", now.root);
	/* Released below even if there is no room to write it down. */
	if (append(fd, line) == 0)
		ret = run_tool(thin, out);
	else
		ret = KEEPER_FAILED;
	if (release(pool->name, pool->uuid, now.root, &err) < 0)
		ret = KEEPER_NOT_RELEASED;
out:
	if (fd >= 0 && ret != KEEPER_NOT_RELEASED) {
		unlink(record);
		sync_directory_of(record);
	}
	free(line);
	return ret;
}

/*
 * Jobs that read maps of one pool take turns: the keeper has this lock as long
 * as it lives.  -1: there is nowhere to put one, or the user wants us to stop.
 */
static int take_turn(const char *pool_uuid)
{
	char *path = text_format("/run/lock/volmig.%s", pool_uuid);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	free(path);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (interrupt_requested()) {
			close(fd);
			return -1;
		}
		clock_sleep_ms(50);
	}
	return fd;
}

/* Fork the keeper, and give it turn; *ret_read is where the map comes from. */
static pid_t start_keeper(const struct thin_volume *thin, const char *record, int turn,
			  int *ret_read)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR), kept[] = { null, null, null, ends[1], turn };

		/* Neither the terminal's signals nor our death are to end it half-way. */
		setsid();
		for (int sig = 1; sig < NSIG; sig++)
			signal(sig, sig == SIGCHLD ? SIG_DFL : SIG_IGN);
		/* First out of the way of each other, then where they belong. */
		for (int i = 0; i < 5; i++)
			kept[i] = fcntl(kept[i], F_DUPFD, 16);
		for (int i = 0; i < 5; i++)
			if (dup2(kept[i], i) < 0)
				close(i);
		close_range(5, ~0U, 0);
		fcntl(3, F_SETFD, FD_CLOEXEC);
		fcntl(4, F_SETFD, FD_CLOEXEC);
		_exit(keep(thin, record, 3));
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -1;
	}
	*ret_read = ends[0];
	return pid;
}

static const char *keeper_said(int status)
{
	switch (status) {
	case KEEPER_FOREIGN:
		return "its metadata snapshot is somebody else's, and is left alone";
	case KEEPER_NO_TOOL:
		return "there is no thin_dump here (package thin-provisioning-tools)";
	case KEEPER_TOOL_FAILED:
		return "thin_dump cannot read its metadata";
	case KEEPER_NOT_RELEASED:
		return "its metadata snapshot could not be released yet";
	default:
		return "its metadata cannot be looked at";
	}
}

int thin_snapshot_map(dev_t dev, int fd, uint64_t bytes, const char *record,
		      struct thin_map **ret, struct err *err)
{
	struct thin_map_expect expect = { .bytes = bytes };
	struct thin_volume thin, after;
	struct thin_map *map = NULL;
	int in, turn, status = 0, result, is_thin;
	pid_t keeper;
	FILE *f;

	if (thin_snapshot_recover(record, err) < 0)
		return -1;
	/* What was written is in the metadata only when it was flushed. */
	if (fsync(fd) < 0)
		return err_sys(err, errno, NULL, "cannot flush it");
	is_thin = thin_look(dev, &thin, err);
	if (is_thin <= 0)
		return is_thin;
	if (thin.origin_outside)
		return err_set(err, ERR_FAILED, thin.name, "has an external origin");
	if (!thin.pool.writable)
		return err_set(err, ERR_FAILED, thin.pool.name, "the thin pool takes no writes (%s)",
			       thin.pool.mode);
	expect.id = thin.id;
	expect.chunk = thin.pool.chunk;
	expect.mapped = thin.mapped;
	/* Of all and of nothing the count says as much as a map would. */
	if (thin.mapped >= bytes)
		return 0;
	if (!thin.mapped) {
		*ret = thin_map_empty(&expect);
		return 1;
	}

	turn = take_turn(thin.pool.uuid);
	if (interrupt_requested()) {
		if (turn >= 0)
			close(turn);
		return err_set(err, ERR_STOPPED, thin.name, "interrupted");
	}
	keeper = start_keeper(&thin, record, turn, &in);
	if (turn >= 0)
		close(turn);
	if (keeper < 0)
		return err_sys(err, errno, thin.pool.name, "cannot start a process");
	f = fdopen(in, "r");
	if (!f)
		abort();
	result = thin_map_read(f, &expect, &map, err);
	/* With nobody to read, thin_dump ends, and then the keeper. */
	fclose(f);
	while (waitpid(keeper, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		/* A reader that has stopped reading is why the tool failed. */
		if (result == 0 || WEXITSTATUS(status) != KEEPER_TOOL_FAILED)
			err_set(err, ERR_FAILED, thin.pool.name, "%s",
				keeper_said(WIFEXITED(status) ? WEXITSTATUS(status) : 0));
		result = -1;
	}
	if (result == 0 && (thin_look(dev, &after, err) != 1 || after.mapped != thin.mapped)) {
		err_set(err, ERR_FAILED, thin.name, "changed while its map was read");
		result = -1;
	}
	if (interrupt_requested())
		result = err_set(err, ERR_STOPPED, thin.name, "interrupted");
	if (result < 0) {
		thin_map_free(map);
		return -1;
	}
	*ret = map;
	return 1;
}

/* Open and lock the record.  -1: there is none, -2: error. */
static int take_record(const char *record, struct err *err)
{
	uint64_t until = clock_ns() + WAIT_MS * 1000000ULL;

	for (;;) {
		int fd = open(record, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		struct stat st;

		if (fd < 0 && errno == ENOENT)
			return -1;
		if (fd < 0) {
			err_sys(err, errno, record, "cannot open it");
			err->class = ERR_STOPPED;
			return -2;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (fstat(fd, &st) == 0 && st.st_nlink > 0)
				return fd;
		} else if (clock_ns() >= until) {
			close(fd);
			err_set(err, ERR_STOPPED, record, "a process that reads a thin map is still at work");
			return -2;
		}
		close(fd);
		clock_sleep_ms(50);
	}
}

/* 2: all of it is known, 1: not the root, 0: there is nothing in it. */
static int read_record(int fd, char pool[static THIN_NAME_MAX], char uuid[static THIN_NAME_MAX],
		       uint64_t *ret_root)
{
	char text[3 * THIN_NAME_MAX] = "", end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int fields;

	if (n <= 0 || !strchr(text, '\n'))
		return 0;
	fields = sscanf(text, "%129s %129s %" SCNu64 "%c", pool, uuid, ret_root, &end);
	return fields == 4 && end == '\n' ? 2 : fields >= 2 ? 1 : 0;
}

char *thin_snapshot_pool(const char *record)
{
	char pool[THIN_NAME_MAX], uuid[THIN_NAME_MAX];
	int fd = open(record, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t root;
	char *ret = NULL;

	if (fd < 0)
		return NULL;
	if (read_record(fd, pool, uuid, &root) > 0)
		ret = text_copy(pool);
	close(fd);
	return ret;
}

/* LVM's name of the pool that device-mapper calls so: "vg--a-pool-tpool" is vg-a/pool.  NULL: none; free it. */
static char *lvm_name(const char *name)
{
	char *text = text_alloc(strlen(name) + 1, 1);
	size_t len = 0;
	int parts = 1;

	for (const char *c = name; *c; c++) {
		if (*c != '-' || c[1] == '-') {
			text[len++] = *c;
			c += *c == '-';
		} else if (++parts == 2) {
			text[len++] = '/';
		} else {
			/* Behind it is the layer. */
			break;
		}
	}
	if (parts == 3)
		return text;
	free(text);
	return NULL;
}

/* Make the pool of a record active, or not again, after a restart of the machine. */
static int activate(const char *name, const char *how, struct err *err)
{
	char *lv = lvm_name(name);
	const char *argv[] = { "lvchange", how, lv, NULL };
	struct lvm_command command = { .argv = argv, .object = lv };
	int ret = -1;

	if (lv)
		ret = lvm_run(&command, NULL, err);
	else
		err_sys(err, ENXIO, name, "the thin pool is not active");
	lvm_report_changed();
	free(lv);
	return ret;
}

int thin_snapshot_recover(const char *record, struct err *err)
{
	char name[THIN_NAME_MAX], uuid[THIN_NAME_MAX];
	struct err closing = ERR_INIT;
	struct thin_pool pool;
	uint64_t root = 0;
	int fd = take_record(record, err), known, ret = -1;
	bool activated = false;

	if (fd < 0)
		return fd == -1 ? 0 : -1;
	known = read_record(fd, name, uuid, &root);
	if (known && thin_pool_look(name, &pool, err) < 0) {
		activated = err->number == ENXIO && activate(name, "-ay", err) == 0;
		if (!activated || thin_pool_look(name, &pool, err) < 0) {
			err->class = ERR_STOPPED;
			goto out;
		}
	}
	if (known == 2 && release(name, uuid, root, err) < 0) {
		err->class = ERR_STOPPED;
		goto out;
	}
	if (known == 1 && pool.root && !strcmp(pool.uuid, uuid))
		log_warning("%s has a metadata snapshot, and nobody knows whose: if it is nobody's, "
			    "dmsetup message %s 0 " RELEASE, name, name);
	if (unlink(record) < 0 || sync_directory_of(record) < 0) {
		err_sys(err, errno, record, "cannot remove it");
		err->class = ERR_STOPPED;
		goto out;
	}
	ret = 0;
out:
	if (activated && activate(name, "-an", &closing) < 0)
		log_warning("%s: %s", closing.object, closing.cause);
	close(fd);
	return ret;
}
