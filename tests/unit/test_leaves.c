/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of leaf hashes, against hashes computed the long way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/blocks.h"
#include "engines/leaves.h"
#include "scratch.h"
#include "support/err.h"

#define PIECE 4096ULL		/* leaves that leaves.c keeps in memory */

static struct err err = ERR_INIT;
static unsigned char leaf[LEAF_BYTES];

/* A leaf whose contents follow from its number. */
static const unsigned char *data_of(uint64_t i)
{
	memset(leaf, 0, 64);
	memcpy(leaf, &i, sizeof(i));
	leaf[LEAF_BYTES - 1] = 0;
	leaf[63] = 1;
	return leaf;
}

static struct leaves *open_leaves(uint64_t bytes)
{
	struct leaves *leaves;

	assert_int_equal(leaves_open(&leaves, "leaves", bytes, NULL, &err), 0);
	return leaves;
}

/* The root, computed from what each leaf holds: nonzero(i) ? data_of(i) : zeroes. */
static struct hash root_of(uint64_t bytes, bool (*nonzero)(uint64_t i))
{
	uint64_t count = bytes / LEAF_BYTES + (bytes % LEAF_BYTES != 0);
	struct hash *hashes = calloc(count + 1, sizeof(*hashes)), root, zero;
	unsigned char *zeroes = calloc(1, LEAF_BYTES);

	assert_true(hashes && zeroes);
	zero = hash_of(zeroes, LEAF_BYTES);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t left = bytes - i * LEAF_BYTES;

		if (nonzero(i) || left < LEAF_BYTES)
			hashes[i] = hash_of(nonzero(i) ? data_of(i) : zeroes,
					    left < LEAF_BYTES ? left : LEAF_BYTES);
		else
			hashes[i] = zero;
	}
	root = hash_of(hashes, count * sizeof(*hashes));
	free(hashes);
	free(zeroes);
	return root;
}

static void assert_root(struct leaves *leaves, uint64_t bytes, bool (*nonzero)(uint64_t i))
{
	struct hash wanted = root_of(bytes, nonzero), root;

	assert_int_equal(leaves_root(leaves, &root, &err), 0);
	assert_memory_equal(&root, &wanted, sizeof(root));
}

/* Not all of them: hashing takes time. */
static bool some(uint64_t i)
{
	return i % 64 < 3;
}

static bool none(uint64_t i)
{
	(void)i;
	return false;
}

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, MIB - 1, MIB, MIB + 1, 3 * MIB + 777, 20 * MIB };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint64_t count = (sizes[s] + MIB - 1) / MIB;
		struct leaves *leaves;
		struct stat st;

		unlink("leaves");
		leaves = open_leaves(sizes[s]);
		assert_int_equal(leaves_count(leaves), count);
		assert_int_equal(leaves_bytes(leaves), sizes[s]);
		if (sizes[s] % MIB)
			assert_int_equal(leaves_length(leaves, count - 1), sizes[s] % MIB);
		assert_root(leaves, sizes[s], none);
		for (uint64_t i = 0; i < count; i++) {
			/* The shortest is one byte, and data_of(0) begins with a zero. */
			assert_int_equal(leaves_set(leaves, i, data_of(i + 1), &err), 0);
			assert_int_equal(leaves_match(leaves, i, data_of(i + 1), &err), 1);
			assert_int_equal(leaves_match(leaves, i, data_of(i + 2), &err), 0);
			assert_int_equal(leaves_match(leaves, i, NULL, &err), 0);
			assert_int_equal(leaves_zero(leaves, i, &err), 0);
		}
		assert_int_equal(leaves_sync(leaves, &err), 0);
		leaves_close(leaves);
		assert_int_equal(stat("leaves", &st), 0);
		assert_int_equal(st.st_size, count * 16);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void test_survives_reopening(void **state)
{
	const uint64_t bytes = (2 * PIECE + 5) * MIB + 99;
	struct leaves *leaves;

	(void)state;
	unlink("leaves");
	leaves = open_leaves(bytes);
	/* Nearly in order, also from one piece to the next, as a copy does. */
	for (uint64_t i = 0; i < 2 * PIECE + 6; i++) {
		uint64_t k = i ^ 3;

		if (k < 2 * PIECE + 6 && some(k))
			assert_int_equal(leaves_set(leaves, k, data_of(k), &err), 0);
		k = i ^ (PIECE - 2);
		if (i % PIECE < 2 && k < 2 * PIECE && some(k))
			assert_int_equal(leaves_set(leaves, k, data_of(k), &err), 0);
	}
	assert_int_equal(leaves_sync(leaves, &err), 0);
	assert_root(leaves, bytes, some);
	leaves_close(leaves);
	leaves = open_leaves(bytes);
	assert_root(leaves, bytes, some);
	for (uint64_t i = 0; i < 2 * PIECE + 6; i += 64)
		assert_int_equal(leaves_match(leaves, i, data_of(i), &err), 1);
	/* Changed in the middle, and back. */
	assert_int_equal(leaves_set(leaves, PIECE, NULL, &err), 0);
	assert_int_equal(leaves_set(leaves, 0, data_of(0), &err), 0);
	assert_int_equal(leaves_zero(leaves, PIECE, &err), 1);
	assert_int_equal(leaves_set(leaves, PIECE, data_of(PIECE), &err), 0);
	assert_root(leaves, bytes, some);
	leaves_close(leaves);
}

