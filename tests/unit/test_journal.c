/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal: what is written is read back, a torn end is passed over, any damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/hash.h"

#define LINES 5		/* of the journal that most tests begin with, the first line among them */

static char directory[4096];
static char path[4200];

/* That journal, as bytes. */
static char *whole;
static size_t whole_length;

static int ignore(const json_t *record, void *data, struct err *err)
{
	(void)record;
	(void)data;
	(void)err;
	return 0;
}

static int collect(const json_t *record, void *data, struct err *err)
{
	(void)err;
	json_array_append_new(data, json_deep_copy(record));
	return 0;
}

static json_t *record_of(int n)
{
	return json_pack("{s:s, s:i, s:s}", "rec", "begin", "step", n, "name", "copy \"\\\n\xc3\xbc");
}

static char *read_file(const char *name, size_t *ret_length)
{
	FILE *file = fopen(name, "rb");
	char *text = text_alloc(1 << 20, 1);

	assert_non_null(file);
	*ret_length = fread(text, 1, 1 << 20, file);
	fclose(file);
	return text;
}

static void write_file(const char *name, const char *text, size_t length)
{
	FILE *file = fopen(name, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void assert_file(const char *name, const char *text, size_t length)
{
	size_t now_length;
	char *now = read_file(name, &now_length);

	assert_int_equal(now_length, length);
	assert_memory_equal(now, text, length);
	free(now);
}

static int setup(void **state)
{
	struct journal *journal;
	struct err err = ERR_INIT;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	snprintf(directory, sizeof(directory), "%s/volmig-test-journal.XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/journal", directory);
	if (journal_create(&journal, path, &err) < 0)
		return -1;
	for (int i = 1; i < LINES; i++)
		if (journal_append(journal, record_of(i), &err) < 0)
			return -1;
	journal_close(journal);
	whole = read_file(path, &whole_length);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(whole);
	unlink(path);
	return rmdir(directory);
}

/* Where line n (from 0) begins; LINES: the end. */
static size_t line_at(size_t n)
{
	size_t at = 0;

	while (n--)
		at = (size_t)((char *)memchr(whole + at, '\n', whole_length - at) - whole) + 1;
	return at;
}

/*
 * From a copy of exactly that length, so that valgrind and the sanitizers see
 * a read beyond its end.  Returns the number of records, -1 when it is refused.
 */
static int count_records(const char *text, size_t length, size_t *ret_end, struct err *err)
{
	char *copy = text_alloc(length, 1);
	json_t *records = json_array();
	int ret;

	*err = (struct err)ERR_INIT;
	memcpy(copy, text, length);
	ret = journal_parse(copy, length, "test", collect, records, ret_end, NULL, err);
	if (ret == 0)
		ret = (int)json_array_size(records);
	json_decref(records);
	free(copy);
	return ret;
}

static void assert_damaged(const char *text, size_t length)
{
	struct err err;
	int count = count_records(text, length, NULL, &err);

	if (count >= 0)
		fail_msg("%d records are read from %.*s", count, (int)length, text);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, "damaged"));
	assert_non_null(strstr(err.next, "neither is touched"));
}

/* A line with its checksum, whatever it says; *sum goes on from line to line. */
static char *seal(const char *body, struct hash *sum)
{
	struct hash_stream *stream = hash_stream_new();
	char hex[HASH_HEX];

	hash_stream_add(stream, sum->bytes, sizeof(sum->bytes));
	hash_stream_add(stream, body, strlen(body));
	*sum = hash_stream_end(stream);
	return text_format("%s,\"sum\":\"%s\"}\n", body, hash_hex(sum, hex));
}

