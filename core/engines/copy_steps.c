/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that carry the bytes and prove them: copy, zero-tail, verify. */
#include "engines/step.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engines/far_steps.h"
#include "engines/leaves.h"
#include "engines/reconnect.h"
#include "engines/throttle.h"
#include "engines/verify_count.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "volumes/far.h"
#include "volumes/guests.h"
#include "volumes/thin_snapshot.h"

#define LEAVES_BACK 65536		/* how far back a leaf that is not zero is looked for: 64 GiB */
#define CACHED_BYTES (4U << 20)		/* a smaller source does the page cache no harm, and may be in it */

static struct block_copy_options options_of(const struct step_context *ctx)
{
	const struct move *move = ctx->move;
	struct block_copy_options opt = BLOCK_COPY_DEFAULTS;

	opt.sparse = move->sparse;
	opt.delta = move->delta;
	opt.bytes_per_second = move->bytes_per_second;
	opt.stall_ms = move->stall_ms;
	opt.throttle = ctx->throttle;
	opt.pace = throttle_pace(ctx->throttle);
	return opt;
}

static int open_source(struct step_context *ctx, struct volume *source, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	unsigned flags = OPEN_READ;

	/*
	 * An export's server may be one of this host, that writes through the
	 * cache to the same disk: then the kernel's reading ahead takes 0.75
	 * of the time of direct reads.  What was read is dropped as it goes.
	 */
	if (!strcmp(src->kind, "file") &&
	    (src->bytes <= CACHED_BYTES || !strcmp(ctx->record->target.kind, nbd_volume_ops.kind)))
		flags |= OPEN_CACHED;
	return volume_open_within(source, src, flags, ctx->same_boot, ctx->move->stall_ms, err);
}

static int open_target(struct step_context *ctx, unsigned flags, struct volume *target,
		       struct err *err)
{
	/* What an earlier run has written elsewhere than to a file, nobody has taken back. */
	if ((flags & OPEN_WRITE) && ctx->move->create &&
	    (!ctx->written || !strcmp(ctx->record->target.kind, "file")))
		flags |= OPEN_FRESH;
	/* A file that is made on another host is empty, unless a run of which nothing is left wrote to it. */
	if ((flags & OPEN_WRITE) && ctx->move->far.makes && !strcmp(ctx->move->far.makes, "file") &&
	    (!ctx->written || ctx->record->mark.offset))
		flags |= OPEN_FRESH;
	return volume_open_within(target, &ctx->record->target, flags, ctx->same_boot,
				  ctx->move->stall_ms, err);
}

static int open_leaves(struct step_context *ctx, struct leaves **ret, struct err *err)
{
	char *path = text_format("%s/leaves", ctx->job_dir);
	int r = leaves_open(ret, path, ctx->move->source.bytes, &ctx->record->leaf, err);

	free(path);
	return r;
}

static void note_once(struct step_context *ctx, const char *text)
{
	if (*text && !text_list_has(&ctx->record->notes, text))
		text_list_add(&ctx->record->notes, text_copy(text));
}

/* What is found of a metadata snapshot's record in the job's directory. */
static const char *const map_records[] = { "source.thin-map", "target.thin-map" };

/*
 * Find out where vol has data, where that takes an effort.  Where it cannot be
 * known all is data, and the receipt says so.  -1: stop.
 */
static int load_map(struct step_context *ctx, struct volume *vol, const char *name, struct err *err)
{
	char *record, *note;
	struct err why = ERR_INIT;
	int r;

	if (!vol->ops->load_map)
		return 0;
	record = text_format("%s/%s", ctx->job_dir, name);
	r = vol->ops->load_map(vol, record, &why);
	free(record);
	if (r == 0)
		return 0;
	if (why.class == ERR_STOPPED) {
		*err = why;
		return -1;
	}
	note = text_format("all of %s is read, used or not: %s%s%s", vol->path, why.object,
			   *why.object ? ": " : "", why.cause);
	note_once(ctx, note);
	free(note);
	return 0;
}

