/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which block devices and files are mounted, in every mount namespace that can be seen. */
#include "sys/mounts.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/text.h"
#include "sys/blkdev.h"
#include "sys/procs.h"

#define AGE_NS 500000000U	/* for so long what was read is believed */

void mounts_unescape(char *text)
{
	char *out = text;

	for (char *p = text; *p; out++) {
		if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
			*out = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
}

/* Most namespaces begin as copies of another, so the same mount point is named only once. */
static void add_mount(struct mount_list *list, dev_t dev, const char *point, const char *where)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].dev == dev && !strcmp(list->items[i].point, point))
			return;
	list->items = text_grow(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = (struct mount){
		.dev = dev,
		.point = text_copy(point),
		.text = text_format("mounted on %s%s", point, where),
	};
}

/* A btrfs is mounted from one of its devices; sysfs tells the others. */
static void add_btrfs_devices(struct mount_list *list, dev_t dev, const char *point,
			      const char *where)
{
	char *node = blkdev_node(dev);
	DIR *all = node ? opendir("/sys/fs/btrfs") : NULL;
	struct dirent *fs, *member;

	while (all && (fs = readdir(all))) {
		char *path = text_format("/sys/fs/btrfs/%s/devices", fs->d_name);
		DIR *members = opendir(path);
		bool ours = false;

		while (members && (member = readdir(members)))
			ours |= !strcmp(member->d_name, node + strlen("/dev/"));
		if (ours)
			rewinddir(members);
		while (ours && (member = readdir(members)))
			if (member->d_name[0] != '.')
				add_mount(list, blkdev_by_name(member->d_name), point, where);
		if (members)
			closedir(members);
		free(path);
	}
	if (all)
		closedir(all);
	free(node);
}

/*
 * The device behind a mount.  Those whose device number is anonymous (btrfs)
 * are known by their source, a path in the namespace it was mounted in.
 */
static dev_t device_of(dev_t dev, const char *root, const char *source)
{
	struct stat st;
	char *path;
	int rc;

	if (major(dev) != 0)
		return dev;
	if (strncmp(source, "/dev/", 5))
		return 0;
	path = text_format("%s%s", root, source);
	rc = stat(path, &st);
	free(path);
	if (rc < 0)
		rc = stat(source, &st);
	return rc == 0 && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

/*
 * 36 35 98:0 /dir /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *       ^dev      ^point                     ^type ^source
 */
static void add_line(void *data, char *line, const char *root, const char *where)
{
	struct mount_list *list = data;
	char *fields[5] = { NULL }, *rest = line, *type, *source;
	unsigned maj, min;
	dev_t dev;

	for (int i = 0; i < 5; i++)
		fields[i] = strsep(&rest, " ");
	rest = rest ? strstr(rest, " - ") : NULL;
	if (!rest || sscanf(fields[2], "%u:%u", &maj, &min) != 2)
		return;
	rest += 3;
	type = strsep(&rest, " ");
	source = strsep(&rest, " ");
	if (!source)
		return;
	mounts_unescape(fields[4]);
	mounts_unescape(source);
	dev = device_of(makedev(maj, min), root, source);
	if (!dev)
		return;
	add_mount(list, dev, fields[4], where);
	if (!strcmp(type, "btrfs"))
		add_btrfs_devices(list, dev, fields[4], where);
}

/* Hears of each line, which it may change; root is where the namespace's root directory is, where what is said of it. */
typedef void line_reader(void *data, char *line, const char *root, const char *where);

static void read_namespace(line_reader *reader, void *data, const char *pid, const char *where)
{
	char *path = text_format("/proc/%s/mountinfo", pid);
	char *root = text_format("/proc/%s/root", pid);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0)
		reader(data, line, root, where);
	free(line);
	if (file)
		fclose(file);
	free(root);
	free(path);
}

/* A process of each mount namespace, as they were a moment ago; our own first. */
struct name_space {
	char name[32];			/* "mnt:[4026531841]" */
	char pid[16];
	char *where;			/* " (mount namespace of sleep, pid 12)" */
};

static struct {
	uint64_t read_ns;		/* 0: never */
	struct name_space *items;
	size_t count;
} spaces;

