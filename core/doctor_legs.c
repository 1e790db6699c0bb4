/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Legs of raid1 that moves inside a group added, and did not come to drop. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/online_move.h"
#include "job.h"
#include "support/err.h"
#include "support/json.h"

/*
 * Is what is there just what the job made?  Only its mark on the volume proves
 * it: somebody else may have given the volume a leg at the same place since.
 */
static bool is_provably_ours(const struct job *job, const struct online_now *now, const char *tag)
{
	const struct online_move *online = &job->plan.move.online;

	return text_list_has(&now->lv->tags, tag) && online->add && now->ours == online->add &&
	       now->legs == online->legs + online->add && now->old && !now->ours_first &&
	       !now->lv->converting && !now->moving_from;
}

static bool drop(struct job *job)
{
	struct step_context ctx = {
		.job_id = job->id, .job_dir = job->dir, .move = &job->plan.move,
		.record = &job->record, .same_boot = job->same_boot,
	};
	struct err err = ERR_INIT;

	return add_leg_step.undo(&ctx, &err) == 0;
}

static void look_at_legs(struct doctor *doctor, struct job *job)
{
	const struct online_move *online = &job->plan.move.online;
	char *tag = text_format("volmig.job.%s", job->id), *volume, *next;
	struct err err = ERR_INIT;
	struct online_now now = { 0 };
	bool ours, mended;

	/* A group or a volume that has gone has taken its legs with it. */
	if (online_look(online, &now, &err) < 0) {
		free(tag);
		return;
	}
	volume = text_format("%s/%s", now.group.name, now.lv->name);
	if (!now.ours || !now.old) {
		/* There is no leg too many. */
	} else if (!job->ended) {
		next = job_committed(job) ? text_format("volmig resume %s", job->id) :
		       job->aborting && !job->retreating ? text_format("volmig abort %s", job->id) :
		       text_format("volmig resume %s, or volmig abort %s", job->id, job->id);
		doctor_found(doctor, "legs", volume, job->id,
			     "has a leg more, of a job that no process works on", next, false);
		free(next);
	} else if (text_list_has(&now.lv->tags, tag)) {
		char *places = text_list_join(&online->target_names);

		ours = is_provably_ours(job, &now, tag);
		mended = doctor->fix && ours && drop(job);
		next = text_format("%slook at its legs (lvs -a -o +devices %s); the job's is on %s",
				   ours ? "volmig doctor --fix, or " : "", now.group.name, places);
		doctor_found(doctor, "legs", volume, job->id, "has a leg more, of a job that has ended",
			     next, mended);
		if (!mended)
			text_list_add(&doctor->legs, text_copy(job->id));
		free(places);
		free(next);
	}
	online_now_free(&now);
	free(volume);
	free(tag);
}

void doctor_legs(struct doctor *doctor)
{
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;

	if (geteuid() != 0)
		return;		/* as the check of LVM says */
	if (job_list(doctor->state_dir, &ids, &err) < 0)
		doctor_note(doctor, "legs", err.cause);
	for (size_t i = 0; i < ids.count; i++) {
		const char *id = ids.items[i];
		bool ended = !text_list_has(&doctor->unfinished, id);
		json_t *receipt = ended ? job_receipt_quickly(doctor->state_dir, id) : NULL;
		const char *method = json_get_string(receipt, "method");
		struct job job;

		/* What has come to its end well has dropped the old leg. */
		if ((ended && (!method || strcmp(method, "lvconvert") ||
			       strcmp(json_get_string(receipt, "state") ?: "", "aborted"))) ||
		    (!ended && job_worker(doctor->state_dir, id))) {
			json_decref(receipt);
			continue;
		}
		json_decref(receipt);
		err = (struct err)ERR_INIT;
		if (job_open(doctor->state_dir, id, JOB_LOOK, &job, &err) < 0)
			continue;	/* an unfinished one is named by the check of jobs */
		if (job.plan.move.online.vg && !strcmp(job.plan.method, "lvconvert"))
			look_at_legs(doctor, &job);
		job_close(&job);
	}
	text_list_free(&ids);
}
