/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block devices as the kernel tells of them: ioctls and sysfs. */
#include "sys/blkdev.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/err.h"
#include "support/text.h"

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

char *blkdev_text(const char *path)
{
	char buf[16384];
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	len = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	while (len > 0 && isspace((unsigned char)buf[len - 1]))
		len--;
	if (len <= 0)
		return NULL;
	buf[len] = '\0';
	return text_copy(buf);
}

char *blkdev_attr(dev_t rdev, const char *attr)
{
	char *path = text_format("/sys/dev/block/%u:%u/%s", major(rdev), minor(rdev), attr);
	char *text = blkdev_text(path);

	free(path);
	return text;
}

static uint64_t attr_number(dev_t rdev, const char *attr)
{
	char *text = blkdev_attr(rdev, attr);
	uint64_t value = text ? strtoull(text, NULL, 10) : 0;

	free(text);
	return value;
}

/* The value of KEY in lines of KEY=VALUE, or NULL. */
static char *line_value(const char *lines, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = lines; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len) && p[len] == '=') {
			p += len + 1;
			return text_format("%.*s", (int)strcspn(p, "\n"), p);
		}
	}
	return NULL;
}

static char *uevent_value(dev_t rdev, const char *key)
{
	char *lines = blkdev_attr(rdev, "uevent");
	char *value = line_value(lines, key);

	free(lines);
	return value;
}

/* What udev found out: its database is a file per device, the lines in it "E:KEY=VALUE". */
static char *udev_value(dev_t rdev, const char *key)
{
	char path[64], wanted[64];
	char *lines, *value;

	snprintf(path, sizeof(path), "/run/udev/data/b%u:%u", major(rdev), minor(rdev));
	snprintf(wanted, sizeof(wanted), "E:%s", key);
	lines = blkdev_text(path);
	value = line_value(lines, wanted);
	free(lines);
	return value;
}

dev_t blkdev_whole(dev_t rdev)
{
	char *partition = blkdev_attr(rdev, "partition");
	char *numbers = NULL;
	unsigned maj, min;
	dev_t whole = rdev;

	if (partition) {
		/* The link leads to .../sda/sda1, so this is sda's own. */
		numbers = blkdev_attr(rdev, "../dev");
		if (numbers && sscanf(numbers, "%u:%u", &maj, &min) == 2)
			whole = makedev(maj, min);
	}
	free(numbers);
	free(partition);
	return whole;
}

bool blkdev_rotational(dev_t dev)
{
	return attr_number(blkdev_whole(dev), "queue/rotational") != 0;
}

uint32_t blkdev_sector(dev_t dev)
{
	return (uint32_t)attr_number(blkdev_whole(dev), "queue/logical_block_size");
}

dev_t blkdev_by_name(const char *name)
{
	unsigned maj, min;
	char *path = text_format("/sys/class/block/%s/dev", name);
	char *numbers = blkdev_text(path);
	dev_t dev = 0;

	if (numbers && sscanf(numbers, "%u:%u", &maj, &min) == 2)
		dev = makedev(maj, min);
	free(numbers);
	free(path);
	return dev;
}

dev_t blkdev_by_dm_uuid(const char *uuid)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	dev_t found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		dev_t dev = strncmp(entry->d_name, "dm-", 3) ? 0 : blkdev_by_name(entry->d_name);
		char *is = dev ? blkdev_attr(dev, "dm/uuid") : NULL;

		if (is && !strcmp(is, uuid))
			found = dev;
		free(is);
	}
	if (dir)
		closedir(dir);
	return found;
}

void blkdev_list_add(struct blkdev_list *list, dev_t rdev)
{
	list->devs = text_grow(list->devs, list->count + 1, sizeof(*list->devs));
	list->devs[list->count++] = rdev;
}

void blkdev_list_free(struct blkdev_list *list)
{
	free(list->devs);
	*list = (struct blkdev_list){ 0 };
}