static void round_trip(void **state)
{
	json_t *records = json_array(), *first, *record;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(journal_read(path, collect, records, &err), 0);
	assert_int_equal(json_array_size(records), LINES);
	first = json_array_get(records, 0);
	assert_string_equal(json_get_string(first, "journal"), "volmig");
	assert_int_equal(json_get_u64(first, "version"), JOURNAL_VERSION);
	for (int i = 1; i < LINES; i++) {
		json_t *wanted = record_of(i);

		record = json_array_get(records, (size_t)i);
		assert_non_null(json_get_string(record, "time"));
		assert_int_equal(strlen(json_get_string(record, "time")), strlen("2024-01-01T00:00:00.000Z"));
		json_object_del(record, "time");
		json_object_del(record, "sum");
		assert_true(json_equal(record, wanted));
		json_decref(wanted);
	}
	json_decref(records);
}

/* More than one read or write takes, and than a page. */
static void long_records(void **state)
{
	json_t *records = json_array();
	struct journal *journal;
	struct err err = ERR_INIT;

	(void)state;
	write_file(path, whole, whole_length);
	assert_int_equal(journal_open(&journal, path, NULL, NULL, &err), 0);
	for (int i = 0; i < 3; i++) {
		char *name = text_alloc(100001, 1);

		memset(name, 'a' + i, 100000);
		assert_int_equal(journal_append(journal, json_pack("{s:s}", "name", name), &err), 0);
		free(name);
	}
	journal_close(journal);
	assert_int_equal(journal_read(path, collect, records, &err), 0);
	assert_int_equal(json_array_size(records), LINES + 3);
	assert_int_equal(strspn(json_get_string(json_array_get(records, LINES + 2), "name"), "c"), 100000);
	json_decref(records);
}

/* Cut anywhere: the whole lines in front of the cut, no more and no less. */
static void torn_anywhere(void **state)
{
	struct err err;
	size_t end;

	(void)state;
	for (size_t cut = 0, lines = 0; cut <= whole_length; cut++) {
		if (cut && whole[cut - 1] == '\n')
			lines++;
		assert_int_equal(count_records(whole, cut, &end, &err), lines);
		assert_int_equal(end, line_at(lines));
	}
}

/* The file system has kept the size, and lost data from some byte of the last line on. */
static void torn_with_nul_bytes(void **state)
{
	size_t last = line_at(LINES - 1), end;
	char *text = text_alloc(whole_length + 10000, 1);
	struct err err;

	(void)state;
	for (size_t from = last; from < whole_length; from++) {
		memcpy(text, whole, whole_length);
		memset(text + from, 0, whole_length - from);
		for (size_t more = 0; more < 10000; more += 4999) {
			assert_int_equal(count_records(text, whole_length + more, &end, &err), LINES - 1);
			assert_int_equal(end, last);
		}
	}
	/* A stretch of them behind whole lines. */
	memcpy(text, whole, whole_length);
	for (size_t more = 1; more < 10000; more += 1111) {
		assert_int_equal(count_records(text, whole_length + more, &end, &err), LINES);
		assert_int_equal(end, whole_length);
	}
	/* A line that lies across two blocks of the medium may get its end only. */
	text[whole_length + 100] = '\n';
	assert_int_equal(count_records(text, whole_length + 101, &end, &err), LINES);
	assert_int_equal(end, whole_length);
	memset(text + whole_length, 0, 200);
	memset(text + last, 0, line_at(LINES) - last - 10);
	assert_int_equal(count_records(text, whole_length, &end, &err), LINES - 1);
	assert_int_equal(end, last);
	/* But with something behind it that was no tear. */
	memcpy(text, whole, whole_length);
	memset(text + line_at(LINES - 2), 0, 20);
	assert_damaged(text, whole_length);
	free(text);
}

/* All bits of all bytes.  Without its last newline the last line is a torn one. */
static void flipped_anywhere(void **state)
{
	char *text = text_alloc(whole_length, 1);
	struct err err;

	(void)state;
	memcpy(text, whole, whole_length);
	for (size_t at = 0; at < whole_length; at++) {
		for (int bit = 0; bit < 8; bit++) {
			text[at] = (char)(whole[at] ^ (1 << bit));
			if (at < whole_length - 1)
				assert_damaged(text, whole_length);
			else
				assert_int_equal(count_records(text, whole_length, NULL, &err), LINES - 1);
		}
		text[at] = whole[at];
	}
	free(text);
}

