/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner fed with words: what is asked for, and what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planning.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"

/* The next word of *text, and behind '=' its value (a '_' stands for a space); false: no more. */
static bool next_word(const char **text, char word[static 64], char value[static 512])
{
	const char *p = *text + strspn(*text, " ");
	size_t length = strcspn(p, " "), name = strcspn(p, " =");

	if (!length)
		return false;
	snprintf(word, 64, "%.*s", (int)name, p);
	snprintf(value, 512, "%.*s", name < length ? (int)(length - name - 1) : 0, p + name + 1);
	for (char *v = value; *v; v++)
		if (*v == '_')
			*v = ' ';
	*text = p + length;
	return true;
}

static struct request request_of(const char *text)
{
	struct request request = REQUEST_DEFAULTS;
	static char method[512];
	char word[64], value[512];

	request.source = "source";
	request.destination = "destination";
	while (next_word(&text, word, value)) {
		if (!strcmp(word, "migrate"))
			request.command = COMMAND_MIGRATE;
		else if (!strcmp(word, "copy"))
			request.command = COMMAND_COPY;
		else if (!strcmp(word, "method"))
			request.method = strcpy(method, value);
		else if (!strcmp(word, "create"))
			request.create = true;
		else if (!strcmp(word, "into"))
			request.into_existing = true;
		else if (!strcmp(word, "raw"))
			request.raw = true;
		else if (!strcmp(word, "keep"))
			request.keep_source = true;
		else if (!strcmp(word, "force"))
			request.force_host_copy = true;
		else if (!strcmp(word, "delta"))
			request.delta = true;
		else if (!strcmp(word, "dense"))
			request.sparse = false;
		else if (!strcmp(word, "verify"))
			request.verify = strcmp(value, "none") ? VERIFY_FULL : VERIFY_NONE;
		else if (!strcmp(word, "wipe"))
			request.wipe = !strcmp(value, "zero") ? WIPE_ZERO :
				       !strcmp(value, "discard") ? WIPE_DISCARD : WIPE_NONE;
		else if (!strcmp(word, "rate"))
			request.bytes_per_second = strtoull(value, NULL, 0);
		else
			fail_msg("no word of a request: %s", word);
	}
	return request;
}

static void set(char **field, const char *text)
{
	free(*field);
	*field = text_copy(text);
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? text_copy("/") : text_format("%.*s", (int)(slash - path), path);
}

/* The first word is what there is: file, block, dir, nothing; the others change it. */
static struct facts facts_of(const char *text, bool is_source)
{
	struct facts facts = { 0 };
	char word[64], value[512];

	assert_true(next_word(&text, word, value));
	if (!strcmp(word, "block")) {
		facts.kind = "block";
		set(&facts.path, is_source ? "/dev/sdb" : "/dev/sdc");
		facts.dev = is_source ? 0x810 : 0x820;
		facts.diskseq = is_source ? 5 : 6;
		set(&facts.sys_path, is_source ? "/sys/devices/a/block/sdb" : "/sys/devices/b/block/sdc");
		facts.bytes = 8 << 20;
		facts.allocated = facts.bytes;
	} else {
		if (!strcmp(word, "file"))
			facts.kind = "file";
		set(&facts.path, !strcmp(word, "dir") ? "/srv/b" :
			is_source ? "/srv/a/web.img" : "/srv/b/new.img");
		facts.dir = !strcmp(word, "dir") ? text_copy(facts.path) : parent_of(facts.path);
		facts.dir_dev = is_source ? 1 : 2;
		facts.dir_ino = is_source ? 100 : 200;
		facts.dir_free = 1 << 30;
		facts.dir_writable = true;
		set(&facts.fs_type, "ext4");
		if (facts.kind) {
			facts.dev = facts.dir_dev;
			facts.ino = is_source ? 101 : 201;
			facts.bytes = 8 << 20;
			facts.allocated = 3 << 20;
			facts.mode = 0640;
			facts.links = 1;
			facts.mtime_ns = 1700000000123456789;
		}
	}
	while (next_word(&text, word, value)) {
		uint64_t number = strtoull(value, NULL, 0);

		if (!strcmp(word, "path")) {
			bool is_dir = facts.dir && !strcmp(facts.dir, facts.path);

			set(&facts.path, value);
			if (facts.dir) {
				free(facts.dir);
				facts.dir = is_dir ? text_copy(value) : parent_of(value);
			}
		} else if (!strcmp(word, "bytes"))
			facts.bytes = number;
		else if (!strcmp(word, "allocated"))
			facts.allocated = number;
		else if (!strcmp(word, "dev"))
			facts.dev = facts.dir_dev = number;
		else if (!strcmp(word, "ino"))
			facts.ino = number;
		else if (!strcmp(word, "links"))
			facts.links = number;
		else if (!strcmp(word, "free"))
			facts.dir_free = number;
		else if (!strcmp(word, "ro"))
			facts.read_only = true;
		else if (!strcmp(word, "dir-ro"))
			facts.dir_writable = false;
		else if (!strcmp(word, "stays"))
			set(&facts.unremovable, value);
		else if (!strcmp(word, "reflinks"))
			facts.reflinks = true;
		else if (!strcmp(word, "fs"))
			set(&facts.fs_type, value);
		else if (!strcmp(word, "format"))
			set(&facts.format, value);
		else if (!strcmp(word, "holds"))
			set(&facts.signature, value);
		else if (!strcmp(word, "use"))
			text_list_add(&facts.uses, text_copy(value));
		else if (!strcmp(word, "wwid"))
			set(&facts.wwid, value);
		else if (!strcmp(word, "sys"))
			set(&facts.sys_path, value);
		else if (!strcmp(word, "over")) {
			facts.backing_dev = is_source ? 2 : 1;
			facts.backing_ino = number;
		} else
			fail_msg("no word of facts: %s", word);
	}
	facts.spec = text_copy(facts.path);
	return facts;
}

