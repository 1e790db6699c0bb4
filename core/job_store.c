/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state directory: which jobs there are, and who works on them. */
#include "job_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/uuid.h"

char *job_state_dir(const char *option)
{
	const char *env = getenv("VOLMIG_STATE_DIR");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (option)
		return text_copy(option);
	if (env && *env)
		return text_copy(env);
	if (geteuid() == 0)
		return text_copy("/var/lib/volmig");
	if (xdg && *xdg == '/')
		return text_format("%s/volmig", xdg);
	return text_format("%s/.local/state/volmig", home && *home ? home : "");
}

/* mkdir -p, each directory 0700 and durable. */
static int make_dirs(const char *path, struct err *err)
{
	char *copy = text_copy(path);
	int ret = 0;

	for (char *p = copy + 1; ret == 0; p++) {
		bool last = !*p;

		if (*p != '/' && !last)
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
			err_sys(err, errno, path, "cannot make the state directory");
			err->class = ERR_REFUSED;
			ret = err_next(err, "choose another with --state-dir");
		}
		if (last)
			break;
		*p = '/';
	}
	free(copy);
	return ret;
}

int job_state_dir_make(const char *state_dir, struct err *err)
{
	char *jobs = text_format("%s/jobs", state_dir);
	int ret = make_dirs(jobs, err);

	if (ret == 0 && access(jobs, R_OK | W_OK | X_OK) < 0) {
		err_sys(err, errno, state_dir, "the state directory is not writable");
		err->class = ERR_REFUSED;
		ret = err_next(err, "choose another with --state-dir");
	}
	free(jobs);
	return ret;
}

char *job_dir(const char *state_dir, const char *id)
{
	return text_format("%s/jobs/%s", state_dir, id);
}

/*
 * A crash can leave a job's directory whose journal does not hold a whole plan
 * yet, its second line.  Such a job announced nothing and touched nothing.
 * Only what is seen to be so counts: a journal that cannot be read is one.
 */
