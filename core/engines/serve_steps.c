/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two steps of the far side: the bytes come or go, and what came is read back.  Before, for a delta, what is there is hashed. */
#include "engines/serve_steps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/leaves.h"
#include "engines/step.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"

/* Done when the other side says that all is there; what it was told is flushed is so by then. */
static enum step_result serve_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct volume target = VOLUME_INIT;
	struct err closing = ERR_INIT;
	int ret;

	if (facts_is_far(&move->destination))
		return STEP_DONE;
	if (volume_open(&target, &ctx->record->target, OPEN_WRITE, ctx->same_boot, err) < 0) {
		err->class = ERR_STOPPED;
		return STEP_STOPPED;
	}
	ret = volume_flush(&target, err);
	if (volume_close(&target, &closing) < 0 && ret == 0) {
		*err = closing;
		ret = -1;
	}
	if (ret < 0) {
		err->class = ERR_STOPPED;
		return STEP_STOPPED;
	}
	ctx->record->mark.offset = move->source.bytes;
	return STEP_DONE;
}

static char *served_path(const struct move *move)
{
	return facts_is_far(&move->destination) ? text_copy(move->source.path) : move_written_path(move);
}

const struct step_ops serve_step = {
	.name	= "serve",
	.doing	= "copying",
	.state	= "synced",
	.run	= serve_run,
	.undo	= step_release_maps,
	.object	= served_path,
};

/* Hash vol, as the medium has it, from opt->start on. */
static int hash_end(struct step_context *ctx, struct volume *vol, struct leaves *leaves, const char *phase,
		    const char *map_record, const struct block_copy_options *opt,
		    struct block_copy_result *ret_result, struct err *err)
{
	uint64_t start = opt->start.offset;

	if (vol->ops->load_map) {
		char *map = text_format("%s/%s.thin-map", ctx->job_dir, map_record);
		struct err why = ERR_INIT;
		int r = vol->ops->load_map(vol, map, &why);

		free(map);
		if (r < 0 && why.class == ERR_STOPPED) {
			*err = why;
			return -1;
		}
	}
	volume_drop_cache(vol, start, vol->bytes - start);
	monitor_phase(ctx->mon, phase, leaves_bytes(leaves) - start);
	return block_hash(vol, leaves, opt, ctx->mon, ret_result, err);
}

int serve_survey(struct step_context *ctx, uint64_t start, struct err *err)
{
	const struct move *move = ctx->move;
	bool is_source = facts_is_far(&move->destination);
	struct block_copy_options opt = BLOCK_COPY_DEFAULTS;
	char *path = text_format("%s/leaves", ctx->job_dir);
	struct volume vol = VOLUME_INIT;
	struct err closing = ERR_INIT;
	struct leaves *leaves = NULL;
	int ret = -1;

	opt.stall_ms = move->stall_ms;
	opt.start.offset = start;
	/* None are there but these, whatever happens meanwhile. */
	unlink(path);
	if (leaves_open(&leaves, path, move->source.bytes, NULL, err) == 0 &&
	    volume_open(&vol, is_source ? &move->source : &ctx->record->target, OPEN_READ, ctx->same_boot, err) == 0)
		ret = hash_end(ctx, &vol, leaves, "compare", is_source ? "source" : "target", &opt, NULL, err);
	leaves_close(leaves);
	volume_close(&vol, &closing);
	free(path);
	return ret;
}

/* Read the destination back; whether that is what was sent the other side knows. */
static enum step_result prove_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct progress_record *record = ctx->record;
	struct block_copy_options opt = BLOCK_COPY_DEFAULTS;
	struct block_copy_result result = { 0 };
	char *path = text_format("%s/leaves", ctx->job_dir);
	struct volume target = VOLUME_INIT;
	struct err closing = ERR_INIT;
	struct leaves *leaves = NULL;
	enum step_result ret = STEP_STOPPED;
	struct facts now = { 0 };
	struct hash root;

	opt.stall_ms = move->stall_ms;
	/* What is proven is what is there from here on; see commit. */
	if (volume_inspect_again(&record->target, INSPECT_USES, &now, err) < 0 ||
	    leaves_open(&leaves, path, move->source.bytes, NULL, err) < 0 ||
	    volume_open(&target, &record->target, OPEN_READ, ctx->same_boot, err) < 0)
		goto out;
	record->target.mtime_ns = now.mtime_ns;
	record->target.written = now.written;
	record->target.diskseq = now.diskseq;
	if (hash_end(ctx, &target, leaves, "verify", "target", &opt, &result, err) < 0)
		goto out;
	/* The other side is told of it: silence means that we are gone. */
	if (target.bytes > move->source.bytes)
		monitor_phase(ctx->mon, "zero", target.bytes);
	if (target.bytes > move->source.bytes &&
	    block_verify_zero(&target, move->source.bytes, target.bytes, &opt, ctx->mon, err) < 0) {
		if (err->class == ERR_FAILED && err->number == BLOCK_DIFFERS)
			ret = STEP_UNDONE;
		goto out;
	}
	if (leaves_root(leaves, &root, err) < 0)
		goto out;
	record->verify_ns += result.nanoseconds;
	hash_hex(&root, record->tree_hash);
	record->verified = true;
	ret = STEP_DONE;
out:
	if (ret == STEP_STOPPED)
		err->class = ERR_STOPPED;
	facts_free(&now);
	leaves_close(leaves);
	volume_close(&target, &closing);
	free(path);
	return ret;
}

const struct step_ops prove_step = {
	.name	= "prove",
	.state	= "verified",
	.run	= prove_run,
	.object	= move_written_path,
};
