/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other processes, as /proc tells of them.  Any of them may end at any moment,
 * and an ordinary user may not look into most; neither is an error here.
 */
#include "sys/procs.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

char *procs_name(const char *pid)
{
	char path[300], name[64];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, name, sizeof(name) - 1);
		close(fd);
	}
	if (len <= 0)
		return text_copy("?");
	name[len - 1] = '\0';		/* a line feed */
	return text_copy(name);
}

bool procs_has_option(const char *pid, const char *option, const char *value)
{
	char path[300], *line = NULL;
	size_t size = 0;
	bool before = false, found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	file = fopen(path, "re");
	while (file && !found && getdelim(&line, &size, '\0', file) > 0) {
		found = before && !strcmp(line, value);
		before = !strcmp(line, option);
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

static bool is_target(const struct procs_target *target, const struct statx *stx)
{
	dev_t rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);

	if (target->file_ino)
		return stx->stx_ino == target->file_ino && S_ISREG(stx->stx_mode) &&
		       makedev(stx->stx_dev_major, stx->stx_dev_minor) == target->file_dev;
	for (size_t i = 0; S_ISBLK(stx->stx_mode) && i < target->dev_count; i++)
		if (target->devs[i] == rdev)
			return true;
	return false;
}

/* Was the descriptor opened for writing?  /proc/PID/fdinfo/N says "flags:", in octal. */
static bool is_writable(int proc, const char *pid, const char *number)
{
	char path[300], text[512];
	const char *flags;
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/fdinfo/%s", pid, number);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (len <= 0)
		return false;
	text[len] = '\0';
	flags = strstr(text, "flags:");
	return flags && (strtoul(flags + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

/* Has the process a descriptor of the target, and one opened for writing? */
static bool has_open(int proc, const char *pid, const struct procs_target *target,
		     bool *ret_writable)
{
	_Alignas(struct dirent64) char entries[32768];
	char path[300];
	const struct dirent64 *entry;
	bool found = false;
	ssize_t length;
	int fd;

	*ret_writable = false;
	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Most processes have few, threads of the kernel none: opendir() would take as long again. */
	while (fd >= 0 && !*ret_writable && (length = getdents64(fd, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < length && !*ret_writable; at += entry->d_reclen) {
			struct statx stx;

			entry = (const struct dirent64 *)(entries + at);
			if (!isdigit((unsigned char)entry->d_name[0]))
				continue;
			/* Not asking a file server anew: it may not answer. */
			if (statx(fd, entry->d_name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
				  STATX_TYPE | STATX_INO, &stx) < 0 || !is_target(target, &stx))
				continue;
			found = true;
			*ret_writable = is_writable(proc, pid, entry->d_name);
		}
	}
	if (fd >= 0)
		close(fd);
	return found;
}

/* Has the process a shared, writable mapping of the file? */
static bool has_mapped(int proc, const char *pid, const struct procs_target *target)
{
	char path[300];
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *maps = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/maps", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !(maps = fdopen(fd, "r")))
		goto out;
	while (!found && getline(&line, &size, maps) > 0) {
		unsigned maj, min;
		uint64_t ino;
		char mode[5];

		/* 7f1c2c000000-7f1c2c021000 rw-s 00000000 fd:00 1234  /path */
		if (sscanf(line, "%*x-%*x %4s %*x %x:%x %" SCNu64, mode, &maj, &min, &ino) == 4)
			found = mode[1] == 'w' && mode[3] == 's' && ino == target->file_ino &&
				makedev(maj, min) == target->file_dev;
	}
out:
	free(line);
	if (maps)
		fclose(maps);
	else if (fd >= 0)
		close(fd);
	return found;
}

/* Call each() with the /proc directory and the number of every other process. */
static void each_other(void (*each)(int proc, const char *pid, const struct procs_target *target,
				    struct text_list *uses),
		       const struct procs_target *target, struct text_list *uses)
{
	char self[32] = "";
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	/* Not getpid(): this /proc may be that of another PID namespace. */
	if (!proc || readlink("/proc/self", self, sizeof(self) - 1) < 0)
		goto out;
	while ((entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]) && strcmp(entry->d_name, self))
			each(dirfd(proc), entry->d_name, target, uses);
out:
	if (proc)
		closedir(proc);
}

static void add_process(const char *what, const char *pid, struct text_list *uses)
{
	char *name = procs_name(pid);

	text_list_add(uses, text_format("%s by %s (pid %s)", what, name, pid));
	free(name);
}

static void look_open(int proc, const char *pid, const struct procs_target *target,
		      struct text_list *uses)
{
	bool writable;

	if (has_open(proc, pid, target, &writable) && (writable || target->readers))
		add_process(target->readers ? "open" : "open for writing", pid, uses);
}

static void look_mapped(int proc, const char *pid, const struct procs_target *target,
			struct text_list *uses)
{
	if (has_mapped(proc, pid, target))
		add_process("mapped for writing", pid, uses);
}

bool procs_open(const struct procs_target *target, struct text_list *uses)
{
	bool writable;

	each_other(look_open, target, uses);
	return has_open(AT_FDCWD, "/proc/self", target, &writable) &&
	       (writable || !target->file_ino);
}

void procs_mapped(const struct procs_target *target, struct text_list *uses)
{
	each_other(look_mapped, target, uses);
}
