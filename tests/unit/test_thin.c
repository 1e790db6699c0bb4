/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thin pools and maps: what the kernel and thin_dump say is understood, or distrusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "support/err.h"
#include "volumes/thin.h"
#include "volumes/thin_map.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHUNK 65536ULL
#define MIB (1024ULL * 1024)
#define HEAD "<superblock uuid=\"\" time=\"0\" transaction=\"1\" flags=\"0\" version=\"2\" " \
	"data_block_size=\"128\" nr_data_blocks=\"0\">\n"
#define DEVICE "  <device dev_id=\"7\" mapped_blocks=\"11\" transaction=\"0\" " \
	"creation_time=\"0\" snap_time=\"0\">\n"
#define RANGE "    <range_mapping origin_begin=\"5\" data_begin=\"0\" length=\"10\" time=\"0\"/>\n"
#define SINGLE "    <single_mapping origin_block=\"50\" data_block=\"10\" time=\"0\"/>\n"
#define FOOT "  </device>\n</superblock>\n"

static void pools(void **state)
{
	struct thin_pool pool = { .mode = "" };

	(void)state;
	assert_true(thin_parse_pool_table("254:0 254:1 128 0 0 ", &pool));
	assert_int_equal(pool.metadata, makedev(254, 0));
	assert_int_equal(pool.chunk, CHUNK);
	assert_true(pool.zeroes && pool.discards);
	assert_true(thin_parse_pool_status(
		"1 113/1024 11/3200 22 rw no_discard_passdown queue_if_no_space - 256 ", &pool));
	assert_int_equal(pool.meta_used, 113 * 4096);
	assert_int_equal(pool.meta_total, 1024 * 4096);
	assert_int_equal(pool.data_used, 11 * CHUNK);
	assert_int_equal(pool.data_total, 3200 * CHUNK);
	assert_int_equal(pool.root, 22);
	assert_true(pool.writable && !pool.fails);
	assert_true(thin_parse_pool_status(
		"1 113/1024 11/3200 - rw discard_passdown error_if_no_space needs_check 256", &pool));
	assert_int_equal(pool.root, 0);
	assert_false(pool.writable);
	assert_true(thin_parse_pool_status(
		"1 113/1024 3200/3200 - out_of_data_space discard_passdown queue_if_no_space - 256", &pool));
	assert_string_equal(pool.mode, "out_of_data_space");
	assert_false(pool.writable);
	assert_true(thin_parse_pool_status("Fail", &pool));
	assert_true(pool.fails && !pool.writable);

	assert_true(thin_parse_pool_table("254:0 254:1 512 0 2 skip_block_zeroing ignore_discard", &pool));
	assert_false(pool.zeroes || pool.discards);
	assert_false(thin_parse_pool_table("254:0 254:1", &pool));
	assert_false(thin_parse_pool_table("254:0 254:1 0 0 0", &pool));
	assert_false(thin_parse_pool_status("", &pool));
	assert_false(thin_parse_pool_status("1 113/1024 11/3200", &pool));
}

static void volumes(void **state)
{
	unsigned major, minor;
	uint64_t id, mapped;
	bool outside;

	(void)state;
	assert_true(thin_parse_table("254:2 7", &major, &minor, &id, &outside));
	assert_true(major == 254 && minor == 2 && id == 7 && !outside);
	assert_true(thin_parse_table("254:2 7 254:9", &major, &minor, &id, &outside));
	assert_true(outside);
	assert_false(thin_parse_table("254:2", &major, &minor, &id, &outside));
	assert_true(thin_parse_status("1408 6527", &mapped));
	assert_int_equal(mapped, 11 * CHUNK);
	assert_true(thin_parse_status("0 -", &mapped));
	assert_false(thin_parse_status("Fail", &mapped));
}

static void room(void **state)
{
	struct thin_pool pool = {
		.name = "vg-pool-tpool", .mode = "rw", .writable = true, .chunk = CHUNK,
		.data_total = 1000 * MIB, .meta_total = 4 * MIB,
	};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(thin_pool_data_reserve(MIB), 32 * MIB);
	assert_int_equal(thin_pool_data_reserve(10000 * MIB), 200 * MIB);
	assert_int_equal(thin_pool_data_reserve(1ULL << 50), 1024 * MIB);
	assert_int_equal(thin_pool_meta_reserve(MIB), MIB / 4);
	assert_int_equal(thin_pool_meta_reserve(1ULL << 34), 16 * MIB);
	assert_int_equal(thin_meta_needed(10 * CHUNK + 1, CHUNK), 11 * 64);
	pool.data_used = 968 * MIB;
	pool.meta_used = pool.meta_total - 256 * 1024;
	assert_int_equal(thin_pool_has_room(&pool, &err), 0);
	pool.data_used++;
	assert_int_equal(thin_pool_has_room(&pool, &err), -1);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_non_null(strstr(err.cause, "for data"));
	pool.data_used = 0;
	pool.meta_used++;
	assert_int_equal(thin_pool_has_room(&pool, &err), -1);
	assert_non_null(strstr(err.cause, "for metadata"));
	pool.meta_used = 0;
	pool.writable = false;
	assert_int_equal(thin_pool_has_room(&pool, &err), -1);
}

static int read_map(const char *text, const struct thin_map_expect *expect, struct thin_map **ret,
		    struct err *err)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int r;

	assert_non_null(f);
	r = thin_map_read(f, expect, ret, err);
	fclose(f);
	return r;
}

