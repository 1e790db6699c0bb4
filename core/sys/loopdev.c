/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loop devices: ioctls of /dev/loop-control and /dev/loopN. */
#include "sys/loopdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "sys/blkdev.h"

#define ATTACH_TRIES 64		/* others may take the free one that the kernel offers */
#define DETACH_WAIT_MS 2000	/* udev and friends look at devices for a moment */
#define DETACH_POLL_MS 10

static void node_path(unsigned number, char buf[static 32])
{
	snprintf(buf, 32, "/dev/loop%u", number);
}

static int open_node(unsigned number, int flags)
{
	char path[32];

	node_path(number, path);
	return open(path, flags | O_CLOEXEC);
}

static bool number_of(const char *name, unsigned *ret)
{
	char rest;

	return sscanf(name, "loop%u%c", ret, &rest) == 1;
}

static dev_t device_number(unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "loop%u", number);
	return blkdev_by_name(name);
}

static uint64_t diskseq_of(dev_t dev)
{
	char *text = blkdev_attr(dev, "diskseq");
	uint64_t diskseq = text ? strtoull(text, NULL, 10) : 0;

	free(text);
	return diskseq;
}

static void from_status(unsigned number, const struct loop_info64 *info, struct loopdev *ret)
{
	dev_t dev = device_number(number);

	*ret = (struct loopdev){
		.number = number,
		.dev = dev,
		.backing_dev = info->lo_device,
		.backing_ino = info->lo_inode,
		.backing_rdev = info->lo_rdevice,
		.read_only = info->lo_flags & LO_FLAGS_READ_ONLY,
		.direct = info->lo_flags & LO_FLAGS_DIRECT_IO,
		.diskseq = diskseq_of(dev),
	};
	/* The kernel ends it with a zero, but what others wrote need not be ours to trust. */
	snprintf(ret->marker, sizeof(ret->marker), "%.*s", LO_NAME_SIZE - 1,
		 (const char *)info->lo_file_name);
}

/* By the name of what is behind it, for those who may not open the device. */
static int fetch_from_sysfs(unsigned number, struct loopdev *ret)
{
	char path[64], file[4097];
	dev_t dev = device_number(number);
	struct stat st;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/block/loop%u/loop/backing_file", number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENXIO : -errno;
	len = read(fd, file, sizeof(file) - 1);
	close(fd);
	if (len <= 1)
		return -ENXIO;
	file[len - 1] = '\0';		/* a line feed */
	/* A deleted one keeps that word in its name, and is found by nobody. */
	if (stat(file, &st) < 0)
		return -errno;
	*ret = (struct loopdev){
		.number = number,
		.dev = dev,
		.backing_dev = st.st_dev,
		.backing_ino = st.st_ino,
		.backing_rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0,
		.diskseq = diskseq_of(dev),
	};
	return 0;
}

/* 0, -ENXIO when nothing is behind it, or another negative errno. */
static int fetch(unsigned number, struct loopdev *ret)
{
	struct loop_info64 info = { 0 };
	int rc = 0;
	int fd = open_node(number, O_RDONLY);

	if (fd < 0)
		return fetch_from_sysfs(number, ret);
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		rc = -errno;
	else
		from_status(number, &info, ret);
	close(fd);
	return rc;
}

static bool same(const struct loopdev *a, const struct loopdev *b)
{
	return a->backing_dev == b->backing_dev && a->backing_ino == b->backing_ino &&
	       (!a->diskseq || !b->diskseq || a->diskseq == b->diskseq);
}

int loopdev_each(int (*each)(const struct loopdev *loop, void *data), void *data)
{
	/* Where /sys/block's links to them lead: nothing need be followed from here. */
	DIR *dir = opendir("/sys/devices/virtual/block") ?: opendir("/sys/block");
	struct dirent *entry;
	int ret = 0;

	while (dir && ret == 0 && (entry = readdir(dir))) {
		char attr[300];
		struct loopdev loop;
		unsigned number;

		if (!number_of(entry->d_name, &number))
			continue;
		/* There only while something is behind it, so idle ones are not opened. */
		snprintf(attr, sizeof(attr), "%s/loop", entry->d_name);
		if (faccessat(dirfd(dir), attr, F_OK, 0) == 0 && fetch(number, &loop) == 0)
			ret = each(&loop, data);
	}
	if (dir)
		closedir(dir);
	return ret;
}

bool loopdev_of(dev_t rdev, struct loopdev *ret)
{
	char *node = blkdev_node(blkdev_whole(rdev));
	unsigned number;
	bool found;

	found = node && number_of(node + strlen("/dev/"), &number) && fetch(number, ret) == 0;
	free(node);
	return found;
}

