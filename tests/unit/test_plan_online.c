/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves inside a volume group: what LVM reports is read right, and the way is chosen, or refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "plan_parts.h"
#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/lvm_group.h"

/* A group of 1 MiB extents; each row of a case says what is different from "web", linear on sda. */
struct table {
	const char *what;
	const char *lv;			/* the row of the volume in lvs: layout, role, and more */
	const char *layout, *role;
	const char *extra;		/* more fields of it */
	const char *segs;		/* rows of segments */
	const char *more;		/* rows of other volumes */
	const char *vg, *pv_b;		/* more fields of the group, of sdb */
	const char *targets;		/* "sdb", "sdb sdc" */
	const char *method;
	uint64_t bwlimit;
	bool keep, none;
	const char *wanted;		/* the method; or NULL, refused: */
	const char *cause, *not_moved;
};

#define SEG(uuid, type, stripes, start, size, ranges) "{\"lv_uuid\":\"" uuid "\",\"segtype\":\"" type \
	"\",\"stripes\":\"" stripes "\",\"seg_start_pe\":\"" start "\",\"seg_size_pe\":\"" size \
	"\",\"seg_pe_ranges\":\"" ranges "\"}"
#define LV(name, uuid, layout, role, parent, extra) "{\"lv_name\":\"" name "\",\"lv_uuid\":\"" uuid \
	"\",\"lv_attr\":\"-wi-a-----\",\"lv_layout\":\"" layout "\",\"lv_role\":\"" role "\",\"lv_size\":\"104857600\"," \
	"\"lv_active\":\"active\",\"lv_parent\":\"" parent "\"" extra "}"

#define LINEAR SEG("W", "linear", "1", "0", "100", "/dev/sda:0-99")
#define RAID_LEGS LV("[web_rimage_0]", "I0", "linear", "private,raid,image", "[web]", "") "," \
	LV("[web_rimage_1]", "I1", "linear", "private,raid,image", "web", "") "," \
	LV("[web_rmeta_0]", "M0", "linear", "private,raid,metadata", "web", "") "," \
	LV("[web_rmeta_1]", "M1", "linear", "private,raid,metadata", "web", "")
#define RAID_SEGS(one, two) SEG("W", "raid1", "2", "0", "100", "[web_rimage_0]:0-99 [web_rimage_1]:0-99") "," \
	SEG("I0", "linear", "1", "0", "100", one ":1-100") "," SEG("I1", "linear", "1", "0", "100", two ":1-100") "," \
	SEG("M0", "linear", "1", "0", "1", one ":0-0") "," SEG("M1", "linear", "1", "0", "1", two ":0-0")