static void map(void **state)
{
	struct thin_map_expect expect = {
		.id = 7, .chunk = CHUNK, .bytes = 100 * CHUNK, .mapped = 11 * CHUNK,
	};
	struct thin_map *m = NULL;
	struct err err = ERR_INIT;
	uint64_t start, end;

	(void)state;
	assert_int_equal(read_map(HEAD DEVICE RANGE SINGLE FOOT, &expect, &m, &err), 0);
	thin_map_next(m, 0, &start, &end);
	assert_true(start == 5 * CHUNK && end == 15 * CHUNK);
	thin_map_next(m, 6 * CHUNK + 1, &start, &end);
	assert_true(start == 6 * CHUNK + 1 && end == 15 * CHUNK);
	thin_map_next(m, 15 * CHUNK, &start, &end);
	assert_true(start == 50 * CHUNK && end == 51 * CHUNK);
	thin_map_next(m, 51 * CHUNK, &start, &end);
	assert_true(start == 100 * CHUNK && end == 100 * CHUNK);
	thin_map_next(m, 100 * CHUNK, &start, &end);
	assert_true(start == 100 * CHUNK && end == 100 * CHUNK);
	thin_map_free(m);

	/* A size that ends in the middle of a chunk, and mappings that lie beyond it. */
	expect.bytes = 50 * CHUNK + 512;
	assert_int_equal(read_map(HEAD DEVICE RANGE SINGLE FOOT, &expect, &m, &err), 0);
	thin_map_next(m, 15 * CHUNK, &start, &end);
	assert_true(start == 50 * CHUNK && end == expect.bytes);
	thin_map_free(m);
	expect.bytes = 10 * CHUNK;
	assert_int_equal(read_map(HEAD DEVICE RANGE SINGLE FOOT, &expect, &m, &err), 0);
	thin_map_next(m, 0, &start, &end);
	assert_true(start == 5 * CHUNK && end == 10 * CHUNK);
	thin_map_free(m);

	expect.mapped = 0;
	assert_int_equal(read_map(HEAD DEVICE FOOT, &expect, &m, &err), 0);
	thin_map_next(m, 0, &start, &end);
	assert_true(start == expect.bytes && end == expect.bytes);
	thin_map_free(m);
	thin_map_free(NULL);
}

/* So large that a bit stands for more than one chunk: nothing mapped is missed. */
static void large(void **state)
{
	struct thin_map_expect expect = {
		.id = 7, .chunk = CHUNK, .bytes = 1ULL << 45, .mapped = 11 * CHUNK,
	};
	struct thin_map *m = NULL;
	struct err err = ERR_INIT;
	uint64_t start, end;

	(void)state;
	assert_int_equal(read_map(HEAD DEVICE RANGE SINGLE FOOT, &expect, &m, &err), 0);
	thin_map_next(m, 0, &start, &end);
	assert_true(start <= 5 * CHUNK && end >= 15 * CHUNK && end < 50 * CHUNK);
	thin_map_next(m, end, &start, &end);
	assert_true(start <= 50 * CHUNK && end >= 51 * CHUNK && end < 70 * CHUNK);
	thin_map_free(m);
}

static void distrusted(void **state)
{
	static const struct {
		const char *text, *why;
		uint64_t mapped;
	} cases[] = {
		{ "", "too soon", 11 },
		{ HEAD DEVICE RANGE SINGLE, "too soon", 11 },
		{ HEAD DEVICE RANGE SINGLE "  </device>\n", "too soon", 11 },
		{ HEAD DEVICE RANGE SINGLE "  </device>\n</superblock>", "no end", 11 },
		{ HEAD DEVICE RANGE FOOT, "another number", 11 },
		{ HEAD DEVICE RANGE SINGLE FOOT, "another number", 12 },
		{ HEAD DEVICE SINGLE RANGE FOOT, "not in order", 11 },
		{ HEAD DEVICE RANGE RANGE FOOT, "not in order", 20 },
		{ HEAD RANGE FOOT, "not understood", 10 },
		{ HEAD DEVICE "<ref name=\"1\"/>\n" FOOT, "not understood", 0 },
		{ HEAD DEVICE "<range_mapping origin_begin=\"x\" length=\"1\"/>\n" FOOT, "not understood", 1 },
		{ HEAD DEVICE "<range_mapping origin_begin=\"1\"/>\n" FOOT, "not understood", 1 },
		{ HEAD DEVICE "<range_mapping origin_begin=\"1\" length=\"0\"/>\n" FOOT, "not understood", 0 },
		{ HEAD DEVICE "<single_mapping origin_block=\"18446744073709551615\"/>\n" FOOT,
			"not understood", 1 },
		{ HEAD DEVICE FOOT FOOT, "not understood", 0 },
		{ HEAD "<device dev_id=\"8\">\n" FOOT, "another volume", 0 },
		{ "<superblock data_block_size=\"256\">\n" DEVICE FOOT, "chunk size", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct thin_map_expect expect = {
			.id = 7, .chunk = CHUNK, .bytes = 100 * CHUNK,
			.mapped = cases[i].mapped * CHUNK,
		};
		struct thin_map *m = NULL;
		struct err err = ERR_INIT;

		/* fmemopen() takes nothing for an error. */
		if (read_map(*cases[i].text ? cases[i].text : "\n", &expect, &m, &err) == 0 ||
		    !strstr(err.cause, cases[i].why))
			fail_msg("case %zu: %s", i, err.cause);
		assert_null(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools),
		cmocka_unit_test(volumes),
		cmocka_unit_test(room),
		cmocka_unit_test(map),
		cmocka_unit_test(large),
		cmocka_unit_test(distrusted),
	};

	return cmocka_run_group_tests_name("thin", tests, NULL, NULL);
}