/* As LOOP_CONFIGURE does in one, for kernels before 5.8. */
static int configure_stepwise(int loop_fd, int fd, uint32_t sector,
			      const struct loop_info64 *info)
{
	if (ioctl(loop_fd, LOOP_SET_FD, fd) < 0)
		return -errno;
	if (ioctl(loop_fd, LOOP_SET_STATUS64, info) < 0 ||
	    (sector != 512 && ioctl(loop_fd, LOOP_SET_BLOCK_SIZE, (unsigned long)sector) < 0)) {
		int number = errno;

		ioctl(loop_fd, LOOP_CLR_FD, 0);
		return -number;
	}
	/* Whether it works is seen in the status. */
	ioctl(loop_fd, LOOP_SET_DIRECT_IO, 1UL);
	return 0;
}

/* 0, -EBUSY when somebody else was faster, or another negative errno. */
static int configure(unsigned number, int fd, bool readonly, uint32_t sector,
		     const char *marker, struct loopdev *ret)
{
	struct loop_config config = {
		.fd = (uint32_t)fd,
		.block_size = sector,
		.info.lo_flags = LO_FLAGS_DIRECT_IO | (readonly ? LO_FLAGS_READ_ONLY : 0),
	};
	struct loop_info64 info = { 0 };
	int rc = 0;
	int loop_fd = open_node(number, readonly ? O_RDONLY : O_RDWR);

	if (loop_fd < 0)
		return -errno;
	snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", marker);
	if (ioctl(loop_fd, LOOP_CONFIGURE, &config) < 0) {
		rc = -errno;
		if (rc == -EINVAL || rc == -ENOTTY)
			rc = configure_stepwise(loop_fd, fd, sector, &config.info);
	}
	if (rc == 0 && ioctl(loop_fd, LOOP_GET_STATUS64, &info) < 0) {
		rc = -errno;
		ioctl(loop_fd, LOOP_CLR_FD, 0);
	}
	if (rc == 0)
		from_status(number, &info, ret);
	close(loop_fd);
	return rc;
}

int loopdev_attach(int fd, bool readonly, uint32_t sector, const char *marker,
		   struct loopdev *ret, struct err *err)
{
	char path[32];
	int number = -1, rc = -EBUSY, result = -1;
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0) {
		err_sys(err, errno, "/dev/loop-control", "cannot open the loop driver");
		goto out;
	}
	for (int i = 0; i < ATTACH_TRIES && rc == -EBUSY; i++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0) {
			err_sys(err, errno, NULL, "cannot find a free loop device");
			goto out;
		}
		rc = configure((unsigned)number, fd, readonly, sector, marker, ret);
	}
	if (rc < 0) {
		node_path((unsigned)number, path);
		err_sys(err, -rc, path, "cannot set up the loop device");
		goto out;
	}
	result = 0;
out:
	if (control >= 0)
		close(control);
	return result;
}

/* Take back the release that the kernel keeps for the last close. */
static void stay_attached(unsigned number)
{
	struct loop_info64 info = { 0 };
	int fd = open_node(number, O_RDONLY);

	if (fd < 0)
		return;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0) {
		info.lo_flags &= ~(uint32_t)LO_FLAGS_AUTOCLEAR;
		ioctl(fd, LOOP_SET_STATUS64, &info);
	}
	close(fd);
}

int loopdev_detach(const struct loopdev *loop, struct err *err)
{
	struct loopdev now;
	char path[32];
	int rc;
	int fd = open_node(loop->number, O_RDONLY);

	node_path(loop->number, path);
	if (fd < 0)
		return err_sys(err, errno, path, "cannot open the loop device");
	/* While it is open it cannot become another attachment. */
	rc = fetch(loop->number, &now);
	if (rc == -ENXIO || (rc == 0 && !same(loop, &now))) {
		close(fd);
		return 0;
	}
	if (rc == 0 && ioctl(fd, LOOP_CLR_FD, 0) < 0)
		rc = -errno;
	close(fd);
	if (rc < 0 && rc != -ENXIO)
		return err_sys(err, -rc, path, "cannot release the loop device");

	/*
	 * Success means only that it will go when the last user closes it.  Each
	 * look opens and closes it as well, so the last one may be ours.
	 */
	for (int ms = 0; ms < DETACH_WAIT_MS; ms += DETACH_POLL_MS) {
		rc = fetch(loop->number, &now);
		if (rc == -ENXIO || (rc == 0 && !same(loop, &now)))
			return 0;
		clock_sleep_ms(DETACH_POLL_MS);
	}
	stay_attached(loop->number);
	err_sys(err, EBUSY, path, "the loop device is in use and was not released");
	err->class = ERR_REFUSED;
	return -1;
}
