/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is the copy equal, whatever the sizes, holes and sectors, and how much was carried? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/block_copy.h"
#include "engines/leaves.h"
#include "engines/pace.h"
#include "scratch.h"
#include "support/err.h"
#include "volumes/volume.h"

static struct err err = ERR_INIT;
static struct block_copy_result result;
static char root[HASH_HEX];

/*
 * How the volumes of a copy differ from what volume_open() finds; 0 for as it
 * is.  An alignment that is larger than needed can be had anywhere.
 */
static struct {
	uint32_t src_align, dst_align, granularity;
	bool src_without_map, dst_without_map, dst_without_zero;
	bool keep_leaves;
} tweak;

static struct volume_ops src_ops, dst_ops;

static int cannot_zero(struct volume *vol, uint64_t offset, uint64_t length,
		       enum zero_how how, struct err *e)
{
	(void)vol, (void)offset, (void)length, (void)how, (void)e;
	return 1;
}

static void apply_tweaks(struct volume *src, struct volume *dst)
{
	src_ops = *src->ops;
	dst_ops = *dst->ops;
	src->ops = &src_ops;
	dst->ops = &dst_ops;
	if (tweak.src_align > src->align)
		src->align = tweak.src_align;
	if (tweak.dst_align > dst->align)
		dst->align = tweak.dst_align;
	if (tweak.granularity)
		dst->granularity = tweak.granularity;
	if (tweak.src_without_map)
		src_ops.next_data = NULL;
	if (tweak.dst_without_map)
		dst_ops.next_data = NULL;
	if (tweak.dst_without_zero)
		dst_ops.zero = cannot_zero;
}

/* Copy "src" onto "dst", hash, read back; leaves the root in hexadecimal in root. */
static int copy(void **state, unsigned flags, struct block_copy_options opt, struct monitor *mon)
{
	struct volume src = VOLUME_INIT, dst = VOLUME_INIT;
	struct block_copy_result verified;
	struct leaves *leaves = NULL;
	struct hash hash;
	int ret;

	opt.engine = scratch_engine(state);
	scratch_open(&src, "src", OPEN_READ);
	scratch_open(&dst, "dst", OPEN_WRITE | flags);
	apply_tweaks(&src, &dst);
	if (!tweak.keep_leaves)
		unlink("leaves");
	assert_int_equal(leaves_open(&leaves, "leaves", src.bytes, NULL, &err), 0);
	ret = block_copy(&src, &dst, leaves, &opt, mon, &result, &err);
	if (ret == 0) {
		assert_string_equal(result.engine, opt.engine);
		assert_string_equal(result.fallback, "");
		assert_int_equal(result.mark.offset, src.bytes);
		assert_int_equal(result.mark.bytes_data + result.mark.bytes_zero, src.bytes);
		assert_int_equal(leaves_root(leaves, &hash, &err), 0);
		hash_hex(&hash, root);
		if (block_verify(&dst, leaves, &opt, NULL, &verified, &err) < 0)
			fail_msg("%s", err.cause);
	}
	leaves_close(leaves);
	scratch_close(&src);
	scratch_close(&dst);
	return ret;
}

static void assert_copied(uint64_t bytes)
{
	uint64_t at = scratch_differ("src", "dst", bytes);

	if (at != bytes)
		fail_msg("differs at byte %llu of %llu", (unsigned long long)at,
			 (unsigned long long)bytes);
}

/* more: what a file system keeps of a file that was punched, such as its last block. */
static void assert_sparse(unsigned layout, uint64_t more)
{
	uint64_t before = scratch_allocated("src") + more, after = scratch_allocated("dst");

	if (after > before)
		fail_msg("layout %u: allocated %llu, before %llu", layout,
			 (unsigned long long)after, (unsigned long long)before);
}

static int reset(void **state)
{
	(void)state;
	memset(&tweak, 0, sizeof(tweak));
	memset(&err, 0, sizeof(err));
	return 0;
}

/* valgrind is there for what is touched, not for each combination once more: every so-manieth will do. */
static unsigned every(unsigned n)
{
	return getenv("UNDER_VALGRIND") ? n : 1;
}

