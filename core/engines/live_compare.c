/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compare what can be compared of a disk that is in use, once its mirror is ready.
 *
 * While the guest runs, a block may have reached one disk and not yet the other:
 * only where the source stays the same and the destination stays different for
 * a while are the two not equal.  While it is suspended, and the mirror has
 * nothing left to do, every difference is one.
 */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engines/live_guard.h"
#include "engines/live_parts.h"
#include "support/child.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/monitor.h"
#include "sys/nbd.h"

#define MIB (1024 * 1024)
#define BLOCK 4096

/* A difference that a guest has not changed for so long is one. */
#define STEADY_MS 2000
#define READ_LIMIT_MS 30000

/* Two pieces of the two disks, in memory that is shared with the child that reads them: either may hang. */
struct reading {
	int fds[2];
	uint64_t offset;
	size_t length;
	ssize_t got[2];
	char *pieces[2];
	size_t mapped;
};

/* The two, each by a descriptor, or on the network by a connection of our own. */
struct pair {
	int fds[2];
	struct volume remote[2];
};

static void reading_release(struct reading *reading)
{
	munmap(reading, reading->mapped);
}

/* In the child. */
static int reading_run(void *data)
{
	struct reading *reading = data;

	/* The destination last: what is on it came from the source before. */
	for (int i = 0; i < 2; i++)
		if (reading->fds[i] >= 0)
			reading->got[i] = pread(reading->fds[i], reading->pieces[i], reading->length,
						(off_t)reading->offset);
	return 0;
}

/* What is on the network; its connection has a time limit of its own. */
static int read_remote(const struct pair *pair, struct reading *reading, struct err *err)
{
	for (int i = 0; i < 2; i++) {
		if (!pair->remote[i].nbd)
			continue;
		if (nbd_export_read(pair->remote[i].nbd, reading->pieces[i], reading->length,
				    reading->offset, err) < 0)
			return -1;
		reading->got[i] = (ssize_t)reading->length;
	}
	return 0;
}

/* Both pieces, or NULL with err set. */
static struct reading *read_both(const struct pair *pair, const struct move *move, uint64_t offset,
				 size_t length, struct err *err)
{
	size_t rounded = (length + BLOCK - 1) / BLOCK * BLOCK, mapped = BLOCK + 2 * rounded;
	struct reading *reading = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				       -1, 0);
	int status;

	if (reading == MAP_FAILED)
		abort();
	*reading = (struct reading){ .offset = offset, .length = length, .mapped = mapped };
	for (int i = 0; i < 2; i++) {
		reading->fds[i] = pair->fds[i];
		reading->pieces[i] = (char *)reading + BLOCK + (size_t)i * rounded;
	}
	if (child_run_with(reading_run, reading, pair->fds, READ_LIMIT_MS, &status) < 0) {
		err_set(err, ERR_STOPPED, move->live.new_path, "one of the two disks does not answer");
		reading_release(reading);
		return NULL;
	}
	if (read_remote(pair, reading, err) < 0) {
		err->class = ERR_STOPPED;
		reading_release(reading);
		return NULL;
	}
	for (int i = 0; i < 2; i++)
		if (reading->got[i] != (ssize_t)length) {
			err_set(err, ERR_STOPPED, i ? move->live.new_path : move->live.old_path,
				"cannot be read at byte %llu", (unsigned long long)offset);
			reading_release(reading);
			return NULL;
		}
	return reading;
}

/* Direct, so that it is the medium that is read, where the file system can. */
static int open_path(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err_set(err, ERR_STOPPED, path, "cannot be opened to compare it");
	return fd;
}

static int open_pair(struct step_context *ctx, struct pair *pair, struct err *err)
{
	const struct facts *facts[] = { &ctx->move->source, &ctx->record->target };
	const char *paths[] = { ctx->move->live.old_path, ctx->move->live.new_path };

	for (int i = 0; i < 2; i++) {
		if (!facts_remote(facts[i])) {
			pair->fds[i] = open_path(paths[i], err);
			if (pair->fds[i] < 0)
				return -1;
			continue;
		}
		if (volume_open_within(&pair->remote[i], facts[i], OPEN_READ | OPEN_BRIEFLY, ctx->same_boot,
				       READ_LIMIT_MS, err) < 0)
			return -1;
		nbd_export_set_limit(pair->remote[i].nbd, READ_LIMIT_MS);
	}
	return 0;
}

