/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner and the disk of a running domain: the steps, or the refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/err.h"
#include "support/text.h"

#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"
#define MIB (1 << 20)

static struct live_move a_disk(void)
{
	return (struct live_move){
		.uuid = (char *)"0c0ffee0-0000-4000-8000-0000000000a1", .domain = (char *)"web",
		.target = (char *)"vda", .old_path = (char *)"/srv/a/web.img", .persistent = true,
		.definition = (char *)"00", .bytes = 8 * MIB,
	};
}

static struct facts a_file(void)
{
	return (struct facts){
		.spec = text_copy("web:vda"), .kind = "file", .path = text_copy("/srv/a/web.img"),
		.dev = 1, .ino = 2, .bytes = 8 * MIB, .allocated = MIB, .links = 1, .mode = 0600,
		.dir = text_copy("/srv/a"), .dir_writable = true, .fs_type = text_copy("ext4"),
	};
}

static struct facts a_place(const char *path)
{
	return (struct facts){
		.spec = text_copy(path), .path = text_copy(path), .dir = text_copy(path),
		.dir_dev = 3, .dir_ino = 4, .dir_free = 1ULL << 40, .dir_writable = true,
		.fs_type = text_copy("ext4"),
	};
}

static struct facts a_device(uint64_t bytes)
{
	return (struct facts){
		.spec = text_copy("/dev/disk/by-id/x"), .kind = "block", .path = text_copy("/dev/sdc"),
		.dev = 0x820, .diskseq = 7, .bytes = bytes, .allocated = bytes, .sector = 512,
	};
}

/* Plan, and say which steps; or the refusal's cause. */
static char *planned(const struct request *request, struct facts source, struct facts destination,
		     struct plan *ret_plan)
{
	struct plan plan = { 0 };
	struct err err = ERR_INIT;
	char *text = NULL;

	if (plan_build(request, ID, &source, &destination, &plan, &err) < 0) {
		facts_free(&source);
		facts_free(&destination);
		return text_copy(err.cause);
	}
	for (size_t i = 0; i < plan.step_count; i++) {
		char *more = text_format("%s%s%s", text ? text : "", text ? " " : "", plan.steps[i]->name);

		free(text);
		text = more;
	}
	if (ret_plan)
		*ret_plan = plan;
	else
		plan_free(&plan);
	return text;
}

static void check(const struct request *request, struct facts source, struct facts destination,
		  const char *wanted)
{
	char *text = planned(request, source, destination, NULL);

	if (!strstr(text, wanted))
		fail_msg("\"%s\" is not in \"%s\"", wanted, text);
	free(text);
}

static void steps_of_a_swap(void **state)
{
	struct live_move live = a_disk();
	struct request request = REQUEST_DEFAULTS;

	(void)state;
	request.command = COMMAND_SWAP;
	request.live = &live;
	check(&request, a_file(), a_device(8 * MIB), "mirror compare pivot");
	request.create = true;
	check(&request, a_file(), a_place("/srv/b"), "create-file publish mirror compare pivot");
	request.hold = true;
	request.verify = VERIFY_NONE;
	check(&request, a_file(), a_place("/srv/b"), "create-file publish mirror hold pivot");
}

static void a_migrated_disk_is_released_before_it_goes(void **state)
{
	struct live_move live = a_disk();
	struct request request = REQUEST_DEFAULTS;

	(void)state;
	request.command = COMMAND_MIGRATE;
	request.live = &live;
	check(&request, a_file(), a_place("/srv/b"),
	      "create-file publish mirror compare pivot release remove-source");
	request.wipe = WIPE_ZERO;
	check(&request, a_file(), a_place("/srv/b"), "pivot release wipe-source remove-source");
	request.wipe = WIPE_NONE;
	request.method = "copy";
	check(&request, a_file(), a_place("/srv/b"), "method copy is not for a disk of a running domain");
}

static void a_larger_device_gets_a_window(void **state)
{
	struct live_move live = a_disk();
	struct request request = REQUEST_DEFAULTS;
	struct plan plan = { 0 };

	(void)state;
	request.command = COMMAND_SWAP;
	request.live = &live;
	free(planned(&request, a_file(), a_device(9 * MIB), &plan));
	assert_int_equal(plan.move.live.window, 8 * MIB);
	assert_string_equal(plan.move.live.new_path, "/dev/disk/by-id/x");
	assert_int_equal(plan.warnings.count, 1);
	assert_non_null(strstr(plan.warnings.items[0], "cannot be resized"));
	plan_free(&plan);
	check(&request, a_file(), a_device(7 * MIB), "too small");
	request.api = LIVE_API_REBASE;
	live.persistent = false;
	check(&request, a_file(), a_device(9 * MIB), "BlockRebase needs the same size");
	live.persistent = true;
	check(&request, a_file(), a_device(8 * MIB), "BlockRebase takes no domain that is defined");
}

static void what_others_use_is_refused(void **state)
{
	struct live_move live = a_disk();
	struct request request = REQUEST_DEFAULTS;
	struct facts source = a_file(), destination = a_device(8 * MIB);

	(void)state;
	request.command = COMMAND_SWAP;
	request.live = &live;
	text_list_add(&source.uses, text_copy("mounted on /mnt"));
	check(&request, source, a_device(8 * MIB), "mounted on /mnt");
	text_list_add(&destination.uses, text_copy("in use as swap"));
	check(&request, a_file(), destination, "in use as swap");
	check(&request, a_file(), a_file(), "the same volume");
	live.bytes = 9 * MIB;
	check(&request, a_file(), a_device(9 * MIB), "the guest sees");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_of_a_swap),
		cmocka_unit_test(a_migrated_disk_is_released_before_it_goes),
		cmocka_unit_test(a_larger_device_gets_a_window),
		cmocka_unit_test(what_others_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
