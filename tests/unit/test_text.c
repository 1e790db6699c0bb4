/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes, rates, times and names, as people write them and as they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "support/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNCHANGED 0xdeadbeefULL

struct number {
	const char *text;
	int ret;
	uint64_t value;
};

typedef int parser(const char *text, uint64_t *ret_value);

static void check_numbers(parser *parse, const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNCHANGED;
		int ret = parse(numbers[i].text, &value);

		if (ret != numbers[i].ret || value != (ret ? UNCHANGED : numbers[i].value))
			fail_msg("\"%s\" gives %d, %llu", numbers[i].text, ret,
				 (unsigned long long)value);
	}
}

static void sizes(void **state)
{
	static const struct number numbers[] = {
		{ "0", 0, 0 },
		{ "1", 0, 1 },
		{ "0001", 0, 1 },
		{ "512", 0, 512 },
		{ "64K", 0, 65536 },
		{ "64k", 0, 65536 },
		{ "1M", 0, 1ULL << 20 },
		{ "1G", 0, 1ULL << 30 },
		{ "1T", 0, 1ULL << 40 },
		{ "1P", 0, 1ULL << 50 },
		{ "1.5G", 0, 3ULL << 29 },
		{ "0.5k", 0, 512 },
		{ "1.000000000000K", 0, 1024 },
		{ "0.0000001K", 0, 0 },		/* beyond millionths: rounded down */
		{ "2.999999K", 0, 3071 },
		/* The largest, and the first that is too large, with each unit. */
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "18446744073709551620", -ERANGE, 0 },
		{ "99999999999999999999999999999999", -ERANGE, 0 },
		{ "18014398509481983K", 0, UINT64_MAX - 1023 },
		{ "18014398509481984K", -ERANGE, 0 },
		{ "18014398509481983.999999K", 0, UINT64_MAX - 1023 + 1023 },
		{ "17592186044416M", -ERANGE, 0 },
		{ "17179869184G", -ERANGE, 0 },
		{ "16777215T", 0, 16777215ULL << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "16383P", 0, 16383ULL << 50 },
		{ "16384P", -ERANGE, 0 },
		{ "16383.999999P", 0, (16383ULL << 50) + 1125898780942717 },
		/* What is no size. */
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ ".", -EINVAL, 0 },
		{ ".5K", -EINVAL, 0 },
		{ "1.K", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ "1..5K", -EINVAL, 0 },
		{ "1.5.5K", -EINVAL, 0 },
		{ "1,5K", -EINVAL, 0 },
		{ "1.5", -EINVAL, 0 },		/* half a byte */
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1 K", -EINVAL, 0 },
		{ "1K ", -EINVAL, 0 },
		{ "1KB", -EINVAL, 0 },
		{ "1KiB", -EINVAL, 0 },
		{ "1B", -EINVAL, 0 },
		{ "1E", -EINVAL, 0 },
		{ "1X", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "inf", -EINVAL, 0 },
		{ "nan", -EINVAL, 0 },
		{ "1K\n", -EINVAL, 0 },
		{ "\xd9\xa1", -EINVAL, 0 },	/* a digit, but not one of ours */
	};

	(void)state;
	check_numbers(text_parse_size, numbers, COUNT(numbers));
}

static void times(void **state)
{
	static const struct number numbers[] = {
		{ "0", 0, 0 },
		{ "90", 0, 90000 },
		{ "90s", 0, 90000 },
		{ "500ms", 0, 500 },
		{ "10m", 0, 600000 },
		{ "2h", 0, 7200000 },
		{ "1d", 0, 86400000 },
		{ "1.5s", 0, 1500 },
		{ "0.25", 0, 250 },
		{ "0.0005s", 0, 0 },
		{ "1.9ms", 0, 1 },
		{ "18446744073709551615ms", 0, UINT64_MAX },
		{ "18446744073709551616ms", -ERANGE, 0 },
		{ "18446744073709551.615s", 0, UINT64_MAX },
		{ "18446744073709551.616s", -ERANGE, 0 },
		{ "18446744073709552", -ERANGE, 0 },
		{ "307445734561826m", -ERANGE, 0 },
		{ "5124095576031h", -ERANGE, 0 },
		{ "213503982335d", -ERANGE, 0 },
		{ "213503982334d", 0, 213503982334ULL * 86400000 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "ms", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },
		{ "1S", -EINVAL, 0 },
		{ "1M", -EINVAL, 0 },		/* a month, a minute? */
		{ "1w", -EINVAL, 0 },
		{ "1us", -EINVAL, 0 },
		{ "1sec", -EINVAL, 0 },
		{ "1h30m", -EINVAL, 0 },
		{ "1:30", -EINVAL, 0 },
		{ "never", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_time, numbers, COUNT(numbers));
}

static void sizes_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} table[] = {
		{ 0, "0 B" },
		{ 1, "1 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1025, "1.0 KiB" },
		{ 10 * 1024, "10 KiB" },
		{ 102400 - 1, "100 KiB" },
		{ 1048064, "1.0 MiB" },	/* 1023.5 KiB */
		{ 1048063, "1023 KiB" },
		{ 1ULL << 20, "1 MiB" },
		{ (1ULL << 30) - 1, "1.0 GiB" },
		{ 1ULL << 40, "1 TiB" },
		{ 5ULL << 50, "5 PiB" },
		{ UINT64_MAX, "16 EiB" },
	};
	char buf[TEXT_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_ptr_equal(text_size(table[i].bytes, buf), buf);
		assert_string_equal(buf, table[i].text);
	}
}

