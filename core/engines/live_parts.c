/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps of a live move share. */
#include "engines/live_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "volumes/guests.h"

char *live_disk_name(const struct move *move)
{
	return text_format("%s %s", move->live.domain, move->live.target);
}

char *live_both_names(const struct move *move)
{
	return text_format("%s %s: %s -> %s", move->live.domain, move->live.target,
			   move->live.old_path, move->live.new_path);
}

uint64_t live_call_limit(const struct move *move)
{
	return move->stall_ms && move->stall_ms < VIRT_LIMIT_MS ? move->stall_ms : VIRT_LIMIT_MS;
}

int live_connect(const struct step_context *ctx, struct virt **ret_virt, struct err *err)
{
	return virt_open(ctx->move->live.uri, live_call_limit(ctx->move), ret_virt, err);
}

bool live_is_silence(const struct err *err)
{
	return err->number == ECONNRESET || err->number == ETIMEDOUT;
}

enum step_result live_found(struct step_context *ctx, enum step_result result, enum err_class class,
			      enum live_where where, const char *why, struct err *err)
{
	err_set(err, class, ctx->move->live.domain, "%s: %s", ctx->move->live.target,
		why ? why : live_where_text(where));
	return result;
}

enum step_result live_unsure(struct step_context *ctx, enum live_where where, const char *why,
			       struct err *err)
{
	live_found(ctx, STEP_UNSURE, ERR_UNSURE, where, why, err);
	err_next(err, "keep both volumes; volmig status %s", ctx->job_id);
	return STEP_UNSURE;
}

enum step_result live_mirror_failed(struct step_context *ctx, struct err *err)
{
	const struct live_move *live = &ctx->move->live;

	err_set(err, ERR_FAILED, live->new_path,
		"QEMU has given the mirror of %s %s up (libvirt does not tell why: the destination full, failing, or of another size)",
		live->domain, live->target);
	err_next(err, "look at the destination and at QEMU's log, then start again");
	return STEP_UNDONE;
}

bool live_is_orphaned(struct step_context *ctx, char **ret_user)
{
	const char *paths[] = { ctx->move->source.path, ctx->record->target.path };

	*ret_user = NULL;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !*ret_user; i++) {
		struct facts now = { 0 };
		struct err unseen = ERR_INIT;
		char *uses;

		/* Who uses what is on the network nobody here can tell. */
		if (!paths[i] || *paths[i] != '/')
			continue;
		/* That it is this domain's disk once it is started again is no use of it now. */
		if (volume_inspect_path(paths[i], INSPECT_USES, &now, &unseen) < 0)
			uses = text_format("nobody can tell: %s", unseen.cause);
		else
			uses = guests_uses_besides(&now, ctx->move->live.uuid);
		if (uses)
			*ret_user = text_format("libvirt says that it does not run, yet %s is in use: %s",
						paths[i], uses);
		free(uses);
		facts_free(&now);
	}
	return *ret_user != NULL;
}

static uint64_t settle_limit(void)
{
	uint64_t limit_ms;

	return inject_number("settle-limit", &limit_ms) ? limit_ms : LIVE_SETTLE_MS;
}

int live_settle(struct step_context *ctx, struct virt *virt, enum live_where *ret_where,
		char **ret_why, struct err *err)
{
	uint64_t settle_ms = settle_limit();
	uint64_t limit_ms = ctx->move->stall_ms && ctx->move->stall_ms > settle_ms ? ctx->move->stall_ms : settle_ms;
	uint64_t until = clock_ns() + limit_ms * 1000000;

	for (;;) {
		int ret = live_look(virt, &ctx->move->live, true, ret_where, ret_why, err);
		bool passing = ret < 0 ? live_is_silence(err) :
			*ret_where == LIVE_PIVOT || *ret_where == LIVE_CANCEL || *ret_where == LIVE_SPLIT;

		/* A split state may be one that is passing; it has a few looks to do so. */
		if (ret == 0 && *ret_where == LIVE_SPLIT && until > clock_ns() + 3000000000ULL)
			until = clock_ns() + 3000000000ULL;
		if (!passing || clock_ns() >= until || interrupt_requested() > 1)
			return ret;
		if (ret < 0)
			*err = (struct err)ERR_INIT;
		free(*ret_why);
		*ret_why = NULL;
		clock_sleep_ms(100);
	}
}

void live_wait_closed(const char *path, const char *uuid)
{
	uint64_t until = clock_ns() + LIVE_SETTLE_MS * 1000000ULL;
	bool used = true;

	/* An NBD server tells nobody who has its export; a cluster does of an image. */
	while (path && (*path == '/' || !strncmp(path, "rbd:", 4)) && used && clock_ns() < until) {
		struct facts now = { 0 };
		struct err ignored = ERR_INIT;
		char *uses = NULL;

		if (volume_inspect_path(path, INSPECT_USES, &now, &ignored) == 0) {
			uses = guests_uses_besides(&now, uuid);
			used = uses != NULL;
		}
		free(uses);
		facts_free(&now);
		if (used)
			clock_sleep_ms(50);
	}
}

void live_wait_event(struct virt *virt, uint64_t ms)
{
	struct virt_event event;

	virt_event(virt, ms, &event);
}

static int part_may_undo(struct step_context *ctx, struct virt *virt, bool announced, struct err *err)
{
	enum live_where where;
	char *why = NULL, *user = NULL;
	int ret = -1;

	if (live_settle(ctx, virt, &where, &why, err) < 0) {
		err->class = ERR_STOPPED;
	} else if (where == LIVE_NEW || where == LIVE_OFF_NEW) {
		err_set(err, ERR_REFUSED, ctx->move->live.domain,
			"%s has been moved already: the job is past its point of no return",
			ctx->move->live.target);
		err_next(err, "volmig resume %s", ctx->job_id);
	} else if (where == LIVE_SPLIT || where == LIVE_PIVOT || (where == LIVE_OFF && announced) ||
		   (where == LIVE_OFF && live_is_orphaned(ctx, &user))) {
		live_unsure(ctx, where, user ? user : why, err);
	} else {
		ret = 0;
	}
	free(why);
	free(user);
	return ret;
}

int live_may_undo(struct step_context *ctx, bool announced, struct err *err)
{
	struct virt *virt = NULL;
	int ret = live_connect(ctx, &virt, err);

	if (ret < 0)
		err->class = ERR_STOPPED;
	for (size_t i = 0; ret == 0 && i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		ret = part_may_undo(&part, virt, announced, err);
	}
	virt_close(virt);
	return ret;
}

int live_let_go_on(struct virt *virt, const struct live_move *live, struct err *err)
{
	uint64_t until = clock_ns() + settle_limit() * 1000000;

	/* Once at least: a call may take as long as all of them. */
	for (;;) {
		struct virt_domain domain = { 0 };
		bool paused;

		*err = (struct err)ERR_INIT;
		if (virt_find(virt, live->uuid, &domain, err) == 0) {
			paused = domain.running && domain.paused;
			virt_domain_free(&domain);
			if (!paused || virt_resume(virt, live->uuid, err) == 0)
				return 0;
		}
		if (err->number == ENOENT || clock_ns() > until)
			break;
		clock_sleep_ms(250);
	}
	err->class = ERR_STOPPED;
	return err_next(err, "virsh resume %s", live->domain);
}
