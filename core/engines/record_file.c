/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small JSON files, one for each thing that is attached, in a directory that is locked meanwhile. */
#include "engines/record_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "support/text.h"

int record_dir_open(const char *dir, bool make, int *ret_dirfd, struct err *err)
{
	int fd;

	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, dir, "cannot make the directory for what is attached");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !make) {
		*ret_dirfd = -1;
		return 0;
	}
	if (fd < 0)
		return err_sys(err, errno, dir, "cannot open the directory of what is attached");
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR) {
			err_sys(err, errno, dir, "cannot lock the directory of what is attached");
			close(fd);
			return -1;
		}
	}
	*ret_dirfd = fd;
	return 0;
}

int record_file_read(int dirfd, const char *name, json_t **ret_json, struct err *err)
{
	int fd = dirfd < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (dirfd < 0 || (fd < 0 && errno == ENOENT))
		return 0;
	if (fd < 0)
		return err_sys(err, errno, name, "cannot open the record of an attached volume");
	*ret_json = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	return 1;
}

/* Whole or not at all: written beside it, synced, and put in its place. */
int record_file_write(int dirfd, const char *name, const json_t *json, struct err *err)
{
	char *temp = text_format("%s.new", name);
	int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret = -1;

	if (fd < 0 || json_dumpfd(json, fd, JSON_INDENT(2)) < 0 || fsync(fd) < 0 ||
	    renameat(dirfd, temp, dirfd, name) < 0 || fsync(dirfd) < 0)
		err_sys(err, errno, name, "cannot record what is attached");
	else
		ret = 0;
	if (fd >= 0)
		close(fd);
	if (ret < 0)
		unlinkat(dirfd, temp, 0);
	free(temp);
	return ret;
}

int record_file_remove(int dirfd, const char *name, struct err *err)
{
	int rc = dirfd < 0 ? 0 : unlinkat(dirfd, name, 0);

	if (dirfd < 0 || (rc < 0 && errno == ENOENT))
		return 0;
	if (rc < 0 || fsync(dirfd) < 0)
		return err_sys(err, errno, name, "cannot remove the record of what was attached");
	return 0;
}

int record_file_each(int dirfd, const char *prefix, int (*found)(const char *name, void *data), void *data)
{
	static const char suffix[] = ".json";
	int fd = dirfd < 0 ? -1 : dup(dirfd), ret = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	if (dir)
		rewinddir(dir);
	while (dir && !ret && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (!strncmp(entry->d_name, prefix, strlen(prefix)) && len >= sizeof(suffix) &&
		    !strcmp(entry->d_name + len - strlen(suffix), suffix))
			ret = found(entry->d_name, data);
	}
	if (dir)
		closedir(dir);
	return ret;
}
