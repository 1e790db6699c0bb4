/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stops a copy is named, and a copy that was stopped goes on where it was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "engines/block_copy.h"
#include "engines/leaves.h"
#include "scratch.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "volumes/volume.h"

#define BYTES (12 * MIB + 4321)

static struct err err;
static struct block_copy_result result;

/* A monitor that keeps what it hears, and interrupts. */
static struct recorder {
	struct monitor mon;
	uint64_t interrupt_at;		/* 0: never */
	int interrupts;
	bool refuse;			/* a durable mark cannot be recorded */
	bool interrupt_at_mark;
	struct mark marks[64];
	unsigned count;
} rec;

static void hear_advance(struct monitor *mon, uint64_t done)
{
	(void)mon;
	while (rec.interrupt_at && done >= rec.interrupt_at && rec.interrupts > 0) {
		interrupt_request();
		rec.interrupts--;
	}
}

static int hear_durable(struct monitor *mon, const struct mark *mark, struct err *e)
{
	FILE *file;

	(void)mon;
	if (rec.refuse)
		return err_sys(e, ENOSPC, "journal", "cannot write");
	if (rec.interrupt_at_mark && rec.count == 0)
		interrupt_request();
	if (rec.count < 64)
		rec.marks[rec.count++] = *mark;
	/* For a parent, when we are killed. */
	file = fopen("mark", "w");
	if (!file || fwrite(mark, sizeof(*mark), 1, file) != 1)
		abort();
	fclose(file);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	interrupt_reset();
	memset(&err, 0, sizeof(err));
	memset(&rec, 0, sizeof(rec));
	rec.mon.advance = hear_advance;
	rec.mon.durable = hear_durable;
	return 0;
}

/* Dense, but for 2 MiB of holes and 1 MiB of zeroes. */
static void make_source(void)
{
	scratch_make("src", BYTES);
	scratch_fill("src", 0, 4 * MIB, 1);
	scratch_fill("src", 6 * MIB, BYTES - 6 * MIB, 2);
	scratch_zeroes("src", 9 * MIB, MIB);
	scratch_make("dst", BYTES);
	unlink("leaves");
	unlink("mark");
}

/* Copy "src" onto "dst" with hashes; then, if it succeeds, everything is compared. */
static int copy(const char *engine, struct mark start, uint64_t stall_ms)
{
	const struct block_copy_options opt = {
		.engine = engine, .sparse = true, .start = start, .stall_ms = stall_ms,
	};
	struct volume src = VOLUME_INIT, dst = VOLUME_INIT;
	struct leaves *leaves = NULL;
	int ret;

	scratch_open(&src, "src", OPEN_READ);
	scratch_open(&dst, "dst", OPEN_WRITE | OPEN_FRESH);
	if (leaves_open(&leaves, "leaves", src.bytes, NULL, &err) < 0)
		abort();
	ret = block_copy(&src, &dst, leaves, &opt, &rec.mon, &result, &err);
	if (ret == 0 && block_verify(&dst, leaves, &opt, NULL, NULL, &err) < 0)
		ret = -2;
	leaves_close(leaves);
	scratch_close(&src);
	scratch_close(&dst);
	if (ret == 0 && scratch_differ("src", "dst", src.bytes) != src.bytes)
		ret = -3;
	return ret;
}

/* Go on from mark, and expect what a copy in one go would have had. */
static int finish(const char *engine, struct mark mark)
{
	reset(NULL);
	EXPECT(mark.offset % MIB == 0 || mark.offset == BYTES);
	EXPECT(mark.bytes_data + mark.bytes_zero == mark.offset);
	EXPECT(copy(engine, mark, 0) == 0);
	EXPECT(result.mark.offset == BYTES);
	EXPECT(result.mark.bytes_zero == 3 * MIB);
	EXPECT(result.mark.bytes_data == BYTES - 3 * MIB);
	EXPECT(result.mark.bytes_written == BYTES - 3 * MIB);
	EXPECT(rec.count >= 1 && rec.marks[rec.count - 1].offset == BYTES);
	return 0;
}

