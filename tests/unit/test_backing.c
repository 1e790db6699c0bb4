/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands on a file is known as it is now, although what was read is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "support/text.h"
#include "volumes/backing.h"

#define ROUNDS 500

/* As QEMU's docs/interop/qcow2.txt has it: the name of the backing file, and where it is, in the first 20 bytes. */
static void write_header(const char *path, const char *backing)
{
	unsigned char header[512] = "QFI\xfb";
	int fd = open(path, O_WRONLY);

	header[7] = 3;
	if (backing) {
		header[14] = 1;		/* at 256 */
		header[19] = (unsigned char)strlen(backing);
		memcpy(header + 256, backing, strlen(backing));
	}
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
	close(fd);
}

static bool is_stood_on(const char *path)
{
	struct text_list overlays = { 0 };
	char *unseen = NULL;
	struct stat st;
	bool found;

	assert_int_equal(stat(path, &st), 0);
	backing_forget();
	backing_overlays(".", st.st_dev, st.st_ino, &overlays, &unseen);
	assert_null(unseen);
	found = overlays.count > 0;
	text_list_free(&overlays);
	return found;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_just_after_it_was_read_is_read_again),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
