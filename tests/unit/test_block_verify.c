/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading back finds every difference, and zeroing leaves nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/block_copy.h"
#include "engines/leaves.h"
#include "scratch.h"
#include "support/err.h"
#include "volumes/volume.h"

static struct err err = ERR_INIT;

/* The hashes of "vol" as it is now; an old file of hashes may be there. */
static struct leaves *hash_again(void **state)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state) };
	struct block_copy_result result;
	struct volume vol = VOLUME_INIT;
	struct leaves *leaves;

	scratch_open(&vol, "vol", OPEN_READ);
	assert_int_equal(leaves_open(&leaves, "leaves", vol.bytes, NULL, &err), 0);
	assert_int_equal(block_hash(&vol, leaves, &opt, NULL, &result, &err), 0);
	assert_int_equal(result.mark.bytes_data + result.mark.bytes_zero, vol.bytes);
	scratch_close(&vol);
	return leaves;
}

static struct leaves *hash_it(void **state)
{
	unlink("leaves");
	return hash_again(state);
}

static int verify(void **state, struct leaves *leaves, bool with_map)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state) };
	struct block_copy_result result;
	struct volume vol = VOLUME_INIT;
	struct volume_ops ops;
	int ret;

	scratch_open(&vol, "vol", OPEN_READ);
	ops = *vol.ops;
	if (!with_map)
		ops.next_data = NULL;
	vol.ops = &ops;
	ret = block_verify(&vol, leaves, &opt, NULL, &result, &err);
	scratch_close(&vol);
	return ret;
}

static void make_vol(uint64_t bytes)
{
	scratch_make("vol", bytes);
	scratch_fill("vol", 0, 3 * MIB + 5, 1);
	scratch_fill("vol", 9 * MIB + 8192, 1, 2);
	scratch_fill("vol", bytes - 3, 3, 3);
}

static void test_equal(void **state)
{
	static const uint64_t sizes[] = { 10 * MIB, 20 * MIB + 1, 20 * MIB + 4097 };

	for (size_t i = 0; i < 3; i++) {
		struct leaves *leaves;

		make_vol(sizes[i]);
		leaves = hash_it(state);
		assert_int_equal(verify(state, leaves, true), 0);
		assert_int_equal(verify(state, leaves, false), 0);
		/* It may be longer. */
		assert_int_equal(truncate("vol", (off_t)sizes[i] + 10000), 0);
		assert_int_equal(verify(state, leaves, true), 0);
		/* But not shorter, even by a byte. */
		assert_int_equal(truncate("vol", (off_t)sizes[i] - 1), 0);
		assert_int_equal(verify(state, leaves, true), -1);
		assert_int_equal(err.class, ERR_FAILED);
		leaves_close(leaves);
	}
}

/* Old hashes do not show through. */
static void test_hash_again(void **state)
{
	struct leaves *leaves;

	scratch_make("vol", 20 * MIB);
	scratch_fill("vol", 0, 20 * MIB, 8);
	leaves_close(hash_it(state));
	make_vol(20 * MIB);
	leaves = hash_again(state);
	assert_int_equal(verify(state, leaves, true), 0);
	assert_int_equal(verify(state, leaves, false), 0);
	leaves_close(leaves);
}

static void assert_differs(void **state, struct leaves *leaves, const char *cause)
{
	for (int with_map = 0; with_map < 2; with_map++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(verify(state, leaves, with_map), -1);
		assert_int_equal(err.class, ERR_FAILED);
		assert_string_equal(err.cause, cause);
		assert_non_null(strstr(err.object, "/vol"));
	}
}

static void test_one_bit(void **state)
{
	static const uint64_t data[] = { 0, 4095, MIB - 1, MIB, 3 * MIB + 4, 20 * MIB + 9 };
	static const uint64_t holes[] = { 3 * MIB + 5, 4 * MIB, 9 * MIB, 19 * MIB + 77 };
	struct leaves *leaves;
	char cause[200];

	make_vol(20 * MIB + 10);
	leaves = hash_it(state);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		scratch_flip("vol", data[i]);
		snprintf(cause, sizeof(cause),
			 "read back differs from what was read from the source at byte %llu (1 of 21 MiB differ)",
			 data[i] / MIB * MIB);
		assert_differs(state, leaves, cause);
		scratch_flip("vol", data[i]);
		assert_int_equal(verify(state, leaves, true), 0);
	}
	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		make_vol(20 * MIB + 10);
		scratch_flip("vol", holes[i]);
		snprintf(cause, sizeof(cause),
			 "read back differs from what was read from the source at byte %llu (1 of 21 MiB differ)",
			 holes[i] / MIB * MIB);
		assert_differs(state, leaves, cause);
	}
	leaves_close(leaves);
}