static const uint64_t sizes[] = {
	0, 1, 511, 512, 513, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 3 * MIB + 777, 20 * MIB,
};

static void test_sizes(void **state)
{
	const struct block_copy_options ways[] = {
		{ .sparse = true }, { .sparse = false }, { .sparse = true, .delta = true },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		scratch_make("src", sizes[i]);
		scratch_fill("src", 0, sizes[i], 1);
		for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
			scratch_make("dst", sizes[i]);
			assert_int_equal(copy(state, OPEN_FRESH, ways[w], NULL), 0);
			assert_copied(sizes[i]);
			assert_int_equal(result.mark.bytes_data, sizes[i]);
			assert_int_equal(result.mark.bytes_written, sizes[i]);
		}
	}
}

/* What lies behind the source's end stays, but for the rest of its last sector. */
static void test_larger_destination(void **state)
{
	static const struct {
		uint64_t src, dst;
	} pairs[] = {
		{ 1000, 1024 }, { 1000, 1001 }, { 1000, 9000 }, { 4096, 4097 }, { 4097, 2 * MIB },
		{ MIB, MIB + 1 }, { MIB + 5, MIB + 7 }, { 3 * MIB + 777, 10 * MIB + 1 },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (int sparse = 0; sparse < 2; sparse++) {
			struct block_copy_options opt = { .sparse = sparse };
			uint64_t bytes = pairs[i].src, sector_end = (bytes + 511) / 512 * 512;
			struct volume dst = VOLUME_INIT;
			uint64_t at;

			if (sector_end > pairs[i].dst)
				sector_end = pairs[i].dst;
			scratch_make("src", bytes);
			scratch_fill("src", 0, bytes / 2, 1);
			scratch_make("dst", pairs[i].dst);
			scratch_fill("dst", 0, pairs[i].dst, 2);
			scratch_make("was", pairs[i].dst);
			scratch_fill("was", 0, pairs[i].dst, 2);
			scratch_open(&dst, "dst", OPEN_READ);
			if (dst.align != 512) {
				/* Then it is a larger sector whose rest is zeroed. */
				scratch_close(&dst);
				continue;
			}
			scratch_close(&dst);
			assert_int_equal(copy(state, 0, opt, NULL), 0);
			assert_copied(bytes);
			scratch_make("want", pairs[i].dst);
			scratch_fill("want", 0, bytes / 2, 1);
			assert_int_equal(scratch_differ("want", "dst", sector_end), sector_end);
			/* Make equal what may have changed, and compare the rest. */
			scratch_zeroes("dst", 0, sector_end);
			scratch_zeroes("was", 0, sector_end);
			at = scratch_differ("was", "dst", pairs[i].dst);
			assert_int_equal(at, pairs[i].dst);
		}
	}
}

/* Sectors and units of either side, down to tails. */
static void test_alignments(void **state)
{
	static const uint32_t aligns[] = { 512, 4096, 65536 };
	static const uint64_t ends[] = { 2 * MIB, 2 * MIB + 512, 2 * MIB + 777, 2 * MIB + 70001 };

	for (size_t n = 0; n < 3 * 3 * 4 * 2 * 2; n += every(7)) {
		uint64_t bytes = ends[n % 4], dst_bytes = n / 72 ? 3 * MIB : bytes;
		bool fresh = n / 36 % 2;

		reset(state);
		tweak.src_align = aligns[n / 4 % 3];
		tweak.dst_align = aligns[n / 12 % 3];
		tweak.granularity = tweak.dst_align < 4096 ? 4096 : tweak.dst_align;
		scratch_make("src", bytes);
		scratch_fill("src", 5000, 3000, 1);
		scratch_fill("src", 300000, 1, 2);
		scratch_fill("src", MIB - 1, 2, 3);
		scratch_fill("src", bytes - 600, 600, 4);
		scratch_make("dst", dst_bytes);
		if (!fresh)
			scratch_fill("dst", 0, dst_bytes, 9);
		assert_int_equal(copy(state, fresh ? OPEN_FRESH : 0,
				      (struct block_copy_options){ .sparse = true }, NULL), 0);
		assert_copied(bytes);
	}
}

