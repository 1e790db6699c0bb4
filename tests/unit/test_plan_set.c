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

static const struct step_ops *const none[] = { NULL };

/* Two plans that are put together only if they may be; err says why not. */
static void refused(struct plan a, struct plan b, const char *cause)
{
	struct plan plans[] = { a, b }, plan = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(plan_join(plans, 2, ID, "d", &plan, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	if (!strstr(err.cause, cause))
		fail_msg("%s", err.cause);
	/* Nothing of them has been taken. */
	assert_non_null(plans[0].move.source.path);
	plan_free(&plans[0]);
	plan_free(&plans[1]);
}

static void two_do_not_meet(void **state)
{
	struct plan same_name = plan_of("x", 11, none), smaller = plan_of("y", 11, none);
	struct plan a, b;

	(void)state;
	refused(plan_of("x", 10, none), same_name, "is where both /a/x and /a/x would go");
	/* One volume behind two disks, by whatever names. */
	refused(plan_of("x", 10, none), plan_of("y", 10, none), "is behind two disks");
	/* One is shut off now, and the other was not. */
	free(smaller.move.cold.uuid);
	smaller.move.cold.uuid = NULL;
	refused(plan_of("x", 10, none), smaller, "started or shut off just now");
	a = plan_of("x", 10, none);
	b = plan_of("y", 11, none);
	b.move.online.vg = text_copy("vg0");
	refused(a, b, "inside a volume group");
}

/* Each fits, and both do not. */
static void there_is_room_for_all_or_none(void **state)
{
	struct plan plans[] = { plan_of("x", 10, none), plan_of("y", 11, none) }, plan = { 0 };
	struct plan a = plan_of("x", 10, none), b = plan_of("y", 11, none);
	struct err err = ERR_INIT;

	(void)state;
	a.move.source.allocated = a.move.destination.dir_free - 4096;
	b.move.source.allocated = 8192;
	refused(a, b, "too little space for all of them");
	plans[0].move.source.allocated = plans[0].move.destination.dir_free - 4096;
	plans[1].move.source.allocated = 4096;
	assert_int_equal(plan_join(plans, 2, ID, "d", &plan, &err), 0);
	plan_free(&plan);
	/* On two file systems each has its own. */
	a = plan_of("x", 10, none);
	b = plan_of("y", 11, none);
	a.move.source.allocated = b.move.source.allocated = a.move.destination.dir_free;
	b.move.destination.dir_dev = 9;
	assert_int_equal(plan_join((struct plan[]){ a, b }, 2, ID, "d", &plan, &err), 0);
	plan_free(&plan);
}

static void what_is_shared_is_divided(void **state)
{
	struct plan plans[] = { plan_of("x", 10, none), plan_of("y", 11, none) }, plan = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	plans[0].move.live.max_pause_ms = plans[1].move.live.max_pause_ms = 500;
	plans[1].method = "reflink";
	text_list_add(&plans[0].warnings, text_copy("w"));
	text_list_add(&plans[1].warnings, text_copy("w"));
	text_list_add(&plans[1].warnings, text_copy("v"));
	plan_add_not_moved(&plans[0], "lvconvert", text_copy("no volume group"));
	plan_add_not_moved(&plans[1], "lvconvert", text_copy("no volume group"));
	assert_int_equal(plan_join(plans, 2, ID, "web", &plan, &err), 0);
	assert_int_equal(plan_moves(&plan), 2);
	assert_string_equal(plan.set, "web");
	/* The guest stands still once for all, and no longer than it may. */
	assert_int_equal(plan_move(&plan, 0)->live.max_pause_ms + plan_move(&plan, 1)->live.max_pause_ms, 500);
	/* Two that are unfinished in one place have two names. */
	assert_string_equal(plan_move(&plan, 0)->temp_name, ".volmig-" ID);
	assert_string_equal(plan_move(&plan, 1)->temp_name, ".volmig-" ID ".1");
	/* Said once; and where not all are shared, all are told to be copied. */
	assert_string_equal(plan.method, "copy");
	assert_int_equal(plan.warnings.count, 2);
	assert_int_equal(plan.not_moved_count, 1);
	plan_free(&plan);
}

static void there_is_a_limit(void **state)
{
	struct plan plans[PLAN_MOVES_MAX + 1], plan = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i <= PLAN_MOVES_MAX; i++) {
		char *name = text_format("d%zu", i);

		plans[i] = plan_of(name, 10 + i, none);
		free(name);
	}
	assert_int_equal(plan_join(plans, PLAN_MOVES_MAX + 1, ID, "d", &plan, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	plan_free(&plans[PLAN_MOVES_MAX]);
	assert_int_equal(plan_join(plans, PLAN_MOVES_MAX, ID, "d", &plan, &err), 0);
	assert_int_equal(plan_moves(&plan), PLAN_MOVES_MAX);
	plan_free(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joint_steps_come_once),
		cmocka_unit_test(all_is_made_before_the_first_copy),
		cmocka_unit_test(two_do_not_meet),
		cmocka_unit_test(there_is_room_for_all_or_none),
		cmocka_unit_test(what_is_shared_is_divided),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
