/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of blocks, and maps of volumes as such sets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engines/blocks.h"
#include "engines/data_map.h"
#include "support/err.h"
#include "volumes/volume.h"

/* "3+2 200+56": runs of blocks, first and count. */
static struct blocks set_of(const char *text)
{
	struct blocks set = BLOCKS_NONE;

	while (*text) {
		char *end;
		unsigned first = (unsigned)strtoul(text, &end, 10);
		unsigned count = (unsigned)strtoul(end + 1, &end, 10);

		blocks_add(&set, first, count);
		text = *end ? end + 1 : end;
	}
	return set;
}

static void assert_set(struct blocks set, const char *text)
{
	struct blocks wanted = set_of(text);

	assert_memory_equal(&set, &wanted, sizeof(set));
}

static void test_runs(void **state)
{
	struct blocks set = set_of("0+1 63+2 100+28 255+1");
	unsigned first, count;

	(void)state;
	assert_true(blocks_run(&set, 0, &first, &count));
	assert_int_equal(first, 0);
	assert_int_equal(count, 1);
	assert_true(blocks_run(&set, 1, &first, &count));
	assert_int_equal(first, 63);
	assert_int_equal(count, 2);
	assert_true(blocks_run(&set, 110, &first, &count));
	assert_int_equal(first, 110);
	assert_int_equal(count, 18);
	assert_true(blocks_run(&set, 128, &first, &count));
	assert_int_equal(first, 255);
	assert_int_equal(count, 1);
	assert_false(blocks_run(&set, 256, &first, &count));
	set = set_of("0+256");
	assert_true(blocks_run(&set, 0, &first, &count));
	assert_int_equal(count, 256);
	blocks_remove(&set, 0, 256);
	assert_true(blocks_empty(&set));
	assert_false(blocks_run(&set, 0, &first, &count));
}

static void test_arithmetic(void **state)
{
	struct blocks a = set_of("0+100"), b = set_of("50+100");

	(void)state;
	assert_set(blocks_or(a, b), "0+150");
	assert_set(blocks_and(a, b), "50+50");
	assert_set(blocks_except(a, b), "0+50");
}

static void test_lengths(void **state)
{
	struct blocks set = set_of("0+1 255+1");

	(void)state;
	assert_set(blocks_of_length(0), "");
	assert_set(blocks_of_length(1), "0+1");
	assert_set(blocks_of_length(4096), "0+1");
	assert_set(blocks_of_length(4097), "0+2");
	assert_set(blocks_of_length(1 << 20), "0+256");
	assert_int_equal(blocks_bytes(&set, 1 << 20), 8192);
	assert_int_equal(blocks_bytes(&set, (1 << 20) - 1), 8191);
	assert_int_equal(blocks_bytes(&set, (1 << 20) - 4096), 4096);
	assert_int_equal(blocks_bytes(&set, 5), 5);
	assert_int_equal(blocks_bytes(&set, 0), 0);
}

static void test_rounding(void **state)
{
	struct blocks set = set_of("3+2 17+1 255+1");

	(void)state;
	blocks_round_out(&set, 0);
	blocks_round_out(&set, 1);
	assert_set(set, "3+2 17+1 255+1");
	blocks_round_out(&set, 4);
	assert_set(set, "0+8 16+4 252+4");
	blocks_round_out(&set, 256);
	assert_set(set, "0+256");
}

static void test_gaps(void **state)
{
	struct blocks set = set_of("10+1 26+1 43+1");

	(void)state;
	blocks_fill_gaps(&set, 15);
	assert_set(set, "10+1 26+1 43+1");
	blocks_fill_gaps(&set, 16);
	assert_set(set, "10+17 43+1");
	blocks_fill_gaps(&set, 17);
	assert_set(set, "10+34");
}

