/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw image files.  Nothing here ever makes a file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "sys/blkdev.h"
#include "volumes/volume.h"

#define GRANULARITY_MIN 4096U
#define GRANULARITY_MAX 65536U
#define SECTOR_UNKNOWN 4096U	/* no disk wants more, and more than it wants does no harm */

/* The unit of direct I/O: 0 there is none, -1 the kernel does not tell. */
static int direct_unit(const struct statx *stx)
{
#ifdef STATX_DIOALIGN
	if (stx->stx_mask & STATX_DIOALIGN)
		return (int)stx->stx_dio_offset_align;
#else
	(void)stx;
#endif
	return -1;
}

static int ask(int fd, const char *path, struct statx *ret, struct err *err)
{
	unsigned mask = STATX_BASIC_STATS | STATX_BTIME;

#ifdef STATX_DIOALIGN
	mask |= STATX_DIOALIGN;
#endif
	if (statx(fd, "", AT_EMPTY_PATH, mask, ret) < 0)
		return err_sys(err, errno, path, "cannot look at the file");
	if (!S_ISREG(ret->stx_mode))
		return err_set(err, ERR_REFUSED, path, "is not a regular file any more");
	return 0;
}

static int64_t nanoseconds(const struct statx_timestamp *t)
{
	return volume_time(t->tv_sec, t->tv_nsec);
}

/* The immutable and append-only attributes keep even root from writing. */
static bool is_protected(int fd)
{
	int attributes = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0 &&
	       (attributes & (FS_IMMUTABLE_FL | FS_APPEND_FL));
}

static int file_identify(int fd, struct facts *facts, struct err *err)
{
	struct statx stx;
	int unit;

	if (ask(fd, facts->path, &stx, err) < 0)
		return -1;
	facts->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	facts->ino = stx.stx_ino;
	if (stx.stx_mask & STATX_BTIME)
		facts->birth_ns = nanoseconds(&stx.stx_btime);
	facts->bytes = stx.stx_size;
	facts->allocated = stx.stx_blocks * 512;
	facts->mtime_ns = nanoseconds(&stx.stx_mtime);
	facts->mode = stx.stx_mode & 07777;
	facts->uid = stx.stx_uid;
	facts->gid = stx.stx_gid;
	facts->links = stx.stx_nlink;
	facts->rotational = blkdev_rotational(facts->dev);
	facts->read_only = faccessat(AT_FDCWD, facts->path, W_OK, AT_EACCESS) < 0 ||
			   is_protected(fd);

	unit = direct_unit(&stx);
	facts->sector = unit > 0 ? (uint32_t)unit : blkdev_sector(facts->dev);
	if (facts->sector < 512)
		facts->sector = SECTOR_UNKNOWN;
	return 0;
}

/* A second descriptor of the same file, whatever has become of its name. */
static int reopen_buffered(const struct volume *vol, struct err *err)
{
	struct stat was, is;
	int fd = open(vol->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, vol->path, "cannot open it for writing");
	if (fstat(vol->fd, &was) < 0 || fstat(fd, &is) < 0 ||
	    was.st_dev != is.st_dev || was.st_ino != is.st_ino) {
		close(fd);
		return err_set(err, ERR_REFUSED, vol->path, "was replaced just now");
	}
	return fd;
}

static int lock_patiently(int fd)
{
	int rc = flock(fd, LOCK_EX | LOCK_NB);

	for (unsigned ms = 0; rc < 0 && errno == EWOULDBLOCK && ms < VOLUME_RELEASE_MS; ms += 50) {
		clock_sleep_ms(50);
		rc = flock(fd, LOCK_EX | LOCK_NB);
	}
	return rc;
}

static int file_setup(struct volume *vol, const struct facts *facts, unsigned flags,
		      struct err *err)
{
	struct statx stx;
	struct statfs fs;

