/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RBD images that jobs have left in pools. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/rbd.h"
#include "sys/uuid.h"
#include "volumes/qemu.h"

#define PREFIX ".volmig-"

/* One image of a pool: is it called after a job that has ended, or that nobody knows? */
static void look_at(struct doctor *doctor, const char *pool, const char *name)
{
	char text[JOB_ID_SIZE], id[JOB_ID_SIZE], *image, *next;
	enum job_standing standing;

	if (strncmp(name, PREFIX, strlen(PREFIX)) || strlen(name) < strlen(PREFIX) + JOB_ID_SIZE - 1)
		return;
	memcpy(text, name + strlen(PREFIX), JOB_ID_SIZE - 1);
	text[JOB_ID_SIZE - 1] = '\0';
	if (!uuid_canonical(text, id))
		return;
	standing = doctor_standing(doctor, id, id);
	if (standing == STANDING_UNFINISHED)
		return;
	image = text_format("rbd:%s/%s", pool, name);
	next = text_format("rbd rm %s/%s, when nobody needs it", pool, name);
	doctor_found(doctor, "images", image, id, standing == STANDING_UNKNOWN ?
		     "an unfinished copy, or a source being removed, of a job that is not known here" :
		     "left by a job that has ended", next, false);
	free(image);
	free(next);
}

static void look_into(struct doctor *doctor, const struct facts *end, struct text_list *seen)
{
	struct rbd_name name;
	struct text_list images = { 0 };
	struct err err = ERR_INIT;
	char *key;

	if (!qemu_is_rbd(end))
		return;
	name = qemu_rbd_name(end);
	name.image = NULL;
	name.pool_id = NULL;	/* whatever is called so now */
	key = text_format("%s:%s:%s", name.pool, name.conf ? name.conf : "", name.user ? name.user : "");
	if (text_list_has(seen, key)) {
		free(key);
		return;
	}
	text_list_add(seen, key);
	if (rbd_image_list(&name, PREFIX, &images, &err) < 0) {
		char *note = text_format("pool %s cannot be looked into: %s", name.pool, err.cause);

		doctor_note(doctor, "images", note);
		free(note);
	}
	for (size_t i = 0; i < images.count; i++)
		look_at(doctor, name.pool, images.items[i]);
	text_list_free(&images);
}

/* Does the receipt of an ended job speak of an RBD image?  No receipt: it may. */
static bool may_have_images(const json_t *receipt)
{
	static const char *const ends[] = { "source", "destination" };

	for (size_t i = 0; receipt && i < 2; i++) {
		const char *path = json_get_string(json_object_get(receipt, ends[i]), "path");

		if (path && !strncmp(path, "rbd:", 4))
			return true;
	}
	return !receipt;
}

void doctor_images(struct doctor *doctor)
{
	struct text_list ids = { 0 }, seen = { 0 };
	struct err err = ERR_INIT;

	if (job_list(doctor->state_dir, &ids, &err) < 0)
		doctor_note(doctor, "images", err.cause);
	for (size_t i = 0; i < ids.count; i++) {
		json_t *receipt = job_receipt_quickly(doctor->state_dir, ids.items[i]);
		struct job job;

		if (may_have_images(receipt) &&
		    job_open(doctor->state_dir, ids.items[i], JOB_LOOK, &job, &err) == 0) {
			look_into(doctor, &job.plan.move.source, &seen);
			look_into(doctor, &job.plan.move.destination, &seen);
			job_close(&job);
		}
		json_decref(receipt);
	}
	text_list_free(&ids);
	text_list_free(&seen);
}
