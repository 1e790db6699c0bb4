/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compare the legs of a raid1 volume in a pause. */
#include "engines/leg_compare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/online_move.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/monitor.h"
#include "sys/dm.h"

#define PIECE_BYTES (4u << 20)

struct legs {
	const char *volume;
	int old, ours;
	uint64_t bytes;
	char *buffers[2];
	uint64_t until;		/* the pause may be over from here on */
	uint64_t mended;	/* bytes */
};

static int open_leg(const struct online_now *now, unsigned index, struct err *err)
{
	char *device = dm_lv_name(now->group.name, now->lv->name, NULL);
	char *path = text_format("/dev/mapper/%s_rimage_%u", device, index);
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		err_sys(err, errno, path, "cannot open a leg to compare it");
	free(path);
	free(device);
	return fd;
}

static int transfer(int fd, char *buffer, size_t length, uint64_t offset, bool write, struct err *err)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = write ? pwrite(fd, buffer + done, length - done, (off_t)(offset + done)) :
				    pread(fd, buffer + done, length - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, NULL, "cannot %s a leg at byte %" PRIu64,
				       write ? "write" : "read", offset + done);
		done += (size_t)n;
	}
	return 0;
}

/* Make ours like the old leg there, and see whether it is then. */
static enum step_result mend(struct legs *legs, uint64_t offset, size_t length, struct err *err)
{
	if (transfer(legs->ours, legs->buffers[0], length, offset, true, err) < 0 ||
	    transfer(legs->ours, legs->buffers[1], length, offset, false, err) < 0)
		return STEP_UNDONE;
	legs->mended += length;
	if (!memcmp(legs->buffers[0], legs->buffers[1], length))
		return STEP_DONE;
	err_set(err, ERR_FAILED, legs->volume,
		"the new leg does not keep what it is given, at byte %" PRIu64 "; it is dropped again", offset);
	err_next(err, "look after the target's device");
	return STEP_UNDONE;
}

static enum step_result compare(struct step_context *ctx, struct legs *legs, struct err *err)
{
	for (uint64_t offset = 0; offset < legs->bytes; offset += PIECE_BYTES) {
		uint64_t left = legs->bytes - offset;
		size_t length = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		enum step_result result;

		if (clock_ns() >= legs->until) {
			err_set(err, ERR_STOPPED, legs->volume,
				"%" PRIu64 " bytes could be compared in the time that it may be suspended, it has %" PRIu64
				"; both legs are kept", offset, legs->bytes);
			err_next(err, "volmig abort %s, and start again with a longer --max-pause", ctx->job_id);
			return STEP_STOPPED;
		}
		if (transfer(legs->old, legs->buffers[0], length, offset, false, err) < 0)
			return STEP_STOPPED;
		if (transfer(legs->ours, legs->buffers[1], length, offset, false, err) < 0)
			return STEP_UNDONE;
		if (memcmp(legs->buffers[0], legs->buffers[1], length)) {
			result = mend(legs, offset, length, err);
			if (result != STEP_DONE)
				return result;
		}
		monitor_advance(ctx->mon, offset + length);
	}
	return STEP_DONE;
}

/* The volume's own device is paused; where a snapshot was made since, that is a layer above the legs. */
static enum step_result compare_paused(struct step_context *ctx, const struct online_now *now,
				       struct legs *legs, struct err *err)
{
	uint64_t limit = ctx->move->online.max_pause_ms, begun = clock_ns();
	char *device = dm_lv_name(now->group.name, now->lv->name, NULL);
	struct dm_pause *pause = NULL;
	enum step_result result = STEP_STOPPED;
	struct err second = ERR_INIT;
	bool kept = false;

	monitor_phase(ctx->mon, "compare", legs->bytes);
	if (dm_pause_begin(device, limit, &pause, err) < 0) {
		free(device);
		return STEP_STOPPED;
	}
	/* Some of the time is for what is under way when it is over. */
	legs->until = begun + limit * 900000;
	result = compare(ctx, legs, err);
	if (dm_pause_end(pause, &kept, &second) < 0 || !kept) {
		/*
		 * Something may have been written while we still copied an old
		 * block: no harm, as nothing is proven, and no leg is dropped
		 * before a scrub has found nothing.
		 */
		err_set(err, ERR_STOPPED, legs->volume,
			"it could not be compared within the time that it may be suspended; both legs are kept");
		err_next(err, "volmig resume %s, or abort it and start again with a longer --max-pause", ctx->job_id);
		result = STEP_STOPPED;
	}
	if (result == STEP_DONE)
		text_list_add(&ctx->record->notes, text_format(
			"suspended for %" PRIu64 " ms to compare both legs; %" PRIu64 " bytes were made equal",
			(clock_ns() - begun) / 1000000, legs->mended));
	free(device);
	return result;
}

enum step_result leg_compare(struct step_context *ctx, const struct online_now *now, struct err *err)
{
	char *name = text_format("%s/%s", now->group.name, now->lv->name);
	struct legs legs = { .volume = name, .old = -1, .ours = -1, .bytes = now->lv->bytes };
	enum step_result result = STEP_STOPPED;

	/* Old legs come first and the new one last: that is how LVM numbers them. */
	if (now->ours != 1 || now->ours_first) {
		err_set(err, ERR_STOPPED, name, "its legs cannot be compared: more than one is new");
		err_next(err, "volmig resume %s when it is quiet", ctx->job_id);
		goto out;
	}
	legs.old = open_leg(now, 0, err);
	legs.ours = legs.old < 0 ? -1 : open_leg(now, now->legs - 1, err);
	if (legs.ours < 0)
		goto out;
	if (posix_memalign((void **)&legs.buffers[0], 4096, PIECE_BYTES) ||
	    posix_memalign((void **)&legs.buffers[1], 4096, PIECE_BYTES)) {
		err_sys(err, ENOMEM, name, "cannot compare its legs");
		goto out;
	}
	/* Nothing of this may have to be paged in during the pause. */
	memset(legs.buffers[0], 0, PIECE_BYTES);
	memset(legs.buffers[1], 0, PIECE_BYTES);
	result = compare_paused(ctx, now, &legs, err);
	ctx->record->online.compared = result == STEP_DONE;
out:
	if (legs.old >= 0)
		close(legs.old);
	if (legs.ours >= 0)
		close(legs.ours);
	free(legs.buffers[0]);
	free(legs.buffers[1]);
	free(name);
	return result;
}
