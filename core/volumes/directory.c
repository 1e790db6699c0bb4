/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directory that a file is in, or would be in: its file system, and what may be made and removed there. */
#include "volumes/look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems by statfs(); reflinks: some or all of that type can. */
static const struct {
	unsigned long magic;
	const char *name;
	bool reflinks;
} fs_types[] = {
	{ EXT4_SUPER_MAGIC, "ext4", false },
	{ XFS_SUPER_MAGIC, "xfs", true },
	{ BTRFS_SUPER_MAGIC, "btrfs", true },
	{ 0xca451a4e, "bcachefs", true },
	{ OCFS2_SUPER_MAGIC, "ocfs2", true },
	{ F2FS_SUPER_MAGIC, "f2fs", false },
	{ 0x2fc12fc1, "zfs", false },
	{ 0x01161970, "gfs2", false },
	{ TMPFS_MAGIC, "tmpfs", false },
	{ RAMFS_MAGIC, "ramfs", false },
	{ OVERLAYFS_SUPER_MAGIC, "overlay", false },
	{ FUSE_SUPER_MAGIC, "fuse", false },
	{ NFS_SUPER_MAGIC, "nfs", false },
	{ SMB2_SUPER_MAGIC, "smb", false },
	{ CIFS_SUPER_MAGIC, "cifs", false },
	{ CEPH_SUPER_MAGIC, "ceph", false },
	{ V9FS_MAGIC, "9p", false },
	{ MSDOS_SUPER_MAGIC, "vfat", false },
	{ EXFAT_SUPER_MAGIC, "exfat", false },
	{ PROC_SUPER_MAGIC, "proc", false },
	{ SYSFS_MAGIC, "sysfs", false },
	{ HOSTFS_SUPER_MAGIC, "hostfs", false },
};

int64_t volume_birth(int dir, const char *name)
{
	struct statx stx;

	if (statx(dir, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &stx) < 0 ||
	    !(stx.stx_mask & STATX_BTIME))
		return 0;
	return volume_time(stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec);
}

bool volume_is_directory(const struct facts *was, int dir, bool same_boot)
{
	struct stat st;

	return fstat(dir, &st) == 0 && st.st_ino == was->dir_ino &&
	       (same_boot ? st.st_dev == was->dir_dev : volume_birth(dir, "") == was->dir_birth_ns);
}

/* STATX_ATTR_*; where the file system does not say that it answers for these, it is asked in the older way, too. */
static uint64_t attributes_of(const char *path)
{
	const uint64_t both = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
	struct statx stx = { 0 };
	uint64_t attributes;
	int fd, flags = 0;

	statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &stx);
	attributes = stx.stx_attributes;
	if ((stx.stx_attributes_mask & both) == both)
		return attributes;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		attributes |= flags & FS_IMMUTABLE_FL ? STATX_ATTR_IMMUTABLE : 0;
		attributes |= flags & FS_APPEND_FL ? STATX_ATTR_APPEND : 0;
	}
	if (fd >= 0)
		close(fd);
	return attributes;
}

/*
 * What keeps a file from being removed although its directory may be written
 * to.  dir is that of facts->dir; where nothing exists yet it would be ours.
 */
static const char *why_unremovable(const struct facts *facts, const struct stat *dir)
{
	uint64_t own = facts->kind ? attributes_of(facts->path) : 0;
	uint64_t above = attributes_of(facts->dir);
	uid_t user = geteuid();

	if (own & STATX_ATTR_MOUNT_ROOT)
		return "it is a mount point";
	if (own & STATX_ATTR_IMMUTABLE)
		return "it is immutable (chattr -i)";
	if (own & STATX_ATTR_APPEND)
		return "it is append-only (chattr -a)";
	if (above & STATX_ATTR_IMMUTABLE)
		return "the directory is immutable (chattr -i)";
	if (above & STATX_ATTR_APPEND)
		return "the directory is append-only (chattr -a)";
	if (facts->kind && (dir->st_mode & S_ISVTX) && user != 0 && user != dir->st_uid &&
	    user != facts->uid)
		return "the directory is sticky and neither it nor the file is ours";
	return NULL;
}

int look_at_directory(struct facts *facts, struct err *err)
{
	const char *dir = facts->dir;
	struct stat st;
	struct statfs fs;
	unsigned long magic;

	if (stat(dir, &st) < 0 || statfs(dir, &fs) < 0)
		return look_refuse_sys(err, errno, dir, "cannot look at the directory");
	facts->dir_dev = st.st_dev;
	facts->dir_ino = st.st_ino;
	facts->dir_birth_ns = volume_birth(AT_FDCWD, dir);
	/* What is reserved for root is free to root. */
	facts->dir_free = (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) *
			   (uint64_t)(fs.f_frsize ?: fs.f_bsize);
	/* Also says no where the file system is read-only or the directory immutable. */
	facts->dir_writable = faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0;
	facts->unremovable = text_copy(why_unremovable(facts, &st));

	magic = (unsigned long)fs.f_type & 0xffffffff;
	for (size_t i = 0; i < sizeof(fs_types) / sizeof(fs_types[0]); i++) {
		if (fs_types[i].magic == magic) {
			facts->fs_type = text_copy(fs_types[i].name);
			facts->reflinks = fs_types[i].reflinks;
			return 0;
		}
	}
	facts->fs_type = text_format("0x%lx", magic);
	return 0;
}