/*
 * What the engine's error means for the job.  Only a copy that is known to be
 * wrong is rolled back.  A fault of the media, of memory, of anything may be
 * mended, and a source that has got shorter has left its end in the copy only.
 */
static enum step_result result_of(struct err *err)
{
	if (err->class == ERR_FAILED && err->number == BLOCK_DIFFERS)
		return STEP_UNDONE;
	err->class = ERR_STOPPED;
	return STEP_STOPPED;
}

/*
 * Nothing is rolled back because an end cannot be opened in the middle of a
 * job: it may come back, and what was copied may by now be the only copy.
 */
static enum step_result result_of_open(const struct step_context *ctx, struct err *err)
{
	/* A cluster or target that does not answer would not let it be rolled back either. */
	bool far = facts_remote(&ctx->move->source) || facts_remote(&ctx->record->target);
	/* Nor would a file system that has turned read-only, or a medium that fails. */
	bool unwell = err->number == EROFS || err->number == EIO;

	if (!ctx->record->mark.offset && !((far || unwell) && ctx->written) &&
	    !(ctx->move->far.host && err->class == ERR_STOPPED))
		return STEP_UNDONE;
	if (err->class == ERR_FAILED)
		err->class = ERR_STOPPED;
	return STEP_STOPPED;
}

/*
 * Does vol hold what it held at the mark?  The last leaf below it tells; and of
 * a remote volume, which might be another or have lost all that it held, the
 * last that is not zero as well.
 */
static int check_leaves(struct volume *vol, struct leaves *leaves, uint64_t at, struct err *err)
{
	uint64_t leaf = (at - 1) / LEAF_BYTES, least = leaf > LEAVES_BACK ? leaf - LEAVES_BACK : 0;
	int ok = block_check_leaf(vol, leaves, at, err), zero = 0;

	if (!vol->nbd || ok <= 0)
		return ok;
	while ((zero = leaves_zero(leaves, leaf, err)) > 0 && leaf > least)
		leaf--;
	return zero ? (zero < 0 ? -1 : ok) : block_check_leaf(vol, leaves, (leaf + 1) * LEAF_BYTES, err);
}

/* Before going on in the middle: are these the volumes that were left? */
static int check_resume(struct step_context *ctx, struct volume *source, struct volume *target,
			struct leaves *leaves, struct err *err)
{
	uint64_t at = ctx->record->mark.offset;
	int source_ok = check_leaves(source, leaves, at, err);
	int target_ok = source_ok < 0 ? -1 : check_leaves(target, leaves, at, err);

	if (source_ok < 0 || target_ok < 0)
		return -1;
	if (source_ok && target_ok)
		return 0;
	err_set(err, ERR_REFUSED, source_ok ? target->path : source->path,
		"does not hold what it held when the job was interrupted (the MiB before byte %llu differs)",
		(unsigned long long)at);
	return err_next(err, "volmig abort %s", ctx->job_id);
}

/*
 * A copy that begins at its start again: what an earlier run has written to the
 * new file, perhaps of a source that held something else then, must not show
 * through where zeroes are left out.
 */
static int empty(struct step_context *ctx, struct volume *target, struct err *err)
{
	int ret;

	/* A new logical volume that nobody has written to so far is as empty as it can be. */
	if (ctx->move->lvm.create) {
		struct err ignored = ERR_INIT;

		if (!target->fresh || !ctx->again)
			return 0;
		if (target->ops->zero(target, 0, target->bytes, ZERO_FREE, &ignored) == 0)
			return 0;
		/* Then zeroes are written. */
		target->fresh = false;
		return 0;
	}
	/*
	 * By a hole as large as the file: one that is found shorter than it was
	 * made, since we died in between, is not gone on with.  What a file
	 * system has no call for goes the other way.
	 */
	ret = fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)target->bytes);
	if (ret < 0)
		ret = ftruncate(target->fd, 0);
	inject_kill_at("kill-empty", 1);
	if (ret == 0 && ftruncate(target->fd, (off_t)target->bytes) == 0)
		return 0;
	err_sys(err, errno, target->path, "cannot empty the new file");
	err->class = ERR_STOPPED;
	return -1;
}