static void test_zero_data_is_zero(void **state)
{
	unsigned char *zeroes = calloc(1, LEAF_BYTES);
	struct leaves *leaves;

	(void)state;
	assert_non_null(zeroes);
	unlink("leaves");
	leaves = open_leaves(2 * MIB);
	assert_int_equal(leaves_set(leaves, 0, data_of(0), &err), 0);
	assert_int_equal(leaves_set(leaves, 0, zeroes, &err), 0);
	assert_int_equal(leaves_zero(leaves, 0, &err), 1);
	assert_int_equal(leaves_match(leaves, 0, zeroes, &err), 1);
	assert_int_equal(leaves_match(leaves, 0, data_of(0), &err), 0);
	zeroes[LEAF_BYTES - 1] = 1;
	assert_int_equal(leaves_match(leaves, 0, zeroes, &err), 0);
	leaves_close(leaves);
	free(zeroes);
}

static bool some_but_not_in_the_middle(uint64_t i)
{
	return some(i) && (i < 96 || i >= 3 * PIECE + 96);
}

static void test_ranges_of_zeroes(void **state)
{
	const uint64_t count = 4 * PIECE, bytes = count * MIB;
	struct leaves *leaves;
	uint64_t next;

	(void)state;
	unlink("leaves");
	leaves = open_leaves(bytes);
	for (uint64_t i = 0; i < count; i++)
		if (some(i))
			assert_int_equal(leaves_set(leaves, i, data_of(i), &err), 0);
	assert_root(leaves, bytes, some);
	assert_int_equal(leaves_set_zeroes(leaves, 96, 3 * PIECE, &err), 0);
	assert_int_equal(leaves_next_data(leaves, 0, &next, &err), 0);
	assert_int_equal(next, 0);
	assert_int_equal(leaves_next_data(leaves, 96, &next, &err), 0);
	assert_int_equal(next, 3 * PIECE + 128);
	assert_int_equal(leaves_next_data(leaves, count - 64, &next, &err), 0);
	assert_int_equal(next, count - 64);
	assert_int_equal(leaves_next_data(leaves, count - 61, &next, &err), 0);
	assert_int_equal(next, count);
	assert_root(leaves, bytes, some_but_not_in_the_middle);
	assert_int_equal(leaves_sync(leaves, &err), 0);
	leaves_close(leaves);
	leaves = open_leaves(bytes);
	assert_root(leaves, bytes, some_but_not_in_the_middle);
	/* A piece that is in memory only goes as well. */
	assert_int_equal(leaves_set(leaves, PIECE + 7, data_of(7), &err), 0);
	assert_int_equal(leaves_set_zeroes(leaves, PIECE, PIECE, &err), 0);
	assert_int_equal(leaves_zero(leaves, PIECE + 7, &err), 1);
	assert_root(leaves, bytes, some_but_not_in_the_middle);
	assert_int_equal(leaves_set_zeroes(leaves, 0, count, &err), 0);
	assert_int_equal(leaves_next_data(leaves, 0, &next, &err), 0);
	assert_int_equal(next, count);
	assert_root(leaves, bytes, none);
	leaves_close(leaves);
}

static bool one_of_many(uint64_t i)
{
	return i == 5000000;
}

/* 8 TiB with one leaf of data: the file is a hole, and goes by in no time. */
static void test_sparse(void **state)
{
	const uint64_t bytes = 8 * 1024 * GIB - 1;
	struct leaves *leaves;
	uint64_t next;

	(void)state;
	unlink("leaves");
	leaves = open_leaves(bytes);
	assert_int_equal(leaves_set_zeroes(leaves, 0, leaves_count(leaves), &err), 0);
	assert_int_equal(leaves_set(leaves, 5000000, data_of(5000000), &err), 0);
	assert_int_equal(leaves_sync(leaves, &err), 0);
	assert_true(scratch_allocated("leaves") <= 256 * KIB);
	assert_int_equal(leaves_next_data(leaves, 0, &next, &err), 0);
	assert_int_equal(next, 5000000);
	assert_int_equal(leaves_next_data(leaves, 5000001, &next, &err), 0);
	assert_int_equal(next, leaves_count(leaves));
	if (!scratch_is_slow())
		assert_root(leaves, bytes, one_of_many);
	leaves_close(leaves);
}

