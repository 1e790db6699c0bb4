/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What images stand on, as their own headers say; and what stands on a file. */
#include "volumes/backing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/text.h"
#include "sys/uses.h"
#include "volumes/backing_header.h"

#define CHAIN_MAX 64		/* longer ones do not end */
#define FILES_MAX 16384		/* of one directory */
#define KNOWN_MAX 65536
#define AGE_NS 500000000U	/* for so long what was read of a directory is believed */
#define SETTLED_S 3		/* file systems count time in 2 s at worst: what is younger may change unseen */

/*
 * Those that stamp what changes with this kernel's coarse clock, to the
 * nanosecond unless ext4's inodes are of the short kind.
 */
static const unsigned long stamped_by_our_clock[] = {
	EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
};

static bool is_stamped_by_our_clock(int fd)
{
	struct statfs fs;

	for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < sizeof(stamped_by_our_clock) / sizeof(*stamped_by_our_clock); i++)
		if (stamped_by_our_clock[i] == ((unsigned long)fs.f_type & 0xffffffff))
			return true;
	return false;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/*
 * Does whatever changes of it from now on, which st was asked of before, give it
 * another time than st's?
 *
 * A file bears the time at which a write began, not ended: not while somebody
 * may be writing to a young one.
 */
static bool holds_still(int fd, const struct stat *st, const struct timespec *now)
{
	struct stat opened;

	/* A device's node does not change when what is on it does. */
	if (fstat(fd, &opened) < 0 || !S_ISREG(opened.st_mode) || opened.st_dev != st->st_dev ||
	    opened.st_ino != st->st_ino)
		return false;
	if (now->tv_sec > st->st_ctim.tv_sec + SETTLED_S)
		return true;
	return st->st_ctim.tv_nsec && is_later(now, &st->st_ctim) && is_stamped_by_our_clock(fd) &&
	       uses_writers(fd) == 0;
}

/* What the image says itself; 0, or -errno: it cannot be read. */
static int read_names(const char *path, const struct stat *st, struct text_list *list, bool *ret_settled)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), ret;
	struct timespec now;

	*ret_settled = false;
	if (fd < 0)
		return -errno;
	/* Before it is read: whatever changes from now on bears this time or a later one. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	*ret_settled = holds_still(fd, st, &now);
	ret = backing_header_names(fd, path, list);
	if (ret < 0)
		*ret_settled = false;
	close(fd);
	return ret;
}

/* ---- what was read already ---- */

struct known {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
	bool settled;			/* no change can have gone unseen: see holds_still() */
	char *path;			/* by which it was read, where there is something ... */
	struct text_list below;		/* ... of which names may be relative to that */
};

static void *tree;
static size_t tree_count;

