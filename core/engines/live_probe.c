/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer?  By a thread of its own: one that hangs cannot be waited for. */
#include "engines/live_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "support/limited.h"
#include "support/text.h"

#define PROBE_BYTES 4096

struct probe {
	struct limited base;
	char *path;
	bool write;
	int error;
};

static void release(struct limited *base)
{
	struct probe *probe = (struct probe *)base;

	free(probe->path);
	free(probe);
}

static int read_and_write(struct probe *probe, int fd, void *buffer)
{
	ssize_t got = pread(fd, buffer, PROBE_BYTES, 0);

	if (got < 0)
		return errno;
	/* A short one may not be written as it is with direct I/O; it was read, that is something. */
	if (!probe->write || got != PROBE_BYTES)
		return 0;
	if (pwrite(fd, buffer, PROBE_BYTES, 0) < 0 || fdatasync(fd) < 0)
		return errno;
	return 0;
}

static void run(struct limited *base)
{
	struct probe *probe = (struct probe *)base;
	int flags = (probe->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
	int fd = open(probe->path, flags | O_DIRECT);
	void *buffer = NULL;

	if (fd < 0 && errno == EINVAL)
		fd = open(probe->path, flags);
	if (fd < 0) {
		probe->error = errno;
		return;
	}
	probe->error = posix_memalign(&buffer, PROBE_BYTES, PROBE_BYTES);
	if (!probe->error)
		probe->error = read_and_write(probe, fd, buffer);
	free(buffer);
	if (close(fd) < 0 && !probe->error)
		probe->error = errno;
}

int live_probe(const char *path, bool write, uint64_t limit_ms, struct err *err)
{
	struct probe *probe = text_alloc(1, sizeof(*probe));
	int ret = 0;

	probe->base.run = run;
	probe->base.release = release;
	probe->path = text_copy(path);
	probe->write = write;
	if (!limited_run(&probe->base, limit_ms)) {
		err_set(err, ERR_FAILED, path, "the destination does not answer within %llu ms",
			(unsigned long long)limit_ms);
		return -1;
	}
	if (probe->error)
		ret = err_sys(err, probe->error, path, "the destination cannot be %s",
			      write ? "written" : "read");
	release(&probe->base);
	return ret;
}