/*
 * A server on this host may serve the very file or device that is at the other
 * end of the move, and is seen to have it open only while it is connected.
 */
static int check_not_served(const struct facts *local, const char *shut_off_uuid, struct err *err)
{
	struct facts now = { 0 };
	char *uses = NULL;
	int ret = volume_inspect_again(local, INSPECT_USES | INSPECT_OUTSIDE, &now, err);

	if (ret == 0)
		uses = guests_uses_besides(&now, shut_off_uuid);
	if (uses) {
		err_set(err, ERR_REFUSED, local->path,
			"in use while the other end is connected: %s", uses);
		ret = err_next(err, "is it the same volume, by another name?");
	}
	free(uses);
	facts_free(&now);
	return ret;
}

static int open_ends(struct step_context *ctx, struct volume *source, struct volume *target,
		     struct err *err)
{
	const struct move *move = ctx->move;
	bool export_source = !strcmp(move->source.kind, nbd_volume_ops.kind);
	bool export_target = !strcmp(ctx->record->target.kind, nbd_volume_ops.kind);

	if (export_target && !export_source) {
		if (open_target(ctx, OPEN_WRITE, target, err) < 0 ||
		    check_not_served(&move->source, move_shut_off_users(move), err) < 0)
			return -1;
		return open_source(ctx, source, err);
	}
	if (open_source(ctx, source, err) < 0)
		return -1;
	if (export_source && !export_target && !move->create &&
	    check_not_served(&ctx->record->target, NULL, err) < 0)
		return -1;
	return open_target(ctx, OPEN_WRITE, target, err);
}

static void count_wire(struct progress_record *record)
{
	uint64_t raw, wire;

	far_take_counts(&raw, &wire);
	record->wire_raw += raw;
	record->wire_bytes += wire;
}

static enum step_result copy_once(struct step_context *ctx, struct reconnect *link, struct err *err)
{
	const struct move *move = ctx->move;
	struct progress_record *record = ctx->record;
	struct volume source = VOLUME_INIT, target = VOLUME_INIT;
	struct block_copy_options opt = options_of(ctx);
	struct block_copy_result result = { 0 };
	struct err closing = ERR_INIT;
	struct leaves *leaves = NULL, *known = NULL;
	enum step_result ret = STEP_UNDONE;
	struct far_monitor telling;
	struct monitor *mon = far_monitor(&telling, ctx);

	far_use_job(ctx->job_id, move->far.compress);
	/* Each time: of what an earlier attempt has written its hashes tell nothing. */
	if ((move->delta && move->far.host && far_survey(ctx, record->mark.offset, &known, err) < 0) ||
	    open_ends(ctx, &source, &target, err) < 0 ||
	    (move->verify == VERIFY_FULL && open_leaves(ctx, &leaves, err) < 0)) {
		ret = result_of_open(ctx, err);
		record->unwritten = !ctx->written && !link->opened;
		goto out;
	}
	link->opened = true;
	record->unwritten = false;
	/* What such a server has acknowledged may be gone by now, at whatever place. */
	if (target.no_flush) {
		record->mark = (struct mark){ 0 };
		/* What lies before the mark was not hashed. */
		leaves_close(known);
		known = NULL;
	}
	/* What was counted before the machine was restarted, the kernel has begun anew. */
	if (!record->mark.offset && !ctx->same_boot && !facts_tell_changes(&move->source, false) &&
	    (count_source(ctx, err) < 0 || monitor_note(ctx->mon, err) < 0)) {
		ret = STEP_STOPPED;
		goto out;
	}
	if (move->create && !record->mark.offset &&
	    (move->lvm.create || !strcmp(record->target.kind, "file")) && empty(ctx, &target, err) < 0) {
		ret = STEP_STOPPED;
		goto out;
	}
	if (load_map(ctx, &source, map_records[0], err) < 0 ||
	    (move->delta && load_map(ctx, &target, map_records[1], err) < 0)) {
		ret = STEP_STOPPED;
		goto out;
	}
	if (record->mark.offset && leaves && check_resume(ctx, &source, &target, leaves, err) < 0) {
		ret = STEP_STOPPED;
		goto out;
	}
	if (record->mark.offset)
		record->resumed_at = record->mark.offset;
	opt.start = record->mark;
	opt.known = known;
	if (known)
		opt.knows = move->far.is_source ? BLOCK_KNOWS_SOURCE : BLOCK_KNOWS_DESTINATION;
	monitor_phase(mon, "copy", move->source.bytes);
	if (!source.direct)
		note_once(ctx, source.direct_reason);
	if (!target.direct)
		note_once(ctx, target.direct_reason);
	ret = block_copy(&source, &target, leaves, &opt, mon, &result, err) < 0 ?
	      result_of(err) : STEP_DONE;
	record->copy_ns += result.nanoseconds;
	record->rewritten += result.rewritten;
	record->waits.read_ns += result.waits.read_ns;
	record->waits.write_ns += result.waits.write_ns;
	record->waits.flush_ns += result.waits.flush_ns;
	record->waits.limit_ns += result.waits.limit_ns;
	note_once(ctx, result.fallback);
	if (ret == STEP_DONE)
		record->mark = result.mark;
out:
	leaves_close(leaves);
	leaves_close(known);
	volume_close(&source, &closing);
	if (volume_close(&target, &closing) < 0 && ret == STEP_DONE) {
		*err = closing;
		ret = STEP_STOPPED;
		record->mark = (struct mark){ 0 };
	}
	record->flushed = ret == STEP_DONE;
	if (move->far.compress)
		count_wire(record);
	return ret;
}