static void test_wrong_files(void **state)
{
	struct leaves *leaves;

	(void)state;
	unlink("leaves");
	leaves_close(open_leaves(5 * MIB));
	assert_int_equal(leaves_open(&leaves, "leaves", 6 * MIB, NULL, &err), -1);
	assert_int_equal(err.class, ERR_FAILED);
	assert_string_equal(err.object, "leaves");
	assert_int_equal(leaves_open(&leaves, "missing/leaves", 6 * MIB, NULL, &err), -1);

	/* Cut off behind our back. */
	leaves = open_leaves(5 * MIB);
	assert_int_equal(truncate("leaves", 40), 0);
	assert_int_equal(leaves_zero(leaves, 0, &err), -1);
	assert_int_equal(leaves_set(leaves, 4, data_of(4), &err), -1);
	leaves_close(leaves);
	leaves_close(NULL);
}

static void test_one_leaf_needs_no_file(void **state)
{
	struct hash kept = { { 0 } }, again, root, same;
	struct leaves *leaves;
	char hex[HASH_HEX];
	uint64_t next;

	(void)state;
	unlink("leaves");
	assert_int_equal(leaves_open(&leaves, "leaves", 700, &kept, &err), 0);
	assert_int_equal(leaves_zero(leaves, 0, &err), 1);
	assert_int_equal(leaves_next_data(leaves, 0, &next, &err), 0);
	assert_int_equal(next, 1);
	assert_int_equal(leaves_set(leaves, 0, data_of(3), &err), 0);
	assert_true(memory_is_zero(kept.bytes, sizeof(kept.bytes)));
	assert_int_equal(leaves_sync(leaves, &err), 0);
	assert_false(memory_is_zero(kept.bytes, sizeof(kept.bytes)));
	assert_int_equal(leaves_next_data(leaves, 0, &next, &err), 0);
	assert_int_equal(next, 0);
	assert_int_equal(leaves_root(leaves, &root, &err), 0);
	leaves_close(leaves);
	assert_int_equal(access("leaves", F_OK), -1);

	/* As a journal keeps it. */
	assert_true(hash_from_hex(hash_hex(&kept, hex), &again));
	assert_int_equal(leaves_open(&leaves, "leaves", 700, &again, &err), 0);
	assert_int_equal(leaves_match(leaves, 0, data_of(3), &err), 1);
	assert_int_equal(leaves_match(leaves, 0, data_of(4), &err), 0);
	assert_int_equal(leaves_match(leaves, 0, NULL, &err), 0);
	leaves_close(leaves);
	/* The root is that which a file gives. */
	assert_int_equal(leaves_open(&leaves, "leaves", 700, NULL, &err), 0);
	assert_int_equal(leaves_set(leaves, 0, data_of(3), &err), 0);
	assert_int_equal(leaves_root(leaves, &same, &err), 0);
	assert_memory_equal(&root, &same, sizeof(root));
	leaves_close(leaves);
	unlink("leaves");
	/* Two leaves have a file. */
	assert_int_equal(leaves_open(&leaves, "leaves", LEAF_BYTES + 1, &kept, &err), 0);
	assert_int_equal(access("leaves", F_OK), 0);
	leaves_close(leaves);
}

static void test_hashes_in_hex(void **state)
{
	struct hash hash = { { 7 } };

	(void)state;
	assert_false(hash_from_hex(NULL, &hash));
	assert_false(hash_from_hex("", &hash));
	assert_false(hash_from_hex("0123456789abcdef0123456789abcde", &hash));
	assert_false(hash_from_hex("0123456789abcdef0123456789abcdef0", &hash));
	assert_false(hash_from_hex("0123456789abcdef0123456789abcdeF", &hash));
	assert_int_equal(hash.bytes[0], 7);
	assert_true(hash_from_hex("0123456789abcdef0123456789abcdef", &hash));
	assert_int_equal(hash.bytes[0], 0x01);
	assert_int_equal(hash.bytes[15], 0xef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_survives_reopening),
		cmocka_unit_test(test_zero_data_is_zero),
		cmocka_unit_test(test_ranges_of_zeroes),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_one_leaf_needs_no_file),
		cmocka_unit_test(test_hashes_in_hex),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
