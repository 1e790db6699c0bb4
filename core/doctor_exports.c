/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD exports that were attached to this host, and of which the kernel's device or the record is gone. */
#include "doctor.h"

#include <stdlib.h>
#include <unistd.h>

#include "engines/export_attach.h"
#include "engines/host_attach.h"
#include "engines/record_file.h"
#include "support/err.h"
#include "sys/nbddev.h"

struct exports {
	struct doctor *doctor;
	int dirfd;
	struct text_list live;		/* the marks of all devices of the kernel that have one */
	struct text_list recorded;	/* the marks of all records */
	struct text_list uris;		/* of the records without a device ... */
	struct text_list whats;		/* ... and what is the matter with each */
};

static int take_mark(const struct nbddev *device, void *data)
{
	struct exports *exports = data;

	text_list_add(&exports->live, text_copy(device->marker));
	return 0;
}

static int look_at_record(const char *name, void *data)
{
	struct exports *exports = data;
	struct export_record record = { 0 };
	struct err err = ERR_INIT;

	if (export_record_read(exports->dirfd, name, &record, &err) != 1) {
		doctor_found(exports->doctor, "attachments", name, NULL, err.cause, "look at it", false);
		return 0;
	}
	text_list_add(&exports->recorded, text_copy(record.mark));
	if (!record.current || !text_list_has(&exports->live, record.mark)) {
		text_list_add(&exports->uris, text_copy(record.uri));
		text_list_add(&exports->whats, text_copy(record.current ?
			"recorded as attached, but no NBD device of the kernel is it" :
			"recorded as attached before the machine was restarted"));
	}
	export_record_free(&record);
	return 0;
}

/* Ours by its mark; but another state directory may know of it. */
static int look_at_device(const struct nbddev *device, void *data)
{
	struct exports *exports = data;
	char *path, *next;

	if (!nbddev_marked(device) || text_list_has(&exports->recorded, device->marker))
		return 0;
	path = text_format("/dev/nbd%u", device->number);
	next = text_format("nbd-client -d %s, if no other state directory knows of it", path);
	doctor_found(exports->doctor, "attachments", path, NULL,
		     "an NBD device made by volmig attach, of which there is no record here", next, false);
	free(path);
	free(next);
	return 0;
}

void doctor_exports(struct doctor *doctor)
{
	char *dir = text_format("%s/attached", doctor->state_dir);
	struct exports exports = { .doctor = doctor, .dirfd = -1 };
	struct err err = ERR_INIT;

	if (record_dir_open(dir, false, &exports.dirfd, &err) < 0) {
		doctor_note(doctor, "attachments", err.cause);
	} else {
		nbddev_each(take_mark, &exports);
		record_file_each(exports.dirfd, EXPORT_RECORD_PREFIX, look_at_record, &exports);
		nbddev_each(look_at_device, &exports);
	}
	/* The lock with it, which is wanted for mending. */
	if (exports.dirfd >= 0)
		close(exports.dirfd);
	for (size_t i = 0; i < exports.uris.count; i++) {
		const char *uri = exports.uris.items[i];
		struct host_attachment attachment;
		uint64_t bytes;
		char *next = text_format("volmig doctor --fix, or volmig detach '%s'", uri);

		doctor_found(doctor, "attachments", uri, NULL, exports.whats.items[i], next, doctor->fix &&
			     export_detach(uri, false, dir, &attachment, &bytes, &err) == 0);
		free(next);
	}
	text_list_free(&exports.live);
	text_list_free(&exports.recorded);
	text_list_free(&exports.uris);
	text_list_free(&exports.whats);
	free(dir);
}