/* Interrupted after each MiB, and gone on with. */
static void test_interrupt_and_resume(void **state)
{
	const char *engine = scratch_engine(state);
	unsigned saved = 0;

	for (uint64_t at = 1; at <= 12; at++) {
		struct mark mark;

		make_source();
		reset(NULL);
		rec.interrupt_at = at * MIB;
		rec.interrupts = 1;
		assert_int_equal(copy(engine, (struct mark){ 0 }, 0), -1);
		assert_int_equal(err.class, ERR_STOPPED);
		assert_string_equal(err.cause, "interrupted");
		assert_non_null(strstr(err.object, "/dst"));
		mark = result.mark;
		if (mark.offset > 0) {
			assert_int_equal(rec.count, 1);
			assert_memory_equal(&rec.marks[0], &mark, sizeof(mark));
			saved++;
		}
		assert_int_equal(finish(engine, mark), 0);
	}
	/* At the latest after as many leaves as are in memory, the first is through. */
	assert_in_range(saved, 4, 12);
}

/* Interrupted again and again, each time as soon as something gets through. */
static void test_many_interrupts(void **state)
{
	const char *engine = scratch_engine(state);
	struct mark mark = { 0 };
	unsigned patience = 1;

	make_source();
	while (mark.offset < BYTES) {
		reset(NULL);
		rec.interrupt_at = mark.offset + patience * MIB;
		rec.interrupts = 1;
		if (copy(engine, mark, 0) < 0)
			assert_int_equal(err.class, ERR_STOPPED);
		assert_true(result.mark.offset >= mark.offset);
		/* What was done may have been done out of order, and is dropped then. */
		patience = result.mark.offset > mark.offset ? 1 : patience + 1;
		mark = result.mark;
	}
	assert_int_equal(mark.bytes_zero, 3 * MIB);
	assert_int_equal(finish(engine, mark), 0);
}

/*
 * Checkpoints while it runs.  The source is a hole that is read all the same,
 * so that half a GiB goes by quickly.
 */
static void test_checkpoints(void **state)
{
	const uint64_t bytes = 1200 * MIB + 99;
	const struct block_copy_options opt = { .engine = scratch_engine(state), .sparse = true };
	struct block_copy_options again = opt;
	struct volume src = VOLUME_INIT, dst = VOLUME_INIT;
	struct volume_ops ops;
	struct leaves *leaves;
	struct recorder first;
	struct mark end;
	struct hash root, root_again;

	scratch_make("src", bytes);
	for (uint64_t at = 99; at < 1200; at += 100)
		scratch_fill("src", at * MIB + 5, MIB, 1);
	scratch_make("dst", bytes);
	unlink("leaves");
	scratch_open(&src, "src", OPEN_READ);
	ops = *src.ops;
	ops.next_data = NULL;
	src.ops = &ops;
	scratch_open(&dst, "dst", OPEN_WRITE | OPEN_FRESH);
	assert_int_equal(leaves_open(&leaves, "leaves", bytes, NULL, &err), 0);
	assert_int_equal(block_copy(&src, &dst, leaves, &opt, &rec.mon, &result, &err), 0);
	assert_int_equal(leaves_root(leaves, &root, &err), 0);
	first = rec;
	end = result.mark;
	assert_true(first.count >= 3);
	for (unsigned i = 0; i < first.count; i++) {
		const struct mark *mark = &first.marks[i];

		assert_true(mark->offset > (i ? first.marks[i - 1].offset : 0));
		assert_true(mark->offset - (i ? first.marks[i - 1].offset : 0) <= GIB);
		assert_int_equal(mark->bytes_data + mark->bytes_zero, mark->offset);
	}
	assert_int_equal(first.marks[first.count - 1].offset, bytes);

	/* A power cut after each of them: what came later is lost, or was never there. */
	for (unsigned i = 0; i < first.count; i++) {
		uint64_t offset = first.marks[i].offset;

		assert_int_equal(truncate("dst", (off_t)offset), 0);
		assert_int_equal(truncate("dst", (off_t)bytes), 0);
		leaves_close(leaves);
		if (offset < bytes) {
			assert_int_equal(truncate("leaves", (off_t)(offset / MIB * 16)), 0);
			assert_int_equal(truncate("leaves", 1201 * 16), 0);
		}
		assert_int_equal(leaves_open(&leaves, "leaves", bytes, NULL, &err), 0);
		again.start = first.marks[i];
		assert_int_equal(block_copy(&src, &dst, leaves, &again, &rec.mon, &result, &err), 0);
		assert_memory_equal(&result.mark, &end, sizeof(end));
		assert_int_equal(leaves_root(leaves, &root_again, &err), 0);
		assert_memory_equal(&root, &root_again, sizeof(root));
		assert_int_equal(block_verify(&dst, leaves, &opt, NULL, NULL, &err), 0);
	}

	/* Stopped at a checkpoint, when some more is written but not yet durable. */
	reset(NULL);
	rec.interrupt_at_mark = true;
	assert_int_equal(block_copy(&src, &dst, leaves, &opt, &rec.mon, &result, &err), -1);
	assert_string_equal(err.cause, "interrupted");
	assert_true(rec.count >= 1 && rec.count <= 2);
	assert_memory_equal(&rec.marks[rec.count - 1], &result.mark, sizeof(result.mark));

	leaves_close(leaves);
	scratch_close(&src);
	scratch_close(&dst);
}

