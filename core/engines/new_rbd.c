/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that make and remove RBD images, as new_file.c does with files:
 * made under a name with the job's id in it, filled, and renamed when whole.
 * An image keeps its id when it is renamed, and by that it is known.
 */
#include "engines/new_rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "sys/rbd.h"
#include "volumes/qemu.h"

/* The image of that name in the pool where the job makes one. */
static struct rbd_name name_of(const struct move *move, const char *image)
{
	struct rbd_name name = qemu_rbd_name(&move->destination);

	name.image = image;
	return name;
}

/* The id of the image of that name, free it; NULL and *err not set: there is none. */
static char *id_of(const struct rbd_name *name, struct rbd_image *image, struct err *err)
{
	return rbd_image_look(name, false, image, err) == 1 ? text_copy(image->id) : NULL;
}

/* Is the image of that name the one with that id?  1 yes, 0 no or there is none, -1 error. */
static int is_image(const struct rbd_name *name, const char *id, struct err *err)
{
	struct rbd_image image = { 0 };
	char *found = id_of(name, &image, err);
	int ret = found ? !strcmp(found, id) : err->class ? -1 : 0;

	free(found);
	rbd_image_free(&image);
	return ret;
}

/* The facts of the image that was made just now. */
static int identify(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	const struct qemu_facts *place = move->destination.qemu;
	struct facts was = { .kind = rbd_volume_ops.kind }, now = { 0 };
	struct qemu_facts qemu = *place;
	int ret;

	was.spec = move_temp_path(move);
	was.path = was.spec;
	qemu.image = move->temp_name;
	was.qemu = &qemu;
	ret = volume_inspect_again(&was, INSPECT_OUTSIDE, &now, err);
	if (ret == 0 && (!now.kind || now.bytes != move_new_bytes(move)))
		ret = err_set(err, ERR_FAILED, was.path, now.kind ? "the new image has another size than it should have" :
			      "the new image is gone");
	free(was.spec);
	if (ret < 0) {
		facts_free(&now);
		return -1;
	}
	facts_free(&ctx->record->target);
	ctx->record->target = now;
	return 0;
}

/* Is it as the step makes it, with nothing in it? */
static bool looks_unwritten(const struct step_context *ctx, const struct rbd_name *name,
			    const struct rbd_image *image)
{
	return image->bytes == move_new_bytes(ctx->move) && !image->snapshots && !image->parent &&
	       rbd_image_allocated(name, image->bytes) == 0;
}

static int refuse_taken(const char *path, struct err *err)
{
	err_set(err, ERR_REFUSED, path, "exists already, and is not this job's");
	return err_next(err, "rename it");
}

/*
 * What has the temporary name when the step is begun for the first time is
 * somebody else's.  Later it is most likely ours from before a crash, if it
 * looks like it; nothing was written to it then.
 */
static int clear_name(const struct step_context *ctx, const struct rbd_name *name, const char *path,
		      struct err *err)
{
	struct rbd_image image = { 0 };
	int found = rbd_image_look(name, true, &image, err);
	bool is_ours = ctx->again && found == 1 && !image.watchers.count && looks_unwritten(ctx, name, &image);

	rbd_image_free(&image);
	if (found <= 0)
		return found;
	if (is_ours)
		return rbd_image_remove(name, err);
	return refuse_taken(path, err);
}

static int make(const struct step_context *ctx, const struct rbd_name *name, const char *path, struct err *err)
{
	if (rbd_image_create(name, move_new_bytes(ctx->move), err) == 0)
		return 0;
	return err->number == EEXIST ? refuse_taken(path, err) : -1;
}

static enum step_result create_run(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct rbd_name name = name_of(move, move->temp_name);
	char *path = move_temp_path(move);
	enum step_result result = STEP_UNDONE;

	/* What has the name already makes the first attempt fail. */
	if ((!ctx->again || clear_name(ctx, &name, path, err) == 0) && make(ctx, &name, path, err) == 0 &&
	    identify(ctx, err) == 0)
		result = STEP_DONE;
	free(path);
	return result;
}

/* Remove what the job made, whichever of its names it has. */
static int create_undo(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	const struct facts *target = &ctx->record->target;
	const char *const names[] = { move->temp_name, move->name };

	for (size_t i = 0; i < 2; i++) {
		struct rbd_name name = name_of(move, names[i]);
		char *path = text_format("rbd:%s/%s", name.pool, name.image);
		struct rbd_image image = { 0 };
		int found = rbd_image_look(&name, false, &image, err);
		/* A crash may have come before the id was recorded; then by its name, and by its looks. */
		bool is_ours = found == 1 && (target->kind ? !strcmp(image.id, target->qemu->id) :
					      i == 0 && looks_unwritten(ctx, &name, &image));
		int ret = found < 0 ? -1 : 0;

		if (is_ours && target->kind)
			ret = step_source_stands(ctx, path, err);
		if (is_ours && ret == 0)
			ret = rbd_image_remove(&name, err);
		rbd_image_free(&image);
		if (ret < 0 && ctx->forget) {
			text_list_add(&ctx->record->notes, text_format("left behind, if it still exists: %s", path));
			*err = (struct err)ERR_INIT;
			ret = 0;
		}
		free(path);
		if (ret < 0)
			return -1;
	}
	facts_free(&ctx->record->target);
	return 0;
}

