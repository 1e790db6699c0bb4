/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed channels: every byte comes through, what lies is refused, and what does not pay is not tried for ever. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/squeeze.h"
#include "sys/zstd.h"

#define MIB (1024U * 1024)
#define HANGS_SECONDS 60

static unsigned char raw[SQUEEZE_MAX], frame[SQUEEZE_HEADER + SQUEEZE_MAX];

static void need_zstd(void)
{
	if (zstd_missing()) {
		print_message("# skipped: %s\n", zstd_missing());
		skip();
	}
}

static void fill_with_noise(unsigned char *at, size_t length)
{
	uint64_t state = 88172645463325252ULL;

	for (size_t i = 0; i < length; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		at[i] = (unsigned char)state;
	}
}

static void fill_with_words(unsigned char *at, size_t length)
{
	static const char words[] = "what is said again and again ";

	for (size_t i = 0; i < length; i++)
		at[i] = (unsigned char)words[i % (sizeof(words) - 1)];
}

/* There and back; the size on the wire. */
static size_t round_trip(struct zstd *zstd, size_t length)
{
	static unsigned char back[SQUEEZE_MAX];
	size_t size = squeeze_pack(zstd, true, raw, length, frame);
	struct squeeze_frame what;

	assert_true(squeeze_parse(frame, &what));
	assert_int_equal(what.length + SQUEEZE_HEADER, size);
	assert_int_equal(what.raw, length);
	assert_int_equal(squeeze_unpack(zstd, &what, frame + SQUEEZE_HEADER, back), 0);
	assert_memory_equal(back, raw, length);
	return size;
}

static void what_goes_in_comes_out(void **state)
{
	static const size_t lengths[] = { 1, 2, 15, 16, 17, 511, 512, 4096, 65537, SQUEEZE_MAX - 1, SQUEEZE_MAX };
	struct zstd *zstd;

	(void)state;
	need_zstd();
	zstd = zstd_new();
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		fill_with_noise(raw, lengths[i]);
		/* Noise gets no longer than its header. */
		assert_int_equal(round_trip(zstd, lengths[i]), lengths[i] + SQUEEZE_HEADER);
		fill_with_words(raw, lengths[i]);
		assert_true(round_trip(zstd, lengths[i]) <= (lengths[i] < 512 ? lengths[i] : lengths[i] / 5) + SQUEEZE_HEADER);
	}
	zstd_free(zstd);
}

static void headers_that_lie_are_refused(void **state)
{
	static const struct {
		const char *what;
		unsigned char bytes[SQUEEZE_HEADER];
	} lies[] = {
		{ "no kind", { 0, 0, 0, 9, 0, 0, 0, 9 } },
		{ "another kind", { 'z', 0, 0, 9, 0, 0, 1, 0 } },
		{ "nothing", { 'P', 0, 0, 0, 0, 0, 0, 0 } },
		{ "nothing that becomes something", { 'Z', 0, 0, 0, 0, 0, 1, 0 } },
		{ "something that becomes nothing", { 'Z', 0, 0, 9, 0, 0, 0, 0 } },
		{ "no smaller", { 'Z', 0, 0, 9, 0, 0, 0, 9 } },
		{ "shorter than itself", { 'P', 0, 0, 9, 0, 0, 0, 8 } },
		{ "longer than itself", { 'P', 0, 0, 9, 0, 0, 0, 10 } },
		{ "more than there may be", { 'P', 4, 0, 1, 0, 4, 0, 1 } },
		{ "what becomes more than there may be", { 'Z', 0, 0, 9, 0, 4, 0, 1 } },
		{ "what becomes very much", { 'Z', 0, 0, 9, 0xff, 0xff, 0xff, 0xff } },
	};
	struct squeeze_frame what;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		if (squeeze_parse(lies[i].bytes, &what))
			fail_msg("taken for a frame: %s", lies[i].what);
	}
}

/* It says less or more than it has, or its bytes were changed: never a byte too many, which ASan would see. */
static void payloads_that_lie_are_refused(void **state)
{
	struct squeeze_frame what, lie;
	unsigned char *exact;
	struct zstd *zstd;

	(void)state;
	need_zstd();
	zstd = zstd_new();
	fill_with_words(raw, 65536);
	squeeze_pack(zstd, true, raw, 65536, frame);
	assert_true(squeeze_parse(frame, &what) && what.packed);
	for (int difference = -1; difference <= 1; difference++) {
		lie = what;
		lie.raw = (uint32_t)((int)what.raw + difference);
		exact = malloc(lie.raw);
		assert_non_null(exact);
		assert_int_equal(squeeze_unpack(zstd, &lie, frame + SQUEEZE_HEADER, exact), difference ? -1 : 0);
		free(exact);
	}
	lie = what;
	lie.length--;
	exact = malloc(lie.raw);
	assert_non_null(exact);
	assert_int_equal(squeeze_unpack(zstd, &lie, frame + SQUEEZE_HEADER, exact), -1);
	free(exact);
	zstd_free(zstd);
}