/* Some of the lines, in that order. */
static size_t arrange(char *text, const int *lines, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		size_t from = line_at((size_t)lines[i]), to = line_at((size_t)lines[i] + 1);

		memcpy(text + length, whole + from, to - from);
		length += to - from;
	}
	return length;
}

static void lines_dropped(void **state)
{
	char *text = text_alloc(2 * whole_length, 1);

	(void)state;
	for (int drop = 0; drop < LINES - 1; drop++) {
		int lines[LINES], count = 0;

		for (int i = 0; i < LINES; i++)
			if (i != drop)
				lines[count++] = i;
		assert_damaged(text, arrange(text, lines, (size_t)count));
	}
	free(text);
}

static void lines_swapped(void **state)
{
	char *text = text_alloc(2 * whole_length, 1);

	(void)state;
	for (int a = 0; a < LINES; a++) {
		for (int b = a + 1; b < LINES; b++) {
			int lines[LINES];

			for (int i = 0; i < LINES; i++)
				lines[i] = i == a ? b : i == b ? a : i;
			assert_damaged(text, arrange(text, lines, LINES));
		}
	}
	free(text);
}

static void lines_doubled(void **state)
{
	char *text = text_alloc(2 * whole_length, 1);

	(void)state;
	for (int twice = 0; twice < LINES; twice++) {
		for (int where = 0; where <= LINES; where++) {
			int lines[LINES + 1], count = 0;

			for (int i = 0; i <= LINES; i++) {
				if (i == where)
					lines[count++] = twice;
				if (i < LINES)
					lines[count++] = i;
			}
			assert_damaged(text, arrange(text, lines, LINES + 1));
		}
	}
	free(text);
}

static void odd_lines(void **state)
{
	static const char *const odd[] = {
		"\n", " \n", "{}\n", "{\"rec\":\"end\"}\n", "no JSON\n", "\r\n", "\0\n", "\0",
	};
	char *text = text_alloc(2 * whole_length, 1);

	(void)state;
	/* In front of each line, and behind the last; a tail of NULs is a torn one. */
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]) - 1; i++) {
		size_t length = odd[i][0] ? strlen(odd[i]) : 2;

		for (size_t line = 0; line <= LINES; line++) {
			size_t at = line_at(line);

			memcpy(text, whole, at);
			memcpy(text + at, odd[i], length);
			memcpy(text + at + length, whole + at, whole_length - at);
			assert_damaged(text, whole_length + length);
		}
	}
	free(text);
}

/* A last line that ends in a newline is whole, and has to be right. */
static void bad_checksum_on_the_last_line(void **state)
{
	size_t sum = whole_length - strlen("0\"}\n");
	char *text = text_alloc(whole_length, 1);

	(void)state;
	memcpy(text, whole, whole_length);
	text[sum] = text[sum] == '0' ? '1' : '0';
	assert_damaged(text, whole_length);

	/* A checksum is written in one way only. */
	memcpy(text, whole, whole_length);
	for (size_t i = line_at(LINES - 1); i < whole_length; i++)
		if (whole[i] >= 'a' && whole[i] <= 'f' && i > whole_length - 36)
			text[i] = (char)(whole[i] - 'a' + 'A');
	assert_damaged(text, whole_length);
	free(text);
}

/* The same line in another journal says something else: what is before it counts. */
static void line_of_another_journal(void **state)
{
	struct hash sum = { { 0 } };
	char *first = seal("{\"journal\":\"volmig\",\"version\":1,\"other\":1", &sum);
	size_t length = strlen(first), second = line_at(1);
	char *text = text_alloc(length + whole_length, 1);
	struct err err;

	(void)state;
	memcpy(text, first, length);
	assert_int_equal(count_records(text, length, NULL, &err), 1);
	memcpy(text + length, whole + second, whole_length - second);
	assert_damaged(text, length + whole_length - second);
	free(text);
	free(first);
}