char *planning_steps(const struct plan *plan)
{
	char *text = text_copy("");

	for (size_t i = 0; i < plan->step_count; i++) {
		char *longer = text_format("%s%s%s", text, i ? " " : "", plan->steps[i]->name);

		free(text);
		text = longer;
	}
	return text;
}

static bool has_step(const struct plan *plan, const struct step_ops *step)
{
	for (size_t i = 0; i < plan->step_count; i++)
		if (plan->steps[i] == step)
			return true;
	return false;
}

/* What no plan may be without, whatever was asked for. */
static void check_plan(const struct plan *plan)
{
	const struct move *move = &plan->move;
	bool committed = false, whole = false, proven = false, named = !move->create;
	struct plan again;
	struct err err = ERR_INIT;
	json_t *json, *json_again;

	assert_true(plan->step_count > 0 && plan->step_count <= PLAN_STEPS_MAX);
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct step_ops *step = plan->steps[i];
		char *object = step->object(move);

		assert_ptr_equal(step_by_name(step->name), step);
		assert_true(*object);
		free(object);
		/* One line in the plan after which there is only forward: commit. */
		if (step->irrevocable && !committed)
			assert_ptr_equal(step, &commit_step);
		assert_true(step->irrevocable == (committed || step == &commit_step));
		committed |= step == &commit_step;
		whole |= step == &copy_step || step == &reflink_step;
		proven |= step == &verify_step;
		named |= step == &publish_step;
		if (step == &verify_step || step == &publish_step)
			assert_true(whole);
		if (step == &commit_step)
			assert_true(whole && named);
		/* The source is touched only when the copy is proven. */
		if (step == &wipe_source_step || step == &remove_source_step)
			assert_true(committed && proven);
	}
	assert_true(committed);
	assert_int_equal(move->create, has_step(plan, &create_file_step));
	assert_int_equal(move->create, has_step(plan, &publish_step));
	assert_int_equal(move->remove, has_step(plan, &remove_source_step));
	assert_int_equal(move->wipe != WIPE_NONE, has_step(plan, &wipe_source_step));
	if (plan->command == COMMAND_COPY)
		assert_true(!move->remove && move->wipe == WIPE_NONE);
	if (move->create) {
		assert_null(strchr(move->name, '/'));
		assert_true(*move->name && strcmp(move->name, ".") && strcmp(move->name, ".."));
		assert_string_equal(move->temp_name, ".volmig-" ID);
	} else {
		assert_true(move->destination.bytes >= move->source.bytes);
	}

	/* It is journalled, and read back as the same. */
	json = plan_to_json(plan);
	assert_int_equal(plan_from_json(&again, json, &err), 0);
	json_again = plan_to_json(&again);
	assert_true(json_equal(json, json_again));
	json_decref(json_again);
	json_decref(json);
	plan_free(&again);
}

int planning_build(const char *request_text, const char *source_text, const char *destination_text,
		   struct plan *plan, struct err *err)
{
	struct request request = request_of(request_text);
	struct facts source = facts_of(source_text, true);
	struct facts destination = facts_of(destination_text, false);
	json_t *source_before = facts_to_json(&source), *destination_before = facts_to_json(&destination);
	json_t *after;
	int ret;

	*plan = (struct plan){ 0 };
	*err = (struct err)ERR_INIT;
	ret = plan_build(&request, ID, &source, &destination, plan, err);
	if (ret == 0) {
		assert_int_equal(err->class, ERR_NONE);
		assert_null(source.path);
		assert_null(destination.path);
		check_plan(plan);
	} else {
		assert_true(err->class == ERR_REFUSED || err->class == ERR_USAGE);
		assert_true(*err->cause && *err->object);
		assert_null(plan->move.source.path);
		after = facts_to_json(&source);
		assert_true(json_equal(source_before, after));
		json_decref(after);
		after = facts_to_json(&destination);
		assert_true(json_equal(destination_before, after));
		json_decref(after);
	}
	json_decref(source_before);
	json_decref(destination_before);
	facts_free(&source);
	facts_free(&destination);
	return ret;
}
