/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which method goes on after one that has failed, and what is said of those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan.h"
#include "plan_parts.h"
#include "support/text.h"

static struct plan *plan_of(const char *method, enum verify_mode verify, struct plan *next)
{
	struct plan *plan = text_alloc(1, sizeof(*plan));

	plan->method = method;
	plan->move.verify = verify;
	plan->next = next;
	return plan;
}

/* lvconvert, then pvmove, then a copy; each says of those before it that they come first. */
static struct plan *chain(void)
{
	struct plan *copy = plan_of("copy", VERIFY_FULL, NULL);
	struct plan *move = plan_of("pvmove", VERIFY_NONE, copy);

	plan_add_not_moved(copy, "lvconvert", text_copy(PLAN_TRIED_FIRST));
	plan_add_not_moved(copy, "pvmove", text_copy(PLAN_TRIED_FIRST));
	plan_add_not_moved(copy, "reflink", text_copy("no file"));
	plan_add_not_moved(move, "lvconvert", text_copy(PLAN_TRIED_FIRST));
	return plan_of("lvconvert", VERIFY_FULL, move);
}

static const char *reason(const struct plan *plan, const char *method)
{
	for (size_t i = 0; i < plan->not_moved_count; i++)
		if (!strcmp(plan->not_moved[i].method, method))
			return plan->not_moved[i].reason;
	return "";
}

static void one_after_the_other(void **state)
{
	struct plan *plan = chain();

	(void)state;
	assert_true(plan_has_next(plan, GO_ON_ANY));
	plan_go_on(plan, GO_ON_ANY, "one");
	assert_string_equal(plan->method, "pvmove");
	assert_string_equal(reason(plan, "lvconvert"), "it failed, and was undone: one");
	plan_go_on(plan, GO_ON_ANY, "two");
	assert_string_equal(plan->method, "copy");
	assert_string_equal(reason(plan, "lvconvert"), "it failed, and was undone: one");
	assert_string_equal(reason(plan, "pvmove"), "it failed, and was undone: two");
	assert_string_equal(reason(plan, "reflink"), "no file");
	assert_false(plan_has_next(plan, GO_ON_ANY));
	plan_free(plan);
	free(plan);
}

static void only_one_that_proves(void **state)
{
	struct plan *plan = chain();

	(void)state;
	plan_go_on(plan, GO_ON_PROVING, "damage");
	assert_string_equal(plan->method, "copy");
	assert_non_null(strstr(reason(plan, "lvconvert"), "damage"));
	assert_non_null(strstr(reason(plan, "pvmove"), "it proves nothing"));
	plan_free(plan);
	free(plan);

	plan = chain();
	plan_free(plan->next->next);
	free(plan->next->next);
	plan->next->next = NULL;
	assert_true(plan_has_next(plan, GO_ON_ANY));
	assert_false(plan_has_next(plan, GO_ON_PROVING));
	assert_false(plan_has_next(plan, GO_ON_NEVER));
	plan_free(plan);
	free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_the_other),
		cmocka_unit_test(only_one_that_proves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
