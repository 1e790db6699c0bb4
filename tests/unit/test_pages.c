/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is the memory there, whole, and still to be written to? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/pages.h"

#define PAGES 40

static void test_present(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *map = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char there[PAGES];

	(void)state;
	assert_true(map != MAP_FAILED);
	/* A kernel before 5.14 makes nothing present. */
	if (madvise(map, page, MADV_POPULATE_WRITE) < 0)
		return;
	map[5 * page + 1] = 77;
	/* From the middle of a page to the middle of one. */
	assert_int_equal(pages_make_present(map + 3 * page + 8, 30 * page), 0);
	assert_int_equal(mincore(map, PAGES * page, there), 0);
	for (size_t i = 1; i < PAGES; i++)
		assert_int_equal(there[i] & 1, i >= 4 && i < 33);
	assert_int_equal(map[5 * page + 1], 77);
	memset(map, 1, PAGES * page);
	/* Less than a page. */
	assert_int_equal(pages_make_present(map + 8, page), 0);
	assert_int_equal(pages_make_present(map, 0), 0);
	assert_int_equal(map[0], 1);
	munmap(map, PAGES * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_present),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
