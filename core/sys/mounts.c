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

#include "support/text.h"
#include "sys/blkdev.h"
#include "sys/procs.h"

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

static void each_line(line_reader *reader, void *data)
{
	DIR *proc = opendir("/proc");
	ino_t *seen = NULL;
	size_t seen_count = 0;
	struct dirent *entry;
	const char *pid = "self";

	while (pid) {
		char path[300];
		struct stat st;
		bool known = false;

		snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
		if (stat(path, &st) == 0) {
			for (size_t i = 0; i < seen_count; i++)
				known |= seen[i] == st.st_ino;
			if (!known) {
				char *who = seen_count ? procs_name(pid) : NULL;
				char *where = who ? text_format(" (mount namespace of %s, pid %s)", who, pid) :
						    text_copy("");

				seen = text_grow(seen, seen_count + 1, sizeof(*seen));
				seen[seen_count++] = st.st_ino;
				read_namespace(reader, data, pid, where);
				free(where);
				free(who);
			}
		}
		do {
			entry = proc ? readdir(proc) : NULL;
			pid = entry ? entry->d_name : NULL;
		} while (pid && !isdigit((unsigned char)*pid));
	}
	free(seen);
	if (proc)
		closedir(proc);
}

void mounts_read(struct mount_list *list)
{
	*list = (struct mount_list){ 0 };
	each_line(add_line, list);
}

/* A file, and where it was found to be mounted. */
struct file_search {
	dev_t dev;
	ino_t ino;
	char *text;
};

static void find_file(void *data, char *line, const char *root, const char *where)
{
	struct file_search *search = data;
	char *fields[5] = { NULL }, *rest = line, *path;
	unsigned maj, min;
	struct stat st;

	for (int i = 0; i < 5; i++)
		fields[i] = strsep(&rest, " ");
	/* Nobody is asked who could not be mounting it: a server may be away.  A btrfs has other numbers for its files. */
	if (search->text || !rest || !strcmp(fields[3], "/") || sscanf(fields[2], "%u:%u", &maj, &min) != 2 ||
	    (makedev(maj, min) != search->dev && !strstr(rest, " - btrfs ")))
		return;
	mounts_unescape(fields[4]);
	path = text_format("%s%s", root, fields[4]);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == search->dev && st.st_ino == search->ino)
		search->text = text_format("mounted on %s%s", fields[4], where);
	free(path);
}

char *mounts_of_file(dev_t dev, ino_t ino)
{
	struct file_search search = { .dev = dev, .ino = ino };

	each_line(find_file, &search);
	return search.text;
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