struct fault {
	const char *environment;
	const char *object, *cause;
	enum err_class class;
	int number;
	uint64_t offset;		/* of the MiB that it is in */
	const char *engine;
};

static int run_fault(void *data)
{
	const struct fault *fault = data;
	char cause[200];
	struct mark mark;

	make_source();
	EXPECT(copy(fault->engine, (struct mark){ 0 }, 0) == -1);
	snprintf(cause, sizeof(cause), "%s at byte %llu: %s", fault->cause,
		 (unsigned long long)fault->offset, strerror(fault->number));
	EXPECT(err.class == ERR_STOPPED);
	EXPECT(err.number == fault->number);
	EXPECT(!strcmp(err.cause, cause));
	EXPECT(strstr(err.object, fault->object));
	/* What lies before it was saved, as far as it was through. */
	mark = result.mark;
	EXPECT(mark.offset <= fault->offset);
	EXPECT(!rec.count || !memcmp(&rec.marks[rec.count - 1], &mark, sizeof(mark)));
	if (!strcmp(fault->engine, "sync"))
		EXPECT(mark.offset + 16 * MIB > fault->offset);
	/* It fires once, so now it goes through. */
	return finish(fault->engine, mark);
}

static void test_media_faults(void **state)
{
	struct fault faults[] = {
		{ "VOLMIG_INJECT=read-eio:0", "/src", "cannot read", ERR_STOPPED, EIO, 0, NULL },
		{ "VOLMIG_INJECT=read-eio:7500000", "/src", "cannot read", ERR_STOPPED, EIO,
		  7 * MIB, NULL },
		{ "VOLMIG_INJECT=read-eio:12587232", "/src", "cannot read", ERR_STOPPED, EIO,
		  12 * MIB, NULL },
		{ "VOLMIG_INJECT=write-eio:7500000", "/dst", "cannot write", ERR_STOPPED, EIO,
		  7 * MIB, NULL },
		{ "VOLMIG_INJECT=write-enospc:11000000", "/dst", "cannot write", ERR_STOPPED,
		  ENOSPC, 10 * MIB, NULL },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		faults[i].engine = scratch_engine(state);
		assert_int_equal(scratch_child(faults[i].environment, run_fault, &faults[i]), 0);
	}
}

static int run_short(void *data)
{
	make_source();
	return finish(data, (struct mark){ 0 });
}

/* A transfer that was cut short goes on where it was, and nobody notices. */
static void test_short_transfers(void **state)
{
	void *engine = (void *)scratch_engine(state);

	assert_int_equal(scratch_child("VOLMIG_INJECT=short-read:7500000", run_short, engine), 0);
	assert_int_equal(scratch_child("VOLMIG_INJECT=short-write:7500000", run_short, engine), 0);
	assert_int_equal(scratch_child("VOLMIG_INJECT=short-read:12587232,short-write:12583000",
				       run_short, engine), 0);
}

/* The first error is what the user hears of, not what else goes wrong after it. */
static int run_two_faults(void *data)
{
	make_source();
	rec.refuse = true;
	EXPECT(copy(data, (struct mark){ 0 }, 0) == -1);
	EXPECT(err.class == ERR_STOPPED && err.number == EIO);
	EXPECT(strstr(err.object, "/src"));
	EXPECT(result.mark.offset == 0);
	return 0;
}