/* Lay a source out in one of many ways.  Some zeroes are holes, some are data. */
static void lay_out(unsigned n, uint64_t bytes)
{
	scratch_make("src", bytes);
	switch (n) {
	case 0:
		break;
	case 1:
		for (uint64_t at = 0; at + MIB <= bytes; at += MIB)
			scratch_fill("src", at + 12 * 4096, 4096, 1);
		break;
	case 2:
		for (uint64_t at = 0; at < bytes / 4; at += 8192)
			scratch_fill("src", at, 4096, 2);
		break;
	case 3:
		scratch_zeroes("src", 0, bytes);
		break;
	case 4:
		scratch_zeroes("src", 0, bytes);
		scratch_fill("src", MIB - 1, 1, 3);
		scratch_fill("src", 3 * MIB, 1, 3);
		scratch_fill("src", 5 * MIB + 32 * KIB, 32 * KIB, 3);
		scratch_fill("src", 5 * MIB + 92 * KIB, 4 * KIB, 3);
		break;
	case 5:
		scratch_fill("src", bytes - 1, 1, 4);
		break;
	case 6:
		scratch_fill("src", 0, 1, 5);
		break;
	case 7:
		scratch_fill("src", 0, bytes, 6);
		scratch_zeroes("src", 2 * MIB + 100, 5 * MIB);
		break;
	}
}

#define LAYOUTS 8

static void test_holes(void **state)
{
	const uint64_t bytes = 12 * MIB + 4321;

	for (unsigned n = 0; n < LAYOUTS; n++) {
		lay_out(n, bytes);
		scratch_make("dst", bytes);
		assert_int_equal(copy(state, OPEN_FRESH,
				      (struct block_copy_options){ .sparse = true }, NULL), 0);
		assert_copied(bytes);
		assert_sparse(n, 0);
	}
}

static void test_counters(void **state)
{
	const struct block_copy_options opt = { .sparse = true };

	lay_out(1, 12 * MIB);
	scratch_make("dst", 12 * MIB);
	assert_int_equal(copy(state, OPEN_FRESH, opt, NULL), 0);
	assert_int_equal(result.mark.bytes_data, 12 * 4096);
	assert_int_equal(result.mark.bytes_written, 12 * 4096);
	/* All of it allocated, none of it carried. */
	lay_out(3, 12 * MIB);
	scratch_make("dst", 12 * MIB);
	assert_int_equal(copy(state, OPEN_FRESH, opt, NULL), 0);
	assert_int_equal(result.mark.bytes_zero, 12 * MIB);
	assert_int_equal(scratch_allocated("dst"), 0);
	/* Zeroes of 32 KiB are left out, 28 KiB of them are not. */
	lay_out(4, 12 * MIB);
	scratch_make("dst", 12 * MIB);
	assert_int_equal(copy(state, OPEN_FRESH, opt, NULL), 0);
	assert_int_equal(result.mark.bytes_data, (1 + 1 + 8 + 7 + 1) * 4096);
	/* Thick: everything is. */
	lay_out(3, 12 * MIB);
	scratch_make("dst", 12 * MIB);
	assert_int_equal(copy(state, OPEN_FRESH, (struct block_copy_options){ 0 }, NULL), 0);
	assert_int_equal(result.mark.bytes_data, 12 * MIB);
	assert_true(scratch_allocated("dst") >= 12 * MIB);
}

/*
 * A used destination: nothing of what was there may be seen, whether the
 * destination can be punched, or has a map, or neither.
 */
static void test_dirty_destination(void **state)
{
	const uint64_t bytes = 8 * MIB + 4321;

	for (unsigned n = 0; n < LAYOUTS * 8; n += every(3)) {
		struct block_copy_options opt = { .sparse = n & 1 };

		tweak.dst_without_zero = n & 2;
		tweak.dst_without_map = n & 4;
		lay_out(n / 8, bytes);
		scratch_make("dst", bytes);
		scratch_fill("dst", 0, bytes, 77);
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		assert_copied(bytes);
		/* What can be punched is as sparse as the source. */
		if (opt.sparse && !tweak.dst_without_zero && !tweak.dst_without_map)
			assert_sparse(n, 4096);
		/* Where there is no map, only holes that are worth a call. */
		if (opt.sparse && tweak.dst_without_map && n / 8 == 0)
			assert_true(tweak.dst_without_zero || scratch_allocated("dst") <= 4096);
	}
}

