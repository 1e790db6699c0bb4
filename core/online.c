/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves of a logical volume inside its own group. */
#include "online.h"

#include <stdlib.h>

#include "engines/online_move.h"
#include "job.h"
#include "support/err.h"
#include "support/json.h"

/* ---- what there is now ---- */

int online_check(const struct job *job, struct err *err)
{
	struct online_now now = { 0 };
	const char *names[PLAN_PVS_MAX + 1];
	size_t count = 0;
	int ret;

	if (job_committed(job))
		return 0;
	if (online_look(&job->plan.move.online, &now, err) < 0) {
		err->class = ERR_REFUSED;
		return -1;
	}
	ret = online_pv_names(&now.group, &job->plan.move.online.targets, names, &count, PLAN_PVS_MAX + 1, err);
	if (ret == 0 && !now.lv->active) {
		char *name = text_format("%s/%s", now.group.name, now.lv->name);

		err_set(err, ERR_REFUSED, name, "it is not active, and its extents are moved by the kernel");
		ret = err_next(err, "lvchange -ay %s, then volmig resume %s", name, job->id);
		free(name);
	}
	if (ret < 0 && !*err->next)
		err_next(err, "bring it back, then volmig resume %s", job->id);
	online_now_free(&now);
	return ret;
}

static char *describe(const struct online_now *now, bool convert)
{
	char *place;

	if (now->moving_from)
		return text_format("there, a pvmove from %s runs", now->moving_from);
	if (convert && now->ours && now->old)
		return text_format("there, with %u old and %u new legs, %s%% in sync (%s)", now->old, now->ours,
				   now->lv->sync, *now->lv->action ? now->lv->action : "idle");
	place = text_copy(!now->left ? "on the target" : "where it was");
	return place;
}

void online_report_now(const struct job *job, json_t *report)
{
	const struct online_move *online = &job->plan.move.online;
	bool convert = online->add > 0;
	struct online_now now = { 0 };
	struct err err = ERR_INIT;
	char *text;

	if (job->ended)
		return;
	if (online_look(online, &now, &err) < 0) {
		json_put(json_object_get(report, "source"), "now", json_text(err.cause));
		return;
	}
	text = describe(&now, convert);
	json_put(json_object_get(report, "source"), "now", json_text(text));
	free(text);
	if (convert && now.ours && *now.lv->sync) {
		double percent = strtod(now.lv->sync, NULL);

		json_put(json_object_get(report, "copy"), "durable_offset",
			 json_u64((uint64_t)((double)job->plan.move.source.bytes * percent / 100)));
	}
	online_now_free(&now);
}
