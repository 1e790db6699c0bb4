/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of jobs: numbered tickets, each locked by the process whose it is. */
#include "job_limits.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"

/* Whoever leaves wakes the others up; this is for what nobody tells. */
#define LOOK_MS 250

struct ticket {
	char *state_dir;
	char *dir;		/* of the queue, in it */
	char *path;
	int fd;			/* locked as long as we live */
	uint64_t number;
	char *job_id;
	struct limits limits;
	struct text_list things;
	bool running;
};

/* Another's ticket, as its file tells. */
struct other {
	uint64_t number;
	json_t *json;
};

struct others {
	struct other *items;
	size_t count;
};

/* flags: O_RDWR to draw a number.  Closing what was open for writing wakes all who wait. */
static int open_queue(const char *state_dir, int flags, char **ret_dir, struct err *err)
{
	char *dir = text_format("%s/limits", state_dir);
	char *lock = text_format("%s/lock", dir);
	int fd = -1;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		err_sys(err, errno, dir, "cannot make the directory of the queue");
	else if ((fd = open(lock, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		err_sys(err, errno, lock, "cannot open the lock of the queue");
	while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		bool interrupted = errno == EINTR;

		if (interrupted && !interrupt_requested())
			continue;
		/* Whoever has it for long has been stopped himself, or his disk does not answer. */
		if (!interrupted)
			err_sys(err, errno, lock, "cannot lock the queue");
		else
			err_set(err, ERR_STOPPED, lock, "%s while another process has the lock of the queue",
				interrupt_reason());
		close(fd);
		fd = -1;
	}
	free(lock);
	if (fd < 0 && err->class != ERR_STOPPED)
		err->class = ERR_REFUSED;
	if (fd >= 0 && ret_dir)
		*ret_dir = dir;
	else
		free(dir);
	return fd;
}

static json_t *read_ticket(int fd)
{
	char text[16384];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	json_t *json = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;

	return json_is_object(json) ? json : (json_decref(json), NULL);
}

/* All tickets of living processes but ours; those of the dead are removed. */
static void read_others(const struct ticket *ticket, struct others *ret)
{
	DIR *dir = opendir(ticket->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		uint64_t number;
		char end;
		int fd;
		json_t *json;

		if (sscanf(entry->d_name, "ticket-%" SCNu64 "%c", &number, &end) != 1 ||
		    number == ticket->number)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		/* A lock is dropped with the last descriptor; so our look at it is none. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
		else if ((json = read_ticket(fd))) {
			ret->items = text_grow(ret->items, ret->count + 1, sizeof(*ret->items));
			ret->items[ret->count++] = (struct other){ number, json };
		}
		close(fd);
	}
	if (dir)
		closedir(dir);
}

static void others_free(struct others *others)
{
	for (size_t i = 0; i < others->count; i++)
		json_decref(others->items[i].json);
	free(others->items);
	*others = (struct others){ 0 };
}

static bool uses(const json_t *ticket, const char *thing)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(ticket, "uses"), i, item)
		if (!strcmp(json_string_value(item) ?: "", thing))
			return true;
	return false;
}

static enum limit_kind kind_of(const char *thing)
{
	static const char *const kinds[] = { "max-jobs", "device:", "vg:", "fs:", "host:" };

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		if (!strncmp(thing, kinds[i], strlen(kinds[i])))
			return (enum limit_kind)i;
	assert(false);	/* a thing of no kind */
	return LIMIT_JOBS;
}

/* Why it is not this ticket's turn, or NULL; free it. */
static char *what_for(const struct ticket *ticket, const struct others *others)
{
	for (size_t t = 0; t < ticket->things.count; t++) {
		const char *thing = ticket->things.items[t];
		enum limit_kind kind = kind_of(thing);
		unsigned least = ticket->limits.most[kind], count = 0;
		struct text_list users = { 0 };
		char *joined, *text = NULL;

		for (size_t i = 0; i < others->count; i++) {
			const json_t *json = others->items[i].json;
			struct limits theirs = limits_from_json(json_object_get(json, "limits"));
			bool running = json_get_bool(json, "running");

			if (!uses(json, thing) || (!running && others->items[i].number > ticket->number))
				continue;
			count++;
			if (theirs.most[kind] && (!least || theirs.most[kind] < least))
				least = theirs.most[kind];
			text_list_add(&users, text_format("%s %s", json_get_string(json, "job") ?: "?",
							  running ? "(running)" : "(waiting too)"));
		}
		if (least && count >= least) {
			const char *name = strchr(thing, ':');

			joined = text_list_join(&users);
			text = text_format("%s%s%s: %u job%s at most at once, and before it %s %s",
					   kind == LIMIT_FS ? "file system" : kind == LIMIT_VG ? "volume group" :
					   kind == LIMIT_JOBS ? "its turn" : kind == LIMIT_HOST ? "host" : "device",
					   name ? " " : "", name ? name + 1 : "", least, least == 1 ? "" : "s",
					   count == 1 ? "comes" : "come", joined);
			free(joined);
		}
		text_list_free(&users);
		if (text)
			return text;
	}
	return NULL;
}

/* Under the queue's lock. */
static int write_ticket(struct ticket *ticket, const char *waits_for, struct err *err)
{
	json_t *things = json_array(), *json = json_object();
	char *text;
	size_t length;
	bool ok;

	for (size_t i = 0; i < ticket->things.count; i++)
		json_array_append_new(things, json_string(ticket->things.items[i]));
	json_put(json, "job", json_string(ticket->job_id));
	json_put(json, "pid", json_integer(getpid()));
	json_put(json, "running", json_boolean(ticket->running));
	json_put(json, "waits_for", waits_for ? json_text(waits_for) : json_null());
	json_put(json, "limits", limits_to_json(&ticket->limits));
	json_put(json, "uses", things);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	length = strlen(text);
	ok = pwrite(ticket->fd, text, length, 0) == (ssize_t)length &&
	     ftruncate(ticket->fd, (off_t)length) == 0;
	free(text);
	if (ok)
		return 0;
	err_sys(err, errno, ticket->path, "cannot write the ticket");
	err->class = ERR_REFUSED;
	return -1;
}

/* The lock's file holds the last number. */
static int draw_number(int lock, uint64_t *ret)
{
	char text[32] = "";
	ssize_t n = pread(lock, text, sizeof(text) - 1, 0);

	*ret = n > 0 ? strtoull(text, NULL, 10) + 1 : 1;
	n = snprintf(text, sizeof(text), "%020" PRIu64 "\n", *ret);
	return pwrite(lock, text, (size_t)n, 0) == n ? 0 : -1;
}

/*
 * The file of a ticket, locked; -1 and errno.  Under the queue's lock.
 *
 * The last one that was given back is taken where there is one: a file system
 * that has to step around what was removed just now makes files the more
 * slowly the more jobs there were.
 */
static int open_ticket(const struct ticket *ticket)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	char *spare = text_format("%s/spare", ticket->dir);
	bool taken = renameat2(AT_FDCWD, spare, AT_FDCWD, ticket->path, RENAME_NOREPLACE) == 0;
	int fd = taken ? open(ticket->path, flags, 0600) : -1;

	free(spare);
	/* Somebody may be looking at it just then. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (taken)
		unlink(ticket->path);
	fd = open(ticket->path, flags, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Without its lock first, so that whoever takes the file up need not wait for us. */
static void give_back(struct ticket *ticket)
{
	char *spare = text_format("%s/spare", ticket->dir);

	flock(ticket->fd, LOCK_UN);
	if (rename(ticket->path, spare) < 0)
		unlink(ticket->path);
	close(ticket->fd);
	free(spare);
}

int limits_enter(const char *state_dir, const char *job_id, const struct limits *limits,
		 struct text_list *things, struct ticket **ret, struct err *err)
{
	struct ticket *ticket = text_alloc(1, sizeof(*ticket));
	int lock = open_queue(state_dir, O_RDWR, &ticket->dir, err);

	ticket->fd = -1;
	if (lock < 0)
		goto fail;
	ticket->state_dir = text_copy(state_dir);
	ticket->job_id = text_copy(job_id);
	ticket->limits = *limits;
	if (draw_number(lock, &ticket->number) < 0) {
		err_sys(err, errno, ticket->dir, "cannot draw a number of the queue");
		goto fail;
	}
	ticket->path = text_format("%s/ticket-%020" PRIu64, ticket->dir, ticket->number);
	ticket->fd = open_ticket(ticket);
	if (ticket->fd < 0) {
		err_sys(err, errno, ticket->path, "cannot make the ticket");
		goto fail;
	}
	ticket->things = *things;
	if (write_ticket(ticket, NULL, err) < 0) {
		ticket->things = (struct text_list){ 0 };	/* stays the caller's */
		goto fail;
	}
	*things = (struct text_list){ 0 };
	close(lock);
	*ret = ticket;
	return 0;
fail:
	if (err->class == ERR_FAILED)
		err->class = ERR_REFUSED;
	limits_leave(ticket);
	if (lock >= 0)
		close(lock);
	return -1;
}

uint64_t limits_number(const struct ticket *ticket)
{
	return ticket->number;
}

/* 1 it runs, 0 it has to wait, -1 error. */
static int try_to_run(struct ticket *ticket, char **waits_for, struct err *err)
{
	struct others others = { 0 };
	char *what;
	int lock = open_queue(ticket->state_dir, O_RDONLY, NULL, err), ret = -1;

	if (lock < 0)
		return -1;
	read_others(ticket, &others);
	what = what_for(ticket, &others);
	others_free(&others);
	ticket->running = !what;
	if (!what || !*waits_for || strcmp(what, *waits_for))
		ret = write_ticket(ticket, what, err);
	else
		ret = 0;
	if (ret == 0)
		ret = ticket->running;
	free(*waits_for);
	*waits_for = what;
	close(lock);
	return ret;
}

int limits_wait(struct ticket *ticket, void (*waits)(const char *what), struct err *err)
{
	struct pollfd wake = { .fd = -1, .events = POLLIN };
	char *waits_for = NULL;
	bool told = false;
	int ret;

	while ((ret = try_to_run(ticket, &waits_for, err)) == 0) {
		char events[4096];

		if (!told && waits)
			waits(waits_for);
		if (!told && (wake.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) >= 0)
			inotify_add_watch(wake.fd, ticket->dir, IN_DELETE | IN_CLOSE_WRITE);
		told = true;
		if (interrupt_requested()) {
			ret = err_set(err, ERR_STOPPED, ticket->job_id, "%s while waiting for %s",
				      interrupt_reason(), waits_for);
			break;
		}
		poll(&wake, 1, LOOK_MS);
		while (wake.fd >= 0 && read(wake.fd, events, sizeof(events)) > 0)
			;
	}
	if (wake.fd >= 0)
		close(wake.fd);
	free(waits_for);
	return ret < 0 ? -1 : 0;
}

void limits_leave(struct ticket *ticket)
{
	if (!ticket)
		return;
	if (ticket->fd >= 0)
		give_back(ticket);
	free(ticket->path);
	free(ticket->state_dir);
	free(ticket->dir);
	free(ticket->job_id);
	text_list_free(&ticket->things);
	free(ticket);
}

char *limits_waiting_for(const char *state_dir, const char *job_id)
{
	char *path = text_format("%s/limits", state_dir), *found = NULL;
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && !found && (entry = readdir(dir))) {
		json_t *json;
		int fd;

		if (strncmp(entry->d_name, "ticket-", 7))
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		json = read_ticket(fd);
		/* Whose process is gone waits for nothing. */
		if (json && !strcmp(json_get_string(json, "job") ?: "", job_id) &&
		    flock(fd, LOCK_SH | LOCK_NB) < 0)
			found = text_copy(json_get_string(json, "waits_for"));
		json_decref(json);
		close(fd);
	}
	if (dir)
		closedir(dir);
	free(path);
	return found;
}

int limits_left(const char *state_dir, bool remove, struct text_list *ret_paths, struct err *err)
{
	char *path = text_format("%s/limits", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int lock = -1, ret = -1;

	if (!dir) {
		ret = errno == ENOENT ? 0 : err_sys(err, errno, path, "cannot look into the queue");
		goto out;
	}
	/* Under it nobody has made a ticket that is not locked yet. */
	lock = open_queue(state_dir, O_RDONLY, NULL, err);
	if (lock < 0)
		goto out;
	while ((entry = readdir(dir))) {
		uint64_t number;
		char end;
		int fd;

		if (sscanf(entry->d_name, "ticket-%" SCNu64 "%c", &number, &end) != 1)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
		    (!remove || unlinkat(dirfd(dir), entry->d_name, 0) == 0))
			text_list_add(ret_paths, text_format("%s/%s", path, entry->d_name));
		if (fd >= 0)
			close(fd);
	}
	ret = 0;
out:
	if (lock >= 0)
		close(lock);
	if (dir)
		closedir(dir);
	free(path);
	return ret;
}
