/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who uses a file or a block device, as /proc and /sys tell. */
#include "sys/uses.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/dm.h"
#include "sys/loopdev.h"
#include "sys/mounts.h"
#include "sys/procs.h"
#include "sys/scsi.h"

/*
 * A process that was killed leaves the I/O that it had in flight to the kernel,
 * which keeps the file open until it is through.  A user that nobody can name
 * is therefore believed in only when it stays for a second.
 */
#define SETTLE_TRIES 50
#define SETTLE_MS 20

/* What is asked for, and what is collected once to answer it. */
struct look {
	struct mount_list mounts;	/* read when they are first needed */
	bool mounts_known;
	dev_t file_dev;			/* a file: st_dev and its inode; else 0 */
	ino_t file_ino;
	bool may_be_swap;		/* the file */
};

static void add(struct text_list *uses, char *text)
{
	if (text_list_has(uses, text))
		free(text);
	else
		text_list_add(uses, text);
}

static void collect(struct look *look, dev_t dev, const char *prefix, struct text_list *uses);

static bool is_file(const struct look *look, dev_t dev, ino_t ino)
{
	return look->file_ino && dev == look->file_dev && ino == look->file_ino;
}

/* Everything that has the device, or one of its partitions, below it, as " (a, b and c)" or "". */
static char *describe_top(struct look *look, dev_t dev)
{
	struct text_list uses = { 0 };
	struct blkdev_list parts = { 0 };
	char *joined, *text;

	collect(look, dev, "", &uses);
	blkdev_partitions(dev, &parts);
	for (size_t i = 0; i < parts.count; i++)
		collect(look, parts.devs[i], "", &uses);
	blkdev_list_free(&parts);
	joined = uses.count ? text_list_join(&uses) : NULL;
	text = joined ? text_format(" (%s)", joined) : text_copy("");
	free(joined);
	text_list_free(&uses);
	return text;
}

static bool starts_with(const char *text, const char *start)
{
	return text && !strncmp(text, start, strlen(start));
}

/* "LUKS device cryptroot", for what stands on a device. */
static char *holder_name(dev_t dev, const char *kernel_name)
{
	char *name = blkdev_attr(dev, "dm/name");
	char *uuid = blkdev_attr(dev, "dm/uuid");
	char *md = blkdev_attr(dev, "md/array_state");
	const char *what = "device";
	char *text;

	if (starts_with(uuid, "LVM-"))
		what = "LVM logical volume";
	else if (starts_with(uuid, "CRYPT-LUKS"))
		what = "LUKS device";
	else if (starts_with(uuid, "CRYPT-"))
		what = "encrypted device";
	else if (starts_with(uuid, "mpath-"))
		what = "multipath map";
	else if (name)
		what = "dm device";
	else if (md)
		what = "md array";
	text = text_format("%s %s", what, name ? name : kernel_name);
	free(md);
	free(uuid);
	free(name);
	return text;
}

static void collect_holders(struct look *look, dev_t dev, const char *prefix,
			    struct text_list *uses)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(dev), minor(dev));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char *name, *top;
		dev_t holder;

		if (entry->d_name[0] == '.')
			continue;
		holder = blkdev_by_name(entry->d_name);
		name = holder_name(holder, entry->d_name);
		top = describe_top(look, holder);
		add(uses, text_format("%sheld by %s%s", prefix, name, top));
		free(top);
		free(name);
	}
	if (dir)
		closedir(dir);
}

static void collect_swaps(struct look *look, dev_t dev, const char *prefix,
			  struct text_list *uses)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char *line = NULL;
	size_t size = 0;

	while (swaps && getline(&line, &size, swaps) > 0) {
		struct stat st;
		char *end;

		line[strcspn(line, " \t\n")] = '\0';
		mounts_unescape(line);
		end = strstr(line, " (deleted)");
		if (end && !end[strlen(" (deleted)")])
			*end = '\0';
		/* The line of titles names no file either. */
		if (line[0] != '/' || stat(line, &st) < 0)
			continue;
		if (S_ISBLK(st.st_mode) ? dev && st.st_rdev == dev :
					  !dev && is_file(look, st.st_dev, st.st_ino))
			add(uses, text_format("%sin use as swap", prefix));
	}
	free(line);
	if (swaps)
		fclose(swaps);
}

struct loop_search {
	struct look *look;
	dev_t dev;
	const char *prefix;
	struct text_list *uses;
};

static int collect_loop(const struct loopdev *loop, void *data)
{
	struct loop_search *search = data;
	char *top;

	if (search->dev ? loop->backing_rdev != search->dev :
			  !is_file(search->look, loop->backing_dev, loop->backing_ino))
		return 0;
	top = describe_top(search->look, loop->dev);
	add(search->uses, text_format("%sattached to /dev/loop%u%s", search->prefix,
				      loop->number, top));
	free(top);
	return 0;
}

/* What stands directly on dev (0: on the file), each with what stands on that. */
static void collect(struct look *look, dev_t dev, const char *prefix, struct text_list *uses)
{
	struct loop_search search = { look, dev, prefix, uses };

	if (dev && !look->mounts_known) {
		mounts_read(&look->mounts);
		look->mounts_known = true;
	}
	for (size_t i = 0; dev && i < look->mounts.count; i++)
		if (look->mounts.items[i].dev == dev)
			add(uses, text_format("%s%s", prefix, look->mounts.items[i].text));
	if (dev || look->may_be_swap)
		collect_swaps(look, dev, prefix, uses);
	if (dev)
		collect_holders(look, dev, prefix, uses);
	loopdev_each(collect_loop, &search);
}

