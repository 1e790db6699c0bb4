/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that attach the iSCSI LUNs of a job to this host, and let go of them in the end. */
#include "engines/step.h"

#include <stdlib.h>

#include "engines/lun_attach.h"
#include "support/err.h"

static char *records_of(const struct step_context *ctx)
{
	return text_format("%s/../../attached", ctx->job_dir);
}

/* The LUNs among its ends; how many. */
static size_t luns_of(const struct move *move, const char *ret_luns[static 2])
{
	size_t count = 0;

	if (move->source.lun)
		ret_luns[count++] = move->source.lun;
	if (move->destination.lun)
		ret_luns[count++] = move->destination.lun;
	return count;
}

/* Mostly they are attached already, for there was no plan without looking at them. */
static enum step_result attach_run(struct step_context *ctx, struct err *err)
{
	const struct lun_options options = { .job = ctx->job_id };
	char *dir = records_of(ctx);
	const char *luns[2];
	size_t count = luns_of(ctx->move, luns);
	int ret = 0;

	for (size_t i = 0; i < count && ret == 0; i++) {
		struct lun_attachment attachment;

		ret = lun_attach(luns[i], &options, dir, &attachment, err);
	}
	free(dir);
	return ret == 0 ? STEP_DONE : STEP_UNDONE;
}

static int detach(struct step_context *ctx, struct err *err)
{
	char *dir = records_of(ctx);
	const char *luns[2];
	size_t count = luns_of(ctx->move, luns);
	int ret = 0;

	for (size_t i = 0; i < count && ret == 0; i++) {
		struct lun_attachment attachment;

		ret = lun_detach_for(luns[i], ctx->job_id, dir, &attachment, err);
	}
	free(dir);
	return ret;
}

static int attach_undo(struct step_context *ctx, struct err *err)
{
	return detach(ctx, err) < 0 && !ctx->forget ? -1 : 0;
}

static char *attached(const struct move *move)
{
	const char *luns[2] = { NULL, NULL };
	size_t count = luns_of(move, luns);

	return count == 2 ? text_format("%s, %s", luns[0], luns[1]) : text_copy(count ? luns[0] : "");
}

const struct step_ops attach_lun_step = {
	.name	= "attach-lun",
	.run	= attach_run,
	.undo	= attach_undo,
	.object	= attached,
};

/* One that somebody uses by now stays, and volmig doctor knows of it. */
static enum step_result detach_run(struct step_context *ctx, struct err *err)
{
	char *note;

	if (detach(ctx, err) == 0)
		return STEP_DONE;
	note = text_format("%s stays attached to this host: %s", err->object, err->cause);
	if (text_list_has(&ctx->record->notes, note))
		free(note);
	else
		text_list_add(&ctx->record->notes, note);
	*err = (struct err)ERR_INIT;
	return STEP_DONE;
}

const struct step_ops detach_lun_step = {
	.name		= "detach-lun",
	.irrevocable	= true,
	.run		= detach_run,
	.object		= attached,
};