static void test_first_error_wins(void **state)
{
	assert_int_equal(scratch_child("VOLMIG_INJECT=read-eio:12587232", run_two_faults,
				       (void *)scratch_engine(state)), 0);
}

/* A limit of the kernel's, so a true short write and a true error. */
static int run_file_limit(void *data)
{
	const char *engine = data;
	const struct rlimit limit = { 7 * MIB + 512 * KIB, RLIM_INFINITY };
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	make_source();
	signal(SIGXFSZ, SIG_IGN);
	EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	EXPECT(copy(engine, (struct mark){ 0 }, 0) == -1);
	EXPECT(err.class == ERR_STOPPED && err.number == EFBIG);
	EXPECT(strstr(err.object, "/dst"));
	EXPECT(result.mark.offset <= 7 * MIB);
	EXPECT(setrlimit(RLIMIT_FSIZE, &none) == 0);
	return finish(engine, result.mark);
}

static void test_file_limit(void **state)
{
	assert_int_equal(scratch_child(NULL, run_file_limit, (void *)scratch_engine(state)), 0);
}

static int run_flip(void *data)
{
	make_source();
	EXPECT(copy(data, (struct mark){ 0 }, 0) == -2);
	EXPECT(err.class == ERR_FAILED);
	EXPECT(strstr(err.cause, "(1 of 13 MiB differ)"));
	return 0;
}

static int run_verify_eio(void *data)
{
	make_source();
	EXPECT(copy(data, (struct mark){ 0 }, 0) == -2);
	EXPECT(err.class == ERR_STOPPED && err.number == EIO);
	EXPECT(strstr(err.object, "/dst"));
	EXPECT(!strcmp(err.cause, "cannot read at byte 7340032: Input/output error"));
	return 0;
}

static void test_damage_is_found(void **state)
{
	void *engine = (void *)scratch_engine(state);

	assert_int_equal(scratch_child("VOLMIG_INJECT=flip-write:7500000", run_flip, engine), 0);
	/* Where only zeroes are, and where the file ends. */
	assert_int_equal(scratch_child("VOLMIG_INJECT=flip-write:9500000", run_flip, engine), 0);
	assert_int_equal(scratch_child("VOLMIG_INJECT=flip-write:12587232", run_flip, engine), 0);
	assert_int_equal(scratch_child("VOLMIG_INJECT=verify-eio:7500000", run_verify_eio, engine), 0);
}

static int run_to_be_killed(void *data)
{
	make_source();
	copy(data, (struct mark){ 0 }, 0);
	return 1;
}

static void test_killed(void **state)
{
	static const char *const at[] = { "1", "4194304", "12000000", "12587233" };
	const char *engine = scratch_engine(state);

	for (size_t i = 0; i < 4; i++) {
		char variable[64];

		snprintf(variable, sizeof(variable), "VOLMIG_INJECT=kill-at-byte:%s", at[i]);
		assert_int_equal(scratch_child(variable, run_to_be_killed, (void *)engine),
				 SCRATCH_KILLED);
		/* So small a copy has no checkpoint before its end. */
		assert_int_equal(access("mark", F_OK), -1);
		assert_int_equal(finish(engine, (struct mark){ 0 }), 0);
	}
}

static void test_source_gets_shorter(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 5 * MIB, 7 * MIB + 512, 12 * MIB, BYTES - 1 };
	const struct block_copy_options opt = { .engine = scratch_engine(state), .sparse = true };

	for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct volume src = VOLUME_INIT, dst = VOLUME_INIT;
		struct volume_ops ops;
		char ends[100];

		make_source();
		reset(NULL);
		scratch_open(&src, "src", OPEN_READ);
		scratch_open(&dst, "dst", OPEN_WRITE | OPEN_FRESH);
		ops = *src.ops;
		if (i % 2)
			ops.next_data = NULL;
		src.ops = &ops;
		assert_int_equal(truncate("src", (off_t)lengths[i / 2]), 0);
		assert_int_equal(block_copy(&src, &dst, NULL, &opt, &rec.mon, &result, &err), -1);
		assert_int_equal(err.class, ERR_REFUSED);
		assert_non_null(strstr(err.object, "/src"));
		snprintf(ends, sizeof(ends), "ends at byte %llu, but was %llu bytes long",
			 (unsigned long long)lengths[i / 2], BYTES);
		if (i % 2)
			assert_string_equal(err.cause, ends);
		scratch_close(&src);
		scratch_close(&dst);
	}
}

