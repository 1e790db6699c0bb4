/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner as tables: what is asked for and what is there -> the steps, or the refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"

/* ---- words to requests and facts ---- */

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

static char *steps_of(const struct plan *plan)
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

/* 0 when there is a plan.  On a refusal the facts must still be whole, and the caller's. */
static int build(const char *request_text, const char *source_text, const char *destination_text,
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

/* ---- steps ---- */

static const struct {
	const char *request, *source, *destination;
	const char *steps;
	const char *warning;		/* a part of one; NULL: there is none */
} planned[] = {
	/* A new file. */
	{ "migrate", "file", "dir",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file", "nothing",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate keep", "file", "nothing",
	  "create-file copy verify publish commit", NULL },
	{ "migrate wipe=zero", "file", "nothing",
	  "create-file copy verify publish commit wipe-source remove-source", NULL },
	{ "migrate wipe=discard", "file", "nothing",
	  "create-file copy verify publish commit wipe-source remove-source", NULL },
	{ "migrate wipe=none", "file", "nothing",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate verify=none", "file", "nothing",
	  "create-file copy publish commit", "source is kept" },
	{ "migrate verify=none keep", "file", "nothing",
	  "create-file copy publish commit", NULL },
	{ "migrate force", "file", "nothing",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate dense rate=1000", "file", "nothing",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate into", "file", "dir",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file bytes=0 allocated=0", "dir",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file links=3", "dir",
	  "create-file copy verify publish commit remove-source", "only this one is removed" },
	{ "migrate keep", "file links=3", "dir",
	  "create-file copy verify publish commit", NULL },
	{ "copy create", "file", "nothing", "create-file copy verify publish commit", NULL },
	{ "copy create", "file", "dir", "create-file copy verify publish commit", NULL },
	{ "copy create verify=none", "file", "dir", "create-file copy publish commit", NULL },
	{ "copy create", "file ro dir-ro", "dir", "create-file copy verify publish commit", NULL },
	{ "migrate keep", "file ro dir-ro", "dir", "create-file copy verify publish commit", NULL },
	/* To be removed a file has to be in a directory that can be written, no more. */
	{ "migrate", "file ro", "dir",
	  "create-file copy verify publish commit remove-source", NULL },

	/* Of a device; which is not removed. */
	{ "migrate", "block", "dir",
	  "create-file copy verify publish commit", "stays as it is" },
	{ "migrate keep", "block", "dir", "create-file copy verify publish commit", NULL },
	{ "migrate wipe=discard", "block", "dir",
	  "create-file copy verify publish commit wipe-source", NULL },
	{ "migrate wipe=zero", "block", "dir",
	  "create-file copy verify publish commit wipe-source", NULL },
	{ "migrate verify=none", "block", "nothing", "create-file copy publish commit", "source is kept" },
	{ "copy create", "block", "nothing", "create-file copy verify publish commit", NULL },

	/* Onto something. */
	{ "migrate into", "file", "file", "copy verify commit remove-source", NULL },
	{ "migrate into", "file", "file bytes=8388609",
	  "copy zero-tail verify commit remove-source", "its last 1 bytes become zero" },
	{ "migrate into wipe=zero", "file", "block bytes=9000000",
	  "copy zero-tail verify commit wipe-source remove-source", "become zero" },
	{ "migrate into", "file", "block", "copy verify commit remove-source", NULL },
	{ "migrate into", "block", "block", "copy verify commit", "stays as it is" },
	{ "migrate into wipe=discard", "block", "block", "copy verify commit wipe-source", NULL },
	{ "migrate into verify=none", "block", "file", "copy commit", "source is kept" },
	{ "migrate into delta", "file", "file", "copy verify commit remove-source", NULL },
	{ "migrate into keep", "file", "file holds=ext4", "copy verify commit", "ext4 on /srv/b/new.img is overwritten" },
	{ "migrate into keep", "file", "file format=qcow2", "copy verify commit", "qcow2 on /srv/b/new.img is overwritten" },
	{ "migrate into", "file bytes=0 allocated=0", "file bytes=0", "copy verify commit remove-source", NULL },
	{ "copy", "file", "file", "copy verify commit", NULL },
	{ "copy", "block", "block", "copy verify commit", NULL },
	{ "copy delta", "block", "block", "copy verify commit", NULL },
	{ "copy", "block", "block bytes=8388608000", "copy zero-tail verify commit", "become zero" },
	{ "copy verify=none", "file", "block", "copy commit", NULL },
	{ "copy into", "file", "block holds=LVM2_member", "copy verify commit", "LVM2 member on /dev/sdc is overwritten" },
	/* Space is looked at only where it is to be allocated. */
	{ "copy", "file allocated=3000000000", "file free=0", "copy verify commit", NULL },
	{ "migrate", "file allocated=1073741824", "dir", "create-file copy verify publish commit remove-source", NULL },
	{ "copy create", "block bytes=1073741825 allocated=1073741825", "dir",
	  "create-file copy verify publish commit", "fits only if" },

	/* A container's bytes, when they are asked for. */
	{ "migrate raw", "file format=qcow2", "dir", "create-file copy verify publish commit remove-source", NULL },

	/* Sharing extents. */
	{ "migrate", "file reflinks", "nothing dev=1 reflinks",
	  "create-file reflink verify publish commit remove-source", NULL },
	{ "migrate method=reflink", "file reflinks", "nothing dev=1 reflinks",
	  "create-file reflink verify publish commit remove-source", NULL },
	{ "migrate verify=none", "file reflinks", "nothing dev=1 reflinks",
	  "create-file reflink publish commit", "source is kept" },
	{ "migrate method=copy", "file reflinks", "nothing dev=1 reflinks",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate force", "file reflinks", "nothing dev=1 reflinks",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate into", "file reflinks", "file dev=1 reflinks",
	  "copy verify commit remove-source", NULL },
	{ "migrate", "file reflinks", "nothing dev=2 reflinks",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file reflinks", "nothing dev=1",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file", "nothing dev=1 reflinks",
	  "create-file copy verify publish commit remove-source", NULL },

	/* Only what is below /dev is a device's name. */
	{ "migrate", "file", "nothing path=/device/x", "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file", "dir path=/srv/dev", "create-file copy verify publish commit remove-source", NULL },

	/* Neighbours that are not the same. */
	{ "migrate into", "file", "file dev=1", "copy verify commit remove-source", NULL },
	{ "copy", "block path=/dev/sda1 sys=/sys/devices/a/block/sda/sda1",
	  "block path=/dev/sda2 sys=/sys/devices/a/block/sda/sda2", "copy verify commit", NULL },
	{ "copy", "block wwid=naa.5", "block wwid=naa.55", "copy verify commit", NULL },
	{ "copy", "block over=77", "block over=78", "copy verify commit", NULL },
};

static void what_is_planned(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(planned); i++) {
		struct plan plan;
		struct err err;
		char *steps, *warnings;

		if (build(planned[i].request, planned[i].source, planned[i].destination, &plan, &err) < 0)
			fail_msg("%s, %s -> %s: %s: %s", planned[i].request, planned[i].source,
				 planned[i].destination, err.object, err.cause);
		steps = steps_of(&plan);
		warnings = text_list_join(&plan.warnings);
		if (strcmp(steps, planned[i].steps))
			fail_msg("%s, %s -> %s: %s", planned[i].request, planned[i].source,
				 planned[i].destination, steps);
		if (planned[i].warning ? !strstr(warnings, planned[i].warning) : *warnings)
			fail_msg("%s, %s -> %s: it says \"%s\"", planned[i].request, planned[i].source,
				 planned[i].destination, warnings);
		free(steps);
		free(warnings);
		plan_free(&plan);
	}
}