static int by_identity(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void free_known(void *node)
{
	struct known *known = node;

	text_list_free(&known->below);
	free(known->path);
	free(known);
}

/* What was read of it and holds still, or NULL; it stays valid until the next call of look_into(). */
static const struct known *recall(const struct stat *st)
{
	const struct known key = { .dev = st->st_dev, .ino = st->st_ino };
	struct known **found = tfind(&key, &tree, by_identity);

	return found && (*found)->settled && (*found)->changed.tv_sec == st->st_ctim.tv_sec &&
	       (*found)->changed.tv_nsec == st->st_ctim.tv_nsec ? *found : NULL;
}

/* 0, and *ret has what the file says; it stays valid until the next call.  -errno: it cannot be read. */
static int look_into(const char *path, const struct stat *st, const struct known **ret)
{
	const struct known key = { .dev = st->st_dev, .ino = st->st_ino };
	struct known **found, *known;
	int error;

	*ret = recall(st);
	if (*ret && (!(*ret)->below.count || !strcmp((*ret)->path, path)))
		return 0;
	found = tfind(&key, &tree, by_identity);
	known = found ? *found : NULL;
	if (!known) {
		if (tree_count >= KNOWN_MAX) {
			tdestroy(tree, free_known);
			tree = NULL;
			tree_count = 0;
		}
		known = text_alloc(1, sizeof(*known));
		known->dev = st->st_dev;
		known->ino = st->st_ino;
		if (!tsearch(known, &tree, by_identity))
			abort();
		tree_count++;
	}
	text_list_free(&known->below);
	error = read_names(path, st, &known->below, &known->settled);
	free(known->path);
	known->path = known->below.count ? text_copy(path) : NULL;
	known->changed = st->st_ctim;
	*ret = known;
	return error;
}

/* What path says comes before what is said by what it names, each once: names may go in a circle. */
void backing_all(const char *path, struct text_list *ret)
{
	const struct known *known;
	struct stat st;

	/* A guest can write what looks like such a header: no name in it opens anything but a file or a disk. */
	for (size_t i = 0; path && i < CHAIN_MAX; i++) {
		if (stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
		    look_into(path, &st, &known) == 0)
			for (size_t k = 0; k < known->below.count; k++)
				if (!text_list_has(ret, known->below.items[k]))
					text_list_add(ret, text_copy(known->below.items[k]));
		path = i < ret->count ? ret->items[i] : NULL;
	}
}

/* ---- directories ---- */

struct directory {
	char *path;			/* by which it was read */
	dev_t dev;
	ino_t ino;
	uint64_t read_ns;		/* 0: forgotten */
	struct text_list images;	/* paths of those that stand on something */
	char *unseen;
};

static struct directory directories[8];

static void look_at_file(struct directory *directory, const char *name, const struct stat *st)
{
	const struct known *known = recall(st);
	char *path;
	int error;

	/* Nearly all are known, and nothing. */
	if (known && !known->below.count)
		return;
	path = text_format("%s/%s", strcmp(directory->path, "/") ? directory->path : "", name);
	error = look_into(path, st, &known);
	if (error && error != -ENOENT && !directory->unseen)
		directory->unseen = text_format("%s cannot be read: %s", path, strerror(-error));
	if (!error && known->below.count)
		text_list_add(&directory->images, path);
	else
		free(path);
}

static void read_directory(struct directory *directory)
{
	const char *path = directory->path;
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t seen = 0;

	if (!dir)
		directory->unseen = text_format("%s cannot be read: %s", path, strerror(errno));
	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if ((entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (++seen > FILES_MAX) {
			free(directory->unseen);
			directory->unseen = text_format("%s has more than %d files", path, FILES_MAX);
			break;
		}
		/* Too short for a header: nothing can stand there. */
		if (st.st_size >= BACKING_HEADER_LEAST)
			look_at_file(directory, entry->d_name, &st);
	}
	if (dir)
		closedir(dir);
}

static void read_anew(struct directory *directory, const char *path, const struct stat *st, uint64_t now)
{
	char *copy = text_copy(path);

	text_list_free(&directory->images);
	free(directory->unseen);
	free(directory->path);
	*directory = (struct directory){ .path = copy, .dev = st->st_dev, .ino = st->st_ino, .read_ns = now };
	read_directory(directory);
}

static const struct directory *directory_at(const char *path)
{
	struct directory *oldest = &directories[0];
	uint64_t now = clock_ns();
	struct stat st;

	if (stat(path, &st) < 0)
		st = (struct stat){ 0 };
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		struct directory *one = &directories[i];

		if (one->read_ns && one->dev == st.st_dev && one->ino == st.st_ino && now - one->read_ns < AGE_NS)
			return one;
		if (one->read_ns < oldest->read_ns)
			oldest = one;
	}
	read_anew(oldest, path, &st, now);
	return oldest;
}

void backing_overlays(const char *dir, uint64_t dev, uint64_t ino, struct text_list *ret, char **ret_unseen)
{
	const struct directory *directory = directory_at(dir);

	*ret_unseen = text_copy(directory->unseen);
	for (size_t i = 0; i < directory->images.count; i++) {
		const char *path = directory->images.items[i];
		struct text_list below = { 0 };
		bool found = false;
		struct stat st;

		backing_all(path, &below);
		for (size_t k = 0; k < below.count && !found; k++)
			found = stat(below.items[k], &st) == 0 && st.st_dev == dev && st.st_ino == ino;
		if (found)
			text_list_add(ret, text_copy(path));
		text_list_free(&below);
	}
}

void backing_forget(void)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		directories[i].read_ns = 0;
}

void backing_look_ahead(void)
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		struct directory *one = &directories[i];
		uint64_t now = clock_ns();
		struct stat st;

		/* What it was by then is what is looked for: not one that has its name now. */
		if (one->path && now - one->read_ns >= AGE_NS / 2 && stat(one->path, &st) == 0 &&
		    st.st_dev == one->dev && st.st_ino == one->ino)
			read_anew(one, one->path, &st, now);
	}
}