static const struct table cases[] = {
	{ .what = "a linear volume", .wanted = "lvconvert", .not_moved = "proves nothing" },
	{ .what = "the same by pvmove", .method = "pvmove", .wanted = "pvmove", .not_moved = "--method=pvmove" },
	{ .what = "striped", .layout = "striped", .segs = SEG("W", "striped", "2", "0", "100", "/dev/sda:0-49 /dev/sdd:0-49"),
	  .targets = "sdb sdc", .wanted = "pvmove", .not_moved = "it is striped" },
	{ .what = "striped onto one", .layout = "striped",
	  .segs = SEG("W", "striped", "2", "0", "100", "/dev/sda:0-49 /dev/sdd:0-49"), .cause = "need as many physical volumes" },
	{ .what = "an origin", .role = "public,origin,thickorigin", .wanted = "pvmove", .not_moved = "snapshot" },
	{ .what = "a snapshot", .role = "public,snapshot,thicksnapshot", .wanted = "pvmove", .not_moved = "snapshot" },
	{ .what = "an old mirror", .layout = "mirror", .wanted = "pvmove", .not_moved = "it is mirror" },
	{ .what = "no room for metadata", .segs = SEG("W", "linear", "1", "0", "200", "/dev/sde:0-199"), .wanted = "pvmove",
	  .not_moved = "/dev/sde has no free extent" },
	{ .what = "partly there", .segs = LINEAR "," SEG("W", "linear", "1", "100", "10", "/dev/sdb:0-9"), .wanted = "pvmove",
	  .not_moved = "lies on a target already" },
	{ .what = "wholly there", .segs = SEG("W", "linear", "1", "0", "100", "/dev/sdb:0-99"), .cause = "all of it is there already" },
	{ .what = "raid1, one leg", .layout = "raid,raid1", .more = RAID_LEGS, .segs = RAID_SEGS("/dev/sda", "/dev/sdd"),
	  .targets = "sdb sdd", .wanted = "lvconvert" },
	{ .what = "raid1, both legs onto one", .layout = "raid,raid1", .more = RAID_LEGS,
	  .segs = RAID_SEGS("/dev/sda", "/dev/sdd"), .cause = "202 extents (211812352 bytes)" },
	{ .what = "raid1 that is not in sync", .layout = "raid,raid1", .more = RAID_LEGS,
	  .segs = RAID_SEGS("/dev/sda", "/dev/sdd"), .targets = "sdb sdd",
	  .extra = ",\"sync_percent\":\"41.10\",\"raid_sync_action\":\"recover\"", .cause = "41.10% in sync" },
	{ .what = "raid1 that is degraded", .layout = "raid,raid1", .more = RAID_LEGS,
	  .segs = RAID_SEGS("/dev/sda", "/dev/sdd"), .targets = "sdb sdd",
	  .extra = ",\"lv_health_status\":\"refresh needed\"", .cause = "refresh needed" },
	{ .what = "too little room", .targets = "sdf", .cause = "100 extents (104857600 bytes) are to be moved, and 50 (52428800 bytes) are free" },
	{ .what = "a rate", .bwlimit = 1, .wanted = "lvconvert", .not_moved = "--bwlimit" },
	{ .what = "a rate and pvmove", .bwlimit = 1, .method = "pvmove", .cause = "no way to limit its rate" },
	{ .what = "a rate and striped", .bwlimit = 1, .layout = "striped", .cause = "--bwlimit" },
	{ .what = "lvconvert of striped", .method = "lvconvert", .layout = "striped", .cause = "raid1 is made of linear volumes" },
	{ .what = "copy", .method = "copy", .cause = "method copy does not move" },
	{ .what = "keeping the source", .keep = true, .cause = "the volume itself is moved" },
	{ .what = "verifying nothing", .none = true, .cause = "--verify=none" },
	{ .what = "verifying nothing by pvmove", .none = true, .method = "pvmove", .wanted = "pvmove" },
	{ .what = "not of the group", .targets = "sdz", .cause = "no physical volume of vg" },
	{ .what = "a missing target", .pv_b = ",\"pv_missing\":\"missing\"", .cause = "is missing" },
	{ .what = "not allocatable", .pv_b = ",\"pv_allocatable\":\"\"", .cause = "no extents may be allocated" },
	{ .what = "exported", .vg = ",\"vg_exported\":\"exported\"", .cause = "exported" },
	{ .what = "shared", .vg = ",\"vg_shared\":\"shared\"", .wanted = "lvconvert", .not_moved = "lvmpolld" },
	{ .what = "shared, by pvmove", .vg = ",\"vg_shared\":\"shared\"", .method = "pvmove", .cause = "lvmpolld" },
	{ .what = "thin", .layout = "thin,sparse", .extra = ",\"pool_lv\":\"pool\"", .segs = SEG("W", "thin", "0", "0", "100", ""),
	  .cause = "those of its pool vg/pool" },
	{ .what = "a cached volume", .layout = "cache", .cause = "cached" },
	{ .what = "VDO", .layout = "vdo,sparse", .cause = "a VDO volume" },
	{ .what = "integrity", .layout = "raid,raid1,integrity", .cause = "dm-integrity" },
	{ .what = "a pool", .layout = "thin,pool", .role = "private", .wanted = "pvmove", .not_moved = "thin pool" },
	{ .what = "a hidden part", .role = "private,thin,pool,data", .extra = ",\"lv_parent\":\"pool\"",
	  .cause = "a hidden part of vg/pool" },
	{ .what = "not active", .extra = ",\"lv_active\":\"\"", .cause = "not active" },
	{ .what = "being merged", .extra = ",\"lv_merging\":\"merging\"", .cause = "being merged" },
	{ .what = "being converted", .extra = ",\"lv_converting\":\"converting\"", .cause = "being converted" },
	{ .what = "another job's", .extra = ",\"lv_tags\":\"a,volmig.job.1234\"", .cause = "unfinished job 1234" },
	{ .what = "a foreign pvmove of it", .segs = SEG("W", "linear", "1", "0", "100", "[pvmove0]:0-99"),
	  .more = LV("[pvmove0]", "P", "mirror,pvmove", "private,pvmove", "", ",\"move_pv\":\"/dev/sda\""),
	  .cause = "a pvmove from /dev/sda is running" },
	{ .what = "a foreign pvmove beside it", .more = LV("[pvmove0]", "P", "mirror,pvmove", "private,pvmove", "",
	  ",\"move_pv\":\"/dev/sda\""), .wanted = "lvconvert", .not_moved = "another pvmove from /dev/sda" },
};

static void append(char **text, const char *more)
{
	char *longer = text_format("%s%s", *text, more);

	free(*text);
	*text = longer;
}