/* A mark that cannot be recorded, and a flush that fails: nothing is durable after that. */
static void test_nothing_durable(void **state)
{
	const char *engine = scratch_engine(state);
	const struct block_copy_options opt = { .engine = engine, .sparse = true };
	struct volume src = VOLUME_INIT;
	struct volume null = {
		.ops = &file_volume_ops, .path = (char *)"null", .fd = -1, .fd_buffered = -1,
		.bytes = BYTES, .align = 512, .granularity = 4096, .fresh = true,
	};

	make_source();
	rec.refuse = true;
	assert_int_equal(copy(engine, (struct mark){ 0 }, 0), -1);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_string_equal(err.object, "journal");
	assert_int_equal(result.mark.offset, 0);

	reset(NULL);
	null.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(null.fd >= 0);
	scratch_open(&src, "src", OPEN_READ);
	assert_int_equal(block_copy(&src, &null, NULL, &opt, &rec.mon, &result, &err), -1);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_int_equal(err.number, EINVAL);
	assert_string_equal(err.object, "null");
	assert_int_equal(rec.count, 0);
	assert_int_equal(result.mark.offset, 0);
	scratch_close(&src);
	close(null.fd);
}

/* A source that never answers: a pipe that nobody writes to. */
static int copy_from_pipe(uint64_t stall_ms)
{
	const struct block_copy_options opt = {
		.engine = "uring", .sparse = true, .stall_ms = stall_ms,
	};
	struct volume_ops ops = { .kind = "pipe" };
	struct volume src = {
		.ops = &ops, .path = (char *)"pipe", .fd = -1, .fd_buffered = -1,
		.bytes = BYTES, .align = 512, .granularity = 4096,
	};
	struct volume dst = VOLUME_INIT;
	int fds[2], ret;

	make_source();
	if (pipe(fds) < 0)
		abort();
	src.fd = fds[0];
	scratch_open(&dst, "dst", OPEN_WRITE | OPEN_FRESH);
	ret = block_copy(&src, &dst, NULL, &opt, &rec.mon, &result, &err);
	scratch_close(&dst);
	close(fds[0]);
	close(fds[1]);
	return ret;
}

static void test_stall(void **state)
{
	scratch_engine(state);
	assert_int_equal(copy_from_pipe(300), -1);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_non_null(strstr(err.object, "/dst"));
	assert_string_equal(err.cause, "nothing moved for 300ms at byte 0");
	assert_int_equal(rec.count, 0);
}

static void interrupt_twice(int signum)
{
	(void)signum;
	interrupt_request();
	interrupt_request();
}

static void test_stop_at_once(void **state)
{
	const struct itimerval soon = { .it_value.tv_usec = 50000 };
	struct sigaction action = { .sa_handler = interrupt_twice };

	scratch_engine(state);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	/* Waiting for the reads would take a day. */
	assert_int_equal(copy_from_pipe(86400000), -1);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_string_equal(err.cause, "interrupted");
}

int main(void)
{
#define BOTH(function) \
	{ #function " (uring)", function, reset, NULL, "uring" }, \
	{ #function " (sync)", function, reset, NULL, "sync" }
	const struct CMUnitTest tests[] = {
		BOTH(test_interrupt_and_resume),
		BOTH(test_many_interrupts),
		BOTH(test_checkpoints),
		BOTH(test_media_faults),
		BOTH(test_short_transfers),
		BOTH(test_first_error_wins),
		BOTH(test_file_limit),
		BOTH(test_damage_is_found),
		BOTH(test_killed),
		BOTH(test_source_gets_shorter),
		BOTH(test_nothing_durable),
		{ "test_stall (uring)", test_stall, reset, NULL, "uring" },
		{ "test_stop_at_once (uring)", test_stop_at_once, reset, NULL, "uring" },
	};

	return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
