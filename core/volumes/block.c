/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block devices, loop devices and partitions among them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/loopdev.h"
#include "volumes/thin_volume.h"
#include "volumes/volume.h"

#define GRANULARITY_MIN 4096U
#define GRANULARITY_MAX 65536U

/* vol->zero_ways: what the device was found not to do. */
enum {
	NO_PUNCH = 1,
	NO_ZERO_RANGE = 2,
	NO_ZEROOUT = 4,
};

static int block_identify(int fd, struct facts *facts, struct err *err)
{
	struct blkdev_info info;
	struct loopdev loop;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, facts->path, "cannot look at the device");
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_REFUSED, facts->path, "is not a block device any more");
	if (blkdev_info(fd, st.st_rdev, &info, err) < 0) {
		int number = err->number;

		return err_sys(err, number, facts->path, "cannot ask the device for its size");
	}
	facts->dev = st.st_rdev;
	facts->diskseq = info.diskseq;
	facts->wwid = info.wwid;
	facts->sys_path = info.sys_path;
	facts->bytes = info.bytes;
	facts->allocated = thin_allocated(st.st_rdev, info.bytes);
	facts->sector = info.sector;
	facts->rotational = info.rotational;
	facts->read_only = info.read_only ||
			   faccessat(AT_FDCWD, facts->path, W_OK, AT_EACCESS) < 0;
	if (loopdev_of(st.st_rdev, &loop)) {
		facts->backing_dev = loop.backing_rdev ? loop.backing_rdev : loop.backing_dev;
		facts->backing_ino = loop.backing_rdev ? 0 : loop.backing_ino;
	}
	return 0;
}

static int block_setup(struct volume *vol, const struct facts *facts, unsigned flags,
		       struct err *err)
{
	unsigned physical = 0;

	if (ioctl(vol->fd, BLKPBSZGET, &physical) < 0 || physical < GRANULARITY_MIN)
		physical = GRANULARITY_MIN;
	vol->granularity = physical > GRANULARITY_MAX ? GRANULARITY_MAX : physical;
	if (vol->granularity < facts->sector)
		vol->granularity = facts->sector;
	vol->blind = true;
	/* What was never written to any other device reads as anything. */
	return thin_setup(vol, flags, err);
}

/* 0 done, 1 not by this way (which is remembered), -1 error. */
static int try_way(struct volume *vol, int way, uint64_t offset, uint64_t length, struct err *err)
{
	uint64_t range[2] = { offset, length };
	int mode = FALLOC_FL_KEEP_SIZE |
		   (way == NO_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	int rc;

	if (vol->zero_ways & way)
		return 1;
	do {
		rc = way == NO_ZEROOUT ? ioctl(vol->fd, BLKZEROOUT, range) :
			fallocate(vol->fd, mode, (off_t)offset, (off_t)length);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	/* ENODEV: kernels before 4.9; EINVAL: not on pieces of this size. */
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENODEV && errno != ENOTTY &&
	    errno != EINVAL)
		return err_sys(err, errno, vol->path, "cannot zero %llu bytes at offset %llu",
			       (unsigned long long)length, (unsigned long long)offset);
	vol->zero_ways |= way;
	return 1;
}

/*
 * Punching a hole is the kernel's word for "zeroes, and the space may go": it
 * refuses where a discarded block would not read as zero, which BLKDISCARD
 * does not.  ZERO_RANGE and the older BLKZEROOUT keep the space.
 */
static int block_zero(struct volume *vol, uint64_t offset, uint64_t length,
		      enum zero_how how, struct err *err)
{
	int rc;

	if (vol->thin && how == ZERO_FREE)
		return thin_zero(vol, offset, length, block_zero, err);
	rc = how == ZERO_FREE ? try_way(vol, NO_PUNCH, offset, length, err) : 1;
	if (rc == 1)
		rc = try_way(vol, NO_ZERO_RANGE, offset, length, err);
	if (rc == 1)
		rc = try_way(vol, NO_ZEROOUT, offset, length, err);
	return rc;
}

const struct volume_ops block_volume_ops = {
	.kind		= "block",
	.open_flags	= O_EXCL,
	.identify	= block_identify,
	.setup		= block_setup,
	.next_data	= thin_next_data,
	.load_map	= thin_load_map,
	.has_room	= thin_has_room,
	.release	= thin_release,
	.zero		= block_zero,
};
