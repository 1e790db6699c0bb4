/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of several moves are put together: in which order, and to which move each is done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"
#include "support/err.h"
#include "support/text.h"

#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"

/* A move of a shut-off domain's disk to a volume that the job makes. */
static struct plan plan_of(const char *name, uint64_t ino, const struct step_ops *const *steps)
{
	struct plan plan = { .command = COMMAND_MIGRATE, .method = "copy" };
	struct move *move = &plan.move;

	move->source = (struct facts){
		.kind = "file", .spec = text_copy(name), .path = text_format("/a/%s", name),
		.dev = 1, .ino = ino, .bytes = 1 << 20,
	};
	move->destination = (struct facts){
		.spec = text_copy("/b"), .path = text_copy("/b"), .dir = text_copy("/b"), .dir_free = 1 << 30,
	};
	move->create = true;
	move->name = text_copy(name);
	move->temp_name = text_copy(".volmig-" ID);
	move->cold.uuid = text_copy("0c0ffee0-0000-4000-8000-0000000000a1");
	while (*steps)
		plan_add_step(&plan, *steps++);
	return plan;
}

static char *steps_of(const struct plan *plan)
{
	char *text = text_copy("");

	for (size_t i = 0; i < plan->step_count; i++) {
		char *longer = text_format("%s%s%s(%u)", text, *text ? " " : "", plan->steps[i]->name,
					   (unsigned)plan->step_moves[i]);

		free(text);
		text = longer;
	}
	return text;
}

static void check(const struct step_ops *const *a, const struct step_ops *const *b, const char *wanted)
{
	struct plan plans[] = { plan_of("x", 10, a), plan_of("y", 11, b) }, plan = { 0 };
	struct err err = ERR_INIT;
	char *steps;

	assert_int_equal(plan_join(plans, 2, ID, "d", &plan, &err), 0);
	steps = steps_of(&plan);
	assert_string_equal(steps, wanted);
	free(steps);
	plan_free(&plan);
}

static const struct step_ops *const plain[] = {
	&create_lv_step, &copy_step, &verify_step, &publish_step, &repoint_step, &commit_step,
	&remove_source_step, NULL,
};
static const struct step_ops *const inactive[] = {
	&activate_step, &create_lv_step, &copy_step, &verify_step, &publish_step, &repoint_step, &commit_step,
	&remove_source_step, NULL,
};

static void joint_steps_come_once(void **state)
{
	(void)state;
	check(plain, plain, "create-lv(0) create-lv(1) copy(0) copy(1) verify(0) verify(1) publish(0) publish(1) "
	      "repoint(0) commit(0) remove-source(0) remove-source(1)");
}

/* Steps may be taken back to a copy and be done again, and what was made is not made again then. */
static void all_is_made_before_the_first_copy(void **state)
{
	(void)state;
	check(plain, inactive, "create-lv(0) activate(1) create-lv(1) copy(0) copy(1) verify(0) verify(1) "
	      "publish(0) publish(1) repoint(0) commit(0) remove-source(0) remove-source(1)");
	check(inactive, plain, "activate(0) create-lv(0) create-lv(1) copy(0) copy(1) verify(0) verify(1) "
	      "publish(0) publish(1) repoint(0) commit(0) remove-source(0) remove-source(1)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joint_steps_come_once),
		cmocka_unit_test(all_is_made_before_the_first_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