/* ---- refusals ---- */

static const struct {
	const char *request, *source, *destination;
	enum err_class class;
	const char *cause, *next;
} refused[] = {
	/* No source. */
	{ "migrate", "nothing", "dir", ERR_REFUSED, "no such volume", "check the name" },
	{ "copy create", "nothing", "dir", ERR_REFUSED, "no such volume", "check the name" },
	{ "migrate", "dir", "dir", ERR_REFUSED, "is a directory", "a file or a block device" },
	{ "copy create", "file fs=proc", "dir", ERR_REFUSED, "what is on proc is made up", "a file or a block device" },
	{ "migrate", "file fs=sysfs", "dir", ERR_REFUSED, "what is on sysfs is made up", "a file or a block device" },
	{ "migrate", "file format=qcow2", "dir", ERR_REFUSED, "looks like a qcow2 image", "--format=raw" },
	{ "copy create", "block format=vmdk", "dir", ERR_REFUSED, "looks like a vmdk image", "--format=raw" },
	{ "migrate", "file use=mounted_on_/mnt", "dir", ERR_REFUSED, "in use: mounted on /mnt", "end that use" },
	{ "migrate", "file use=a use=b use=c", "dir", ERR_REFUSED, "in use: a, b and c", "end that use" },
	{ "copy create keep", "block use=swap", "dir", ERR_REFUSED, "in use: swap", "end that use" },

	/* No place for a new file. */
	{ "migrate", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "copy", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "copy create", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "nothing path=/dev/mapper/x", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/dev", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/dev/shm", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/proc", ERR_REFUSED, "below /proc", "name" },
	{ "migrate", "file", "nothing path=/sys/x", ERR_REFUSED, "below /sys", "name" },
	{ "migrate", "file", "dir dir-ro", ERR_REFUSED, "the directory is not writable", "" },
	{ "migrate", "file allocated=1073741825", "dir", ERR_REFUSED, "too little space", "free some space" },
	{ "migrate", "file", "dir free=3145727", ERR_REFUSED, "3145727 bytes) are free", "free some space" },
	{ "copy create", "file", "nothing free=0", ERR_REFUSED, "too little space", "free some space" },
	{ "copy", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "copy", "file", "dir", ERR_REFUSED, "is a directory", "--create" },
	{ "copy delta", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "copy into", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "migrate into", "file", "nothing", ERR_REFUSED, "no such volume to be overwritten", "leave --into-existing out" },
	{ "migrate delta", "file", "nothing", ERR_REFUSED, "needs a destination that exists", "leave --delta out" },
	{ "copy create delta", "file", "dir", ERR_REFUSED, "needs a destination that exists", "leave --delta out" },

	/* A destination that is there. */
	{ "migrate", "file", "file", ERR_REFUSED, "destination exists (8 MiB, no known signature)", "--into-existing" },
	{ "migrate", "file", "file holds=ext4_\"root\"", ERR_REFUSED, "destination exists (8 MiB, ext4 \"root\")", "--into-existing" },
	{ "migrate", "block", "block", ERR_REFUSED, "destination exists", "--into-existing" },
	{ "copy", "file", "block holds=crypto-LUKS", ERR_REFUSED, "destination exists (8 MiB, crypto-LUKS)", "--into-existing" },
	{ "copy", "file", "file format=qcow2", ERR_REFUSED, "destination exists (8 MiB, qcow2)", "--into-existing" },
	{ "copy delta", "file", "file holds=ext4", ERR_REFUSED, "destination exists (8 MiB, ext4)", "--into-existing" },
	{ "copy create", "file", "file", ERR_REFUSED, "destination exists already", "leave --create out" },
	{ "copy create into", "file", "file", ERR_REFUSED, "destination exists already", "leave --create out" },
	{ "migrate into", "file", "file bytes=8388607", ERR_REFUSED, "too small: 8388607 bytes, the source has 8388608", "at least" },
	{ "copy", "block", "block bytes=0", ERR_REFUSED, "too small", "at least" },
	{ "copy", "file", "block use=mounted_on_/mnt", ERR_REFUSED, "in use: mounted on /mnt", "end that use" },
	{ "migrate into", "file", "file use=open_for_writing_by_qemu", ERR_REFUSED, "in use: open for writing by qemu", "end that use" },
	{ "migrate into", "file", "file ro", ERR_REFUSED, "destination is read-only", "" },
	{ "copy", "file", "block ro", ERR_REFUSED, "destination is read-only", "" },

	/* The same thing twice, by whatever names; that is said before all else about the destination. */
	{ "migrate into", "file", "file path=/other dev=1 ino=101", ERR_REFUSED, "the same volume", "two different" },
	{ "migrate", "file", "file path=/other dev=1 ino=101", ERR_REFUSED, "the same volume", "two different" },
	{ "copy into", "file", "file dev=1 ino=101 bytes=5", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block", "block path=/dev/other dev=0x810", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block wwid=naa.5", "block wwid=naa.5", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block path=/dev/sda sys=/sys/devices/a/block/sda",
	  "block path=/dev/sda1 sys=/sys/devices/a/block/sda/sda1", ERR_REFUSED, "one is part of the other", "two different" },
	{ "copy into", "block path=/dev/sda1 sys=/sys/devices/a/block/sda/sda1",
	  "block path=/dev/sda sys=/sys/devices/a/block/sda", ERR_REFUSED, "one is part of the other", "two different" },
	{ "copy", "file", "block path=/dev/loop0 over=101", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block path=/dev/loop0 over=201", "file", ERR_REFUSED, "the same volume", "two different" },

	/* Methods. */
	{ "migrate method=pvmove", "file", "dir", ERR_REFUSED, "method pvmove is for logical volumes", "" },
	{ "migrate method=lvconvert", "block", "dir", ERR_REFUSED, "a block device that nobody uses", "" },
	{ "migrate method=live", "file", "dir", ERR_REFUSED, "a file that nobody uses", "" },
	{ "migrate method=reflink", "file", "dir", ERR_REFUSED, "ext4 on /srv/a cannot share", "leave --method out" },
	{ "migrate method=reflink", "file reflinks", "nothing dev=1", ERR_REFUSED, "ext4 on /srv/b cannot share", "leave --method out" },
	{ "migrate method=reflink", "file reflinks", "nothing reflinks", ERR_REFUSED, "different file systems", "leave --method out" },
	{ "migrate method=reflink force", "file reflinks", "nothing dev=1 reflinks", ERR_REFUSED, "--force-host-copy", "leave --method out" },
	{ "migrate method=reflink", "block", "dir", ERR_REFUSED, "is a block device", "leave --method out" },
	{ "migrate method=reflink into", "file reflinks", "file reflinks", ERR_REFUSED, "destination exists already", "leave --method out" },

	/* What becomes of the source. */
	{ "migrate keep wipe=zero", "file", "dir", ERR_USAGE, "contradicts --keep-source", "" },
	{ "migrate keep wipe=discard", "block", "dir", ERR_USAGE, "contradicts --keep-source", "" },
	{ "migrate verify=none wipe=zero", "file", "dir", ERR_USAGE, "--verify=none", "" },
	{ "migrate verify=none wipe=discard", "block", "dir", ERR_USAGE, "--verify=none", "" },
	{ "copy create wipe=zero", "file", "dir", ERR_USAGE, "nothing is wiped that is kept", "" },
	{ "migrate wipe=zero", "file links=2", "dir", ERR_REFUSED, "2 names (hard links)", "leave --wipe out" },
	{ "migrate wipe=discard", "file links=2", "dir", ERR_REFUSED, "2 names (hard links)", "leave --wipe out" },
	{ "migrate wipe=zero", "file ro", "dir", ERR_REFUSED, "cannot be wiped: it is read-only", "" },
	{ "migrate wipe=discard", "block ro", "dir", ERR_REFUSED, "cannot be wiped: it is read-only", "" },
	{ "migrate", "file dir-ro", "dir", ERR_REFUSED, "the source could not be removed", "" },
	{ "migrate wipe=zero", "file dir-ro", "dir", ERR_REFUSED, "the source could not be removed", "" },
	{ "migrate", "file stays=it_is_a_mount_point", "dir", ERR_REFUSED, "the source could not be removed: it is a mount point", "--keep-source" },
	{ "migrate", "file", "dir stays=append-only", ERR_REFUSED, "no volume can be made there: append-only", "" },
	{ "copy create", "file", "nothing stays=append-only", ERR_REFUSED, "no volume can be made there: append-only", "" },
};

static void what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct plan plan;
		struct err err;

		if (build(refused[i].request, refused[i].source, refused[i].destination, &plan, &err) == 0)
			fail_msg("%s, %s -> %s: is planned", refused[i].request, refused[i].source,
				 refused[i].destination);
		if (err.class != refused[i].class || !strstr(err.cause, refused[i].cause) ||
		    (*refused[i].next ? !strstr(err.next, refused[i].next) : *err.next))
			fail_msg("%s, %s -> %s: %s: %s: %s; %s", refused[i].request, refused[i].source,
				 refused[i].destination, err_class_name(err.class), err.object,
				 err.cause, err.next);
	}
}

