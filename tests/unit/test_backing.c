/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands on a file is known as it is now, although what was read is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "support/clock.h"
#include "support/text.h"
#include "volumes/backing.h"

#define ROUNDS 500

#define HEADER_BYTES 512

/* As QEMU's docs/interop/qcow2.txt has it: the name of the backing file, and where it is, in the first 20 bytes. */
static void make_header(unsigned char *header, const char *backing)
{
	memset(header, 0, HEADER_BYTES);
	memcpy(header, "QFI\xfb", 4);
	header[7] = 3;
	if (backing) {
		header[14] = 1;		/* at 256 */
		header[19] = (unsigned char)strlen(backing);
		memcpy(header + 256, backing, strlen(backing));
	}
}

static void write_header(const char *path, const char *backing)
{
	unsigned char header[HEADER_BYTES];
	int fd = open(path, O_WRONLY);

	make_header(header, backing);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
	close(fd);
}

static bool is_stood_on_in(const char *dir, const char *path)
{
	struct text_list overlays = { 0 };
	char *unseen = NULL;
	struct stat st;
	bool found;

	assert_int_equal(stat(path, &st), 0);
	backing_forget();
	backing_overlays(dir, st.st_dev, st.st_ino, &overlays, &unseen);
	assert_null(unseen);
	found = overlays.count > 0;
	text_list_free(&overlays);
	return found;
}

static bool is_stood_on(const char *path)
{
	return is_stood_on_in(".", path);
}

/* In one step of the clock by which files are stamped there is time for many of these. */
static void what_changes_just_after_it_was_read_is_read_again(void **state)
{
	(void)state;
	scratch_make("base", MIB);
	scratch_make("other", MIB);
	for (int i = 0; i < ROUNDS; i++) {
		write_header("other", i % 2 ? "base" : NULL);
		assert_int_equal(is_stood_on("base"), i % 2);
	}
}

/*
 * A file bears the time at which a write began.  What is written through a
 * mapping gets none at all after the first of a page, so here the write takes
 * as long as is wanted.
 */
static void what_is_being_written_is_read_again(void **state)
{
	unsigned char *map;
	int fd;

	(void)state;
	scratch_make("base", MIB);
	scratch_make("other", MIB);
	fd = open("other", O_RDWR);
	map = mmap(NULL, HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(fd >= 0 && map != MAP_FAILED);
	map[0] = 0;
	clock_sleep_ms(50);
	assert_false(is_stood_on("base"));
	make_header(map, "base");
	assert_true(is_stood_on("base"));
	munmap(map, HEADER_BYTES);
	close(fd);
}

/* An image may have a name in two directories, and a directory another name than it had. */
static void what_a_name_is_relative_to_is_where_the_image_is_looked_at(void **state)
{
	(void)state;
	assert_int_equal(mkdir("one", 0700), 0);
	assert_int_equal(mkdir("two", 0700), 0);
	scratch_make("one/base", MIB);
	scratch_make("two/base", MIB);
	scratch_make("one/overlay", MIB);
	write_header("one/overlay", "base");
	assert_int_equal(link("one/overlay", "two/overlay"), 0);
	clock_sleep_ms(50);
	assert_true(is_stood_on_in("one", "one/base"));
	assert_true(is_stood_on_in("two", "two/base"));
	assert_int_equal(rename("two", "three"), 0);
	assert_true(is_stood_on_in("three", "three/base"));
	assert_int_equal(system("rm -r one three"), 0);
}

/* What a guest has written there, or a crash has left: for the sanitizers. */
static void headers_that_are_none_name_nothing(void **state)
{
	static const char *const magics[] = { "QFI\xfb", "QED", "KDMV", "# Disk DescriptorFile\nRW 8 FLAT \"" };
	unsigned char header[4096];

	(void)state;
	scratch_make("base", MIB);
	scratch_make("other", MIB);
	srand(1);
	for (int i = 0; i < ROUNDS; i++) {
		size_t length = (size_t)rand() % sizeof(header);
		int fd = open("other", O_WRONLY | O_TRUNC);

		for (size_t k = 0; k < sizeof(header); k++)
			header[k] = (unsigned char)(rand() % 4 ? 0 : rand());
		memcpy(header, magics[i % 4], strlen(magics[i % 4]));
		assert_true(fd >= 0);
		assert_int_equal(write(fd, header, length), length);
		close(fd);
		assert_false(is_stood_on("base"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_just_after_it_was_read_is_read_again),
		cmocka_unit_test(what_is_being_written_is_read_again),
		cmocka_unit_test(what_a_name_is_relative_to_is_where_the_image_is_looked_at),
		cmocka_unit_test(headers_that_are_none_name_nothing),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