static void test_lost_data(void **state)
{
	struct leaves *leaves;

	make_vol(20 * MIB + 10);
	leaves = hash_it(state);
	/* Never written: the map says it is all a hole. */
	scratch_make("vol", 20 * MIB + 10);
	assert_differs(state, leaves, "read back differs from what was read from the source "
		       "at byte 0 (6 of 21 MiB differ)");
	make_vol(20 * MIB + 10);
	scratch_zeroes("vol", 9 * MIB, MIB);
	scratch_fill("vol", 15 * MIB, 2 * MIB, 7);
	assert_differs(state, leaves, "read back differs from what was read from the source "
		       "at byte 9437184 (3 of 21 MiB differ)");
	leaves_close(leaves);
}

/* One of the two parts; it says how many pieces of 64 KiB it has seen that hold something, and how much it has read. */
static int verify_part(void **state, struct leaves *leaves, bool rest, uint64_t *ret_pieces)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state) };
	struct block_copy_result result;
	struct volume vol = VOLUME_INIT;
	int ret;

	err = (struct err)ERR_INIT;
	scratch_open(&vol, "vol", OPEN_READ);
	ret = rest ? block_verify_rest(&vol, leaves, &opt, NULL, &result, &err) :
		     block_verify_data(&vol, leaves, 65536, &opt, NULL, &result, ret_pieces, &err);
	scratch_close(&vol);
	return ret;
}

/* What differs is found by the part that reads it, and by no other. */
static void test_in_parts(void **state)
{
	static const struct { uint64_t at; bool rest; } places[] = {
		{ 0, false }, { 3 * MIB + 5, false }, { 4 * MIB - 1, false }, { 9 * MIB, false },
		{ 20 * MIB + 9, false }, { 4 * MIB, true }, { 9 * MIB - 1, true }, { 10 * MIB, true },
		{ 19 * MIB + 77, true },
	};
	struct leaves *leaves;
	uint64_t pieces = 0;

	make_vol(20 * MIB + 10);
	leaves = hash_it(state);
	assert_int_equal(verify_part(state, leaves, false, &pieces), 0);
	/* 3 MiB and a few bytes, one byte, and three in the short leaf at the end. */
	assert_int_equal(pieces, 3 * 16 + 1 + 1 + 1);
	assert_int_equal(verify_part(state, leaves, true, NULL), 0);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		bool rest = places[i].rest;

		make_vol(20 * MIB + 10);
		scratch_flip("vol", places[i].at);
		assert_int_equal(verify_part(state, leaves, !rest, &pieces), 0);
		assert_int_equal(verify_part(state, leaves, rest, &pieces), -1);
		assert_int_equal(err.number, BLOCK_DIFFERS);
		assert_non_null(strstr(err.cause, "(1 of 21 MiB differ)"));
	}
	leaves_close(leaves);

	/* Nothing but zeroes: all of it is rest. */
	scratch_make("vol", 3 * MIB);
	leaves = hash_it(state);
	assert_int_equal(verify_part(state, leaves, false, &pieces), 0);
	assert_int_equal(pieces, 0);
	assert_int_equal(verify_part(state, leaves, true, NULL), 0);
	leaves_close(leaves);
}

static void test_check_leaf(void **state)
{
	struct volume vol = VOLUME_INIT;
	struct leaves *leaves;

	make_vol(20 * MIB + 10);
	leaves = hash_it(state);
	scratch_open(&vol, "vol", OPEN_READ);
	assert_int_equal(block_check_leaf(&vol, leaves, 0, &err), 1);
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(block_check_leaf(&vol, leaves, i * MIB, &err), 1);
	assert_int_equal(block_check_leaf(&vol, leaves, 20 * MIB + 10, &err), 1);
	scratch_flip("vol", 2 * MIB);
	scratch_flip("vol", 5 * MIB);
	assert_int_equal(block_check_leaf(&vol, leaves, 2 * MIB, &err), 1);
	assert_int_equal(block_check_leaf(&vol, leaves, 3 * MIB, &err), 0);
	assert_int_equal(block_check_leaf(&vol, leaves, 4 * MIB, &err), 1);
	assert_int_equal(block_check_leaf(&vol, leaves, 6 * MIB, &err), 0);
	assert_int_equal(truncate("vol", 20 * MIB), 0);
	assert_int_equal(block_check_leaf(&vol, leaves, 20 * MIB + 10, &err), 0);
	scratch_close(&vol);
	leaves_close(leaves);
}

static uint64_t advanced;

static void note_advance(struct monitor *mon, uint64_t done)
{
	(void)mon;
	advanced = done;
}