static bool is_stillborn(const char *dir)
{
	char *path = text_format("%s/journal.jsonl", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool absent = fd < 0 && errno == ENOENT;
	char buf[65536];
	const char *first;
	struct stat st;
	ssize_t n;

	free(path);
	if (fd < 0)
		return absent;
	n = fstat(fd, &st) == 0 && st.st_size < (off_t)sizeof(buf) ? pread(fd, buf, sizeof(buf), 0) : -1;
	close(fd);
	if (n < 0 || n != st.st_size)
		return false;
	first = memchr(buf, '\n', (size_t)n);
	return !first || !memchr(first + 1, '\n', (size_t)(buf + n - first - 1));
}

/* ---- the list of those that have ended ---- */

/* UUID, space, inode of the job's directory in 16 hexadecimal digits, line feed. */
#define ENDED_LINE (UUID_TEXT_SIZE - 1 + 1 + 16 + 1)

struct ended {
	char *text;
	size_t count;
};

static void ended_line(const char *id, ino_t ino, char line[static ENDED_LINE + 1])
{
	snprintf(line, ENDED_LINE + 1, "%s %016llx\n", id, (unsigned long long)ino);
}

static int compare_ended(const void *a, const void *b)
{
	return memcmp(a, b, ENDED_LINE);
}

static void ended_read(const char *state_dir, struct ended *ret)
{
	char *path = text_format("%s/ended", state_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	*ret = (struct ended){ 0 };
	free(path);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < 256 << 20) {
		ret->text = text_alloc((size_t)st.st_size, 1);
		if (pread(fd, ret->text, (size_t)st.st_size, 0) == st.st_size)
			ret->count = (size_t)st.st_size / ENDED_LINE;
		/* Where a crash has torn a line, those behind it match nothing any more. */
		qsort(ret->text, ret->count, ENDED_LINE, compare_ended);
	}
	if (fd >= 0)
		close(fd);
}

static bool ended_has(const struct ended *ended, const char *id, ino_t ino)
{
	char line[ENDED_LINE + 1];

	ended_line(id, ino, line);
	return ended->count && bsearch(line, ended->text, ended->count, ENDED_LINE, compare_ended);
}

static void ended_add(const char *state_dir, const char *id, ino_t ino)
{
	char *path = text_format("%s/ended", state_dir);
	char *journal = text_format("%s/jobs/%s/journal.jsonl", state_dir, id);
	char line[ENDED_LINE + 1];
	int seen = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int fd = -1;

	/* Its end was seen, but perhaps in the cache only: a list must not outlive what it tells of. */
	if (seen >= 0 && fdatasync(seen) == 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		off_t end = lseek(fd, 0, SEEK_END);

		ended_line(id, ino, line);
		if (pwrite(fd, line, ENDED_LINE, end - end % ENDED_LINE) != ENDED_LINE)
			unlink(path);
		close(fd);
	}
	if (seen >= 0)
		close(seen);
	free(journal);
	free(path);
}

void job_forget_ended(const char *state_dir, const char *id)
{
	char *path = text_format("%s/ended", state_dir);
	struct ended ended;

	ended_read(state_dir, &ended);
	for (size_t i = 0; i < ended.count; i++)
		if (!memcmp(ended.text + i * ENDED_LINE, id, UUID_TEXT_SIZE - 1)) {
			unlink(path);
			break;
		}
	free(ended.text);
	free(path);
}

int job_list_unfinished(const char *state_dir, bool learn, struct text_list *ret_ids,
			struct err *err)
{
	char *path = text_format("%s/jobs", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct ended ended;

	if (!dir) {
		int ret = errno == ENOENT ? 0 : err_sys(err, errno, path, "cannot read the state directory");

		free(path);
		return ret;
	}
	ended_read(state_dir, &ended);
	while ((entry = readdir(dir))) {
		char id[UUID_TEXT_SIZE];

		if (!uuid_canonical(entry->d_name, id) || ended_has(&ended, id, entry->d_ino))
			continue;
		if (job_ended_quickly(state_dir, id)) {
			if (learn)
				ended_add(state_dir, id, entry->d_ino);
		} else if (job_exists(state_dir, id)) {
			text_list_add(ret_ids, text_copy(id));
		}
	}
	free(ended.text);
	closedir(dir);
	free(path);
	return 0;
}

bool job_exists(const char *state_dir, const char *id)
{
	char *path = job_dir(state_dir, id);
	bool exists = access(path, F_OK) == 0 && !is_stillborn(path);

	free(path);
	return exists;
}

void job_bury_stillborn(const char *state_dir)
{
	static const char *const files[] = { "journal.jsonl", "lock" };
	char *path = text_format("%s/jobs", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct ended ended;

	ended_read(state_dir, &ended);

	while (dir && (entry = readdir(dir))) {
		char id[UUID_TEXT_SIZE], *job;

		if (!uuid_canonical(entry->d_name, id) || ended_has(&ended, id, entry->d_ino))
			continue;
		job = text_format("%s/%s", path, entry->d_name);
		if (is_stillborn(job)) {
			for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
				char *file = text_format("%s/%s", job, files[i]);

				unlink(file);
				free(file);
			}
			rmdir(job);
		}
		free(job);
	}
	if (dir)
		closedir(dir);
	free(ended.text);
	free(path);
}

struct listed {
	char key[40];
	char id[JOB_ID_SIZE];
	bool ended;
};

static int by_age(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;
	int order = strcmp(one->key, other->key);

	return order ? order : strcmp(one->id, other->id);
}

/* Of what is on the list of those that have ended, the journal is not looked at. */
static bool look_at(const char *state_dir, const struct dirent *entry, const struct ended *known,
		    struct listed *listed)
{
	char *lock, *dir;
	struct stat st;
	bool there;

	*listed = (struct listed){ .ended = false };
	if (!uuid_canonical(entry->d_name, listed->id))
		return false;
	listed->ended = ended_has(known, listed->id, entry->d_ino);
	if (!listed->ended) {
		dir = job_dir(state_dir, listed->id);
		there = !is_stillborn(dir);
		free(dir);
		if (!there)
			return false;
		listed->ended = job_ended_quickly(state_dir, listed->id);
	}
	/* The lock file is made once and never written: its time is the job's beginning. */
	lock = text_format("%s/jobs/%s/lock", state_dir, listed->id);
	there = stat(lock, &st) == 0;
	free(lock);
	if (there)
		snprintf(listed->key, sizeof(listed->key), "%020llu.%09u", (unsigned long long)st.st_mtim.tv_sec,
			 (unsigned)st.st_mtim.tv_nsec % 1000000000);
	return there;
}

int job_list_newest(const char *state_dir, size_t most_ended, bool ended_only,
		    struct text_list *ret_ids, size_t *ret_left_out, struct err *err)
{
	char *path = text_format("%s/jobs", state_dir);
	struct listed *all = NULL, listed;
	struct ended known;
	size_t count = 0, room = 0, ended = 0;
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	*ret_left_out = 0;
	if (!dir) {
		if (errno != ENOENT)
			ret = err_sys(err, errno, path, "cannot read the state directory");
		free(path);
		return ret;
	}
	ended_read(state_dir, &known);
	while ((entry = readdir(dir))) {
		if (!look_at(state_dir, entry, &known, &listed) ||
		    (ended_only && !listed.ended))
			continue;
		if (count == room) {
			room = room ? 2 * room : 64;
			all = text_grow(all, room, sizeof(*all));
		}
		ended += listed.ended;
		all[count++] = listed;
	}
	closedir(dir);
	free(path);
	free(known.text);
	if (count)
		qsort(all, count, sizeof(*all), by_age);
	for (size_t i = 0; i < count; i++) {
		if (all[i].ended && ended-- > most_ended)
			++*ret_left_out;
		else
			text_list_add(ret_ids, text_copy(all[i].id));
	}
	free(all);
	return 0;
}

int job_list(const char *state_dir, struct text_list *ret_ids, struct err *err)
{
	size_t left_out;

	return job_list_newest(state_dir, SIZE_MAX, false, ret_ids, &left_out, err);
}

int job_find(const char *state_dir, const char *text, char ret_id[static JOB_ID_SIZE],
	     struct err *err)
{
	struct text_list ids = { 0 };
	size_t len = strlen(text);
	int found = 0;

	if (len < 4 || strspn(text, "0123456789abcdefABCDEF-") != len)
		return err_set(err, ERR_USAGE, text, "is no job: give its UUID, or at least the first 4 characters");
	/* All of it: no other can be meant. */
	if (uuid_canonical(text, ret_id))
		return job_exists(state_dir, ret_id);
	if (job_list(state_dir, &ids, err) < 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		if (strncasecmp(ids.items[i], text, len))
			continue;
		memcpy(ret_id, ids.items[i], JOB_ID_SIZE);
		found++;
	}
	text_list_free(&ids);
	if (found > 1)
		return err_set(err, ERR_USAGE, text, "means %d jobs: give more of the UUID", found);
	return found;
}

pid_t job_worker(const char *state_dir, const char *id)
{
	char *path = text_format("%s/jobs/%s/lock", state_dir, id);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	pid_t pid = 0;

	free(path);
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		pid = lock.l_pid > 0 ? lock.l_pid : -1;
	close(fd);
	return pid;
}

/* The last line of a journal if it is that of an end, in buf; or NULL. */
static const char *last_line(const char *state_dir, const char *id, char *buf, size_t size,
			     size_t *ret_length)
{
	static const char kind[] = "{\"rec\":\"end\",";
	char *path = text_format("%s/jobs/%s/journal.jsonl", state_dir, id);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	const char *found = NULL;
	struct stat st;

	free(path);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		off_t from = st.st_size > (off_t)size ? st.st_size - (off_t)size : 0;
		ssize_t n = pread(fd, buf, size, from);

		if (n > 1 && buf[n - 1] == '\n') {
			const char *line = memrchr(buf, '\n', (size_t)n - 1);

			line = line ? line + 1 : buf;
			*ret_length = (size_t)(buf + n - line);
			if (*ret_length > sizeof(kind) && !memcmp(line, kind, sizeof(kind) - 1))
				found = line;
		}
	}
	close(fd);
	return found;
}

bool job_ended_quickly(const char *state_dir, const char *id)
{
	char buf[65536];
	size_t length;

	return last_line(state_dir, id, buf, sizeof(buf), &length) != NULL;
}

json_t *job_receipt_quickly(const char *state_dir, const char *id)
{
	char buf[65536];
	size_t length;
	const char *line = last_line(state_dir, id, buf, sizeof(buf), &length);
	json_t *record = line ? json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *result = json_incref(json_object_get(record, "result"));

	json_decref(record);
	return result;
}

int job_lock_store(const char *state_dir, struct err *err)
{
	char *path = text_format("%s/jobs", state_dir);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		err_sys(err, errno, path, "cannot lock the state directory");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}