static void test_source_without_map(void **state)
{
	const uint64_t bytes = 12 * MIB + 4321;

	tweak.src_without_map = true;
	for (unsigned n = 0; n < LAYOUTS; n++) {
		lay_out(n, bytes);
		scratch_make("dst", bytes);
		assert_int_equal(copy(state, OPEN_FRESH,
				      (struct block_copy_options){ .sparse = true }, NULL), 0);
		assert_copied(bytes);
	}
}

/* The same source has the same hash, whatever way it was copied. */
static void test_one_root(void **state)
{
	const uint64_t bytes = 12 * MIB + 4321;
	char first[HASH_HEX];

	lay_out(4, bytes);
	scratch_make("dst", bytes);
	assert_int_equal(copy(state, OPEN_FRESH, (struct block_copy_options){ .sparse = true },
			      NULL), 0);
	memcpy(first, root, sizeof(first));
	assert_int_equal(copy(state, 0, (struct block_copy_options){ 0 }, NULL), 0);
	assert_string_equal(root, first);
	assert_int_equal(copy(state, 0, (struct block_copy_options){ .delta = true }, NULL), 0);
	assert_string_equal(root, first);
	tweak.src_without_map = true;
	assert_int_equal(copy(state, 0, (struct block_copy_options){ .sparse = true }, NULL), 0);
	assert_string_equal(root, first);
	scratch_flip("src", 5 * MIB);
	assert_int_equal(copy(state, 0, (struct block_copy_options){ .sparse = true }, NULL), 0);
	assert_string_not_equal(root, first);
}

/* A copy that begins anew may find the hashes of an earlier try. */
static void test_old_hashes(void **state)
{
	const struct block_copy_options opt = { .sparse = true };

	for (unsigned n = 0; n < LAYOUTS; n += every(2)) {
		char fresh[HASH_HEX];

		reset(state);
		lay_out(n, 12 * MIB);
		scratch_make("dst", 12 * MIB);
		assert_int_equal(copy(state, OPEN_FRESH, opt, NULL), 0);
		memcpy(fresh, root, sizeof(fresh));
		scratch_fill("src", 0, 12 * MIB, 99);
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		tweak.keep_leaves = true;
		lay_out(n, 12 * MIB);
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		assert_string_equal(root, fresh);
	}
}

static void test_delta(void **state)
{
	const struct block_copy_options opt = { .sparse = true, .delta = true };
	const uint64_t bytes = 12 * MIB + 4321;

	for (unsigned n = 0; n < 4; n++) {
		uint64_t before;

		tweak.dst_without_map = n & 1;
		tweak.dst_without_zero = n & 2;
		scratch_make("src", bytes);
		scratch_fill("src", 0, 8 * MIB, 1);
		scratch_make("dst", bytes);
		scratch_fill("dst", 0, 8 * MIB, 1);
		before = scratch_allocated("dst");
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		assert_int_equal(result.rewritten, 0);
		assert_int_equal(result.mark.bytes_written, 0);
		assert_int_equal(scratch_allocated("dst"), before);

		scratch_flip("dst", 5);			/* differs in one byte */
		scratch_flip("dst", 4 * MIB - 1);	/* two neighbours across a leaf's edge */
		scratch_flip("dst", 4 * MIB);
		scratch_fill("dst", 9 * MIB, 100, 2);	/* the source has a hole */
		scratch_fill("dst", bytes - 5, 5, 2);	/* ... and in the tail */
		scratch_fill("src", 10 * MIB, 4096, 3);	/* the destination has a hole */
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		assert_copied(bytes);
		assert_int_equal(result.rewritten, 5 * 4096 + (bytes - bytes / 4096 * 4096));
		if (!tweak.dst_without_map)
			assert_int_equal(result.mark.bytes_written, 4 * 4096);
		if (n == 0)
			assert_sparse(n, 4096);
	}
}

