/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What jobs have left in LVM: volumes and tags, raid legs, pvmove, metadata snapshots of thin pools. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/dm.h"
#include "sys/lvm.h"

#define TAG_PREFIX "volmig.job."
#define TEMP_PREFIX "volmig_"	/* of a volume that is being made */

/* A tag of a job that ended says nothing any more, whatever the volume is by now. */
static bool remove_tag(const char *volume, const char *tag)
{
	const char *const argv[] = { "lvchange", "--deltag", tag, volume, NULL };
	struct err err = ERR_INIT;

	return lvm_run(&(struct lvm_command){ .argv = argv, .object = volume }, NULL, &err) == 0;
}

static void look_at_tag(struct doctor *doctor, const char *volume, const char *tag)
{
	char id[JOB_ID_SIZE], text[JOB_ID_SIZE], *next;

	/* Of a job's further moves it has their number after the UUID. */
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(tag + strlen(TAG_PREFIX), "."), tag + strlen(TAG_PREFIX));
	switch (doctor_standing(doctor, text, id)) {
	case STANDING_UNFINISHED:
		break;
	case STANDING_ENDED:
		/* The check of legs has told, and without the mark nothing proves whose leg it is. */
		if (text_list_has(&doctor->legs, id))
			break;
		next = text_format("volmig doctor --fix, or lvchange --deltag %s %s", tag, volume);
		doctor_found(doctor, "lvm", volume, id, "tagged by a job that has ended", next,
			     doctor->fix && remove_tag(volume, tag));
		free(next);
		break;
	case STANDING_UNKNOWN:
		/* A move inside a group marks a volume that was there before it: never say that it may go. */
		if (!strncmp(strchr(volume, '/') + 1, TEMP_PREFIX, strlen(TEMP_PREFIX))) {
			next = text_format("look for its state directory; if there is none, and nobody needs "
					   "the volume, lvremove %s", volume);
			doctor_found(doctor, "lvm", volume, NULL, "made by a job that is not known here", next, false);
		} else {
			next = text_format("look for its state directory; if there is none, and its legs are what "
					   "they should be (lvs -a -o +devices), lvchange --deltag %s %s", tag, volume);
			doctor_found(doctor, "lvm", volume, NULL, "tagged by a job that is not known here", next, false);
		}
		free(next);
		break;
	}
}

/* The pool holds a copy of its metadata for somebody who reads it. */
static void look_at_pool(struct doctor *doctor, const char *group, const char *pool)
{
	char *name = dm_lv_name(group, pool, "tpool"), *volume, *next;
	struct dm_lines lines = DM_LINES_INIT;
	struct dm_device device;
	struct err err = ERR_INIT;
	unsigned field = 0;
	bool held = false;

	if (dm_inspect(name, &device, &err) == 0 && !device.exists) {
		/* Nothing stands on it. */
		free(name);
		name = dm_lv_name(group, pool, NULL);
	}
	/* Of "TRANSACTION USED/ALL USED/ALL HELD_ROOT ..." the fourth. */
	if (dm_status(name, &lines, &err) == 0 && lines.count == 1 && lines.items[0].text) {
		char *rest = lines.items[0].text, *word;

		while ((word = strsep(&rest, " ")))
			if (*word && ++field == 4)
				held = strcmp(word, "-") != 0;
	}
	dm_lines_free(&lines);
	for (size_t i = 0; i < doctor->unfinished.count; i++)
		if (job_worker(doctor->state_dir, doctor->unfinished.items[i]))
			held = false;	/* it may well be its */
	if (held) {
		volume = text_format("%s/%s", group, pool);
		next = text_format("if nobody is reading its metadata: dmsetup message %s 0 release_metadata_snap",
				   name);
		doctor_found(doctor, "lvm", volume, NULL, "holds a metadata snapshot", next, false);
		free(volume);
		free(next);
	}
	free(name);
}

/* seen: a volume of several segments is reported as often. */
static void look_at_volume(struct doctor *doctor, const json_t *lv, struct text_list *seen)
{
	const char *group = json_get_string(lv, "vg_name"), *name = json_get_string(lv, "lv_name");
	const char *tags = json_get_string(lv, "lv_tags"), *type = json_get_string(lv, "segtype");
	char *volume, *list, *rest, *tag, *next;

	if (!group || !name)
		return;
	/* What is hidden stands in brackets. */
	list = text_copy(name);
	if (*list == '[' && list[strlen(list) - 1] == ']') {
		list[strlen(list) - 1] = '\0';
		memmove(list, list + 1, strlen(list));
	}
	volume = text_format("%s/%s", group, list);
	if (text_list_has(seen, volume)) {
		free(volume);
		free(list);
		return;
	}
	text_list_add(seen, text_copy(volume));
	if (!strncmp(list, "pvmove", 6) && strspn(list + 6, "0123456789") == strlen(list + 6) &&
	    !doctor->unfinished.count) {
		next = text_format("pvmove to go on with it, or pvmove --abort");
		doctor_found(doctor, "lvm", volume, NULL, "a pvmove that has not come to its end", next, false);
		free(next);
	}
	if (type && !strcmp(type, "thin-pool"))
		look_at_pool(doctor, group, list);
	free(list);
	list = text_copy(tags ? tags : "");
	rest = list;
	while ((tag = strsep(&rest, ",")))
		if (!strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)))
			look_at_tag(doctor, volume, tag);
	free(list);
	free(volume);
}

void doctor_lvm(struct doctor *doctor)
{
	const char *const argv[] = {
		"lvs", "-a", "--reportformat", "json", "-o", "vg_name,lv_name,lv_tags,segtype", NULL,
	};
	struct err err = ERR_INIT;
	struct text_list seen = { 0 };
	json_t *report = NULL;
	const json_t *part, *lv;
	size_t i, k;

	if (geteuid() != 0) {
		doctor_note(doctor, "lvm", "not looked at: that takes root");
		return;
	}
	if (lvm_run(&(struct lvm_command){ .argv = argv, .object = "LVM", .report = true }, &report,
		    &err) < 0) {
		doctor_note(doctor, "lvm", err.cause);
		return;
	}
	json_array_foreach(json_object_get(report, "report"), i, part)
		json_array_foreach(json_object_get(part, "lv"), k, lv)
			look_at_volume(doctor, lv, &seen);
	text_list_free(&seen);
	json_decref(report);
}
