/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scratch.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/ioq.h"
#include "volumes/volume.h"

static char directory[4096];

int scratch_enter(void **state)
{
	const char *parent = getenv("TMPDIR");

	(void)state;
	snprintf(directory, sizeof(directory), "%s/unit.XXXXXX", parent ? parent : ".");
	if (!mkdtemp(directory))
		err(1, "%s", directory);
	if (chdir(directory) < 0 || !getcwd(directory, sizeof(directory)))
		err(1, "%s", directory);
	return 0;
}

int scratch_leave(void **state)
{
	DIR *dir = opendir(".");
	struct dirent *entry;

	(void)state;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlink(entry->d_name);
	if (dir)
		closedir(dir);
	return chdir("..") < 0 || rmdir(directory) < 0;
}

static int open_file(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

void scratch_make(const char *name, uint64_t bytes)
{
	int fd = open_file(name, O_RDWR | O_CREAT | O_TRUNC);

	if (ftruncate(fd, (off_t)bytes) < 0)
		err(1, "%s", name);
	close(fd);
}

static void put(const char *name, uint64_t offset, uint64_t length, unsigned seed, bool zero)
{
	int fd = open_file(name, O_WRONLY);
	unsigned char *data = calloc(1, MIB);
	uint64_t random = seed * 2654435761U + offset + 1;

	if (!data)
		abort();
	while (length > 0) {
		size_t n = length < MIB ? length : MIB;

		for (size_t i = 0; !zero && i < n; i++) {
			random = random * 6364136223846793005U + 1442695040888963407U;
			data[i] = (unsigned char)(random >> 56 | 1);
		}
		if (pwrite(fd, data, n, (off_t)offset) != (ssize_t)n)
			err(1, "%s", name);
		offset += n;
		length -= n;
	}
	free(data);
	close(fd);
}

void scratch_fill(const char *name, uint64_t offset, uint64_t length, unsigned seed)
{
	put(name, offset, length, seed, false);
}

void scratch_zeroes(const char *name, uint64_t offset, uint64_t length)
{
	put(name, offset, length, 0, true);
}

void scratch_flip(const char *name, uint64_t offset)
{
	int fd = open_file(name, O_RDWR);
	unsigned char byte;

	if (pread(fd, &byte, 1, (off_t)offset) != 1)
		err(1, "%s", name);
	byte ^= 0x10;
	if (pwrite(fd, &byte, 1, (off_t)offset) != 1)
		err(1, "%s", name);
	close(fd);
}

uint64_t scratch_allocated(const char *name)
{
	int fd = open_file(name, O_RDONLY);
	struct stat st;

	/* What is in the cache only has not been given its blocks yet. */
	if (fsync(fd) < 0 || fstat(fd, &st) < 0)
		err(1, "%s", name);
	close(fd);
	return (uint64_t)st.st_blocks * 512;
}

uint64_t scratch_differ(const char *a, const char *b, uint64_t bytes)
{
	int fd_a = open_file(a, O_RDONLY), fd_b = open_file(b, O_RDONLY);
	unsigned char *data = malloc(2 * MIB);
	uint64_t at = 0;

	if (!data)
		abort();
	while (at < bytes) {
		size_t n = bytes - at < MIB ? bytes - at : MIB, i = 0;

		if (pread(fd_a, data, n, (off_t)at) != (ssize_t)n ||
		    pread(fd_b, data + MIB, n, (off_t)at) != (ssize_t)n)
			err(1, "%s, %s: cannot read %zu bytes at %llu", a, b, n,
			    (unsigned long long)at);
		if (memcmp(data, data + MIB, n) != 0) {
			while (data[i] == data[MIB + i])
				i++;
			at += i;
			break;
		}
		at += n;
	}
	free(data);
	close(fd_a);
	close(fd_b);
	return at;
}

void scratch_open(struct volume *vol, const char *name, unsigned flags)
{
	struct facts facts = { 0 };
	struct err error = ERR_INIT;
	char *path = realpath(name, NULL);

	if (volume_inspect_path(path ? path : name, 0, &facts, &error) < 0)
		errx(1, "%s: %s", error.object, error.cause);
	free(path);
	/* After a kill or a stall the kernel has it open for some time yet. */
	for (int i = 0; volume_open(vol, &facts, flags, true, &error) < 0; i++) {
		if (i == 200 || error.class != ERR_REFUSED)
			errx(1, "%s: %s", error.object, error.cause);
		usleep(50000);
	}
	facts_free(&facts);
}

void scratch_close(struct volume *vol)
{
	struct err error = ERR_INIT;

	if (volume_close(vol, &error) < 0)
		errx(1, "%s: %s", error.object, error.cause);
}

int scratch_child(const char *environment, int (*run)(void *data), void *data)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		if (environment)
			putenv((char *)environment);
		/* Not exit(): cmocka's state is the parent's business. */
		_exit(run(data));
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return SCRATCH_KILLED;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 98)
		errx(1, "a child process ended with wait status %#x", (unsigned)status);
	return WEXITSTATUS(status);
}

const char *scratch_engine(void **state)
{
	const char *engine = *state;
	struct err error = ERR_INIT;
	struct ioq *q = NULL;
	static char memory[4096] __attribute__((aligned(4096)));
	int fd = STDIN_FILENO;

	if (!strcmp(engine, "uring") &&
	    ioq_open(&q, engine, &(struct ioq_file){ .fd = fd }, 1, memory, sizeof(memory), 1, &error) < 0)
		skip();
	ioq_close(q);
	return engine;
}

bool scratch_is_slow(void)
{
	const char *preload = getenv("LD_PRELOAD");

#ifdef __SANITIZE_ADDRESS__
	return true;
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer)
	return true;
#endif
#endif
	/* Valgrind brings its own allocator into the program. */
	return preload && strstr(preload, "vgpreload");
}