/* A process at each end of a channel, and what one writes the other reads. */
static void a_channel_carries_all_of_it(void **state)
{
	struct squeeze squeeze[2] = { { 0 } };
	struct squeeze_counts counts[2];
	size_t total = 8 * MIB, seen = 0;
	unsigned char *sent = malloc(total), *got = malloc(total);
	struct err err = ERR_INIT;
	int ends[2], plain[2];
	ssize_t n = 1;
	pid_t pid;

	(void)state;
	need_zstd();
	assert_true(sent && got);
	fill_with_words(sent, total / 2);
	fill_with_noise(sent + total / 2, total / 2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(squeeze_start(&squeeze[i], ends[i], ends[i], true, &plain[i], &err), 0);
		close(ends[i]);
	}
	alarm(HANGS_SECONDS);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(plain[1]);
		for (size_t at = 0; at < total && n > 0; at += (size_t)n)
			n = write(plain[0], sent + at, total - at);
		free(sent);
		free(got);
		_exit(0);
	}
	close(plain[0]);
	while (seen < total && (n = read(plain[1], got + seen, total - seen)) > 0)
		seen += (size_t)n;
	assert_int_equal(seen, total);
	assert_memory_equal(sent, got, total);
	/* The writer has gone: so has the channel, after the last byte. */
	assert_int_equal(read(plain[1], got, 1), 0);
	close(plain[1]);
	alarm(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 2; i++) {
		squeeze_end(&squeeze[i], &counts[i]);
		assert_int_equal(counts[i].raw, total);
		/* The noise as it is, the words as good as nothing. */
		assert_in_range(counts[i].wire, total / 2, total / 2 + total / 16);
		assert_false(counts[i].refused);
	}
	free(sent);
	free(got);
}

static void a_channel_that_is_lied_to_ends(void **state)
{
	struct squeeze squeeze = { 0 };
	struct squeeze_counts counts;
	struct err err = ERR_INIT;
	int ends[2], plain;
	char byte;

	(void)state;
	need_zstd();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(squeeze_start(&squeeze, ends[0], ends[0], true, &plain, &err), 0);
	close(ends[0]);
	alarm(HANGS_SECONDS);
	assert_int_equal(write(ends[1], "NBDMAGICIHAVEOPT", 16), 16);
	assert_int_equal(read(plain, &byte, 1), 0);
	alarm(0);
	squeeze_end(&squeeze, &counts);
	assert_true(counts.refused);
	assert_int_equal(counts.raw, 0);
	close(plain);
	close(ends[1]);
}

/* Of so many bytes, the share that is tried; each piece takes pack_us and then line_us, times what is left of it. */
static double tried_of(unsigned mib, bool smaller, uint64_t pack_us, uint64_t line_us)
{
	struct squeeze_pace pace = { 0 };
	unsigned tries = 0, pieces = mib * 4;

	for (unsigned i = 0; i < pieces; i++) {
		bool try_it = squeeze_pace_try(&pace);

		tries += try_it;
		squeeze_pace_note(&pace, 256 * 1024, try_it, try_it && smaller, try_it ? pack_us * 1000 : 0,
				  (try_it && smaller ? line_us / 10 : line_us) * 1000);
	}
	return (double)tries / pieces;
}

static void what_does_not_pay_is_seldom_tried(void **state)
{
	(void)state;
	/* A slow line, and bytes that get fewer: all of it. */
	assert_true(tried_of(1024, true, 500, 20000) == 1.0);
	/* A slow line, but noise: once in a hundred. */
	assert_true(tried_of(1024, false, 500, 20000) < 0.02);
	/* A line that takes 256 KiB in 50 us: trying is what takes long. */
	assert_true(tried_of(4096, true, 500, 50) < 0.1);
	/* One that is faster than the trying of 10 times as many bytes, but slower than all of them: it pays. */
	assert_true(tried_of(4096, true, 500, 2000) > 0.9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(headers_that_lie_are_refused),
		cmocka_unit_test(payloads_that_lie_are_refused),
		cmocka_unit_test(a_channel_carries_all_of_it),
		cmocka_unit_test(a_channel_that_is_lied_to_ends),
		cmocka_unit_test(what_does_not_pay_is_seldom_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
