/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does a volume answer? */
#include "engines/live_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engines/step.h"
#include "support/child.h"
#include "support/err.h"
#include "sys/nbd.h"

#define PROBE_BYTES 4096

struct probe {
	const char *path;
	bool write;			/* the block that is read goes back, else only a flush follows */
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
	if (self->write && got == PROBE_BYTES && pwrite(fd, self->buffer, PROBE_BYTES, 0) < 0)
		return errno;
	return fdatasync(fd) < 0 ? errno : 0;
}

/* what: "the destination". */
static int probe_path(const char *path, const char *what, bool write, uint64_t limit_ms, struct err *err)
{
	struct probe self = { .path = path, .write = write };
	int error = 0, ret = -1;

	if (posix_memalign(&self.buffer, PROBE_BYTES, PROBE_BYTES))
		abort();
	if (child_run(probe, &self, limit_ms, &error) < 0)
		err_set(err, ERR_FAILED, path, "%s does not answer within %llu ms", what,
			(unsigned long long)limit_ms);
	else if (error)
		err_sys(err, error, path, "%s cannot be %s", what, write ? "written" : "read and flushed");
	else
		ret = 0;
	free(self.buffer);
	return ret;
}

static int probe_remote(struct step_context *ctx, bool write, uint64_t limit_ms, struct err *err)
{
	const struct facts *target = &ctx->record->target;
	struct volume vol = VOLUME_INIT;
	struct err closing = ERR_INIT;
	void *buffer = NULL;
	int ret = -1;

	if (ctx->record->single_connection && !write)
		return 0;
	if (posix_memalign(&buffer, PROBE_BYTES, PROBE_BYTES))
		abort();
	if (volume_open_within(&vol, target, OPEN_BRIEFLY | (write ? OPEN_WRITE : OPEN_READ), ctx->same_boot,
			       limit_ms, err) < 0)
		goto out;
	nbd_export_set_limit(vol.nbd, limit_ms);
	if (nbd_export_read(vol.nbd, buffer, PROBE_BYTES, 0, err) < 0 ||
	    (write && nbd_export_write(vol.nbd, buffer, PROBE_BYTES, 0, err) < 0) ||
	    nbd_export_flush(vol.nbd, err) < 0)
		goto out;
	if (write)
		ctx->record->single_connection = !nbd_export_info(vol.nbd)->multi_conn;
	ret = 0;
out:
	volume_close(&vol, &closing);
	free(buffer);
	if (ret < 0 && err->class == ERR_REFUSED)
		err->class = ERR_FAILED;
	return ret;
}

int live_probe(struct step_context *ctx, uint64_t limit_ms, struct err *err)
{
	if (facts_remote(&ctx->record->target))
		return probe_remote(ctx, true, limit_ms, err);
	return probe_path(ctx->move->live.new_path, "the destination", true, limit_ms, err);
}

int live_flush(struct step_context *ctx, uint64_t limit_ms, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	int ret = facts_remote(&ctx->record->target) ? probe_remote(ctx, false, limit_ms, err) :
		  probe_path(live->new_path, "the destination", false, limit_ms, err);

	if (ret == 0 && !facts_remote(&ctx->move->source))
		ret = probe_path(live->old_path, "the source", false, limit_ms, err);
	return ret;
}
