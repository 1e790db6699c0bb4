/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the limit hold, by a clock of the test's own? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engines/pace.h"

#define SECOND 1000000000ULL
#define MOST (1024 * 1024ULL)

/*
 * Move bytes for so long, waking up late by late_ns each time that it has to
 * wait.  Returns the bytes moved, and the time in *now.
 */
static uint64_t move(struct pace *pace, uint64_t *now, uint64_t until, uint64_t late_ns)
{
	uint64_t moved = 0;

	while (*now < until) {
		uint64_t piece = pace_piece(pace, 4096, MOST);
		uint64_t wait = pace_take(pace, piece, *now);

		if (wait) {
			*now += wait + late_ns;
			continue;
		}
		moved += piece;
	}
	return moved;
}

static void assert_close(uint64_t value, uint64_t wanted)
{
	assert_in_range(value, wanted - wanted / 20, wanted + wanted / 20);
}

static void test_ten_seconds(void **state)
{
	static const uint64_t rates[] = { 100 << 10, 1 << 20, 10 << 20, 333333333, 5ULL << 30 };
	static const uint64_t late[] = { 0, 1000, 3000000, 100000000 };

	(void)state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		for (size_t l = 0; l < sizeof(late) / sizeof(late[0]); l++) {
			struct pace pace;
			uint64_t now = 77 * SECOND;

			pace_init(&pace, rates[r], now);
			assert_close(move(&pace, &now, 87 * SECOND, late[l]), rates[r] * 10);
		}
	}
}

static void test_slower_than_a_block_a_second(void **state)
{
	struct pace pace;
	uint64_t now = 0;

	(void)state;
	pace_init(&pace, 1000, now);
	/* Waiting for a piece for more than a second is not a pause. */
	assert_int_equal(move(&pace, &now, 100 * SECOND, 0) / 4096, 24);
}

static void test_no_burst_after_a_pause(void **state)
{
	struct pace pace;
	uint64_t now = SECOND;

	(void)state;
	pace_init(&pace, 10 << 20, now);
	move(&pace, &now, 5 * SECOND, 0);
	now += 60 * SECOND;
	assert_close(move(&pace, &now, now + 10 * SECOND, 0), 100 << 20);
}

static void test_short_lateness_is_made_up_for(void **state)
{
	struct pace pace;
	uint64_t now = SECOND, start = now;
	uint64_t moved;

	(void)state;
	pace_init(&pace, 10 << 20, now);
	moved = move(&pace, &now, start + 2 * SECOND, 0);
	now += SECOND * 9 / 10;
	moved += move(&pace, &now, start + 10 * SECOND, 0);
	assert_close(moved, 100 << 20);
}

static void test_change_while_running(void **state)
{
	struct pace pace;
	uint64_t now = 0;

	(void)state;
	pace_init(&pace, 1 << 20, now);
	assert_close(move(&pace, &now, 10 * SECOND, 0), 10 << 20);
	pace_set(&pace, 50 << 20);
	assert_close(move(&pace, &now, 20 * SECOND, 0), 500 << 20);
	pace_set(&pace, 100 << 10);
	assert_close(move(&pace, &now, 30 * SECOND, 0), 1000 << 10);
}

static void test_no_limit(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, 0, SECOND);
	assert_int_equal(pace_piece(&pace, 4096, MOST), MOST);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pace_take(&pace, MOST, SECOND), 0);
	/* A limit that comes later counts from then. */
	pace_take(&pace, MOST, 50 * SECOND);
	pace_set(&pace, 1 << 20);
	assert_int_equal(pace_take(&pace, MOST, 50 * SECOND), SECOND);
}

static void test_pieces(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, 100 << 10, 0);
	assert_int_equal(pace_piece(&pace, 4096, MOST), 4096);
	assert_int_equal(pace_piece(&pace, 65536, MOST), 65536);
	pace_set(&pace, 1);
	assert_int_equal(pace_piece(&pace, 4096, MOST), 4096);
	pace_set(&pace, 1 << 20);
	assert_int_equal(pace_piece(&pace, 4096, MOST), 49152);
	pace_set(&pace, UINT64_MAX);
	assert_int_equal(pace_piece(&pace, 4096, MOST), MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_seconds),
		cmocka_unit_test(test_slower_than_a_block_a_second),
		cmocka_unit_test(test_no_burst_after_a_pause),
		cmocka_unit_test(test_short_lateness_is_made_up_for),
		cmocka_unit_test(test_change_while_running),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
