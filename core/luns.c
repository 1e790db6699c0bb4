/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSCSI LUNs that a command names: disks of this host's kernel where that can be, else QEMU's affair. */
#include "luns.h"

#include <stdlib.h>
#include <string.h>

#include "engines/lun_attach.h"
#include "job_store.h"
#include "plan.h"
#include "support/err.h"
#include "support/log.h"
#include "sys/iscsi.h"
#include "volumes/lun.h"

static int attach_one(const char *text, const char *state_dir, bool dry_run, struct luns *luns,
		      struct err *err)
{
	const struct lun_options options = { .job = luns->job };
	struct lun_attachment attachment;
	const char *package, *missing;

	if (!text || strncmp(text, LUN_PREFIX, strlen(LUN_PREFIX)))
		return 0;
	missing = iscsi_missing(&package);
	if (missing) {
		text_list_add(&luns->notes, text_format(
			"%s is reached by QEMU's iSCSI initiator, and not by this host's: %s", text, missing));
		return 0;
	}
	if (dry_run) {
		text_list_add(&luns->notes, text_format(
			"%s becomes a disk of this host for the time of the job; a dry run does not log in", text));
		return 0;
	}
	if (job_state_dir_make(state_dir, err) < 0 ||
	    lun_attach(text, &options, luns->dir, &attachment, err) < 0)
		return -1;
	text_list_add(&luns->attached, text_copy(attachment.text));
	text_list_add(&luns->notes, text_format("%s is %s of this host%s", text, attachment.device,
						attachment.shared ? ", by a session that was there" : ""));
	return 0;
}

int luns_attach(const struct request *request, const char *job_id, const char *state_dir,
		bool dry_run, struct luns *luns, struct err *err)
{
	*luns = (struct luns){ .dir = text_format("%s/attached", state_dir), .job = text_copy(job_id) };
	/* A guest that runs would go on with a disk whose name may change. */
	if (request->domain)
		return 0;
	return attach_one(request->source, state_dir, dry_run, luns, err) < 0 ||
	       attach_one(request->destination, state_dir, dry_run, luns, err) < 0 ? -1 : 0;
}

int luns_attach_again(const struct plan *plan, const char *job_id, const char *state_dir, struct err *err)
{
	const char *luns[] = { plan->move.source.lun, plan->move.destination.lun };
	const struct lun_options options = { .job = job_id };
	char *dir = text_format("%s/attached", state_dir);
	int ret = 0;

	for (size_t i = 0; i < 2 && ret == 0; i++) {
		struct lun_attachment attachment;

		if (luns[i])
			ret = lun_attach(luns[i], &options, dir, &attachment, err);
	}
	free(dir);
	return ret;
}

int luns_let_go(const struct plan *plan, const char *job_id, const char *state_dir, struct err *err)
{
	const char *luns[] = { plan->move.source.lun, plan->move.destination.lun };
	char *dir = text_format("%s/attached", state_dir);
	int ret = 0;

	for (size_t i = 0; i < 2 && ret == 0; i++) {
		struct lun_attachment attachment;

		if (luns[i])
			ret = lun_detach_for(luns[i], job_id, dir, &attachment, err);
	}
	free(dir);
	return ret;
}

int luns_check(const struct luns *luns, struct plan *plan, struct err *err)
{
	if (luns->attached.count && (plan->move.live.uuid || plan->move.cold.uuid)) {
		err_set(err, ERR_REFUSED, luns->attached.items[0],
			"a domain's definition would name a disk that is not sure to be called so tomorrow");
		return err_next(err, "attach it yourself, and name it by /dev/disk/by-id");
	}
	for (size_t i = 0; i < luns->notes.count; i++)
		text_list_add(&plan->warnings, text_copy(luns->notes.items[i]));
	return 0;
}

void luns_give_up(struct luns *luns)
{
	for (size_t i = 0; i < luns->attached.count; i++) {
		struct lun_attachment attachment;
		struct err err = ERR_INIT;

		if (lun_detach_for(luns->attached.items[i], luns->job, luns->dir, &attachment, &err) < 0)
			log_warning("%s stays attached: %s", luns->attached.items[i], err.cause);
	}
}

void luns_free(struct luns *luns)
{
	free(luns->dir);
	free(luns->job);
	text_list_free(&luns->attached);
	text_list_free(&luns->notes);
	*luns = (struct luns){ 0 };
}