static int cannot_zero(struct volume *vol, uint64_t offset, uint64_t length,
		       enum zero_how how, struct err *e)
{
	(void)vol, (void)offset, (void)length, (void)how, (void)e;
	return 1;
}

enum way { FREE, FREE_BY_WRITING, WRITE, WAYS };

static void zero_it(void **state, uint64_t from, uint64_t to, enum way way)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state) };
	struct monitor mon = { .advance = note_advance };
	struct volume vol = VOLUME_INIT;
	struct volume_ops ops;

	scratch_open(&vol, "vol", OPEN_WRITE);
	ops = *vol.ops;
	if (way == FREE_BY_WRITING)
		ops.zero = cannot_zero;
	vol.ops = &ops;
	advanced = 0;
	if (block_zero(&vol, from, to, way == WRITE ? BLOCK_ZERO_WRITE : BLOCK_ZERO_FREE,
		       &opt, &mon, &err) < 0)
		fail_msg("%s", err.cause);
	scratch_close(&vol);
}

static int is_zero(void **state, uint64_t from, uint64_t to)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state) };
	struct volume vol = VOLUME_INIT;
	int ret;

	scratch_open(&vol, "vol", OPEN_READ);
	ret = block_verify_zero(&vol, from, to, &opt, NULL, &err);
	scratch_close(&vol);
	return ret;
}

/* Ranges that begin and end anywhere; what is outside of them stays. */
static void test_zero_ranges(void **state)
{
	const uint64_t bytes = 4 * MIB + 777;
	static const uint64_t ranges[][2] = {
		{ 0, 4 * MIB + 777 }, { 1, 2 }, { 0, 0 }, { 100, 4096 }, { 4096, 8192 },
		{ 4095, 8193 }, { 1000, 3 * MIB + 1000 }, { MIB, 2 * MIB },
		{ 4 * MIB + 1, 4 * MIB + 777 }, { 3 * MIB, 4 * MIB + 100 },
		{ 2 * MIB - 512, 4 * MIB + 777 },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		for (enum way way = 0; way < WAYS; way++) {
			uint64_t from = ranges[i][0], to = ranges[i][1];

			scratch_make("vol", bytes);
			scratch_fill("vol", 0, bytes, 1);
			scratch_make("want", bytes);
			scratch_fill("want", 0, bytes, 1);
			scratch_zeroes("want", from, to - from);
			zero_it(state, from, to, way);
			if (scratch_differ("vol", "want", bytes) != bytes)
				fail_msg("[%llu, %llu) by way %d: wrong at byte %llu",
					 (unsigned long long)from, (unsigned long long)to, way,
					 (unsigned long long)scratch_differ("vol", "want", bytes));
			assert_int_equal(is_zero(state, from, to), 0);
			if (to - from > MIB)
				assert_int_equal(advanced, to - from);
		}
	}
}

static void test_zero_what_is_allocated(void **state)
{
	/* A wipe writes where data was, and does not fill holes. */
	scratch_make("vol", 64 * MIB);
	scratch_fill("vol", 5 * MIB, MIB, 1);
	zero_it(state, 0, 64 * MIB, WRITE);
	assert_int_equal(scratch_allocated("vol"), MIB);
	assert_int_equal(is_zero(state, 0, 64 * MIB), 0);
	/* Freeing gives back. */
	zero_it(state, 0, 64 * MIB, FREE);
	assert_int_equal(scratch_allocated("vol"), 0);
}

static void test_not_zero(void **state)
{
	static const uint64_t places[] = { 12345, MIB, 2 * MIB + 4095, 4 * MIB + 700 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char cause[100];

		scratch_make("vol", 4 * MIB + 777);
		scratch_flip("vol", places[i]);
		assert_int_equal(is_zero(state, 0, 4 * MIB + 777), -1);
		assert_int_equal(err.class, ERR_FAILED);
		snprintf(cause, sizeof(cause), "does not read back as zero at byte %llu",
			 (unsigned long long)places[i]);
		assert_string_equal(err.cause, cause);
		assert_int_equal(is_zero(state, places[i] + 1, 4 * MIB + 777), 0);
		assert_int_equal(is_zero(state, 0, places[i]), 0);
		assert_int_equal(is_zero(state, places[i], places[i] + 1), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH_ENGINES(test_equal),
		WITH_BOTH_ENGINES(test_hash_again),
		WITH_BOTH_ENGINES(test_one_bit),
		WITH_BOTH_ENGINES(test_lost_data),
		WITH_BOTH_ENGINES(test_in_parts),
		WITH_BOTH_ENGINES(test_check_leaf),
		WITH_BOTH_ENGINES(test_zero_ranges),
		WITH_BOTH_ENGINES(test_zero_what_is_allocated),
		WITH_BOTH_ENGINES(test_not_zero),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
