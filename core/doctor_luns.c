/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs and sessions of iSCSI that were attached, and that nobody needs any more. */
#include "doctor.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "engines/lun_attach.h"
#include "engines/lun_record.h"
#include "engines/record_file.h"
#include "support/err.h"
#include "sys/iscsi.h"

struct lun_left {
	char *text, *job;
	const char *what;
};

struct luns_left {
	struct doctor *doctor;
	struct lun_left *items;
	size_t count;
	struct text_list sessions;	/* the names of the session records that some LUN needs */
};

static int match_disk(const struct iscsi_disk *disk, void *data)
{
	const struct lun_record *record = data;

	return record->disk && !strcmp(disk->address, record->disk) && disk->dev == record->dev &&
	       disk->diskseq == record->diskseq;
}

static void add(struct luns_left *left, const char *text, const char *job, const char *what)
{
	left->items = text_grow(left->items, left->count + 1, sizeof(*left->items));
	left->items[left->count++] = (struct lun_left){ text_copy(text), text_copy(job), what };
}

static int look_at_lun(const char *name, const struct lun_record *record, void *data)
{
	struct luns_left *left = data;
	char id[JOB_ID_SIZE], *session;
	struct err ignored = ERR_INIT;
	struct lun lun = { 0 };
	const char *what = NULL;

	(void)name;
	if (!lun_record_is_current(record->boot))
		what = "recorded as attached before the machine was restarted";
	else if (record->pending)
		what = "attaching it was begun, and not brought to its end";
	else if (!iscsi_each_disk(0, match_disk, (void *)record))
		what = "recorded as attached, but its disk is gone";
	else if (record->job && doctor_standing(left->doctor, record->job, id) != STANDING_UNFINISHED)
		what = "attached for a job that has ended";
	if (what)
		add(left, record->text, record->job, what);
	if (lun_parse(record->text, &lun, &ignored) == 0) {
		session = session_record_name(&lun);
		text_list_add(&left->sessions, session);
	}
	lun_free(&lun);
	return 0;
}

/* Ours, but of no LUN that is recorded. */
static void look_at_session(struct luns_left *left, int dirfd, const char *name)
{
	struct session_record record = { 0 };
	struct err err = ERR_INIT;
	int found = text_list_has(&left->sessions, name) ? 0 : session_record_read(dirfd, name, &record, &err);

	if (found < 0)
		doctor_found(left->doctor, "attachments", name, NULL, err.cause, "look at it", false);
	else if (found)
		add(left, record.text, NULL, "a session that volmig has logged in, and of which no LUN is attached any more");
	session_record_free(&record);
}

static void report(struct doctor *doctor, const char *dir, const struct lun_left *left)
{
	struct lun_attachment attachment;
	struct err err = ERR_INIT;
	char *next = text_format("volmig doctor --fix, or volmig detach %s", left->text), *what;
	bool mended = doctor->fix && lun_detach(left->text, dir, &attachment, &err) == 0 &&
		      !*attachment.note;

	/* One that cannot be let go of says why. */
	what = err.class == ERR_NONE ? text_copy(left->what) : text_format("%s (%s)", left->what, err.cause);
	doctor_found(doctor, "attachments", left->text, left->job, what, next, mended);
	free(what);
	free(next);
}

void doctor_luns(struct doctor *doctor)
{
	char *dir = text_format("%s/attached", doctor->state_dir);
	struct luns_left left = { .doctor = doctor };
	struct err err = ERR_INIT;
	struct dirent *entry;
	DIR *entries;
	int dirfd;

	if (record_dir_open(dir, false, &dirfd, &err) < 0)
		doctor_note(doctor, "attachments", err.cause);
	else if (dirfd >= 0) {
		lun_record_each(dirfd, look_at_lun, &left);
		entries = fdopendir(dirfd);
		if (entries)
			rewinddir(entries);
		while (entries && (entry = readdir(entries)))
			if (!strncmp(entry->d_name, SESSION_RECORD_PREFIX, strlen(SESSION_RECORD_PREFIX)))
				look_at_session(&left, dirfd, entry->d_name);
		/* The lock with it, which is wanted for mending. */
		if (entries)
			closedir(entries);
	}
	for (size_t i = 0; i < left.count; i++) {
		report(doctor, dir, &left.items[i]);
		free(left.items[i].text);
		free(left.items[i].job);
	}
	free(left.items);
	text_list_free(&left.sessions);
	free(dir);
}