static void close_pair(struct pair *pair)
{
	struct err ignored = ERR_INIT;

	for (int i = 0; i < 2; i++) {
		if (pair->fds[i] >= 0)
			close(pair->fds[i]);
		volume_close(&pair->remote[i], &ignored);
	}
}

/* The first block in which the two differ; length: they do not. */
static size_t first_difference(const struct reading *reading, size_t from)
{
	for (size_t at = from; at < reading->length; at += BLOCK) {
		size_t length = reading->length - at < BLOCK ? reading->length - at : BLOCK;

		if (memcmp(reading->pieces[0] + at, reading->pieces[1] + at, length))
			return at;
	}
	return reading->length;
}

/*
 * Of a running guest's disk.  1 they are the same, but for *ret_moving blocks
 * that the guest keeps writing to; 0 they differ, at *ret_at; -1 error.
 */
static int compare_moving(const struct pair *pair, const struct move *move, uint64_t offset,
			  size_t length, uint64_t *ret_at, uint64_t *ret_moving, struct err *err)
{
	struct reading *first = NULL, *again;
	size_t from = 0;

	for (;;) {
		uint64_t began = clock_ns();
		bool steady = true;
		size_t at;

		if (first)
			reading_release(first);
		first = read_both(pair, move, offset, length, err);
		if (!first)
			return -1;
		at = first_difference(first, from);
		if (at == length) {
			reading_release(first);
			return 1;
		}
		/* Watch this block: does the mirror bring the two together, or the guest change it? */
		while (steady && clock_ns() - began < STEADY_MS * 1000000ULL) {
			clock_sleep_ms(20);
			again = read_both(pair, move, offset, length, err);
			if (!again) {
				reading_release(first);
				return -1;
			}
			steady = first_difference(again, from) == at &&
				 !memcmp(first->pieces[0] + at, again->pieces[0] + at, BLOCK);
			reading_release(again);
		}
		if (steady) {
			*ret_at = offset + at;
			reading_release(first);
			return 0;
		}
		(*ret_moving)++;
		from = at + BLOCK;
	}
}

/* Has the mirror of a guest that is suspended brought all over? */
static bool wait_idle(struct virt *virt, const struct live_move *live, uint64_t until)
{
	struct virt_job job;
	struct err ignored = ERR_INIT;
	int idle = 0;

	while (clock_ns() < until) {
		if (virt_job(virt, live->uuid, live->target, &job, &ignored) < 0 || !job.exists)
			return false;
		idle = job.done == job.total ? idle + 1 : 0;
		if (idle == 2)
			return true;
		clock_sleep_ms(5);
	}
	return false;
}

/* Compare from the beginning until time is up; the guest is suspended. */
static int compare_still(struct step_context *ctx, const struct pair *pair, uint64_t until,
			 uint64_t *ret_done, uint64_t *ret_at, struct err *err)
{
	const struct move *move = ctx->move;
	uint64_t offset = 0;
	int ret = 1;

	while (ret == 1 && offset < move->live.bytes && clock_ns() < until) {
		size_t length = move->live.bytes - offset < MIB ? (size_t)(move->live.bytes - offset) : MIB;
		struct reading *reading = read_both(pair, move, offset, length, err);
		size_t at;

		if (!reading)
			return -1;
		at = first_difference(reading, 0);
		reading_release(reading);
		if (at < length) {
			*ret_at = offset + at;
			ret = 0;
		} else {
			offset += length;
			monitor_advance(ctx->mon, offset);
		}
	}
	*ret_done = offset;
	return ret;
}

static int compare_suspended(struct step_context *ctx, struct virt *virt, const struct pair *pair,
			     uint64_t *ret_done, uint64_t *ret_at, struct err *err)
{
	const struct live_move *live = &ctx->move->live;
	struct live_guard guard = LIVE_GUARD_NONE;
	struct virt_domain domain = { 0 };
	struct err second = ERR_INIT;
	uint64_t until;
	int ret = 1;

	if (virt_find(virt, live->uuid, &domain, err) < 0)
		return -1;
	if (!domain.paused && live_guard_begin(&guard, live, live_call_limit(ctx->move), err) < 0) {
		virt_domain_free(&domain);
		return -1;
	}
	/* One that somebody else has suspended stands still as it is, and stays so. */
	until = clock_ns() + live->max_pause_ms * 1000000;
	if (!domain.paused)
		ret = virt_suspend(virt, live->uuid, err) < 0 ? -1 : 1;
	inject_kill_at("kill-suspend", 2);
	if (ret == 1 && !wait_idle(virt, live, until))
		text_list_add(&ctx->record->notes, text_copy(
			"the mirror had not come to rest within --max-pause, so nothing was compared at rest"));
	else if (ret == 1)
		ret = compare_still(ctx, pair, until, ret_done, ret_at, err);
	if (!domain.paused && live_let_go_on(virt, live, ret < 0 ? &second : err) < 0) {
		ret = -1;
		live_guard_leave(&guard);
	}
	live_guard_end(&guard);
	virt_domain_free(&domain);
	return ret;
}

