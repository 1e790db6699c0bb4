/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mirrors of running domains' disks that a job began and nobody ends. */
#include "doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/live_look.h"
#include "job.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/guests.h"

#define TEMP_PREFIX ".volmig-"

struct mirror {
	const struct virt_domain *domain;
	const struct virt_disk *disk;
	char *path;
};

/* libvirt keeps no mark of ours on a mirror, so that nothing proves whose it is: it is only named. */
static void found(struct doctor *doctor, const struct mirror *mirror, const char *id,
		  const char *whose, char *next)
{
	char *object = text_format("%s %s", mirror->domain->name, mirror->disk->target);
	char *what = text_format("is mirrored onto %s, the destination of a job that %s", mirror->path, whose);

	doctor_found(doctor, "block-jobs", object, id, what, next, false);
	free(object);
	free(what);
	free(next);
}

static char *how_to_end(const struct mirror *mirror)
{
	return text_format("if nobody needs it: virsh blockjob %s %s --abort",
			   mirror->domain->name, mirror->disk->target);
}

/* Is it that job's, and is that to be told?  true: it is that job's. */
static bool is_of(struct doctor *doctor, const struct mirror *mirror, const char *id)
{
	bool ended = !text_list_has(&doctor->unfinished, id), is;
	json_t *receipt = ended ? job_receipt_quickly(doctor->state_dir, id) : NULL;
	struct err err = ERR_INIT;
	struct job job;

	/* Most jobs are none of guests', and there may be thousands. */
	is = !receipt || !strcmp(json_get_string(receipt, "method") ?: "", "live");
	json_decref(receipt);
	if (!is || job_open(doctor->state_dir, id, JOB_LOOK, &job, &err) < 0)
		return false;
	is = false;
	for (size_t i = 0; !is && i < plan_moves(&job.plan); i++) {
		const struct live_move *live = &plan_move(&job.plan, i)->live;

		is = live->uuid && !strcmp(live->uuid, mirror->domain->uuid) &&
		     !strcmp(live->target, mirror->disk->target) &&
		     live_same_volume(live->new_path, mirror->path);
	}
	if (is && job.ended)
		found(doctor, mirror, id, "has ended", how_to_end(mirror));
	else if (is && !job_worker(doctor->state_dir, id))
		found(doctor, mirror, id, "no process works on", job_committed(&job) ?
		      text_format("volmig resume %s", id) :
		      text_format("volmig resume %s, or volmig abort %s", id, id));
	job_close(&job);
	return is;
}

static void look_at_mirror(struct doctor *doctor, const struct mirror *mirror, const struct text_list *ids)
{
	const char *name = strrchr(mirror->path, '/');
	char id[JOB_ID_SIZE];

	/* The newest first: it is who has that destination now. */
	for (size_t i = ids->count; i > 0; i--)
		if (is_of(doctor, mirror, ids->items[i - 1]))
			return;
	if (name && !strncmp(name + 1, TEMP_PREFIX, strlen(TEMP_PREFIX)) &&
	    doctor_standing(doctor, name + 1 + strlen(TEMP_PREFIX), id) == STANDING_UNKNOWN)
		found(doctor, mirror, NULL, "is not known here", how_to_end(mirror));
}

void doctor_block_jobs(struct doctor *doctor)
{
	struct virt_domain *domains = NULL;
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;
	struct virt *virt = NULL;	/* guests' own: it is not closed here */
	size_t count = 0;

	if (guests_connection(&virt, &err) < 0 || (virt && virt_list(virt, &domains, &count, &err) < 0) ||
	    (count && job_list(doctor->state_dir, &ids, &err) < 0))
		doctor_note(doctor, "block-jobs", err.cause);
	for (size_t i = 0; i < count; i++) {
		struct virt_disks disks = { 0 };
		char *xml = NULL;

		err = (struct err)ERR_INIT;
		if (domains[i].running && (virt_xml(virt, domains[i].uuid, false, &xml, &err) < 0 ||
					   virt_xml_disks(xml, &disks, &err) < 0) && err.number != ENOENT)
			doctor_note(doctor, "block-jobs", err.cause);
		for (size_t k = 0; k < disks.count; k++) {
			struct mirror mirror = { .domain = &domains[i], .disk = &disks.items[k] };

			if (!disks.items[k].mirrored || !disks.items[k].target)
				continue;
			mirror.path = virt_source_text(&disks.items[k].mirror);
			if (mirror.path)
				look_at_mirror(doctor, &mirror, &ids);
			free(mirror.path);
		}
		virt_disks_free(&disks);
		free(xml);
	}
	virt_domains_free(domains, count);
	text_list_free(&ids);
}