/* ---- particulars ---- */

/* What the new file is called, and where. */
static void names(void **state)
{
	static const struct {
		const char *source, *destination, *path;
	} table[] = {
		{ "file", "dir", "/srv/b/web.img" },
		{ "file", "nothing", "/srv/b/new.img" },
		{ "file", "dir path=/", "/web.img" },
		{ "file", "nothing path=/x", "/x" },
		{ "file path=/x", "dir", "/srv/b/x" },
		{ "block", "dir", "/srv/b/sdb" },
		{ "file path=/srv/a/a_b", "dir path=/srv/c_d", "/srv/c d/a b" },
		{ "file path=/srv/a/\xff\n\"", "dir", "/srv/b/\xff\n\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct plan plan;
		struct err err;
		char *path, *temp;

		assert_int_equal(build("migrate", table[i].source, table[i].destination, &plan, &err), 0);
		path = move_final_path(&plan.move);
		temp = move_temp_path(&plan.move);
		assert_string_equal(path, table[i].path);
		/* In the same directory, where it can be renamed. */
		assert_int_equal(strrchr(temp, '/') - temp, strrchr(path, '/') - path);
		assert_memory_equal(temp, path, (size_t)(strrchr(path, '/') - path) + 1);
		free(path);
		free(temp);
		plan_free(&plan);
	}
}

static void longest_name(void **state)
{
	char *text = text_format("nothing path=/srv/b/%0255d", 0);
	struct plan plan;
	struct err err;

	(void)state;
	assert_int_equal(build("migrate", "file", text, &plan, &err), 0);
	plan_free(&plan);
	free(text);
	text = text_format("nothing path=/srv/b/%0256d", 0);
	assert_int_equal(build("migrate", "file", text, &plan, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, "too long"));
	free(text);
}

/* Everything the user has chosen is in the plan that is journalled. */
static void what_is_carried_over(void **state)
{
	struct plan plan;
	struct err err;

	(void)state;
	assert_int_equal(build("migrate into delta dense rate=18446744073709551615 wipe=discard", "file",
			       "file", &plan, &err), 0);
	assert_true(plan.move.delta && !plan.move.sparse && plan.move.remove && !plan.move.create);
	assert_int_equal(plan.move.wipe, WIPE_DISCARD);
	assert_int_equal(plan.move.verify, VERIFY_FULL);
	assert_true(plan.move.bytes_per_second == UINT64_MAX);
	assert_int_equal(plan.move.stall_ms, 600000);
	plan_free(&plan);
	assert_int_equal(build("copy verify=none", "file", "file", &plan, &err), 0);
	assert_true(plan.move.sparse && !plan.move.delta && !plan.move.remove);
	assert_int_equal(plan.move.wipe, WIPE_NONE);
	assert_int_equal(plan.move.verify, VERIFY_NONE);
	assert_true(plan.move.bytes_per_second == 0);
	plan_free(&plan);
}

/* The method that was not chosen, and why. */
static void not_chosen(void **state)
{
	static const struct {
		const char *request, *source, *destination, *reason;
	} table[] = {
		{ "migrate", "file", "dir", "ext4 on /srv/a cannot share extents" },
		{ "migrate", "file reflinks", "dir fs=tmpfs", "tmpfs on /srv/b cannot share extents" },
		{ "migrate", "file reflinks", "dir reflinks", "/srv/a and /srv/b are different file systems" },
		{ "migrate force", "file reflinks", "dir dev=1 reflinks", "--force-host-copy" },
		{ "migrate method=copy", "file reflinks", "dir dev=1 reflinks", "--method=copy" },
		{ "migrate", "block", "dir", "/dev/sdb is a block device" },
		{ "migrate into", "file", "file", "the destination exists already" },
	};
	struct plan plan;
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(build(table[i].request, table[i].source, table[i].destination, &plan, &err), 0);
		assert_string_equal(plan.method, "copy");
		assert_int_equal(plan.not_moved_count, 1);
		assert_string_equal(plan.not_moved[0].method, "reflink");
		if (!strstr(plan.not_moved[0].reason, table[i].reason))
			fail_msg("%s", plan.not_moved[0].reason);
		plan_free(&plan);
	}
	assert_int_equal(build("migrate", "file reflinks", "dir dev=1 reflinks", &plan, &err), 0);
	assert_string_equal(plan.method, "reflink");
	assert_int_equal(plan.not_moved_count, 0);
	plan_free(&plan);
}

