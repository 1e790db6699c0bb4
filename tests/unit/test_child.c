/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child that may hang for good has nothing that anybody waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "support/child.h"

#define LIMIT_MS 10000
#define MOST 64

/* How many of the lowest descriptors there are. */
static int count(void *data)
{
	int found = 0;

	(void)data;
	for (int fd = 0; fd < MOST; fd++)
		found += fcntl(fd, F_GETFD) >= 0;
	return found;
}

/* Can the two be read? */
static int both(void *data)
{
	const int *fds = data;
	char c;

	return count(NULL) == 2 && read(fds[0], &c, 1) == 1 && read(fds[1], &c, 1) == 1;
}

static void test_it_has_none_of_ours(void **state)
{
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(child_run(count, NULL, LIMIT_MS, &status), 0);
	assert_int_equal(status, 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_but_those_that_it_is_given(void **state)
{
	int low = open("/dev/zero", O_RDONLY), between = dup(low), high = dup(low), status;
	const int pairs[][2] = { { low, high }, { high, low }, { low, between } };

	(void)state;
	assert_true(low > 0 && between > low && high > between);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(child_run_with(both, (void *)pairs[i], pairs[i], LIMIT_MS, &status), 0);
		assert_int_equal(status, 1);
	}
	assert_int_equal(child_run_with(count, NULL, (const int[]){ -1, between }, LIMIT_MS, &status), 0);
	assert_int_equal(status, 1);
	close(low);
	close(between);
	close(high);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_has_none_of_ours),
		cmocka_unit_test(test_but_those_that_it_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