/* The hashes of one of the two, from the start on, as another host would tell them. */
static struct leaves *hashes_of(void **state, const char *name, uint64_t bytes, uint64_t start)
{
	const struct block_copy_options opt = { .engine = scratch_engine(state), .start.offset = start };
	struct volume vol = VOLUME_INIT;
	struct leaves *leaves = NULL;

	unlink("known");
	assert_int_equal(leaves_open(&leaves, "known", bytes, NULL, &err), 0);
	scratch_open(&vol, name, OPEN_READ);
	assert_int_equal(block_hash(&vol, leaves, &opt, NULL, NULL, &err), 0);
	scratch_close(&vol);
	return leaves;
}

/* Only what differs is carried, by the hashes of the end that is not read, whichever that is. */
static void test_delta_by_hashes(void **state)
{
	const uint64_t bytes = 12 * MIB + 4321;

	for (unsigned n = 0; n < 16; n++) {
		bool source = n & 1;
		struct block_copy_options opt = {
			.sparse = !(n & 8), .delta = true,
			.knows = source ? BLOCK_KNOWS_SOURCE : BLOCK_KNOWS_DESTINATION,
		};

		tweak.dst_without_map = tweak.src_without_map = n & 2;
		tweak.dst_without_zero = n & 4;
		scratch_make("src", bytes);
		scratch_fill("src", 0, 6 * MIB, 1);
		scratch_make("dst", bytes);
		scratch_fill("dst", 0, 6 * MIB, 1);
		opt.known = hashes_of(state, source ? "src" : "dst", bytes, 0);
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		leaves_close(opt.known);
		assert_copied(bytes);
		assert_int_equal(result.rewritten, 0);
		assert_int_equal(result.mark.bytes_written, 0);

		scratch_flip("dst", 5);			/* differs in one byte */
		scratch_flip("dst", 4 * MIB - 1);	/* two neighbours across a leaf's edge */
		scratch_flip("dst", 4 * MIB);
		scratch_fill("dst", 7 * MIB, 3 * MIB, 2);	/* the source has a hole */
		scratch_fill("dst", bytes - 5, 5, 2);	/* ... and in the tail */
		scratch_fill("src", 10 * MIB, 4096, 3);	/* the destination has a hole */
		opt.known = hashes_of(state, source ? "src" : "dst", bytes, 0);
		assert_int_equal(copy(state, 0, opt, NULL), 0);
		leaves_close(opt.known);
		assert_copied(bytes);
		if (opt.sparse && !tweak.dst_without_map && (source || !tweak.dst_without_zero))
			assert_int_equal(result.rewritten, 3 * MIB + 4096);
		/* Zeroes that are written go over the wire as other bytes do. */
		if (!opt.sparse && !source)
			assert_int_equal(result.rewritten, result.mark.bytes_written);
		if (opt.sparse && !tweak.dst_without_map && !tweak.dst_without_zero)
			assert_int_equal(result.mark.bytes_written, source ? 4 * 4096 : 3 * MIB + 4096);
		if (!n)
			assert_sparse(n, 4096);
	}
}

/* What lies before the start of a copy that goes on has no hashes, and is not looked at. */
static void test_delta_by_hashes_goes_on(void **state)
{
	const uint64_t bytes = 5 * MIB;

	for (unsigned n = 0; n < 2; n++) {
		struct block_copy_options opt = {
			.sparse = true, .delta = true, .start.offset = 2 * MIB,
			.knows = n ? BLOCK_KNOWS_SOURCE : BLOCK_KNOWS_DESTINATION,
		};
		struct volume src = VOLUME_INIT, dst = VOLUME_INIT;

		scratch_make("src", bytes);
		scratch_fill("src", 0, bytes, 1);
		scratch_make("dst", bytes);
		scratch_fill("dst", 0, bytes, 1);
		scratch_flip("dst", MIB);
		scratch_flip("dst", 3 * MIB);
		opt.engine = scratch_engine(state);
		opt.known = hashes_of(state, n ? "src" : "dst", bytes, 2 * MIB);
		scratch_open(&src, "src", OPEN_READ);
		scratch_open(&dst, "dst", OPEN_WRITE);
		assert_int_equal(block_copy(&src, &dst, NULL, &opt, NULL, &result, &err), 0);
		scratch_close(&src);
		scratch_close(&dst);
		leaves_close(opt.known);
		assert_int_equal(result.rewritten, MIB);
		assert_int_equal(result.mark.offset, bytes);
		assert_int_equal(scratch_differ("src", "dst", bytes), MIB);
		scratch_flip("dst", MIB);
		assert_copied(bytes);
	}
}