static void test_contents(void **state)
{
	unsigned char *a = calloc(1, 1 << 20), *b = calloc(1, 1 << 20);
	struct blocks all = blocks_of_length(1 << 20), some = set_of("0+5");

	(void)state;
	assert_true(a && b);
	a[2 * 4096] = 1;
	a[4 * 4096 - 1] = 1;
	a[(1 << 20) - 1] = 1;
	assert_set(blocks_zero(a, all), "0+2 4+251");
	assert_set(blocks_zero(a, some), "0+2 4+1");
	assert_set(blocks_differ(a, b, all), "2+2 255+1");
	assert_set(blocks_differ(a, b, some), "2+2");
	memset(b, 1, 1 << 20);
	blocks_clear_others(b, &some);
	assert_int_equal(b[5 * 4096 - 1], 1);
	assert_true(memory_is_zero(b + 5 * 4096, (1 << 20) - 5 * 4096));
	free(a);
	free(b);
}

static void test_zero_at_every_position(void **state)
{
	unsigned char data[100] = { 0 };

	(void)state;
	for (size_t length = 0; length <= sizeof(data); length++) {
		assert_true(memory_is_zero(data, length));
		for (size_t i = 0; i < length; i++) {
			data[i] = 0x80;
			assert_false(memory_is_zero(data, length));
			data[i] = 0;
		}
	}
}

/* A volume with data at [4096, 5000), [10 MiB, 11 MiB + 1) and [20 MiB - 1, 20 MiB). */
static const uint64_t extents[][2] = {
	{ 4096, 5000 }, { 10 << 20, (11 << 20) + 1 }, { (20 << 20) - 1, 20 << 20 },
};
static unsigned asked;

static int next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start,
		     uint64_t *ret_end, struct err *err)
{
	(void)err;
	asked++;
	*ret_start = *ret_end = vol->bytes;
	for (size_t i = 3; i-- > 0; ) {
		if (offset < extents[i][1]) {
			*ret_start = offset > extents[i][0] ? offset : extents[i][0];
			*ret_end = extents[i][1];
		}
	}
	return 0;
}

static void assert_next(struct data_map *map, uint64_t offset, uint64_t start, uint64_t end)
{
	struct err err = ERR_INIT;
	uint64_t got_start, got_end;

	assert_int_equal(data_map_next(map, offset, &got_start, &got_end, &err), 0);
	assert_int_equal(got_start, start);
	assert_int_equal(got_end, end);
}

static void test_map(void **state)
{
	const struct volume_ops ops = { .next_data = next_data }, blind = { .kind = "blind" };
	struct volume vol = { .ops = &ops, .bytes = 30 << 20, .align = 512 };
	struct err err = ERR_INIT;
	struct blocks data, to_read;
	struct data_map map;

	(void)state;
	data_map_init(&map, &vol);
	asked = 0;
	assert_next(&map, 0, 4096, 5000);
	assert_next(&map, 100, 4096, 5000);
	assert_next(&map, 4999, 4999, 5000);
	assert_int_equal(asked, 1);
	assert_next(&map, 5000, 10 << 20, (11 << 20) + 1);
	assert_next(&map, 10 << 20, 10 << 20, (11 << 20) + 1);
	assert_int_equal(asked, 2);
	assert_next(&map, 20 << 20, 30 << 20, 30 << 20);
	assert_next(&map, 29 << 20, 30 << 20, 30 << 20);
	assert_next(&map, 30 << 20, 30 << 20, 30 << 20);
	assert_int_equal(asked, 3);
	assert_next(&map, 0, 4096, 5000);

	assert_int_equal(data_map_blocks(&map, 0, 0, 1 << 20, &data, &to_read, &err), 0);
	assert_set(data, "1+1");
	assert_set(to_read, "1+1");
	assert_int_equal(data_map_blocks(&map, 11 << 20, 11 << 20, 12 << 20, &data, &to_read,
					 &err), 0);
	assert_set(data, "0+1");
	vol.align = 65536;
	assert_int_equal(data_map_blocks(&map, 19 << 20, 19 << 20, 20 << 20, &data, &to_read,
					 &err), 0);
	assert_set(data, "255+1");
	assert_set(to_read, "240+16");
	assert_int_equal(data_map_blocks(&map, 12 << 20, 12 << 20, 13 << 20, &data, &to_read,
					 &err), 0);
	assert_set(to_read, "");

	vol.ops = &blind;
	data_map_init(&map, &vol);
	assert_next(&map, 0, 0, 30 << 20);
	assert_next(&map, 29 << 20, 29 << 20, 30 << 20);
	assert_next(&map, 30 << 20, 30 << 20, 30 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_zero_at_every_position),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