static void durations_for_people(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} table[] = {
		{ 0, "0s" },
		{ 59, "59s" },
		{ 60, "1m00s" },
		{ 190, "3m10s" },
		{ 3599, "59m59s" },
		{ 3600, "1h00m" },
		{ 7500, "2h05m" },
		{ 86399, "23h59m" },
		{ 86400, "1d00h" },
		{ UINT64_MAX, "213503982334601d07h" },
	};
	char buf[TEXT_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_ptr_equal(text_duration(table[i].seconds, buf), buf);
		assert_string_equal(buf, table[i].text);
	}
}

static const struct {
	const char *text;
	bool utf8;
	const char *printable;
} names[] = {
	{ "", true, "" },
	{ "plain name.img", true, "plain name.img" },
	{ "quote\"'`$\\", true, "quote\"'`$\\" },
	{ "two\nlines", true, "two\\nlines" },
	{ "tab\there", true, "tab\\there" },
	{ "\r\x1b[2Jgone\x07", true, "\\x0d\\x1b[2Jgone\\x07" },
	{ "\x7f", true, "\\x7f" },
	{ "\xc2\x9b" "31m", true, "\\xc2\\x9b31m" },	/* CSI as one character: C1 */
	{ "\xc2\xa0", true, "\xc2\xa0" },		/* the first after C1 */
	{ "gr\xc3\xbc\xc3\x9f" "e", true, "gr\xc3\xbc\xc3\x9f" "e" },
	{ "\xe2\x82\xac", true, "\xe2\x82\xac" },
	{ "\xf0\x9f\x92\xbe", true, "\xf0\x9f\x92\xbe" },
	{ "\xf4\x8f\xbf\xbf", true, "\xf4\x8f\xbf\xbf" },	/* the last there is */
	{ "\xf4\x90\x80\x80", false, "\\xf4\\x90\\x80\\x80" },	/* one beyond */
	{ "latin1 \xfc", false, "latin1 \\xfc" },
	{ "\xff\xfe", false, "\\xff\\xfe" },
	{ "\x80", false, "\\x80" },			/* no beginning */
	{ "\xc3", false, "\\xc3" },			/* no end */
	{ "\xe2\x82", false, "\\xe2\\x82" },
	{ "\xf0\x9f\x92", false, "\\xf0\\x9f\\x92" },
	{ "\xc3(", false, "\\xc3(" },
	{ "\xc0\xaf", false, "\\xc0\\xaf" },		/* a slash, but overlong */
	{ "\xe0\x80\xaf", false, "\\xe0\\x80\\xaf" },
	{ "\xf0\x80\x80\xaf", false, "\\xf0\\x80\\x80\\xaf" },
	{ "\xed\xa0\x80", false, "\\xed\\xa0\\x80" },	/* half of a surrogate pair */
};

static void printable(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		char *text = text_printable(names[i].text);

		assert_string_equal(text, names[i].printable);
		assert_int_equal(text_is_utf8(names[i].text), names[i].utf8);
		assert_true(text_is_utf8(text));
		free(text);
	}
}

static void words_for_a_shell(void **state)
{
	static const struct {
		const char *text, *word;
	} table[] = {
		{ "/var/lib/volmig", "/var/lib/volmig" },
		{ "a-Z_0.9:@%+=,b", "a-Z_0.9:@%+=,b" },
		{ "", "''" },
		{ "st ate", "'st ate'" },
		{ "~", "'~'" },
		{ "$HOME`x`\\*?[!{}()<>|&;#\"", "'$HOME`x`\\*?[!{}()<>|&;#\"'" },
		{ "it's", "'it'\\''s'" },
		{ "''", "''\\'''\\'''" },
		{ "gr\xc3\xbc\xc3\x9f" "e", "'gr\xc3\xbc\xc3\x9f" "e'" },
		{ "two\nlines", "$'two\\x0alines'" },
		{ "it's\t\\", "$'it\\x27s\\x09\\x5c'" },
		{ "\xff" "f", "$'\\xfff'" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		char *word = text_shell_word(table[i].text), *shown = text_printable(word);

		assert_string_equal(word, table[i].word);
		assert_string_equal(word, shown);
		free(word);
		free(shown);
	}
}

/* Every byte there is, alone and between others: one line, and nothing for a terminal to obey. */
static void printable_leaves_nothing_to_obey(void **state)
{
	(void)state;
	for (unsigned byte = 1; byte < 256; byte++) {
		char name[4] = { 'a', (char)byte, 'z', '\0' };
		char *text = text_printable(name);

		for (const char *p = text; *p; p++)
			assert_true(*p >= 0x20 && *p < 0x7f);
		assert_int_equal(text[0], 'a');
		assert_int_equal(text[strlen(text) - 1], 'z');
		free(text);
	}
}

/* A name goes through the journal byte for byte; for people it becomes text. */
static void names_through_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		json_t *value = json_name(names[i].text), *text = json_text(names[i].text);
		char *line = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		json_t *again = json_loads(line, JSON_DECODE_ANY, NULL);
		char *back = json_name_get(again);

		assert_non_null(line);
		assert_null(strchr(line, '\n'));
		assert_non_null(back);
		assert_string_equal(back, names[i].text);
		assert_true(json_is_string(text));
		free(back);
		free(line);
		json_decref(again);
		json_decref(text);
		json_decref(value);
	}
	assert_true(json_is_null(json_name(NULL)));
	assert_true(json_is_null(json_text(NULL)));
}

