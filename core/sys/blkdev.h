/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block devices as the kernel tells of them: ioctls and sysfs. */
#ifndef SYS_BLKDEV_H
#define SYS_BLKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct blkdev_info {
	uint64_t bytes;
	uint32_t sector;	/* logical */
	uint32_t physical_sector;
	uint64_t diskseq;	/* 0: the kernel has none */
	bool read_only;
	bool rotational;
	char *wwid;		/* or NULL */
	char *sys_path;		/* canonical, below /sys/devices; or NULL */
};

/* fd is an open block device, or -1 when only sysfs can be asked. */
int blkdev_info(int fd, dev_t rdev, struct blkdev_info *ret, struct err *err);
void blkdev_info_free(struct blkdev_info *info);

/* The whole disk that rdev is a partition of, or rdev itself. */
dev_t blkdev_whole(dev_t rdev);

/* Is the disk below this device number (also a file's st_dev) rotational, as far as known? */
bool blkdev_rotational(dev_t dev);

/* The logical sector of the disk below this device number (also a file's st_dev); 0: unknown. */
uint32_t blkdev_sector(dev_t dev);

/* A growing list of device numbers. */
struct blkdev_list {
	dev_t *devs;
	size_t count;
};

/* Add the partitions of rdev. */
void blkdev_partitions(dev_t rdev, struct blkdev_list *list);
void blkdev_list_add(struct blkdev_list *list, dev_t rdev);
void blkdev_list_free(struct blkdev_list *list);

/*
 * Add the disks below a device number (also a file's st_dev): what partitions,
 * dm, md and loop devices stand on, down to what stands on nothing.  None where
 * the kernel knows of no device.
 */
void blkdev_physical(dev_t dev, struct blkdev_list *list);

/* What the kernel calls a device: "sda"; NULL when unknown.  Free it. */
char *blkdev_name(dev_t rdev);

/* Time that requests took so far, and how many there were; by the kernel's own counters. */
struct blkdev_times {
	uint64_t requests;
	uint64_t ms;
};
bool blkdev_times(dev_t rdev, struct blkdev_times *ret);

/* The device number of what the kernel calls "sda1"; 0: there is none. */
dev_t blkdev_by_name(const char *name);

/* The device-mapper device with that UUID; 0: there is none. */
dev_t blkdev_by_dm_uuid(const char *uuid);

/*
 * Sectors of 512 bytes written to or discarded from the device since it came
 * up (Documentation/block/stat.rst, fields 7 and 14), plus one, so that 0 can
 * mean: not known.
 */
uint64_t blkdev_written(dev_t rdev);

/* Sectors of 512 bytes read from the device since it came into being; 0 also when that cannot be told. */
uint64_t blkdev_read_sectors(dev_t rdev);

/* /dev/NAME for a device number, by sysfs; NULL when unknown.  Free it. */
char *blkdev_node(dev_t rdev);

/*
 * What sysfs says in /sys/dev/block/MAJOR:MINOR/ATTR, without white space at
 * its end; NULL where there is no such attribute or it is empty.  Free it.
 */
char *blkdev_attr(dev_t rdev, const char *attr);

/* Likewise a small file by its path. */
char *blkdev_text(const char *path);

#endif
