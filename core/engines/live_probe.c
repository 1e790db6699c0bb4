/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer? */
#include "engines/live_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/child.h"
#include "support/err.h"

#define PROBE_BYTES 4096

struct probe {
	const char *path;
	bool write;
	void *buffer;
};

/* In the child; returns an errno. */
static int probe(void *data)
{
	const struct probe *self = data;
	int flags = (self->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
	int fd = open(self->path, flags | O_DIRECT);
	ssize_t got;

	if (fd < 0 && errno == EINVAL)
		fd = open(self->path, flags);
	if (fd < 0)
		return errno;
	got = pread(fd, self->buffer, PROBE_BYTES, 0);
	if (got < 0)
		return errno;
	/* A short one may not be written as it is with direct I/O; it was read, that is something. */
	if (!self->write || got != PROBE_BYTES)
		return 0;
	if (pwrite(fd, self->buffer, PROBE_BYTES, 0) < 0 || fdatasync(fd) < 0)
		return errno;
	return 0;
}

int live_probe(const char *path, bool write, uint64_t limit_ms, struct err *err)
{
	struct probe self = { .path = path, .write = write };
	int error = 0, ret = -1;

	if (posix_memalign(&self.buffer, PROBE_BYTES, PROBE_BYTES))
		abort();
	if (child_run(probe, &self, limit_ms, &error) < 0)
		err_set(err, ERR_FAILED, path, "the destination does not answer within %llu ms",
			(unsigned long long)limit_ms);
	else if (error)
		err_sys(err, error, path, "the destination cannot be %s", write ? "written" : "read");
	else
		ret = 0;
	free(self.buffer);
	return ret;
}