static enum step_result differ(struct step_context *ctx, uint64_t at, struct err *err)
{
	err_set(err, ERR_FAILED, ctx->move->live.new_path,
		"the mirror differs from the guest's disk at byte %llu", (unsigned long long)at);
	return STEP_UNDONE;
}

static enum step_result compare_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	const struct live_move *live = &move->live;
	uint64_t ends[2][2] = { { 0, live->bytes < MIB ? live->bytes : MIB },
				{ live->bytes > 2 * MIB ? live->bytes - MIB : MIB,
				  live->bytes > MIB ? live->bytes : MIB } };
	uint64_t began = clock_ns(), done = 0, at = 0, moving = 0;
	struct pair pair = { { -1, -1 }, { VOLUME_INIT, VOLUME_INIT } };
	struct virt *virt = NULL;
	enum step_result ret = STEP_STOPPED;
	bool moved;
	int same = 1;

	if (virt_open(live->uri, VIRT_LIMIT_MS, &virt, err) < 0)
		goto out;
	/* Killed while it stood still? */
	if (live->max_pause_ms && ctx->again && live_let_go_on(virt, live, err) < 0)
		goto out;
	ret = live_still_ready(ctx, virt, &moved, err);
	if (ret != STEP_DONE)
		goto out;
	if (moved) {
		text_list_add(&ctx->record->notes, text_copy(
			"somebody else moved the guest, so nothing could be compared"));
		goto out;
	}
	if (ctx->record->single_connection) {
		text_list_add(&ctx->record->notes, text_copy(
			"the destination's server takes one client at a time, and that is QEMU: nothing was compared before the pivot"));
		goto out;
	}
	ret = STEP_STOPPED;
	monitor_phase(ctx->mon, "compare", live->bytes);
	if (open_pair(ctx, &pair, err) < 0)
		goto out;
	if (live->max_pause_ms)
		same = compare_suspended(ctx, virt, &pair, &done, &at, err);
	for (int i = 0; same == 1 && i < 2; i++) {
		if (ends[i][1] <= ends[i][0] || ends[i][1] <= done)
			continue;
		same = compare_moving(&pair, move, ends[i][0], (size_t)(ends[i][1] - ends[i][0]), &at,
				      &moving, err);
		done += ends[i][1] - ends[i][0];
	}
	if (same == 0)
		ret = differ(ctx, at, err);
	if (same != 1)
		goto out;
	ctx->record->live_compared = done - moving * BLOCK;
	ctx->record->verify_ns += clock_ns() - began;
	text_list_add(&ctx->record->notes, done >= live->bytes && !moving ?
		text_copy("all of the disk was compared before the pivot") :
		text_format("compared before the pivot: %s; not compared: the rest, and %llu blocks that the guest kept writing to",
			    live->max_pause_ms ? "as much as --max-pause allowed, and the first and last MiB" :
			    "the first and last MiB, while the guest was running", (unsigned long long)moving));
	ret = STEP_DONE;
out:
	if (ret == STEP_STOPPED)
		err->class = ERR_STOPPED;
	close_pair(&pair);
	virt_close(virt);
	return ret;
}

static int compare_undo(struct step_context *ctx, struct err *err)
{
	struct virt *virt = NULL;
	int ret = -1;

	if (!ctx->move->live.max_pause_ms)
		return 0;
	if (virt_open(ctx->move->live.uri, VIRT_LIMIT_MS, &virt, err) == 0)
		ret = live_let_go_on(virt, &ctx->move->live, err);
	if (ret < 0 && err->number == ENOENT)
		ret = 0;	/* a domain that is gone does not stand still */
	virt_close(virt);
	return ret;
}

static char *object(const struct move *move)
{
	return text_format("%s %s", move->live.domain, move->live.target);
}

const struct step_ops compare_step = {
	.name	= "compare",
	.state	= "verified",
	.run	= compare_run,
	.undo	= compare_undo,
	.object	= object,
};
