/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plan files: what is a move, what stands in front, and what is wrong, by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_plan.h"

static const struct {
	const char *text;
	const char *lines;		/* "NUMBER:TEXT|..." */
	const char *defaults;
	const char *faults;		/* "NUMBER:a word of its cause|..." */
	unsigned device;
} table[] = {
	{ "", "", "", "", 0 },
	{ "a b", "1:a b|", "", "", 0 },
	{ "a b\n\n# c\n  \t\nc d # e\n", "1:a b|5:c d|", "", "", 0 },
	{ "a#b c\n'a # b' c\n\"x # \\\" y\" c # d\na\\ # b\n", "1:a#b c|2:'a # b' c|3:\"x # \\\" y\" c|4:a\\ |",
	  "", "", 0 },
	{ "a b\r\nc d\r\n", "1:a b|2:c d|", "", "", 0 },
	{ "a \\\n b\nc d\n", "1:a   b|3:c d|", "", "", 0 },
	{ "a \\", "1:a \\|", "", "", 0 },
	{ "limit device=2\ndefaults -n --x\ndefaults y\nlimit fs=1 device=3\na b\n", "5:a b|", "-n --x y", "", 3 },
	{ "limits a\ndefaultsx b\n", "1:limits a|2:defaultsx b|", "", "", 0 },
	{ "a b\nlimit device=2\nc d\ndefaults\n", "1:a b|3:c d|", "", "2:behind|4:behind|", 0 },
	{ "limit\nlimit disk=1\nlimit device\nlimit device=0\nlimit device=1x vg=2\n", "", "",
	  "1:no limit|2:no such limit|3:number|4:number|5:number|", 0 },
};

static void check(size_t i, const char *what, const char *got, const char *wanted)
{
	if (strcmp(got, wanted))
		fail_msg("plan %zu: %s are \"%s\", wanted \"%s\"", i, what, got, wanted);
}

static void test_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct batch_faults faults = { 0 };
		struct batch_text plan;
		const char *wanted = table[i].faults;
		char *lines = text_copy(""), *more;

		batch_text_parse(table[i].text, strlen(table[i].text), &plan, &faults);
		for (size_t n = 0; n < plan.count; n++) {
			more = text_format("%s%u:%s|", lines, plan.lines[n].number, plan.lines[n].text);
			free(lines);
			lines = more;
		}
		check(i, "lines", lines, table[i].lines);
		check(i, "defaults", plan.defaults, table[i].defaults);
		assert_int_equal(plan.limits.most[LIMIT_DEVICE], table[i].device);
		for (size_t n = 0; n < faults.count; n++) {
			unsigned number = 0;
			char word[64] = "";

			if (sscanf(wanted, "%u:%63[^|]|", &number, word) != 2 ||
			    number != faults.items[n].number || !strstr(faults.items[n].err.cause, word))
				fail_msg("plan %zu: line %u: %s", i, faults.items[n].number,
					 faults.items[n].err.cause);
			wanted = strchr(wanted, '|') + 1;
		}
		assert_string_equal(wanted, "");
		free(lines);
		batch_text_free(&plan);
		batch_faults_free(&faults);
	}
}

static void test_bytes(void **state)
{
	struct batch_faults faults = { 0 };
	struct batch_text plan;

	(void)state;
	batch_text_parse("a b\nc\0d e\nf g", 13, &plan, &faults);
	assert_int_equal(plan.count, 2);
	assert_int_equal(faults.count, 1);
	assert_int_equal(faults.items[0].number, 2);
	assert_string_equal(plan.lines[1].text, "f g");
	batch_text_free(&plan);
	batch_faults_free(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