static enum step_result copy_run(struct step_context *ctx, struct err *err)
{
	struct reconnect link = { 0 };
	enum step_result ret;

	do
		ret = copy_once(ctx, &link, err);
	while (reconnect_again(&link, ctx, &ret, err));
	return ret;
}

/* What was written goes with the volume it was written to; what was reserved to read it goes here. */
int step_release_maps(struct step_context *ctx, struct err *err)
{
	for (size_t i = 0; i < sizeof(map_records) / sizeof(map_records[0]); i++) {
		char *record = text_format("%s/%s", ctx->job_dir, map_records[i]);
		int r = thin_snapshot_recover(record, err);

		free(record);
		if (r < 0 && !ctx->forget)
			return -1;
	}
	return 0;
}

const struct step_ops copy_step = {
	.name	= "copy",
	.doing	= "copying",
	.state	= "synced",
	.run	= copy_run,
	.undo	= step_release_maps,
	.object	= move_both_paths,
};

/* The file system knows how far it is: nothing is durable before all of it is. */
static enum step_result reflink_run(struct step_context *ctx, struct err *err)
{
	struct volume source = VOLUME_INIT, target = VOLUME_INIT;
	enum step_result result;
	struct err ignored = ERR_INIT;

	if (volume_open(&source, &ctx->move->source, OPEN_READ, ctx->same_boot, err) < 0 ||
	    volume_open(&target, &ctx->record->target, OPEN_WRITE | OPEN_FRESH, ctx->same_boot, err) < 0) {
		result = result_of_open(ctx, err);
		ctx->record->unwritten = !ctx->written;
		goto out;
	}
	if (ioctl(target.fd, FICLONE, source.fd) < 0) {
		/*
		 * The file system said at planning that it could.  Whatever is
		 * in the way, the bytes can be copied as well.
		 */
		char *note = text_format("extents could not be shared (%s), so the bytes were copied", strerror(errno));

		note_once(ctx, note);
		free(note);
		volume_close(&source, &ignored);
		volume_close(&target, &ignored);
		/* Some may be shared by now. */
		ctx->written = true;
		return copy_step.run(ctx, err);
	}
	if (volume_flush(&target, err) < 0) {
		result = result_of(err);
		goto out;
	}
	ctx->record->cloned = true;
	ctx->record->mark.offset = ctx->move->source.bytes;
	result = STEP_DONE;
out:
	volume_close(&source, &ignored);
	volume_close(&target, &ignored);
	return result;
}

const struct step_ops reflink_step = {
	.name	= "reflink",
	.doing	= "copying",
	.state	= "synced",
	.run	= reflink_run,
	.object	= move_both_paths,
};