/* All options with all kinds of ends: a plan that holds together (see check_plan), or a reason. */
static void every_combination(void **state)
{
	static const char *const options[] = {
		"create", "into", "raw", "keep", "force", "delta", "dense", "verify=none",
	};
	static const char *const sources[] = {
		"file", "file reflinks", "file links=2", "file ro dir-ro", "file bytes=0", "block",
		"block ro", "nothing", "dir",
	};
	static const char *const destinations[] = {
		"dir", "nothing", "dir dev=1 reflinks", "file", "file bytes=9000000 holds=ext4", "block",
		"block bytes=9000000", "file bytes=1", "nothing path=/dev/x", "file dev=1 ino=101",
	};
	static const char *const wipes[] = { "", " wipe=zero", " wipe=discard" };
	size_t made = 0, refusals = 0;

	(void)state;
	for (unsigned bits = 0; bits < 2U << COUNT(options); bits++) {
		char request[200];

		snprintf(request, sizeof(request), "%s", bits >> COUNT(options) ? "copy" : "migrate");
		for (size_t o = 0; o < COUNT(options); o++)
			if (bits & 1U << o)
				strcat(strcat(request, " "), options[o]);
		for (size_t w = 0; w < COUNT(wipes); w++) {
			char whole[250];

			snprintf(whole, sizeof(whole), "%s%s", request, wipes[w]);
			for (size_t s = 0; s < COUNT(sources); s++) {
				/* One destination each, another for each combination: enough of a mix. */
				size_t d = (bits + w + s) % COUNT(destinations);
				struct plan plan;
				struct err err;

				if (build(whole, sources[s], destinations[d], &plan, &err) < 0) {
					refusals++;
					continue;
				}
				made++;
				plan_free(&plan);
			}
		}
	}
	assert_true(made > 500 && refusals > 1000);
}

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
	assert_int_equal(build("migrate", "file", "dir", &plan, &err), 0);
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
	assert_int_equal(build("migrate", "file", "dir", &plan, &err), 0);
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
		cmocka_unit_test(what_is_planned),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(names),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(what_is_carried_over),
		cmocka_unit_test(not_chosen),
		cmocka_unit_test(every_combination),
		cmocka_unit_test(plans_that_are_not_read),
		cmocka_unit_test(moves_that_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
