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

void job_next_command(const char *state_dir, const char *verb, const char *id, struct err *err)
{
	char *usual = job_state_dir(NULL);
	char *word = strcmp(state_dir, usual) ? text_shell_word(state_dir) : NULL;

	err_next(err, "volmig %s%s%s%s %s", word ? "--state-dir " : "", word ? word : "", word ? " " : "",
		 verb, id);
	free(word);
	free(usual);
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
	int lines = 0;
	ssize_t n = 0;

	free(path);
	if (fd < 0)
		return absent;
	/* A plan of many volumes may be longer than that. */
	while (lines < 2 && (n = read(fd, buf, sizeof(buf))) > 0)
		for (const char *c = buf; lines < 2 && (c = memchr(c, '\n', (size_t)(buf + n - c))); c++)
			lines++;
	close(fd);
	return n >= 0 && lines < 2;
}

/* ---- which of them are open ---- */

/* Those that STATE_DIR/open names; without such a directory all that there are. */
static int open_list(const char *state_dir, struct text_list *ret_ids, struct err *err)
{
	char *path = text_format("%s/open", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir && errno == ENOENT) {
		free(path);
		path = text_format("%s/jobs", state_dir);
		dir = opendir(path);
	}
	if (!dir && errno != ENOENT)
		ret = err_sys(err, errno, path, "cannot read the state directory");
	while (dir && (entry = readdir(dir))) {
		char id[UUID_TEXT_SIZE];

		if (uuid_canonical(entry->d_name, id))
			text_list_add(ret_ids, text_copy(id));
	}
	if (dir)
		closedir(dir);
	free(path);
	return ret;
}

/* Make a name in a directory durable; its content is nothing. */
static int make_mark(const char *dir, const char *id, bool *ret_made)
{
	char *path = text_format("%s/%s", dir, id);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = fd < 0 && errno != EEXIST ? errno : 0;

	*ret_made = fd >= 0;
	if (fd >= 0)
		close(fd);
	free(path);
	return error;
}

static int sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fsync(fd) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

int job_mark_open(const char *state_dir, const char *id, bool *ret_made, struct err *err)
{
	char *path = text_format("%s/open", state_dir);
	int error = make_mark(path, id, ret_made);

	if (!error && *ret_made)
		error = sync_path(path);
	if (error) {
		job_mark_ended(state_dir, *ret_made ? id : "");
		err_sys(err, error, path, "cannot note that the job is open");
		/* As for the journal: nothing was done yet. */
		err->class = ERR_STOPPED;
	}
	free(path);
	return error ? -1 : 0;
}

void job_lock_from_mark(const char *state_dir, const char *id)
{
	char *mark = text_format("%s/open/%s", state_dir, id);
	char *lock = text_format("%s/jobs/%s/lock", state_dir, id);

	/* Not every file system has links; then the lock is a file of its own. */
	(void)!link(mark, lock);
	free(mark);
	free(lock);
}

void job_mark_ended(const char *state_dir, const char *id)
{
	char *path = text_format("%s/open/%s", state_dir, id);

	unlink(path);
	free(path);
}

/* What was seen to have ended may have been seen in the cache only. */
static void learn_ended(const char *state_dir, const char *id)
{
	char *journal = text_format("%s/jobs/%s/journal.jsonl", state_dir, id);
	int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && fdatasync(fd) == 0)
		job_mark_ended(state_dir, id);
	if (fd >= 0)
		close(fd);
	free(journal);
}