static void names_that_json_does_not_hold(void **state)
{
	static const char *const values[] = {
		"null", "1", "true", "[]", "{}", "{\"bytes\":1}", "{\"bytes\":\"4\"}",
		"{\"bytes\":\"zz\"}", "{\"bytes\":\"4100\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		json_t *value = json_loads(values[i], JSON_DECODE_ANY, NULL);
		char *name = json_name_get(value);

		if (name)
			fail_msg("%s is taken for the name \"%s\"", values[i], name);
		json_decref(value);
	}
}

static void numbers_through_json(void **state)
{
	static const uint64_t values[] = { 0, 1, INT64_MAX, UINT64_MAX, 1ULL << 63 };
	json_t *object = json_object();

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		json_put(object, "n", json_u64(values[i]));
		assert_true(json_get_u64(object, "n") == values[i]);
	}
	assert_true(json_get_u64(object, "no such key") == 0);
	assert_false(json_get_bool(object, "n"));
	assert_null(json_get_string(object, "n"));
	json_decref(object);
}

static void lists(void **state)
{
	static const char *const joined[] = { "", "a", "a and b", "a, b and c", "a, b, c and d" };
	struct text_list list = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(joined); i++) {
		char *text = text_list_join(&list);

		assert_string_equal(text, joined[i]);
		free(text);
		text_list_add(&list, text_format("%c", (int)('a' + i)));
	}
	assert_true(text_list_has(&list, "c"));
	assert_false(text_list_has(&list, "z"));
	text_list_free(&list);
	assert_int_equal(list.count, 0);
	assert_false(text_list_has(&list, "c"));
}

static void errors(void **state)
{
	struct err err = ERR_INIT;
	char object[2000];

	(void)state;
	assert_int_equal(err_set(&err, ERR_REFUSED, "vg0/web", "%s of %d", "one", 2), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_string_equal(err.object, "vg0/web");
	assert_string_equal(err.cause, "one of 2");
	assert_string_equal(err.next, "");
	assert_int_equal(err_next(&err, "do %s", "that"), -1);
	assert_string_equal(err.next, "do that");
	assert_int_equal(err_context(&err, "while looking"), -1);
	assert_string_equal(err.cause, "while looking: one of 2");
	assert_string_equal(err.next, "do that");

	/* The old advice does not outlive the old error. */
	assert_int_equal(err_sys(&err, ENOSPC, err.object, "cannot write"), -1);
	assert_int_equal(err.class, ERR_FAILED);
	assert_int_equal(err.number, ENOSPC);
	assert_string_equal(err.object, "vg0/web");
	assert_string_equal(err.cause, "cannot write: No space left on device");
	assert_string_equal(err.next, "");

	/* An object that is too long keeps its beginning and its end. */
	memset(object, 'x', sizeof(object) - 1);
	memcpy(object, "/begin", 6);
	memcpy(object + sizeof(object) - 5, "end", 4);
	err_set(&err, ERR_FAILED, object, "%s", object);
	assert_int_equal(strlen(err.object), sizeof(err.object) - 1);
	assert_memory_equal(err.object, "/begin", 6);
	assert_non_null(strstr(err.object, "..."));
	assert_string_equal(err.object + strlen(err.object) - 3, "end");
	assert_int_equal(strlen(err.cause), sizeof(err.cause) - 1);
	err_context(&err, "more");
	assert_memory_equal(err.cause, "more: /begin", 12);
	err_set(&err, ERR_FAILED, NULL, "no object");
	assert_string_equal(err.object, "");
}

static void error_classes(void **state)
{
	static const char *const words[] = { "failed", "usage", "refused", "stopped", "unsure" };

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++)
		assert_string_equal(err_class_name(err_class_by_name(words[i])), words[i]);
	assert_int_equal(err_class_by_name("what?"), ERR_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(times),
		cmocka_unit_test(sizes_for_people),
		cmocka_unit_test(durations_for_people),
		cmocka_unit_test(printable),
		cmocka_unit_test(words_for_a_shell),
		cmocka_unit_test(printable_leaves_nothing_to_obey),
		cmocka_unit_test(names_through_json),
		cmocka_unit_test(names_that_json_does_not_hold),
		cmocka_unit_test(numbers_through_json),
		cmocka_unit_test(lists),
		cmocka_unit_test(errors),
		cmocka_unit_test(error_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
