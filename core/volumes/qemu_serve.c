/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume that QEMU opens, served by a process of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/qemu_daemon.h"
#include "volumes/lun.h"
#include "volumes/qemu.h"

#define SECRET_FD "/dev/fd/4"	/* the first that the daemon is handed, see qemu_daemon.h */

/*
 * Past the page cache where the file system can, so that what is read back is
 * what the medium has, and nobody else's pages are pushed out.
 */
static bool can_be_direct(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static json_t *image_blockdev(const struct facts *facts, bool writable)
{
	json_t *direct = json_pack("{s:b}", "direct", can_be_direct(facts->path));
	json_t *file = json_pack("{s:s, s:s, s:s, s:O, s:b}", "driver", "file", "filename", facts->path,
				 "discard", "unmap", "cache", direct, "read-only", !writable);

	return json_pack("{s:s, s:o, s:s, s:o, s:b}", "driver", facts->qemu->driver, "file", file,
			 "discard", "unmap", "cache", direct, "read-only", !writable);
}

static json_t *rbd_blockdev(const struct facts *facts, bool writable)
{
	const struct qemu_facts *qemu = facts->qemu;
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:b}", "driver", "rbd", "pool", qemu->pool,
				 "image", qemu->image, "discard", "unmap", "read-only", !writable);

	if (qemu->conf)
		json_put(json, "conf", json_string(qemu->conf));
	if (qemu->user)
		json_put(json, "user", json_string(qemu->user));
	return json;
}

/*
 * The target's secret in a file in memory that only the daemon is handed, and
 * what tells it so: no command line has the secret, and no file of ours.
 */
static int lun_secret(const struct qemu_facts *qemu, json_t *blockdev, json_t **ret_object, int *ret_fd,
		      struct err *err)
{
	struct lun_secrets secrets;
	size_t length;
	int fd = -1, ret = -1;

	if (lun_secrets_read(qemu->chap_file, &secrets, err) < 0)
		return -1;
	length = strlen(secrets.secret);
	if (secrets.user_in) {
		err_set(err, ERR_REFUSED, qemu->chap_file, "QEMU's iSCSI initiator does not ask the target for a secret");
		err_next(err, "leave username_in and password_in out, or attach the LUN (volmig attach)");
	} else if ((fd = memfd_create("volmig-secret", MFD_CLOEXEC)) < 0 ||
		   write(fd, secrets.secret, length) != (ssize_t)length) {
		err_sys(err, errno, qemu->chap_file, "cannot hand the secret over");
	} else {
		json_put(blockdev, "user", json_string(secrets.user));
		json_put(blockdev, "password-secret", json_string("chap"));
		*ret_object = json_pack("{s:s, s:s, s:s}", "qom-type", "secret", "id", "chap", "file", SECRET_FD);
		*ret_fd = fd;
		fd = -1;	/* handed over */
		ret = 0;
	}
	if (fd >= 0)
		close(fd);
	lun_secrets_free(&secrets);
	return ret;
}

static json_t *lun_blockdev(const struct facts *facts, bool writable, uint64_t stall_ms)
{
	const struct qemu_facts *qemu = facts->qemu;

	/* An answer that never comes ends the request, and then the job stops. */
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "driver", "iscsi", "transport", "tcp",
			 "portal", qemu->portal, "target", qemu->target, "lun", (json_int_t)qemu->lun,
			 "timeout", (json_int_t)((stall_ms + 999) / 1000), "read-only", !writable);
}

/* Inode numbers are used again: is what that descriptor of its stands for of the same birth? */
static bool has_birth(int dir, const char *name, const struct facts *facts)
{
	int fd = openat(dir, name, O_PATH | O_CLOEXEC);
	int64_t birth_ns = fd < 0 ? 0 : volume_birth(fd, "");

	if (fd >= 0)
		close(fd);
	return !birth_ns || !facts->birth_ns || birth_ns == facts->birth_ns;
}

/* Of those that we may look at: has it that very file open? */
static bool has_open(pid_t pid, const struct facts *facts)
{
	char *path = text_format("/proc/%ld/fd", (long)pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = !dir;

	free(path);
	while (!found && (entry = readdir(dir))) {
		struct stat st;

		found = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
			st.st_dev == facts->dev && st.st_ino == facts->ino &&
			has_birth(dirfd(dir), entry->d_name, facts);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int start(struct qemu_daemon **ret, const struct qemu_daemon_options *options, bool wait_for_locks,
		 struct err *err)
{
	int r = qemu_daemon_start(ret, options, err);

	/* One of a job that was killed just now gives its locks back in a moment. */
	for (unsigned ms = 0; r < 0 && err->number == EBUSY && wait_for_locks && ms < VOLUME_RELEASE_MS; ms += 100) {
		*err = (struct err)ERR_INIT;
		clock_sleep_ms(100);
		r = qemu_daemon_start(ret, options, err);
	}
	return r;
}

int qemu_serve(const struct facts *facts, bool writable, uint64_t stall_ms, bool wait_for_locks,
	       struct qemu_daemon **ret, int *ret_fd, int *ret_ring, struct err *err)
{
	bool is_rbd = qemu_is_rbd(facts), is_lun = qemu_is_lun(facts);
	json_t *secret = NULL, *blockdev = is_rbd ? rbd_blockdev(facts, writable) :
					    is_lun ? lun_blockdev(facts, writable, stall_ms) :
						     image_blockdev(facts, writable);
	char *environment = is_rbd ? rbd_environment(stall_ms) : NULL;
	const char *const env[] = { environment, NULL };
	struct qemu_daemon_options options = {
		.object = facts->path,
		.blockdev = blockdev,
		.env = env,
		.writable = writable,
		.ring = ret_ring,
		.connections = 1,
		.timeout_ms = stall_ms && stall_ms < QEMU_DAEMON_LIMIT_MS ? stall_ms : QEMU_DAEMON_LIMIT_MS,
	};
	struct qemu_daemon *daemon = NULL;
	int secret_fd = -1;

	if (!blockdev) {
		err_set(err, ERR_REFUSED, facts->path, "QEMU opens nothing whose name is not UTF-8");
		goto out;
	}
	if (is_lun && facts->qemu->chap_file) {
		if (lun_secret(facts->qemu, blockdev, &secret, &secret_fd, err) < 0)
			goto out;
		options.secret = secret;
		options.kept = &secret_fd;
		options.kept_count = 1;
	}
	if (start(&daemon, &options, wait_for_locks, err) < 0)
		goto out;
	if (!is_rbd && !is_lun && !has_open(qemu_daemon_pid(daemon), facts)) {
		err_set(err, ERR_REFUSED, facts->path, "is not the file that it was");
		qemu_daemon_stop(daemon);
		daemon = NULL;
		goto out;
	}
	*ret = daemon;
	*ret_fd = qemu_daemon_connection(daemon);
	if (ret_ring)
		*ret_ring = qemu_daemon_ring(daemon);
out:
	if (secret_fd >= 0)
		close(secret_fd);
	json_decref(secret);
	json_decref(blockdev);
	free(environment);
	return daemon ? 0 : -1;
}
