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

#define PIECE_BYTES (1u << 20)

struct legs {
	const char *volume, *job_id;
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

static int transfer(const struct legs *legs, int fd, char *buffer, size_t length, uint64_t offset, bool write,
		    struct err *err)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = write ? pwrite(fd, buffer + done, length - done, (off_t)(offset + done)) :
				    pread(fd, buffer + done, length - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, legs->volume, "cannot %s its %s leg at byte %" PRIu64,
				       write ? "write" : "read", fd == legs->old ? "old" : "new", offset + done);
		done += (size_t)n;
	}
	return 0;
}

/* Is it certainly still suspended? */
static bool in_time(const struct legs *legs, uint64_t offset, struct err *err)
{
	if (clock_ns() < legs->until)
		return true;
	err_set(err, ERR_STOPPED, legs->volume,
		"%" PRIu64 " bytes could be compared in the time that it may be suspended, it has %" PRIu64
		"; both legs are kept", offset, legs->bytes);
	err_next(err, "volmig abort %s, and start again with a longer --max-pause", legs->job_id);
	return false;
}

/*
 * Make ours like the old leg there, and see whether it is then: by reading both,
 * for what damages a write may have damaged the memory that it was written from.
 */
static enum step_result mend(struct legs *legs, uint64_t offset, size_t length, struct err *err)
{
	if (!in_time(legs, offset, err))
		return STEP_STOPPED;
	if (transfer(legs, legs->ours, legs->buffers[0], length, offset, true, err) < 0 ||
	    transfer(legs, legs->ours, legs->buffers[1], length, offset, false, err) < 0)
		return STEP_UNDONE;
	if (transfer(legs, legs->old, legs->buffers[0], length, offset, false, err) < 0)
		return STEP_STOPPED;
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

		if (!in_time(legs, offset, err))
			return STEP_STOPPED;
		if (transfer(legs, legs->old, legs->buffers[0], length, offset, false, err) < 0)
			return STEP_STOPPED;
		if (transfer(legs, legs->ours, legs->buffers[1], length, offset, false, err) < 0)
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
		if (err->class == ERR_STOPPED)
			err_next(err, "volmig abort %s, and start again with a longer --max-pause", ctx->job_id);
		err_context(err, "it cannot be suspended to compare its legs, and both are kept");
		goto out;
	}
	/* Some of the time is for what is under way when it is over. */
	legs->until = begun + limit * 900000;
	result = compare(ctx, legs, err);
	if (dm_pause_end(pause, &kept, &second) < 0) {
		*err = second;
		err_context(err, "after comparing its legs, it may be suspended still");
		err_next(err, "dmsetup resume %s", device);
		result = STEP_UNSURE;
	} else if (!kept && result != STEP_STOPPED) {
		/*
		 * Something may have been written while an old block was still
		 * on its way: no harm, as nothing is proven, and no leg is dropped
		 * before a scrub has found nothing.
		 */
		*err = (struct err)ERR_INIT;
		err_set(err, ERR_STOPPED, legs->volume,
			"it could not be compared within the time that it may be suspended; both legs are kept");
		err_next(err, "volmig abort %s, and start again with a longer --max-pause", ctx->job_id);
		result = STEP_STOPPED;
	}
	if (result == STEP_DONE)
		text_list_add(&ctx->record->notes, text_format(
			"suspended for %" PRIu64 " ms to compare both legs; %" PRIu64 " bytes were made equal",
			(clock_ns() - begun) / 1000000, legs->mended));
out:
	free(device);
	return result;
}

enum step_result leg_compare(struct step_context *ctx, const struct online_now *now, struct err *err)
{
	char *name = text_format("%s/%s", now->group.name, now->lv->name);
	struct legs legs = { .volume = name, .job_id = ctx->job_id, .old = -1, .ours = -1, .bytes = now->lv->bytes };
	enum step_result result = STEP_STOPPED;

	/* Old legs come first and the new one last: that is how LVM numbers them. */
	if (now->ours != 1 || now->ours_first) {
		err_set(err, ERR_STOPPED, name,
			"its legs differ in %" PRIu64 " sectors, and are not compared in a pause: %s; all are kept",
			ctx->record->online.mismatches, now->ours_first ? "the first one is new" : "more than one is new");
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
	/* A way that proves nothing would give the same device the data and drop the old one. */
	if (result == STEP_UNDONE)
		ctx->record->go_on = GO_ON_PROVING;
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