/* A state directory of before there was STATE_DIR/open, or one where it was removed. */
static int make_open(const char *state_dir, struct err *err)
{
	char *path = text_format("%s/open", state_dir), *fresh = text_format("%s/open.new", state_dir);
	struct text_list ids = { 0 };
	int lock = -1, error = 0, ret = -1;

	if (access(path, F_OK) == 0) {
		ret = 0;
		goto out;
	}
	lock = job_lock_store(state_dir, err);
	if (lock < 0)
		goto out;
	if (access(path, F_OK) == 0) {
		ret = 0;
		goto out;
	}
	if (open_list(state_dir, &ids, err) < 0)
		goto out;
	if (mkdir(fresh, 0700) < 0 && errno != EEXIST)
		error = errno;
	for (size_t i = 0; i < ids.count && !error; i++) {
		bool made;

		if (!job_ended_quickly(state_dir, ids.items[i]))
			error = make_mark(fresh, ids.items[i], &made);
	}
	if (!error)
		error = sync_path(fresh);
	if (!error && rename(fresh, path) < 0)
		error = errno;
	if (!error)
		error = sync_path(state_dir);
	if (error) {
		err_sys(err, error, path, "cannot make the state directory");
		err->class = ERR_REFUSED;
		err_next(err, "choose another with --state-dir");
	} else {
		ret = 0;
	}
out:
	if (lock >= 0)
		close(lock);
	text_list_free(&ids);
	free(fresh);
	free(path);
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
	return ret < 0 ? -1 : make_open(state_dir, err);
}

int job_mark_open_again(const char *state_dir, const char *id, struct err *err)
{
	char *path = text_format("%s/open", state_dir);
	struct err none = ERR_INIT;
	bool made;
	int ret = 0;

	/* Where there is no room for the directory all journals are read, this one's too. */
	if (make_open(state_dir, &none) == 0 || access(path, F_OK) == 0)
		ret = job_mark_open(state_dir, id, &made, err);
	free(path);
	return ret;
}

int job_list_unfinished(const char *state_dir, bool learn, struct text_list *ret_ids,
			struct err *err)
{
	struct text_list ids = { 0 };
	int ret = open_list(state_dir, &ids, err);

	for (size_t i = 0; ret == 0 && i < ids.count; i++) {
		const char *id = ids.items[i];

		if (!job_ended_quickly(state_dir, id)) {
			if (job_exists(state_dir, id))
				text_list_add(ret_ids, text_copy(id));
		} else if (learn) {
			learn_ended(state_dir, id);
		}
	}
	text_list_free(&ids);
	return ret;
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
	struct text_list ids = { 0 };
	struct err ignored = ERR_INIT;

	open_list(state_dir, &ids, &ignored);
	for (size_t k = 0; k < ids.count; k++) {
		char *job = job_dir(state_dir, ids.items[k]);

		if (is_stillborn(job)) {
			for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
				char *file = text_format("%s/%s", job, files[i]);

				unlink(file);
				free(file);
			}
			if (rmdir(job) == 0 || errno == ENOENT)
				job_mark_ended(state_dir, ids.items[k]);
		}
		free(job);
	}
	text_list_free(&ids);
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

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of what is not open, the journal is not looked at. */
static bool look_at(const char *state_dir, const char *name, const struct text_list *open,
		    struct listed *listed)
{
	const char *id = listed->id;
	char *lock, *dir;
	struct stat st;
	bool there;

	*listed = (struct listed){ .ended = false };
	if (!uuid_canonical(name, listed->id))
		return false;
	listed->ended = !open->count || !bsearch(&id, open->items, open->count, sizeof(open->items[0]), by_text);
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
	struct text_list open = { 0 };
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
	ret = open_list(state_dir, &open, err);
	if (open.count)
		qsort(open.items, open.count, sizeof(open.items[0]), by_text);
	while (ret == 0 && (entry = readdir(dir))) {
		if (!look_at(state_dir, entry->d_name, &open, &listed) ||
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
	text_list_free(&open);
	if (count)
		qsort(all, count, sizeof(*all), by_age);
	for (size_t i = 0; i < count; i++) {
		if (all[i].ended && ended-- > most_ended)
			++*ret_left_out;
		else
			text_list_add(ret_ids, text_copy(all[i].id));
	}
	free(all);
	return ret;
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