static enum step_result zero_tail_once(struct step_context *ctx, struct reconnect *link,
				       struct err *err)
{
	const struct move *move = ctx->move;
	struct volume target = VOLUME_INIT;
	struct block_copy_options opt = options_of(ctx);
	struct err closing = ERR_INIT;
	enum step_result ret;
	struct far_monitor telling;
	struct monitor *mon = far_monitor(&telling, ctx);

	if (open_target(ctx, OPEN_WRITE, &target, err) < 0)
		return result_of_open(ctx, err);
	link->opened = true;
	monitor_phase(mon, "zero", target.bytes - move->source.bytes);
	ret = block_zero(&target, move->source.bytes, target.bytes, BLOCK_ZERO_FREE, &opt,
			 mon, err) < 0 ? result_of(err) : STEP_DONE;
	if (volume_close(&target, &closing) < 0 && ret == STEP_DONE) {
		*err = closing;
		err->class = ERR_STOPPED;
		ret = STEP_STOPPED;
	}
	return ret;
}

static enum step_result zero_tail_run(struct step_context *ctx, struct err *err)
{
	struct reconnect link = { 0 };
	enum step_result ret;

	do
		ret = zero_tail_once(ctx, &link, err);
	while (reconnect_again(&link, ctx, &ret, err));
	return ret;
}

const struct step_ops zero_tail_step = {
	.name	= "zero-tail",
	.run	= zero_tail_run,
	.object	= move_written_path,
};

/* The destination is on another host, which reads it back and tells the root of its hashes. */
static enum step_result verify_far(struct step_context *ctx, struct err *err)
{
	struct progress_record *record = ctx->record;
	enum step_result ret = STEP_STOPPED;
	struct leaves *leaves = NULL;
	uint64_t begin_ns = clock_ns();
	struct hash root;

	if (open_leaves(ctx, &leaves, err) < 0)
		return result_of_open(ctx, err);
	monitor_phase(ctx->mon, "verify", ctx->move->source.bytes);
	if (far_verify(ctx, leaves, err) < 0) {
		ret = result_of(err);
	} else if (leaves_root(leaves, &root, err) == 0) {
		hash_hex(&root, record->tree_hash);
		record->verified = true;
		ret = STEP_DONE;
	}
	record->verify_ns += clock_ns() - begin_ns;
	leaves_close(leaves);
	return ret;
}

static enum step_result source_again_once(struct step_context *ctx, struct reconnect *link, struct err *err)
{
	struct volume source = VOLUME_INIT;
	struct block_copy_options opt = options_of(ctx);
	struct block_copy_result result = { 0 };
	struct err closing = ERR_INIT;
	struct leaves *leaves = NULL;
	enum step_result ret = STEP_DONE;
	struct far_monitor telling;
	struct monitor *mon = far_monitor(&telling, ctx);

	if (open_leaves(ctx, &leaves, err) < 0 || open_source(ctx, &source, err) < 0) {
		ret = result_of_open(ctx, err);
		goto out;
	}
	link->opened = true;
	monitor_phase(mon, "read", ctx->move->source.bytes);
	if (block_verify(&source, leaves, &opt, mon, &result, err) < 0) {
		link->reached = result.mark.offset;
		ret = result_of(err);
		if (ret == STEP_UNDONE) {
			err_context(err, "the copy was interrupted at byte %llu, and the source is not what it was before",
				    (unsigned long long)ctx->record->resumed_at);
			err_next(err, "see which volume that is, then start again");
		}
	}
	ctx->record->verify_ns += result.nanoseconds;
out:
	leaves_close(leaves);
	volume_close(&source, &closing);
	return ret;
}

/*
 * Of a source elsewhere nobody tells whether it has changed, nor whether it is the same: a server
 * that was restarted may have another disk of the same size, of the same template even, so
 * that the few bytes that were looked at before the copy went on do not tell.  Then it
 * would be put together of two, and be just what was read.
 */
