/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans as they are journalled: what is not read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "planning.h"
#include "support/err.h"
#include "support/json.h"

/* A journal of another volmig's, or of nobody's. */
static void plans_that_are_not_read(void **state)
{
	static const struct {
		const char *change, *cause;
	} table[] = {
		{ "{\"method\":\"teleport\"}", "method" },
		{ "{\"method\":null}", "method" },
		{ "{\"command\":null}", "command" },
		{ "{\"command\":1}", "command" },
		{ "{\"steps\":[\"copy\",\"teleport\"]}", "teleport" },
		{ "{\"steps\":[1]}", "(none)" },
		{ "{\"steps\":[\"copy\",\"copy\",\"copy\",\"copy\",\"copy\",\"copy\",\"copy\","
		  "\"copy\",\"copy\",\"copy\",\"copy\",\"copy\",\"copy\",\"copy\",\"copy\"]}", "step" },
		{ "{\"move\":null}", "" },
		{ "{\"move\":{}}", "" },
		{ "{\"move\":{\"verify\":\"full\",\"wipe\":\"none\"}}", "" },
	};
	struct plan plan, again;
	struct err err;

	(void)state;
	assert_int_equal(planning_build("migrate", "file", "dir", &plan, &err), 0);
	for (size_t i = 0; i < COUNT(table); i++) {
		json_t *json = plan_to_json(&plan), *change = json_loads(table[i].change, 0, NULL);

		assert_int_equal(json_object_update(json, change), 0);
		err = (struct err)ERR_INIT;
		if (plan_from_json(&again, json, &err) == 0)
			fail_msg("read in spite of %s", table[i].change);
		assert_true(*err.cause);
		if (!strstr(err.cause, table[i].cause))
			fail_msg("%s: %s", table[i].change, err.cause);
		json_decref(change);
		json_decref(json);
	}
	plan_free(&plan);
}

/* A plan without a word of what is made cannot be gone on with. */
static void moves_that_are_not_read(void **state)
{
	static const char *const keys[] = { "source", "destination", "name", "temp_name", "verify", "wipe" };
	struct plan plan, again;
	struct err err;

	(void)state;
	assert_int_equal(planning_build("migrate", "file", "dir", &plan, &err), 0);
	for (size_t i = 0; i < COUNT(keys); i++) {
		json_t *json = plan_to_json(&plan);

		json_object_del(json_object_get(json, "move"), keys[i]);
		err = (struct err)ERR_INIT;
		if (plan_from_json(&again, json, &err) == 0)
			fail_msg("read without \"%s\"", keys[i]);
		assert_true(*err.cause);
		json_decref(json);
	}
	plan_free(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_that_are_not_read),
		cmocka_unit_test(moves_that_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