/* Right checksums do not help what is no record. */
static void sealed_but_no_record(void **state)
{
	static const char *const bodies[] = {
		"", "1", "[1", "{\"a\"", "{\"a\":", "{\"a\":1,\"a\":2", "{\"a\":\"\xff\"", "{\"a\":1}{\"b\":2",
	};
	struct hash before = { { 0 } };
	char *first = seal("{\"journal\":\"volmig\",\"version\":1", &before);

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct hash sum = before;
		char *line = seal(bodies[i], &sum);
		char *text = text_format("%s%s", first, line);

		assert_damaged(text, strlen(text));
		free(text);
		free(line);
	}
	free(first);
}

static void versions(void **state)
{
	static const struct {
		const char *first, *cause;
	} table[] = {
		{ "{\"journal\":\"volmig\",\"version\":2", "version 2" },
		{ "{\"journal\":\"volmig\",\"version\":4294967297", "version 4294967297" },
		{ "{\"journal\":\"volmig\",\"version\":0", "version 0" },
		{ "{\"journal\":\"volmig\"", "version 0" },
		{ "{\"journal\":\"volmig\",\"version\":\"1\"", "version 0" },
		{ "{\"journal\":\"other\",\"version\":1", "no journal" },
		{ "{\"version\":1", "no journal" },
		{ "{\"rec\":\"plan\"", "no journal" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct hash sum = { { 0 } };
		char *text = seal(table[i].first, &sum);
		struct journal *journal;
		struct err err;

		assert_int_equal(count_records(text, strlen(text), NULL, &err), -1);
		assert_int_equal(err.class, ERR_REFUSED);
		assert_non_null(strstr(err.cause, table[i].cause));
		/* Nor is such a journal opened for writing. */
		write_file(path, text, strlen(text));
		assert_int_equal(journal_open(&journal, path, ignore, NULL, &err), -1);
		assert_int_equal(err.class, ERR_REFUSED);
		assert_file(path, text, strlen(text));
		free(text);
	}
}

/* After a crash in the middle of a record the next one takes its place. */
static void append_after_a_torn_end(void **state)
{
	(void)state;
	for (size_t cut = line_at(LINES - 1); cut <= whole_length; cut++) {
		struct journal *journal;
		struct err err = ERR_INIT;
		size_t length, left = cut < whole_length ? line_at(LINES - 1) : whole_length;
		char *text;

		write_file(path, whole, cut);
		assert_int_equal(journal_open(&journal, path, ignore, NULL, &err), 0);
		assert_file(path, whole, left);
		assert_int_equal(journal_append(journal, record_of(77), &err), 0);
		journal_close(journal);

		text = read_file(path, &length);
		assert_memory_equal(text, whole, left);
		assert_int_equal(count_records(text, length, NULL, &err),
				 cut < whole_length ? LINES : LINES + 1);
		free(text);
	}
}

/* A damaged journal is neither opened for writing nor changed by the attempt. */
static void damage_is_left_alone(void **state)
{
	struct err err = ERR_INIT;
	struct journal *journal;
	char *text = text_alloc(whole_length + 20, 1);

	(void)state;
	memcpy(text, whole, whole_length);
	memcpy(text + whole_length, "torn", 4);
	text[line_at(2) + 5] ^= 1;
	write_file(path, text, whole_length + 4);
	assert_int_equal(journal_open(&journal, path, ignore, NULL, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_file(path, text, whole_length + 4);
	free(text);
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/*
 * A write that fails in front of the record or within it leaves the file as it
 * was, and nothing more is taken by that process.
 */
static void failing_writes(void **state)
{
	(void)state;
	for (size_t room = 0; room < line_at(2) - line_at(1); room += 7) {
		struct journal *journal;
		struct err err = ERR_INIT, again = ERR_INIT;

		write_file(path, whole, whole_length);
		assert_int_equal(journal_open(&journal, path, ignore, NULL, &err), 0);
		limit_file_size(whole_length + room);
		assert_int_equal(journal_append(journal, record_of(77), &err), -1);
		assert_int_equal(err.class, ERR_STOPPED);
		assert_int_equal(err.number, EFBIG);
		assert_string_equal(err.object, path);
		limit_file_size(RLIM_INFINITY);
		assert_file(path, whole, whole_length);

		assert_int_equal(journal_append(journal, record_of(78), &again), -1);
		assert_int_equal(again.class, ERR_STOPPED);
		assert_file(path, whole, whole_length);
		journal_close(journal);

		assert_int_equal(journal_open(&journal, path, ignore, NULL, &err), 0);
		assert_int_equal(journal_append(journal, record_of(79), &err), 0);
		journal_close(journal);
		assert_int_equal(journal_read(path, ignore, NULL, &err), 0);
	}
}

static void creating(void **state)
{
	struct err err = ERR_INIT;
	struct journal *journal;
	char *other = text_format("%s/other", directory);
	struct stat st;

	(void)state;
	/* Never over something. */
	write_file(path, whole, whole_length);
	assert_int_equal(journal_create(&journal, path, &err), -1);
	assert_int_equal(err.number, EEXIST);
	assert_file(path, whole, whole_length);

	/* Nothing is left of what did not come about. */
	limit_file_size(10);
	assert_int_equal(journal_create(&journal, other, &err), -1);
	limit_file_size(RLIM_INFINITY);
	assert_int_equal(lstat(other, &st), -1);

	/* For nobody else's eyes: it names volumes. */
	umask(0);
	assert_int_equal(journal_create(&journal, other, &err), 0);
	journal_close(journal);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(unlink(other), 0);

	/* A link could lead anywhere. */
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(journal_open(&journal, other, ignore, NULL, &err), -1);
	assert_int_equal(journal_read(other, ignore, NULL, &err), -1);
	assert_int_equal(journal_create(&journal, other, &err), -1);
	assert_int_equal(unlink(other), 0);

	assert_int_equal(journal_open(&journal, other, ignore, NULL, &err), -1);
	assert_int_equal(err.number, ENOENT);
	assert_int_equal(lstat(other, &st), -1);
	free(other);
}

static int second_is_enough(const json_t *record, void *data, struct err *err)
{
	int *count = data;

	(void)record;
	return ++*count == 2 ? err_set(err, ERR_REFUSED, "reader", "enough") : 0;
}

static void a_reader_that_refuses(void **state)
{
	struct err err = ERR_INIT;
	struct journal *journal;
	int count = 0;

	(void)state;
	write_file(path, whole, whole_length);
	assert_int_equal(journal_read(path, second_is_enough, &count, &err), -1);
	assert_int_equal(count, 2);
	assert_string_equal(err.cause, "enough");
	count = 0;
	assert_int_equal(journal_open(&journal, path, second_is_enough, &count, &err), -1);
	assert_file(path, whole, whole_length);
}

/* Not read into memory to find out that it is none. */
static void far_too_large(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	write_file(path, whole, whole_length);
	assert_int_equal(truncate(path, 1LL << 40), 0);
	assert_int_equal(journal_read(path, ignore, NULL, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(long_records),
		cmocka_unit_test(torn_anywhere),
		cmocka_unit_test(torn_with_nul_bytes),
		cmocka_unit_test(flipped_anywhere),
		cmocka_unit_test(lines_dropped),
		cmocka_unit_test(lines_swapped),
		cmocka_unit_test(lines_doubled),
		cmocka_unit_test(odd_lines),
		cmocka_unit_test(bad_checksum_on_the_last_line),
		cmocka_unit_test(line_of_another_journal),
		cmocka_unit_test(sealed_but_no_record),
		cmocka_unit_test(versions),
		cmocka_unit_test(append_after_a_torn_end),
		cmocka_unit_test(damage_is_left_alone),
		cmocka_unit_test(failing_writes),
		cmocka_unit_test(creating),
		cmocka_unit_test(a_reader_that_refuses),
		cmocka_unit_test(far_too_large),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