const struct step_ops create_image_step = {
	.name	= "create-image",
	.state	= "prepared",
	.run	= create_run,
	.undo	= create_undo,
	.object	= move_temp_path,
};

enum step_result rbd_publish(struct step_context *ctx, struct err *err)
{
	const struct move *move = ctx->move;
	struct facts *target = &ctx->record->target;
	struct rbd_name temp = name_of(move, move->temp_name), final = name_of(move, move->name);
	char *path = move_final_path(move);
	enum step_result result = STEP_STOPPED;
	int there = is_image(&temp, target->qemu->id, err);

	if (there > 0 && rbd_image_rename(&temp, move->name, err) < 0) {
		if (err->number == EEXIST) {
			err_set(err, ERR_STOPPED, path, "something of that name has appeared since the job was planned");
			err_next(err, "give that another name (rbd rename), then volmig resume %s", ctx->job_id);
		}
		there = -1;
	} else if (there == 0) {
		/* An earlier run may have come as far as this. */
		there = is_image(&final, target->qemu->id, err);
		if (there == 0) {
			err_set(err, ERR_FAILED, path, "the destination that was written is gone");
			result = STEP_UNDONE;
		}
	}
	if (there > 0) {
		free(target->path);
		free(target->spec);
		free(target->qemu->image);
		target->path = text_copy(path);
		target->spec = text_copy(path);
		target->qemu->image = text_copy(move->name);
		result = STEP_DONE;
	} else if (result == STEP_STOPPED) {
		err->class = ERR_STOPPED;
	}
	free(path);
	return result;
}

void rbd_put_back(struct step_context *ctx)
{
	const struct facts *src = &ctx->move->source;
	struct rbd_name name = qemu_rbd_name(src), aside = name;
	char *aside_name = text_format(".volmig-%s.source", ctx->job_id);
	struct err why = ERR_INIT;
	int there;

	aside.image = aside_name;
	there = is_image(&aside, src->qemu->id, &why);
	if (there > 0)
		there = rbd_image_rename(&aside, name.image, &why);
	/* The job may have been told to end just because the pool is not there any more. */
	if (there < 0 && ctx->again)
		text_list_add(&ctx->record->notes, text_format("%s: %s: where it is, it may be called %s/%s",
							       src->path, why.cause, name.pool, aside_name));
	free(aside_name);
}

/*
 * Out of the way under a name that nobody else uses, looked at there, and only
 * then removed: so nothing is that takes its place at this very moment.
 */
enum step_result rbd_retire(struct step_context *ctx, struct err *err)
{
	const struct facts *src = &ctx->move->source;
	struct rbd_name name = qemu_rbd_name(src), aside = name;
	char *aside_name = text_format(".volmig-%s.source", ctx->job_id);
	enum step_result result = STEP_STOPPED;
	int there;

	aside.image = aside_name;
	if (step_check_target(ctx, false, err) < 0)
		goto out;
	there = is_image(&aside, src->qemu->id, err);
	if (there < 0) {
		char *before = text_format("%s and resume again, or ", *err->next ? err->next : "see what is wrong with the pool");

		step_way_out(ctx, before, err);
		free(before);
	} else if (there == 0) {
		struct facts now = { 0 };

		if (volume_inspect_again(src, INSPECT_OUTSIDE, &now, err) < 0)
			there = -1;
		else if (!now.kind)
			result = STEP_DONE;	/* an earlier run was here */
		else if (step_check_source(ctx, ctx->move->wipe == WIPE_NONE, NULL, err) < 0 ||
			 rbd_image_rename(&name, aside.image, err) < 0)
			there = -1;
		else
			there = is_image(&aside, src->qemu->id, err);
		facts_free(&now);
		if (there == 0 && result != STEP_DONE) {
			rbd_image_rename(&aside, name.image, &(struct err)ERR_INIT);
			err_set(err, ERR_STOPPED, src->path, "the source is not the image that was copied");
		}
	}
	if (there > 0 && rbd_image_remove(&aside, err) == 0)
		result = STEP_DONE;
out:
	if (result == STEP_STOPPED)
		err->class = ERR_STOPPED;
	free(aside_name);
	return result;
}
