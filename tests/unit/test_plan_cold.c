/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is planned for a volume that domains use: whose definition follows, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"
#define UUID "0c0ffee0-0000-4000-8000-0000000000a1"
#define DISK "<disk type='file' device='disk'><source file='/srv/a/web.img'/><target dev='vda' bus='virtio'/></disk>"

static struct facts file_of(const char *dir, bool exists)
{
	struct facts facts = { 0 };

	facts.spec = text_copy("web.img");
	facts.path = exists ? text_format("%s/web.img", dir) : text_copy(dir);
	facts.kind = exists ? "file" : NULL;
	facts.dir = text_copy(dir);
	facts.dir_writable = true;
	facts.dir_free = 1 << 30;
	facts.fs_type = text_copy("ext4");
	facts.dev = facts.dir_dev = 1;
	facts.ino = 2;
	facts.links = 1;
	facts.bytes = facts.allocated = 1 << 20;
	facts.sector = 512;
	return facts;
}

/* One more domain that has it as a disk, and is shut off. */
static struct guest_use *add_use(struct facts *facts, const char *domain)
{
	struct guest_use *use;

	facts->guests = text_grow(facts->guests, facts->guest_count + 1, sizeof(*facts->guests));
	use = &facts->guests[facts->guest_count++];
	*use = (struct guest_use){
		.domain = text_copy(domain),
		.role = text_copy("vda"),
		.device = text_copy("disk"),
		.definition = text_copy("<domain><devices>" DISK "</devices></domain>"),
		.text = text_format("disk vda of domain %s (shut off)", domain),
		.disk = true,
		.config = true,
		.bare = true,
	};
	strcpy(use->uuid, UUID);
	text_list_add(&facts->uses, text_copy(use->text));
	return use;
}

/* Plan it.  wanted NULL: it is planned, and *ret_plan; else that is refused for that. */
static void plan_it(struct request request, struct facts *source, const char *wanted,
		    struct plan *ret_plan)
{
	struct facts destination = file_of("/srv/b", false);
	struct err err = ERR_INIT;
	int ret;

	request.source = "web.img";
	request.destination = "/srv/b/";
	ret = plan_build(&request, ID, source, &destination, ret_plan, &err);
	if (!wanted) {
		if (ret < 0)
			fail_msg("refused: %s", err.cause);
		return;
	}
	assert_int_equal(ret, -1);
	assert_int_equal(err.class, ERR_REFUSED);
	if (!strstr(err.cause, wanted))
		fail_msg("\"%s\" is not in: %s", wanted, err.cause);
	assert_true(*err.next);
	facts_free(source);
	facts_free(&destination);
}

static bool has_step(const struct plan *plan, const char *name, const char *before)
{
	bool seen = false;

	for (size_t i = 0; i < plan->step_count; i++) {
		if (!strcmp(plan->steps[i]->name, before))
			return seen;
		seen = seen || !strcmp(plan->steps[i]->name, name);
	}
	return false;
}

static void the_definition_follows(void **state)
{
	const struct request request = REQUEST_DEFAULTS;
	struct facts source = file_of("/srv/a", true);
	struct plan plan, again;
	struct err err = ERR_INIT;
	json_t *json;

	(void)state;
	add_use(&source, "web")->autostart = true;
	plan_it(request, &source, NULL, &plan);
	assert_true(has_step(&plan, "repoint", "commit"));
	assert_true(has_step(&plan, "publish", "repoint"));
	assert_string_equal(plan.not_moved[0].method, "live");
	assert_non_null(strstr(plan.warnings.items[0], "autostart"));

	/* And comes back out of a journal. */
	json = plan_to_json(&plan);
	assert_int_equal(plan_from_json(&again, json, &err), 0);
	json_decref(json);
	assert_string_equal(again.move.cold.uuid, UUID);
	assert_string_equal(again.move.cold.target, "vda");
	assert_string_equal(again.move.cold.old_disk, DISK);
	assert_string_equal(again.move.cold.new_disk,
			    "<disk type='file' device='disk'><source file='/srv/b/web.img'/>"
			    "<target dev='vda' bus='virtio'/></disk>");
	assert_string_equal(move_shut_off_users(&again.move), UUID);
	plan_free(&plan);
	plan_free(&again);
}