static enum step_result read_source_again(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	struct reconnect link = { 0 };
	enum step_result ret;

	if (!ctx->record->resumed_at || !facts_remote(src) || facts_is_far(src))
		return STEP_DONE;
	do
		ret = source_again_once(ctx, &link, err);
	while (reconnect_again(&link, ctx, &ret, err));
	return ret;
}

static enum step_result verify_once(struct step_context *ctx, struct reconnect *link, struct err *err)
{
	const struct move *move = ctx->move;
	struct progress_record *record = ctx->record;
	struct volume source = VOLUME_INIT, target = VOLUME_INIT;
	struct block_copy_options opt = options_of(ctx);
	struct block_copy_result result = { 0 };
	struct err closing = ERR_INIT;
	struct leaves *leaves = NULL;
	struct facts now = { 0 };
	struct hash root;
	enum step_result ret = STEP_STOPPED;
	struct far_monitor telling;
	struct monitor *mon = far_monitor(&telling, ctx);
	bool read_data;
	int proven;

	/* What is proven is what is there from here on; see commit. */
	if (move->far.host && !move->far.is_source)
		return verify_far(ctx, err);
	if (volume_inspect_again(&record->target, INSPECT_USES | INSPECT_OUTSIDE | INSPECT_DEVICE, &now,
				 err) < 0 ||
	    open_leaves(ctx, &leaves, err) < 0 ||
	    open_target(ctx, OPEN_READ | (record->flushed ? OPEN_FLUSHED : 0), &target, err) < 0) {
		ret = result_of_open(ctx, err);
		goto out;
	}
	link->opened = true;
	record->target.mtime_ns = now.mtime_ns;
	record->target.written = now.written;
	record->target.diskseq = now.diskseq;
	uuid_of_boot(record->verified_boot);
	if (record->cloned) {
		/* Nothing has been read so far, so there is nothing to compare with. */
		if (open_source(ctx, &source, err) < 0) {
			ret = result_of_open(ctx, err);
			goto out;
		}
		monitor_phase(mon, "read", move->source.bytes);
		if (block_hash(&source, leaves, &opt, mon, &result, err) < 0) {
			ret = result_of(err);
			goto out;
		}
		record->verify_ns += result.nanoseconds;
	}
	monitor_phase(mon, "verify", move->source.bytes);
	proven = verify_by_count(&target, leaves, &opt, mon, &result, &read_data, err);
	if (proven == 0) {
		if (read_data)
			record->verify_ns += result.nanoseconds;
		if (load_map(ctx, &target, map_records[1], err) < 0)
			goto out;
		/* What was read is passed over at once. */
		if (read_data)
			monitor_phase(mon, "verify", move->source.bytes);
		proven = (read_data ? block_verify_rest : block_verify)(&target, leaves, &opt, mon,
									&result, err);
	}
	if (proven < 0) {
		link->reached = result.mark.offset;
		ret = result_of(err);
		goto out;
	}
	record->verify_ns += result.nanoseconds;
	note_once(ctx, result.fallback);
	/* How far that is counts nowhere; that we are still there does. */
	telling.base.advance = NULL;
	if (target.bytes > move->source.bytes &&
	    block_verify_zero(&target, move->source.bytes, target.bytes, &opt, move->far.host ? mon : NULL, err) < 0) {
		ret = result_of(err);
		goto out;
	}
	if (leaves_root(leaves, &root, err) < 0)
		goto out;
	hash_hex(&root, record->tree_hash);
	record->verified = true;
	ret = STEP_DONE;
out:
	facts_free(&now);
	leaves_close(leaves);
	volume_close(&source, &closing);
	volume_close(&target, &closing);
	return ret;
}

static enum step_result verify_run(struct step_context *ctx, struct err *err)
{
	struct reconnect link = { 0 };
	enum step_result ret = read_source_again(ctx, err);

	if (ret != STEP_DONE)
		return ret;
	do
		ret = verify_once(ctx, &link, err);
	while (reconnect_again(&link, ctx, &ret, err));
	return ret;
}

const struct step_ops verify_step = {
	.name	= "verify",
	.state	= "verified",
	.looks_only = true,
	.run	= verify_run,
	.object	= move_written_path,
};