/* jansson takes the last of several members of one name, so that a case may override. */
static json_t *report_of(const struct table *t)
{
	static const char pvs[][2][24] = { { "a", "100" }, { "b", "0" }, { "c", "0" }, { "d", "50" }, { "e", "200" }, { "f", "150" } };
	char *text = text_format("{\"report\":[{\"vg\":[{\"vg_name\":\"vg\",\"vg_uuid\":\"V\",\"vg_extent_size\":\"1048576\"%s}],\"pv\":[",
				 t->vg ? t->vg : "");
	json_error_t error;
	json_t *json;
	char *row;

	for (size_t i = 0; i < 6; i++) {
		row = text_format("%s{\"pv_name\":\"/dev/sd%s\",\"pv_uuid\":\"U%s\",\"pv_pe_count\":\"200\",\"pv_pe_alloc_count\":\"%s\","
				  "\"pv_allocatable\":\"allocatable\"%s}", i ? "," : "", pvs[i][0], pvs[i][0], pvs[i][1],
				  i == 1 && t->pv_b ? t->pv_b : "");
		append(&text, row);
		free(row);
	}
	append(&text, "],\"lv\":[");
	row = text_format("{\"lv_name\":\"web\",\"lv_uuid\":\"W\",\"lv_attr\":\"-wi-a-----\",\"lv_layout\":\"%s\",\"lv_role\":\"%s\","
			  "\"lv_size\":\"104857600\",\"lv_active\":\"active\"%s}%s%s", t->layout ? t->layout : "linear",
			  t->role ? t->role : "public", t->extra ? t->extra : "", t->more ? "," : "", t->more ? t->more : "");
	append(&text, row);
	free(row);
	append(&text, "],\"seg\":[");
	append(&text, t->segs ? t->segs : LINEAR);
	append(&text, "]}]}");
	json = json_loads(text, 0, &error);
	if (!json)
		fail_msg("%s: %s: %s", t->what, error.text, text);
	free(text);
	return json;
}

static void plan_case(const struct table *t)
{
	struct request request = REQUEST_DEFAULTS;
	struct plan plan = { .method = NULL };
	struct lvm_group group = { 0 };
	struct err err = ERR_INIT;
	json_t *report = report_of(t);
	char *targets = text_copy(t->targets ? t->targets : "sdb"), *rest = targets, *name;
	int ret;

	assert_int_equal(lvm_group_parse(report, "vg", &group, &err), 0);
	json_decref(report);
	request.method = t->method ? t->method : "auto";
	request.bytes_per_second = t->bwlimit;
	request.keep_source = t->keep;
	request.verify = t->none ? VERIFY_NONE : VERIFY_FULL;
	request.group = &group;
	plan.move.source.lv = text_alloc(1, sizeof(struct lv_facts));
	plan.move.source.lv->vg_name = text_copy("vg");
	plan.move.source.lv->name = text_copy("web");
	plan.move.source.lv->uuid = text_copy("W");
	plan.move.destination.lv = text_alloc(1, sizeof(struct lv_facts));
	while ((name = strsep(&rest, " ")))
		text_list_add(&plan.move.destination.lv->wanted_pvs, text_format("/dev/%s", name));
	ret = plan_lvm_online(&request, &plan, &err);
	if (t->wanted) {
		if (ret != 0)
			fail_msg("%s: %s: %s", t->what, err.object, err.cause);
		if (strcmp(plan.method, t->wanted))
			fail_msg("%s: by %s", t->what, plan.method);
		if (t->not_moved && !strstr(plan.not_moved[0].reason, t->not_moved))
			fail_msg("%s: not chosen: %s", t->what, plan.not_moved[0].reason);
		assert_true(plan.step_count >= 2);
	} else {
		if (ret == 0 || err.class != ERR_REFUSED)
			fail_msg("%s: it is not refused", t->what);
		if (!strstr(err.cause, t->cause))
			fail_msg("%s: %s", t->what, err.cause);
	}
	free(targets);
	plan_free(&plan);
	lvm_group_free(&group);
}

static void each_case_is_planned_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		plan_case(&cases[i]);
}

/* What is journalled of it comes back the same. */
static void the_journal_s_form_comes_back(void **state)
{
	struct online_move was = { .vg = text_copy("vg"), .vg_uuid = text_copy("V"), .lv = text_copy("web"),
				   .lv_uuid = text_copy("W"), .legs = 2, .add = 1, .max_pause_ms = 5,
				   .max_rate = text_copy("128") };
	struct online_move is;
	struct err err = ERR_INIT;
	json_t *json, *again;

	(void)state;
	text_list_add(&was.sources, text_copy("A"));
	text_list_add(&was.targets, text_copy("B"));
	text_list_add(&was.target_names, text_copy("/dev/sdb"));
	was.pieces = text_alloc(1, sizeof(*was.pieces));
	was.pieces[0] = (struct online_piece){ text_copy("W"), text_copy("A"), 1, 7, 9 };
	was.piece_count = 1;
	json = online_move_to_json(&was);
	assert_int_equal(online_move_from_json(&is, json, &err), 0);
	again = online_move_to_json(&is);
	assert_true(json_equal(json, again));
	json_decref(again);
	online_move_free(&is);
	json_object_del(json, "targets");
	assert_int_equal(online_move_from_json(&is, json, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	json_decref(json);
	online_move_free(&was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_is_planned_or_refused),
		cmocka_unit_test(the_journal_s_form_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