static void a_copy_leaves_it(void **state)
{
	struct request request = REQUEST_DEFAULTS;
	struct facts source = file_of("/srv/a", true);
	struct plan plan;

	(void)state;
	request.command = COMMAND_COPY;
	request.create = true;
	add_use(&source, "web");
	plan_it(request, &source, NULL, &plan);
	assert_null(plan.move.cold.uuid);
	assert_false(has_step(&plan, "repoint", "commit"));
	assert_string_equal(move_shut_off_users(&plan.move), "*");
	plan_free(&plan);
}

static void what_is_refused(void **state)
{
	const struct request request = REQUEST_DEFAULTS;
	struct facts source;
	struct guest_use *use;
	struct plan plan;

	(void)state;
#define REFUSED(text, CHANGE) \
	source = file_of("/srv/a", true); \
	use = add_use(&source, "web"); \
	CHANGE; \
	plan_it(request, &source, text, &plan)

	REFUSED("in use: disk vda of domain web", use->running = true);
	REFUSED("only a disk's source", use->disk = false);
	REFUSED("an image stands on it", use->backing = true);
	REFUSED("a block job mirrors onto it", use->mirror = true);
	REFUSED("a removable medium", strcpy(use->device, "cd"));
	REFUSED("more than where it is", use->bare = false);
	REFUSED("the domain has 3 snapshots", use->tied = text_copy("3 snapshots"));
	REFUSED("in more than one way", add_use(&source, "db"));
	REFUSED("in use: mounted on /mnt", text_list_add(&source.uses, text_copy("mounted on /mnt")));
}

static void who_is_in_the_way(void **state)
{
	struct facts facts = file_of("/srv/a", true);
	char *uses;

	(void)state;
	add_use(&facts, "web");
	uses = guests_uses_besides(&facts, NULL);
	assert_string_equal(uses, "disk vda of domain web (shut off)");
	free(uses);
	assert_null(guests_uses_besides(&facts, UUID));
	assert_null(guests_uses_besides(&facts, "*"));
	uses = guests_uses_besides(&facts, "another");
	assert_non_null(uses);
	free(uses);
	facts.guests[0].running = true;
	uses = guests_uses_besides(&facts, UUID);
	assert_non_null(uses);
	free(uses);
	facts_free(&facts);
}

/* A path alone must not lead from raw bytes to an image, or back: the guest would write into its tables. */
static void formats_stay(void **state)
{
	static const char *const drivers[] = { NULL, "qcow2", "vmdk", "rbd" };

	(void)state;
	for (size_t from = 0; from < 2; from++) {
		for (size_t to = 0; to < 4; to++) {
			struct facts source = file_of("/srv/a", true), dst = file_of("/srv/b", false);
			struct request request = REQUEST_DEFAULTS;
			struct err err = ERR_INIT;
			struct plan plan;
			int ret;

			request.source = "web.img";
			request.destination = "/srv/b/";
			add_use(&source, "web");
			for (size_t i = 0; i < 2; i++) {
				struct facts *end = i ? &dst : &source;
				const char *driver = drivers[i ? to : from];

				if (!driver)
					continue;
				end->qemu = text_alloc(1, sizeof(*end->qemu));
				end->qemu->driver = driver;
				if (i == 0)
					end->kind = qcow2_volume_ops.kind;
			}
			if (dst.qemu && to == 3)
				dst.qemu->pool = text_copy("rbd");
			ret = plan_build(&request, ID, &source, &dst, &plan, &err);
			assert_int_equal(ret, from == to ? 0 : -1);
			if (ret == 0) {
				plan_free(&plan);
				continue;
			}
			assert_int_equal(err.class, ERR_REFUSED);
			assert_non_null(strstr(err.cause, "more than another path"));
			facts_free(&source);
			facts_free(&dst);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_definition_follows),
		cmocka_unit_test(a_copy_leaves_it),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(who_is_in_the_way),
		cmocka_unit_test(formats_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
