/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who uses a file: other processes that write, by a descriptor or by a mapping, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "support/clock.h"
#include "sys/mounts.h"
#include "sys/procs.h"
#include "sys/uses.h"

#define MANY 3000		/* more than are read in one go */

enum how {
	BY_DESCRIPTOR,
	BY_THE_LAST_OF_MANY,
	BY_APPENDING,
	BY_MAPPING,
	BY_READING,
};

/* A child that has the file open in some way, and waits to be killed. */
static pid_t user_of(const char *path, enum how how)
{
	int flags = how == BY_READING ? O_RDONLY :
		    how == BY_APPENDING ? O_WRONLY | O_APPEND : O_RDWR;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd;

		/* A test that fails does not come to end(). */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (how == BY_THE_LAST_OF_MANY) {
			struct rlimit many = { MANY + 64, MANY + 64 };

			if (setrlimit(RLIMIT_NOFILE, &many) < 0)
				_exit(1);
			for (int i = 0; i < MANY; i++)
				if (dup(ready[1]) < 0)
					_exit(1);
		}
		fd = open(path, flags | O_CLOEXEC);
		if (fd < 0)
			_exit(1);
		if (how == BY_MAPPING) {
			if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
				_exit(1);
			close(fd);
		}
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct text_list uses_of(const char *path)
{
	struct text_list uses = { 0 };
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	uses_of_file(path, st.st_dev, st.st_ino, &uses);
	return uses;
}

static void assert_unused(const char *path)
{
	struct text_list uses = uses_of(path);

	assert_int_equal(uses.count, 0);
	text_list_free(&uses);
}

static void assert_used(const char *path, const char *what, pid_t pid)
{
	struct text_list uses = uses_of(path);
	char *name = procs_name("self");
	char *wanted = text_format("%s%s (pid %d)", what, name, (int)pid);

	assert_int_equal(uses.count, 1);
	assert_string_equal(uses.items[0], wanted);
	free(wanted);
	free(name);
	text_list_free(&uses);
}

static void test_descriptor(void **state)
{
	pid_t pid;

	(void)state;
	scratch_make("file", MIB);
	assert_unused("file");
	pid = user_of("file", BY_DESCRIPTOR);
	assert_used("file", "open for writing by ", pid);
	assert_int_equal(link("file", "other"), 0);
	assert_used("other", "open for writing by ", pid);
	scratch_make("neighbour", MIB);
	assert_unused("neighbour");
	end(pid);
	assert_unused("file");
	pid = user_of("file", BY_APPENDING);
	assert_used("file", "open for writing by ", pid);
	end(pid);
}

static void test_many_descriptors(void **state)
{
	struct rlimit limit;
	pid_t pid;

	(void)state;
	/* Valgrind keeps to a limit of its own. */
	if (scratch_is_slow() || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < MANY + 64)
		return;
	scratch_make("file", MIB);
	pid = user_of("file", BY_THE_LAST_OF_MANY);
	assert_used("file", "open for writing by ", pid);
	end(pid);
}

static void test_reading(void **state)
{
	pid_t pid;

	(void)state;
	scratch_make("file", MIB);
	pid = user_of("file", BY_READING);
	assert_unused("file");
	end(pid);
}

/* A mapping outlives its descriptor, and /proc/PID/fd does not show it. */
static void test_mapping(void **state)
{
	pid_t pid;

	(void)state;
	scratch_make("file", MIB);
	pid = user_of("file", BY_MAPPING);
	assert_used("file", "mapped for writing by ", pid);
	end(pid);
	assert_unused("file");
}

/* What we have open ourselves is ours to know. */
static void test_ourselves(void **state)
{
	struct procs_target target = { 0 };
	struct text_list uses = { 0 };
	struct stat st;
	int fd;

	(void)state;
	scratch_make("file", MIB);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	target.file_dev = st.st_dev;
	target.file_ino = st.st_ino;
	assert_false(procs_open(&target, &uses));
	close(fd);
	fd = open("file", O_RDWR | O_CLOEXEC);
	assert_unused("file");
	assert_true(procs_open(&target, &uses));
	assert_int_equal(uses.count, 0);
	close(fd);
	assert_false(procs_open(&target, &uses));
}

/*
 * The lease that we ask for must not kill us when somebody opens the file for
 * writing just then, nor may it be kept.
 */
static void test_lease(void **state)
{
	uint64_t until;
	unsigned rounds = 0;
	pid_t pid;

	(void)state;
	scratch_make("file", MIB);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int fd = open("file", O_RDWR | O_CLOEXEC);

			if (fd < 0)
				_exit(1);
			close(fd);
			usleep(10);
		}
	}
	until = clock_ns() + 1000000000;
	while (clock_ns() < until) {
		struct text_list uses = uses_of("file");

		text_list_free(&uses);
		rounds++;
	}
	end(pid);
	assert_true(rounds > 0);
	assert_unused("file");
}

static void test_unescape(void **state)
{
	char text[] = "/a\\040b\\134c\\012d\\04\\";
	char plain[] = "/plain";

	(void)state;
	mounts_unescape(text);
	assert_string_equal(text, "/a b\\c\nd\\04\\");
	mounts_unescape(plain);
	assert_string_equal(plain, "/plain");
}

/* The file system that we are on is mounted somewhere, if it is on a block device. */
static void test_mounts(void **state)
{
	struct mount_list mounts;
	struct stat st;
	bool found = false;

	(void)state;
	assert_int_equal(stat(".", &st), 0);
	if (major(st.st_dev) == 0)
		skip();
	mounts_read(&mounts);
	for (size_t i = 0; i < mounts.count; i++) {
		assert_int_equal(strncmp(mounts.items[i].text, "mounted on /", 12), 0);
		found |= mounts.items[i].dev == st.st_dev;
	}
	mounts_free(&mounts);
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptor, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_many_descriptors, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_reading, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_mapping, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_ourselves, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_lease, scratch_enter, scratch_leave),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_mounts),
	};

	return cmocka_run_group_tests_name("uses", tests, NULL, NULL);
}