	(void)facts;
	if (ask(vol->fd, vol->path, &stx, err) < 0)
		return -1;
	if (vol->direct && direct_unit(&stx) == 0) {
		vol->direct = false;
		snprintf(vol->direct_reason, sizeof(vol->direct_reason),
			 "the kernel does no direct I/O on this file");
	}
	if (fstatfs(vol->fd, &fs) < 0)
		return err_sys(err, errno, vol->path, "cannot look at its file system");
	vol->granularity = (uint32_t)fs.f_bsize;
	if (fs.f_bsize < (long)GRANULARITY_MIN)
		vol->granularity = GRANULARITY_MIN;
	if (fs.f_bsize > (long)GRANULARITY_MAX)
		vol->granularity = GRANULARITY_MAX;
	vol->fresh = flags & OPEN_FRESH;
	/*
	 * Jobs of one state directory keep out of each other's way by their
	 * journals; this is for all others.  Where there are no locks (some
	 * network file systems) there is none here.  A device has O_EXCL.
	 */
	if (lock_patiently(vol->fd) < 0 && errno == EWOULDBLOCK)
		return err_set(err, ERR_REFUSED, vol->path, "is locked by another process (flock)");

	if (flags & OPEN_WRITE) {
		vol->fd_buffered = reopen_buffered(vol, err);
		if (vol->fd_buffered < 0)
			return -1;
	} else if (!(flags & OPEN_FLUSHED) && fdatasync(vol->fd) < 0 && errno != EINVAL && errno != EROFS) {
		/*
		 * What was written last may have no place on the disk yet, and
		 * not every file system shows that as data in its map.  When it
		 * cannot get there, the copy would be of something else.
		 */
		return err_sys(err, errno, vol->path, "cannot write out what its last writer left");
	}
	return 0;
}

static int file_next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start,
			  uint64_t *ret_end, struct err *err)
{
	off_t start = lseek(vol->fd, (off_t)offset, SEEK_DATA);
	off_t end = -1;
	struct stat st;

	if (start < 0 && errno == ENXIO) {
		/* No data up to the end, but is it still where it was? */
		if (fstat(vol->fd, &st) < 0)
			return err_sys(err, errno, vol->path, "cannot look at the file");
		if ((uint64_t)st.st_size < vol->bytes)
			return err_set(err, ERR_REFUSED, vol->path, "got shorter: %llu bytes, was %llu",
				       (unsigned long long)st.st_size,
				       (unsigned long long)vol->bytes);
		*ret_start = vol->bytes;
		*ret_end = vol->bytes;
		return 0;
	}
	if (start >= 0)
		end = lseek(vol->fd, start, SEEK_HOLE);
	if ((start < 0 || end < 0) && errno != EINVAL && errno != EOPNOTSUPP && errno != ENXIO)
		return err_sys(err, errno, vol->path, "cannot find its holes");
	/* A file system without a map: all is data. */
	*ret_start = start < 0 ? offset : (uint64_t)start;
	*ret_end = end < 0 || (uint64_t)end > vol->bytes ? vol->bytes : (uint64_t)end;
	if (*ret_start > vol->bytes)
		*ret_start = vol->bytes;
	return 0;
}

/*
 * mode is a mode of fallocate(), and its bit in zero_ways says that the file
 * system does not know it.  0 done, 1 not by this way, -1 error.
 */
static int try_way(struct volume *vol, int mode, uint64_t offset, uint64_t length,
		   struct err *err)
{
	int rc;

	if (vol->zero_ways & mode)
		return 1;
	do {
		rc = fallocate(vol->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(err, errno, vol->path, "cannot zero %llu bytes at offset %llu",
			       (unsigned long long)length, (unsigned long long)offset);
	vol->zero_ways |= mode;
	return 1;
}

static int file_zero(struct volume *vol, uint64_t offset, uint64_t length,
		     enum zero_how how, struct err *err)
{
	bool give_back = how == ZERO_FREE;
	int rc;

	rc = try_way(vol, give_back ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE,
		     offset, length, err);
	if (rc == 1)
		rc = try_way(vol, give_back ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE,
			     offset, length, err);
	return rc;
}

const struct volume_ops file_volume_ops = {
	.kind		= "file",
	.identify	= file_identify,
	.setup		= file_setup,
	.next_data	= file_next_data,
	.zero		= file_zero,
};
