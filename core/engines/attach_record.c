/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of one volume that was attached to this host: a small JSON file. */
#include "engines/attach_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/record_file.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"

#define RECORD_VERSION 1

void attach_record_init(struct attach_record *record, const char *path, bool readonly, bool loop)
{
	char id[UUID_TEXT_SIZE];

	attach_record_free(record);
	*record = (struct attach_record){
		.path = text_copy(path),
		.readonly = readonly,
		.loop = loop,
		.pending = loop,
	};
	if (loop)
		snprintf(record->marker, sizeof(record->marker), "volmig:%s", uuid_new(id));
	uuid_of_boot(record->boot);
}

void attach_record_done(struct attach_record *record, const struct loopdev *loop)
{
	record->pending = false;
	record->number = loop->number;
	record->diskseq = loop->diskseq;
}

bool attach_record_is_of(const struct attach_record *record, const struct loopdev *loop)
{
	if (!record->loop || !*record->marker || strcmp(record->marker, loop->marker))
		return false;
	return record->pending ||
	       (loop->number == record->number && loop->diskseq == record->diskseq);
}

bool attach_record_is_of_another(const struct attach_record *record, uint64_t diskseq)
{
	/* A loop device has its marker. */
	return !record->loop && diskseq && record->diskseq && record->diskseq != diskseq;
}

bool attach_record_is_current(const struct attach_record *record)
{
	char boot[UUID_TEXT_SIZE];

	return *record->boot && !strcmp(record->boot, uuid_of_boot(boot));
}

void attach_record_free(struct attach_record *record)
{
	free(record->path);
	*record = (struct attach_record){ 0 };
}

int attach_record_read(int dirfd, const char *name, struct attach_record *ret, struct err *err)
{
	json_t *json = NULL;
	const char *boot, *marker;
	int found = record_file_read(dirfd, name, &json, err);

	if (found <= 0)
		return found;
	boot = json_get_string(json, "boot");
	marker = json_get_string(json, "marker");
	if (json_get_u64(json, "volmig_attached") != RECORD_VERSION || !boot ||
	    strlen(boot) >= sizeof(ret->boot) || !marker ||
	    strlen(marker) >= sizeof(ret->marker)) {
		json_decref(json);
		/* It is renamed into place when it is whole, so this is damage or a newer version. */
		err_set(err, ERR_REFUSED, name, "the record of an attached volume cannot be understood");
		return err_next(err, "look at losetup -l, release what is attached, then remove the record");
	}
	*ret = (struct attach_record){
		.path = json_name_get(json_object_get(json, "path")),
		.readonly = json_get_bool(json, "readonly"),
		.loop = json_get_bool(json, "loop"),
		.pending = json_get_bool(json, "pending"),
		.number = (unsigned)json_get_u64(json, "number"),
		.diskseq = json_get_u64(json, "diskseq"),
	};
	strcpy(ret->boot, boot);
	strcpy(ret->marker, marker);
	json_decref(json);
	return 1;
}

static json_t *to_json(const struct attach_record *record)
{
	json_t *json = json_object();

	json_put(json, "volmig_attached", json_integer(RECORD_VERSION));
	json_put(json, "boot", json_string(record->boot));
	json_put(json, "path", json_name(record->path));
	json_put(json, "readonly", json_boolean(record->readonly));
	json_put(json, "loop", json_boolean(record->loop));
	json_put(json, "marker", json_string(record->marker));
	json_put(json, "pending", json_boolean(record->pending));
	json_put(json, "number", json_integer(record->number));
	json_put(json, "diskseq", json_u64(record->diskseq));
	return json;
}

int attach_record_write(int dirfd, const char *name, const struct attach_record *record,
			struct err *err)
{
	json_t *json = to_json(record);
	int ret = record_file_write(dirfd, name, json, err);

	json_decref(json);
	return ret;
}

int attach_record_remove(int dirfd, const char *name, struct err *err)
{
	return record_file_remove(dirfd, name, err);
}