void blkdev_partitions(dev_t rdev, struct blkdev_list *list)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(rdev), minor(rdev));
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char *attr, *partition;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		attr = text_format("%s/partition", entry->d_name);
		partition = blkdev_attr(rdev, attr);
		if (partition)
			blkdev_list_add(list, blkdev_by_name(entry->d_name));
		free(partition);
		free(attr);
	}
	if (dir)
		closedir(dir);
}

/* depth: what stands on itself, as broken tables can have it, must not go on for ever. */
static void add_physical(dev_t dev, int depth, struct blkdev_list *list)
{
	dev_t whole = blkdev_whole(dev);
	char *path = text_format("/sys/dev/block/%u:%u/slaves", major(whole), minor(whole));
	char *file = blkdev_attr(whole, "loop/backing_file");
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool below = false;
	struct stat st;

	free(path);
	while (dir && depth < 16 && (entry = readdir(dir))) {
		dev_t slave = entry->d_name[0] == '.' ? 0 : blkdev_by_name(entry->d_name);

		if (slave) {
			add_physical(slave, depth + 1, list);
			below = true;
		}
	}
	if (file && depth < 16 && stat(file, &st) == 0) {
		add_physical(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev, depth + 1, list);
		below = true;
	}
	if (dir)
		closedir(dir);
	free(file);
	if (below || major(whole) == 0)
		return;
	for (size_t i = 0; i < list->count; i++)
		if (list->devs[i] == whole)
			return;
	blkdev_list_add(list, whole);
}

void blkdev_physical(dev_t dev, struct blkdev_list *list)
{
	add_physical(dev, 0, list);
}

char *blkdev_name(dev_t rdev)
{
	char *node = uevent_value(rdev, "DEVNAME");

	/* Some are in directories: "mapper/control". */
	for (char *p = node; p && *p; p++)
		if (*p == '/')
			*p = '!';
	return node;
}

bool blkdev_times(dev_t rdev, struct blkdev_times *ret)
{
	char *text = blkdev_attr(rdev, "stat");
	unsigned long long reads, read_ms, writes, write_ms;
	int n = text ? sscanf(text, "%llu %*u %*u %llu %llu %*u %*u %llu", &reads, &read_ms,
			      &writes, &write_ms) : 0;

	free(text);
	if (n != 4)
		return false;
	*ret = (struct blkdev_times){ reads + writes, read_ms + write_ms };
	return true;
}

char *blkdev_node(dev_t rdev)
{
	char *name = uevent_value(rdev, "DEVNAME");
	char *node = name ? text_format("/dev/%s", name) : NULL;

	free(name);
	return node;
}

/* Drivers that know no serial number may still show something. */
static bool is_serial(const char *text)
{
	return text && text[strspn(text, "0 ")] && strcmp(text, "(null)");
}

/*
 * A name that the whole device keeps over reboots, or NULL.  Loop devices and
 * RAM disks have none, and partitions get theirs from the disk.
 */
static char *whole_wwid(dev_t rdev)
{
	static const char *const serials[] = { "serial", "device/serial" };
	static const char *const names[] = { "wwid", "device/wwid", "dm/uuid" };
	char *text, *wwid = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		text = blkdev_attr(rdev, names[i]);
		if (text)
			return text;
	}
	/* A serial number alone is not as good a name, so it is kept apart. */
	for (size_t i = 0; i < sizeof(serials) / sizeof(serials[0]); i++) {
		text = blkdev_attr(rdev, serials[i]);
		if (is_serial(text))
			wwid = text_format("serial-%s", text);
		free(text);
		if (wwid)
			return wwid;
	}
	text = blkdev_attr(rdev, "md/uuid");
	if (!text)
		text = udev_value(rdev, "MD_UUID");
	wwid = text ? text_format("md-%s", text) : NULL;
	free(text);
	return wwid;
}