static unsigned advances;
static uint64_t advanced;

static void count_advance(struct monitor *mon, uint64_t done)
{
	(void)mon;
	assert_true(done > advanced);
	advanced = done;
	advances++;
}

/* 15 TiB with three leaves of data: work for each extent, not for each leaf. */
static void test_huge(void **state)
{
	const uint64_t bytes = 15 * 1024 * GIB;
	struct monitor mon = { .advance = count_advance };
	struct rusage usage;

	/* A file system that has no such large files is no failure of ours. */
	scratch_make("src", 1);
	scratch_make("dst", 1);
	if (truncate("src", (off_t)bytes) < 0 || truncate("dst", (off_t)bytes) < 0)
		skip();
	scratch_fill("src", 100 * MIB, MIB, 1);
	scratch_fill("src", bytes / 2 + 4096, MIB, 2);
	scratch_fill("src", bytes - MIB, MIB, 3);
	advances = 0;
	advanced = 0;
	assert_int_equal(copy(state, OPEN_FRESH, (struct block_copy_options){ .sparse = true },
			      &mon), 0);
	assert_int_equal(result.mark.bytes_data, 3 * MIB);
	assert_int_equal(advanced, bytes);
	assert_true(advances <= 8);
	assert_true(scratch_allocated("dst") <= scratch_allocated("src"));
	/* Not fresh: zeroed in pieces of up to 1 GiB. */
	advances = 0;
	advanced = 0;
	assert_int_equal(copy(state, 0, (struct block_copy_options){ .sparse = true }, &mon), 0);
	assert_true(advances < 20000);
	if (!scratch_is_slow()) {
		assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
		assert_true(usage.ru_maxrss <= 64 * 1024);
	}
}

/* A limit that cannot be met would show in time only; that it is asked is seen in its state. */
static void test_pace_is_asked(void **state)
{
	struct pace pace;

	scratch_make("src", 4 * MIB);
	scratch_fill("src", MIB, 2 * MIB, 1);
	scratch_make("dst", 4 * MIB);
	pace_init(&pace, 1ULL << 40, 1);
	assert_int_equal(copy(state, OPEN_FRESH,
			      (struct block_copy_options){ .sparse = true, .pace = &pace }, NULL), 0);
	assert_int_not_equal(pace.paid_until_ns, 1);
	assert_copied(4 * MIB);
	/* Small pieces, each of a few blocks. */
	pace_init(&pace, 200 * MIB, 1);
	assert_int_equal(copy(state, OPEN_FRESH,
			      (struct block_copy_options){ .sparse = true, .pace = &pace }, NULL), 0);
	assert_copied(4 * MIB);
}

static void test_depths(void **state)
{
	const uint64_t bytes = 12 * MIB + 4321;

	lay_out(7, bytes);
	for (unsigned depth = 1; depth <= 17; depth += 4) {
		scratch_make("dst", bytes);
		assert_int_equal(copy(state, OPEN_FRESH,
				      (struct block_copy_options){ .sparse = true, .depth = depth },
				      NULL), 0);
		assert_copied(bytes);
	}
}

int main(void)
{
#define BOTH(function) \
	{ #function " (uring)", function, reset, NULL, "uring" }, \
	{ #function " (sync)", function, reset, NULL, "sync" }
	const struct CMUnitTest tests[] = {
		BOTH(test_sizes),
		BOTH(test_larger_destination),
		BOTH(test_alignments),
		BOTH(test_holes),
		BOTH(test_counters),
		BOTH(test_dirty_destination),
		BOTH(test_source_without_map),
		BOTH(test_one_root),
		BOTH(test_old_hashes),
		BOTH(test_delta),
		BOTH(test_delta_by_hashes),
		BOTH(test_delta_by_hashes_goes_on),
		BOTH(test_huge),
		BOTH(test_pace_is_asked),
		BOTH(test_depths),
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
