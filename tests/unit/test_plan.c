/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner as tables: what is asked for and what is there -> the steps. */
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
#include "support/text.h"

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

	/* Where a restart would leave nothing of it. */
	{ "migrate", "file", "dir fs=tmpfs", "create-file copy verify publish commit", "is in memory" },
	{ "migrate", "file", "dir fs=ramfs", "create-file copy verify publish commit", "is in memory" },
	{ "migrate into", "file", "file fs=tmpfs", "copy verify commit", "is in memory" },
	{ "migrate into", "file", "block sys=/sys/devices/virtual/block/zram0", "copy verify commit", "is in memory" },
	{ "migrate into", "file", "block sys=/sys/devices/virtual/block/ram0", "copy verify commit", "is in memory" },
	{ "migrate into", "file", "block sys=/sys/devices/virtual/block/loop0", "copy verify commit remove-source", NULL },
	{ "migrate keep", "file", "dir fs=tmpfs", "create-file copy verify publish commit", NULL },
	{ "copy create", "file", "dir fs=tmpfs", "create-file copy verify publish commit", NULL },
	{ "migrate", "file fs=tmpfs", "dir fs=tmpfs",
	  "create-file copy verify publish commit remove-source", NULL },
	{ "migrate", "file fs=tmpfs", "dir", "create-file copy verify publish commit remove-source", NULL },

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
	{ "migrate into keep", "file", "file links=3", "copy verify commit", "3 names (hard links), and is overwritten" },
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

		if (planning_build(planned[i].request, planned[i].source, planned[i].destination, &plan, &err) < 0)
			fail_msg("%s, %s -> %s: %s: %s", planned[i].request, planned[i].source,
				 planned[i].destination, err.object, err.cause);
		steps = planning_steps(&plan);
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

		assert_int_equal(planning_build("migrate", table[i].source, table[i].destination, &plan, &err), 0);
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
	assert_int_equal(planning_build("migrate", "file", text, &plan, &err), 0);
	plan_free(&plan);
	free(text);
	text = text_format("nothing path=/srv/b/%0256d", 0);
	assert_int_equal(planning_build("migrate", "file", text, &plan, &err), -1);
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
	assert_int_equal(planning_build("migrate into delta dense rate=18446744073709551615 wipe=discard", "file",
					"file", &plan, &err), 0);
	assert_true(plan.move.delta && !plan.move.sparse && plan.move.remove && !plan.move.create);
	assert_int_equal(plan.move.wipe, WIPE_DISCARD);
	assert_int_equal(plan.move.verify, VERIFY_FULL);
	assert_true(plan.move.bytes_per_second == UINT64_MAX);
	assert_int_equal(plan.move.stall_ms, 600000);
	plan_free(&plan);
	assert_int_equal(planning_build("copy verify=none", "file", "file", &plan, &err), 0);
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
		assert_int_equal(planning_build(table[i].request, table[i].source, table[i].destination, &plan, &err), 0);
		assert_string_equal(plan.method, "copy");
		assert_int_equal(plan.not_moved_count, 1);
		assert_string_equal(plan.not_moved[0].method, "reflink");
		if (!strstr(plan.not_moved[0].reason, table[i].reason))
			fail_msg("%s", plan.not_moved[0].reason);
		plan_free(&plan);
	}
	assert_int_equal(planning_build("migrate", "file reflinks", "dir dev=1 reflinks", &plan, &err), 0);
	assert_string_equal(plan.method, "reflink");
	assert_int_equal(plan.not_moved_count, 0);
	plan_free(&plan);
}

/* All options with all kinds of ends: a plan that holds together (see planning_build()), or a reason. */
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

				if (planning_build(whole, sources[s], destinations[d], &plan, &err) < 0) {
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_planned),
		cmocka_unit_test(names),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(what_is_carried_over),
		cmocka_unit_test(not_chosen),
		cmocka_unit_test(every_combination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