static char *find_wwid(dev_t rdev)
{
	dev_t whole = blkdev_whole(rdev);
	char *disk = whole_wwid(whole);
	char *uuid, *wwid = NULL;

	if (whole == rdev)
		return disk;
	if (disk) {
		/* Where it starts tells it from another partition that got its number. */
		wwid = text_format("%s-part%u@%llu", disk,
				   (unsigned)attr_number(rdev, "partition"),
				   (unsigned long long)attr_number(rdev, "start"));
		free(disk);
		return wwid;
	}
	uuid = uevent_value(rdev, "PARTUUID");
	if (!uuid)
		uuid = udev_value(rdev, "ID_PART_ENTRY_UUID");
	if (uuid)
		wwid = text_format("partuuid-%s", uuid);
	free(uuid);
	return wwid;
}

static int ask_device(int fd, struct blkdev_info *info, struct err *err)
{
	unsigned physical = 0;
	int sector = 0, read_only = 0;

	if (ioctl(fd, BLKGETSIZE64, &info->bytes) < 0 ||
	    ioctl(fd, BLKSSZGET, &sector) < 0 || ioctl(fd, BLKROGET, &read_only) < 0)
		return err_sys(err, errno, NULL, "cannot ask the device for its size");
	if (ioctl(fd, BLKPBSZGET, &physical) < 0)
		physical = (unsigned)sector;
	if (ioctl(fd, BLKGETDISKSEQ, &info->diskseq) < 0)
		info->diskseq = 0;
	info->sector = (uint32_t)sector;
	info->physical_sector = physical;
	info->read_only = read_only;
	return 0;
}

static int ask_sysfs(dev_t rdev, dev_t whole, struct blkdev_info *info, struct err *err)
{
	char *size = blkdev_attr(rdev, "size");

	if (!size)
		return err_sys(err, ENODEV, NULL, "the kernel does not know block device %u:%u",
			       major(rdev), minor(rdev));
	/* Always in units of 512 bytes, whatever the sector. */
	info->bytes = strtoull(size, NULL, 10) * 512;
	free(size);
	info->sector = (uint32_t)attr_number(whole, "queue/logical_block_size");
	info->physical_sector = (uint32_t)attr_number(whole, "queue/physical_block_size");
	info->diskseq = attr_number(whole, "diskseq");
	info->read_only = attr_number(rdev, "ro") != 0;
	return 0;
}

int blkdev_info(int fd, dev_t rdev, struct blkdev_info *ret, struct err *err)
{
	struct blkdev_info info = { 0 };
	dev_t whole = blkdev_whole(rdev);
	char link[64];

	if (fd >= 0 ? ask_device(fd, &info, err) : ask_sysfs(rdev, whole, &info, err))
		return -1;
	if (info.sector == 0)
		info.sector = 512;
	if (info.physical_sector < info.sector)
		info.physical_sector = info.sector;
	info.rotational = blkdev_rotational(whole);
	info.wwid = find_wwid(rdev);
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(rdev), minor(rdev));
	info.sys_path = realpath(link, NULL);
	*ret = info;
	return 0;
}

void blkdev_info_free(struct blkdev_info *info)
{
	free(info->wwid);
	free(info->sys_path);
	*info = (struct blkdev_info){ 0 };
}

/* The kernel's counters of a device, sectors read, written, discarded; how many could be read. */
static int read_counters(dev_t rdev, unsigned long long *read, unsigned long long *written,
			 unsigned long long *discarded)
{
	char *path = text_format("/sys/dev/block/%u:%u/stat", major(rdev), minor(rdev));
	FILE *file = fopen(path, "re");
	int n = 0;

	free(path);
	if (!file)
		return 0;
	n = fscanf(file, "%*u %*u %llu %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu",
		   read, written, discarded);
	fclose(file);
	return n;
}

uint64_t blkdev_written(dev_t rdev)
{
	unsigned long long read, written = 0, discarded = 0;

	return read_counters(rdev, &read, &written, &discarded) >= 2 ? written + discarded + 1 : 0;
}

uint64_t blkdev_read_sectors(dev_t rdev)
{
	unsigned long long read = 0, written, discarded;

	return read_counters(rdev, &read, &written, &discarded) >= 1 ? read : 0;
}