/*
 * The kernel grants a read lease only while nobody has the file open for
 * writing, by a descriptor, a mapping or from within the kernel.
 */
int uses_writers(int fd)
{
	/* Who opens the file just now has us told by a signal: by one that is ignored. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return -1;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return errno == EAGAIN ? 1 : -1;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return 0;
}

/*
 * This finds writers that /proc does not show, and when there are none it saves
 * reading all of /proc.
 */
static int ask_lease(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		ret = uses_writers(fd);
	if (fd >= 0)
		close(fd);
	return ret;
}

void uses_of_file(const char *path, dev_t dev, ino_t ino, struct text_list *uses)
{
	struct look look = { .file_dev = dev, .file_ino = ino };
	struct procs_target target = { .file_dev = dev, .file_ino = ino };
	size_t before = uses->count;
	bool ours;
	int lease = ask_lease(path, dev, ino);

	/* The kernel opens what it swaps to for writing; a loop device may only read. */
	look.may_be_swap = lease != 0;
	collect(&look, 0, "", uses);
	mounts_free(&look.mounts);
	if (lease == 0)
		return;
	ours = procs_open(&target, uses);
	if (lease == 1 && !ours && uses->count == before)
		procs_mapped(&target, uses);
	for (int i = 0; lease == 1 && !ours && uses->count == before && i < SETTLE_TRIES; i++) {
		clock_sleep_ms(SETTLE_MS);
		lease = ask_lease(path, dev, ino);
	}
	if (lease == 1 && !ours && uses->count == before)
		add(uses, text_copy("open for writing by the kernel or by a process that is not visible"));
}

/* The kernel lets only one claim a device, and a file system, swap, dm and md all do. */
static bool is_claimed(const char *path, dev_t rdev)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);

	for (int i = 0; fd < 0 && errno == EBUSY && i < SETTLE_TRIES; i++) {
		clock_sleep_ms(SETTLE_MS);
		fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	}
	if (fd < 0)
		return errno == EBUSY && stat(path, &st) == 0 && st.st_rdev == rdev;
	close(fd);
	return false;
}

/* Who reserves a disk uses it, on whatever host he is; by any path of a multipath device. */
static void collect_reservation(dev_t whole, struct text_list *uses)
{
	struct blkdev_list disks = { 0 };
	char *uuid = blkdev_attr(whole, "dm/uuid"), *text = NULL;

	if (uuid && !strncmp(uuid, "mpath-", 6))
		blkdev_physical(whole, &disks);
	else
		blkdev_list_add(&disks, whole);
	for (size_t i = 0; i < disks.count && !text; i++)
		text = scsi_reserved(disks.devs[i]);
	if (text)
		add(uses, text);
	blkdev_list_free(&disks);
	free(uuid);
}

/*
 * Device-mapper counts who has a device of its open (dm_blk_open(), Linux
 * drivers/md/dm.c): processes, mounts, swap, loop devices and what stands on
 * it, in whatever namespace.  With none there is nobody to be named, which
 * saves reading all of /proc.  false: there are some, or it cannot be told.
 */
static bool nobody_has_open(dev_t dev)
{
	char *name = blkdev_attr(dev, "dm/name");
	struct err ignored = ERR_INIT;
	struct dm_device device;
	bool nobody = name && dm_inspect(name, &device, &ignored) == 0 && device.exists &&
		      device.dev == dev && device.open_count == 0;

	free(name);
	return nobody;
}

void uses_of_block(const char *path, dev_t rdev, struct text_list *uses)
{
	struct look look = { 0 };
	struct blkdev_list family = { 0 };
	struct procs_target target = { 0 };
	dev_t whole = blkdev_whole(rdev);
	size_t before = uses->count;
	bool ours;

	if (nobody_has_open(rdev)) {
		collect_reservation(rdev, uses);
		return;
	}
	/* Itself, its partitions, and the disk that it is a partition of. */
	blkdev_partitions(rdev, &family);
	blkdev_list_add(&family, rdev);
	if (whole != rdev)
		blkdev_list_add(&family, whole);

	for (size_t i = 0; i < family.count; i++) {
		dev_t dev = family.devs[i];
		char *node = dev == rdev ? NULL : blkdev_node(dev);
		char *prefix = dev == rdev ? text_copy("") :
			text_format("%s %s ", dev == whole ? "disk" : "partition",
				    node ? node : "of it");

		collect(&look, dev, prefix, uses);
		free(prefix);
		free(node);
	}
	collect_reservation(whole, uses);
	target.devs = family.devs;
	target.dev_count = family.count;
	ours = procs_open(&target, uses);
	/* Our own claim would be in the way of this one. */
	if (!ours && uses->count == before && is_claimed(path, rdev))
		add(uses, text_copy("claimed exclusively by the kernel or by another process"));
	mounts_free(&look.mounts);
	blkdev_list_free(&family);
}

int uses_refuse(const char *object, struct text_list *uses, struct err *err)
{
	char *text;

	if (!uses->count)
		return 0;
	text = text_list_join(uses);
	err_set(err, ERR_REFUSED, object, "in use: %s", text);
	free(text);
	text_list_free(uses);
	return err_next(err, "end that use first");
}