static void add_space(int proc, const char *pid)
{
	struct name_space space = { .name = "" };
	char path[300], *who;

	/* Which one, the text of the link tells; to follow it would take twice as long. */
	snprintf(path, sizeof(path), "%s/ns/mnt", pid);
	if (readlinkat(proc, path, space.name, sizeof(space.name) - 1) <= 0)
		return;
	for (size_t i = 0; i < spaces.count; i++)
		if (!strcmp(spaces.items[i].name, space.name))
			return;
	who = spaces.count ? procs_name(pid) : NULL;
	space.where = who ? text_format(" (mount namespace of %s, pid %s)", who, pid) : text_copy("");
	free(who);
	snprintf(space.pid, sizeof(space.pid), "%s", pid);
	spaces.items = text_grow(spaces.items, spaces.count + 1, sizeof(*spaces.items));
	spaces.items[spaces.count++] = space;
}

/* All processes have to be asked, which takes longer than all else that is looked at of a file. */
static void read_spaces(uint64_t max_age_ns)
{
	uint64_t now = clock_ns();
	struct dirent *entry;
	DIR *proc;

	if (spaces.read_ns && now - spaces.read_ns < max_age_ns)
		return;
	for (size_t i = 0; i < spaces.count; i++)
		free(spaces.items[i].where);
	spaces.count = 0;
	spaces.read_ns = now;
	proc = opendir("/proc");
	if (!proc)
		return;
	add_space(dirfd(proc), "self");
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)*entry->d_name))
			add_space(dirfd(proc), entry->d_name);
	closedir(proc);
}

static void each_line(line_reader *reader, void *data)
{
	for (size_t i = 0; i < spaces.count; i++)
		read_namespace(reader, data, spaces.items[i].pid, spaces.items[i].where);
}

void mounts_look_ahead(void)
{
	read_spaces(AGE_NS / 2);
}

void mounts_read(struct mount_list *list)
{
	*list = (struct mount_list){ 0 };
	read_spaces(0);
	each_line(add_line, list);
}

/* Files of one file system that are mounted by themselves, as they were a moment ago. */
struct file_mount {
	ino_t ino;
	char *text;
};

static struct file_mounts {
	dev_t dev;
	uint64_t read_ns;		/* 0: never */
	struct file_mount *items;
	size_t count;
} known[4];

static void add_file(void *data, char *line, const char *root, const char *where)
{
	struct file_mounts *mounts = data;
	char *fields[5] = { NULL }, *rest = line, *path;
	unsigned maj, min;
	struct stat st;

	for (int i = 0; i < 5; i++)
		fields[i] = strsep(&rest, " ");
	/* Nobody is asked who could not be mounting it: a server may be away.  A btrfs has other numbers for its files. */
	if (!rest || !strcmp(fields[3], "/") || sscanf(fields[2], "%u:%u", &maj, &min) != 2 ||
	    (makedev(maj, min) != mounts->dev && !strstr(rest, " - btrfs ")))
		return;
	mounts_unescape(fields[4]);
	path = text_format("%s%s", root, fields[4]);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == mounts->dev) {
		mounts->items = text_grow(mounts->items, mounts->count + 1, sizeof(*mounts->items));
		mounts->items[mounts->count++] = (struct file_mount){
			.ino = st.st_ino,
			.text = text_format("mounted on %s%s", fields[4], where),
		};
	}
	free(path);
}

static void forget(struct file_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->items[i].text);
	free(mounts->items);
	*mounts = (struct file_mounts){ 0 };
}

void mounts_forget(void)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		forget(&known[i]);
	spaces.read_ns = 0;
}

static const struct file_mounts *mounts_of_dev(dev_t dev)
{
	struct file_mounts *oldest = &known[0];
	uint64_t now = clock_ns();

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].read_ns && known[i].dev == dev && now - known[i].read_ns < AGE_NS)
			return &known[i];
		if (known[i].read_ns < oldest->read_ns)
			oldest = &known[i];
	}
	forget(oldest);
	oldest->dev = dev;
	oldest->read_ns = now;
	read_spaces(AGE_NS);
	each_line(add_file, oldest);
	return oldest;
}

char *mounts_of_file(dev_t dev, ino_t ino)
{
	const struct file_mounts *mounts = mounts_of_dev(dev);

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].ino == ino)
			return text_copy(mounts->items[i].text);
	return NULL;
}

void mounts_free(struct mount_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].point);
		free(list->items[i].text);
	}
	free(list->items);
	*list = (struct mount_list){ 0 };
}
