/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Batches that are not done and that no process works on. */
#include "batch_left.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/uuid.h"

struct folded {
	char *plan;
	bool any, from, ended;
};

static int fold(const json_t *record, void *data, struct err *err)
{
	struct folded *folded = data;
	const char *rec = json_get_string(record, "rec") ?: "";

	(void)err;
	if (!strcmp(rec, "end"))
		folded->ended = true;
	if (!strcmp(rec, "batch")) {
		folded->any = true;
		folded->from = !strcmp(json_get_string(record, "kind") ?: "", "from");
		free(folded->plan);
		folded->plan = json_name_get(json_object_get(record, "plan"));
	}
	return 0;
}

static char *file_of(const char *state_dir, const char *id, const char *name)
{
	return text_format("%s/batches/%s/%s", state_dir, id, name);
}

/* Its process holds a lock that the kernel drops with it.  What cannot be told counts as held. */
static bool is_held(const char *state_dir, const char *id)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *path = file_of(state_dir, id, "lock");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool held = fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;

	if (fd >= 0)
		close(fd);
	free(path);
	return held;
}

void batch_each_left(const char *state_dir, void (*hear)(const struct batch_left *left, void *data),
		     void *data)
{
	char *path = text_format("%s/batches", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct batch_left left = { .plan = NULL };
		struct folded folded = { 0 };
		struct err err = ERR_INIT;

		if (!uuid_canonical(entry->d_name, left.id) || is_held(state_dir, left.id))
			continue;
		left.journal = file_of(state_dir, left.id, "journal.jsonl");
		if (access(left.journal, F_OK) == 0) {
			if (journal_read(left.journal, fold, &folded, &err) < 0)
				left.damage = &err;
			left.plan = folded.plan;
			left.from = folded.from;
			left.empty = !left.damage && !folded.any;
			/* It may have been taken up, and have come to its end, meanwhile. */
			if (!folded.ended && !is_held(state_dir, left.id))
				hear(&left, data);
		}
		free(folded.plan);
		free(left.journal);
	}
	if (dir)
		closedir(dir);
	free(path);
}

bool batch_bury_empty(const char *state_dir, const char *id)
{
	char *path = file_of(state_dir, id, "lock"), *journal = file_of(state_dir, id, "journal.jsonl");
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct folded folded = { 0 };
	struct err err = ERR_INIT;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	/* The lock itself stays: whoever has it open already must not hold another one than the next. */
	bool buried = fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 &&
		      journal_read(journal, fold, &folded, &err) == 0 && !folded.any &&
		      unlink(journal) == 0;

	if (fd >= 0)
		close(fd);
	free(folded.plan);
	free(journal);
	free(path);
	return buried;
}
