/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner about logical volumes, as tables: what is there and asked for -> the steps, or the refusal and what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID "3f0b9c1e-6a52-4f0e-9d6e-2c1a7b8d9e0f"
#define MIB (UINT64_C(1) << 20)

static void set(char **field, const char *text)
{
	free(*field);
	*field = text_copy(text);
}

/* A group with two physical volumes, 25 extents of 4 MiB free on each. */
static struct lv_facts *group(const char *name)
{
	struct lv_facts *lv = text_alloc(1, sizeof(*lv));

	lv->vg_name = text_copy(name);
	lv->vg_uuid = text_format("uuid-of-%s", name);
	lv->extent_bytes = 4 * MIB;
	lv->free_extents = 50;
	lv->pvs = text_alloc(2, sizeof(*lv->pvs));
	lv->pv_count = 2;
	for (size_t i = 0; i < 2; i++)
		lv->pvs[i] = (struct lv_pv){ .name = text_format("/dev/%s%zu", name, i), .uuid = text_copy("u"),
					     .dev = 100 + i, .extents = 50, .free_extents = 25,
					     .allocatable = true };
	lv->pools = text_alloc(2, sizeof(*lv->pools));
	return lv;
}

static void add_pool(struct lv_facts *lv, const char *name, uint64_t free_mib)
{
	lv->pools[lv->pool_count++] = (struct lv_pool){
		.name = text_copy(name), .uuid = text_copy("p"), .bytes = 1000 * MIB,
		.free_bytes = free_mib * MIB, .metadata_bytes = 64 * MIB, .metadata_free_bytes = 60 * MIB,
		.chunk_bytes = 65536, .zeroes = true, .active = true };
}

static struct facts a_volume(const char *vg, const char *name)
{
	struct facts facts = { .kind = "lv", .bytes = 40 * MIB, .allocated = 40 * MIB, .sector = 512 };
	struct lv_facts *lv = group(vg);

	facts.kind = lv_volume_ops.kind;
	facts.spec = text_format("%s/%s", vg, name);
	facts.path = text_format("/dev/%s/%s", vg, name);
	facts.wwid = text_copy("LVM-x");
	facts.lv = lv;
	lv->name = text_copy(name);
	lv->uuid = text_format("uuid-of-%s", name);
	lv->type = text_copy("linear");
	lv->bytes = lv->mapped = facts.bytes;
	lv->active = true;
	lv->stripes = lv->segments = 1;
	return facts;
}

static struct facts a_place(const char *vg, const char *wanted)
{
	struct facts facts = { 0 };

	facts.spec = text_copy(vg);
	facts.path = text_format("/dev/%s", vg);
	facts.lv = group(vg);
	facts.lv->wanted = text_copy(wanted);
	return facts;
}

/* Words that change the source (s), the place (p) and the request (r). */
static void change(const char *word, struct facts *src, struct facts *dst, struct request *request)
{
	struct lv_facts *s = src->lv, *p = dst->lv;

	if (!strcmp(word, "s:mounted"))
		text_list_add(&src->uses, text_copy("mounted on /srv/www"));
	else if (!strcmp(word, "s:held"))
		text_list_add(&src->uses, text_copy("held by dm-7 (LUKS)"));
	else if (!strcmp(word, "s:snapshot"))
		text_list_add(&s->snapshots, text_copy("snap1"));
	else if (!strcmp(word, "s:thinsnapshot"))
		text_list_add(&s->thin_snapshots, text_copy("tsnap1"));
	else if (!strcmp(word, "s:pool"))
		set(&s->type, "thin-pool");
	else if (!strcmp(word, "s:hidden")) {
		s->hidden = true;
		set(&s->parent, "pool0");
	} else if (!strcmp(word, "s:internal"))
		s->hidden = true;
	else if (!strncmp(word, "s:type=", 7)) {
		set(&s->type, word + 7);
		s->stripes = strcmp(word + 7, "thin") ? 2 : 1;
		s->stripe_bytes = 65536;
		set(&s->pool, "fast");
	} else if (!strcmp(word, "s:mapped=8"))
		src->allocated = s->mapped = 8 * MIB;
	else if (!strcmp(word, "s:partial")) {
		s->partial = true;
		s->missing_pvs = 1;
	} else if (!strcmp(word, "s:exported"))
		s->exported = true;
	else if (!strcmp(word, "s:shared")) {
		s->shared = true;
		set(&s->lock_type, "sanlock");
	} else if (!strcmp(word, "s:clustered")) {
		s->shared = true;
		set(&s->lock_type, "clvm");
	} else if (!strcmp(word, "s:absent")) {
		src->kind = NULL;
		set(&s->name, NULL);
		set(&s->wanted, "web");
	} else if (!strcmp(word, "s:inactive"))
		s->active = false;
	else if (!strcmp(word, "s:suspended"))
		s->suspended = true;
	else if (!strcmp(word, "s:odd"))
		src->bytes = 39 * MIB + 512;
	else if (!strcmp(word, "s:qcow2"))
		src->format = text_copy("qcow2");
	else if (!strcmp(word, "p:exported"))
		p->exported = true;
	else if (!strcmp(word, "p:partial"))
		p->partial = true;
	else if (!strcmp(word, "p:clustered"))
		p->shared = true;
	else if (!strcmp(word, "p:full"))
		p->pvs[0].free_extents = p->pvs[1].free_extents = 4;
	else if (!strcmp(word, "p:uneven"))
		p->pvs[0].free_extents = 4;
	else if (!strcmp(word, "p:own")) {
		set(&p->vg_name, s->vg_name);
		set(&p->vg_uuid, s->vg_uuid);
	} else if (!strcmp(word, "p:pool"))
		add_pool(p, "pool0", 500);
	else if (!strcmp(word, "p:pool-full"))
		add_pool(p, "pool0", 60);
	else if (!strcmp(word, "p:pool-unzeroed")) {
		add_pool(p, "pool0", 500);
		p->pools[0].zeroes = false;
	} else if (!strcmp(word, "p:pool-unzeroed-full")) {
		add_pool(p, "pool0", 60);
		p->pools[0].zeroes = false;
	} else if (!strcmp(word, "p:pool-no-metadata")) {
		add_pool(p, "pool0", 500);
		p->pools[0].metadata_free_bytes = 4096;
	} else if (!strcmp(word, "p:in-pool"))
		set(&p->wanted_pool, "pool0");
	else if (!strncmp(word, "p:name=", 7))
		set(&p->wanted, word + 7);
	else if (!strcmp(word, "p:pv"))
		text_list_add(&p->wanted_pvs, text_copy("/dev/vg10"));
	else if (!strcmp(word, "p:taken")) {
		struct facts taken = a_volume("vg1", "web");

		facts_free(dst);
		*dst = taken;
		set(&dst->lv->uuid, "another");
		dst->bytes = 40 * MIB;
	} else if (!strcmp(word, "p:same")) {
		facts_free(dst);
		*dst = a_volume("vg0", "web");
	} else if (!strcmp(word, "r:keep"))
		request->keep_source = true;
	else if (!strcmp(word, "r:copy")) {
		request->command = COMMAND_COPY;
	} else if (!strcmp(word, "r:create"))
		request->create = true;
	else if (!strcmp(word, "r:into"))
		request->into_existing = true;
	else if (!strcmp(word, "r:thick"))
		request->thick = true;
	else if (!strcmp(word, "r:thin"))
		request->thin_pool = "pool0";
	else if (!strcmp(word, "r:thin-elsewhere"))
		request->thin_pool = "vg9/pool0";
	else if (!strcmp(word, "r:thin-none"))
		request->thin_pool = "nopool";
	else if (!strcmp(word, "r:wipe"))
		request->wipe = WIPE_DISCARD;
	else if (!strcmp(word, "r:none"))
		request->verify = VERIFY_NONE;
	else if (!strcmp(word, "r:force"))
		request->force_host_copy = true;
	else if (!strcmp(word, "r:pvmove"))
		request->method = "pvmove";
	else
		fail_msg("no such word: %s", word);
}

static int plan_of(const char *words, struct plan *plan, struct err *err)
{
	struct facts src = a_volume("vg0", "web"), dst = a_place("vg1", NULL);
	struct request request = REQUEST_DEFAULTS;
	char copy[256], *rest = copy, *word;
	int ret;

	request.source = "vg0/web";
	request.destination = "vg1";
	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, " ")))
		if (*word)
			change(word, &src, &dst, &request);
	*err = (struct err)ERR_INIT;
	ret = plan_build(&request, ID, &src, &dst, plan, err);
	facts_free(&src);
	facts_free(&dst);
	return ret;
}

static const struct {
	const char *words;
	const char *cause, *next;
} refused[] = {
	{ "s:mounted", "in use: mounted on /srv/www", "end that use first" },
	{ "s:held", "in use: held by dm-7 (LUKS)", "end that use first" },
	{ "s:snapshot", "has snapshots, which would go with it: snap1", "--keep-source" },
	{ "s:thinsnapshot", "origin of thin snapshots, which would no longer share its blocks: tsnap1",
	  "--keep-source" },
	{ "s:pool", "is a thin pool", "name one of its volumes" },
	{ "s:type=cache-pool", "is a cache pool", "name one of its volumes" },
	{ "s:type=vdo-pool", "is a vdo-pool", "name one of its volumes" },
	{ "s:hidden", "is a part of vg0/pool0", "name that volume" },
	{ "s:internal", "is an internal part of vg0, no volume by itself", "name a volume that lvs shows" },
	{ "s:type=cache", "is a cached volume (cache, by fast)", "lvconvert --splitcache vg0/web" },
	{ "s:type=writecache", "is a cached volume (writecache, by fast)", "lvconvert --splitcache vg0/web" },
	{ "s:type=vdo", "is a VDO volume (in fast)", "--keep-source" },
	{ "s:partial", "volume group vg0 is partial: 1 of its physical volumes", "bring them back" },
	{ "s:exported", "volume group vg0 is exported", "vgimport vg0" },
	{ "s:clustered", "volume group vg0 is clustered", "vgchange" },
	{ "s:absent", "there is no logical volume web in vg0", "./vg0/web" },
	{ "s:suspended", "is suspended", "dmsetup resume vg0-web" },
	{ "s:qcow2", "looks like a qcow2 image", "--format=raw" },
	{ "p:exported", "volume group vg1 is exported", "vgimport vg1" },
	{ "p:partial", "volume group vg1 is partial", "bring them back" },
	{ "p:clustered", "volume group vg1 is clustered", "vgchange" },
	{ "p:full", "32 MiB (33554432 bytes) are free, 40 MiB (41943040 bytes) are needed", "extend the group" },
	{ "p:taken", "destination exists (40 MiB", "--into-existing" },
	{ "p:own", "is the volume group that vg0/web is in", "physical volumes of vg0" },
	{ "p:own p:name=web", "is the volume group that vg0/web is in", "another group" },
	{ "p:same r:into", "source and destination are the same volume", "two different volumes" },
	{ "p:name=web_rmeta_0", "LVM takes no volume named web_rmeta_0", "vg1/NAME" },
	{ "p:name=snapshot1", "LVM takes no volume named snapshot1", "vg1/NAME" },
	{ "r:copy", "no such volume", "--create" },
	{ "r:copy r:create p:own p:pv", "which a volume of that group is moved onto, not copied", "vg0/NAME" },
	{ "r:into p:name=other", "no such volume to be overwritten", "leave --into-existing out" },
	{ "s:type=thin", "the source is thin, and the group has no thin pool", "--thick" },
	{ "s:type=thin p:pool p:pool", "the group has 2 thin pools", "--thin pool0" },
	{ "s:type=thin p:pool-full", "too little room in the thin pool", "lvextend" },
	{ "s:type=thin s:mapped=8 p:pool-unzeroed-full", "too little room in the thin pool", "lvextend" },
	{ "s:type=thin s:mapped=8 p:pool-no-metadata", "too little room for metadata", "--poolmetadatasize" },
	{ "r:thin-elsewhere p:pool", "is no pool of vg1", "of that group" },
	{ "r:thin-none p:pool", "there is no such thin pool in vg1", "lvs vg1" },
	{ "p:own p:pv p:pool r:thin", "a thin volume lies where its pool does", "vg0/pool0" },
	{ "p:own p:pv p:pool r:thin r:force", "a thin volume lies where its pool does", "vg0/pool0" },
	{ "s:type=thin p:own p:pv r:force", "the source is thin, and on physical volumes its copy would not be", "--thick" },
	{ "r:pvmove", "method pvmove is for", "" },
};

static void what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct plan plan = { 0 };
		struct err err;

		if (plan_of(refused[i].words, &plan, &err) == 0)
			fail_msg("\"%s\" is planned", refused[i].words);
		if (err.class != ERR_REFUSED || !strstr(err.cause, refused[i].cause) ||
		    !strstr(err.next, refused[i].next))
			fail_msg("\"%s\": %s: %s; %s", refused[i].words, err.object, err.cause, err.next);
	}
}

static const struct {
	const char *words;
	const char *steps;
	const char *type;
	const char *warning;		/* or NULL: none */
} planned[] = {
	{ "", "create-lv copy verify publish commit remove-source finish-lv", "linear", NULL },
	{ "r:keep", "create-lv copy verify publish commit finish-lv", "linear", NULL },
	{ "r:keep s:snapshot", "create-lv copy verify publish commit finish-lv", "linear", NULL },
	{ "r:copy r:create s:type=cache", "create-lv copy verify publish commit finish-lv", "linear", NULL },
	{ "r:none", "create-lv copy publish commit finish-lv", "linear", "the source is kept" },
	{ "r:wipe", "create-lv copy verify publish commit wipe-source remove-source finish-lv", "linear", NULL },
	{ "s:inactive", "activate create-lv copy verify publish commit remove-source finish-lv", "linear", NULL },
	{ "s:inactive r:keep", "activate create-lv copy verify publish commit finish-lv deactivate", "linear", NULL },
	{ "s:shared", "activate create-lv copy verify publish commit remove-source finish-lv", "linear",
	  "shared with other hosts (sanlock)" },
	{ "s:odd", "create-lv copy zero-tail verify publish commit remove-source finish-lv", "linear",
	  "its last 1048064 bytes become zero" },
	{ "s:type=striped", "create-lv copy verify publish commit remove-source finish-lv", "striped", NULL },
	{ "s:type=striped p:uneven", "create-lv copy verify publish commit remove-source finish-lv", "linear",
	  "its copy is linear" },
	{ "s:type=raid1", "create-lv copy verify publish commit remove-source finish-lv", "raid1", NULL },
	{ "s:type=raid1 p:uneven", "create-lv copy verify publish commit remove-source finish-lv", "linear",
	  "its copy is linear" },
	{ "s:type=raid5", "create-lv copy verify publish commit remove-source finish-lv", "linear",
	  "its copy is linear" },
	{ "s:type=thin s:mapped=8 p:pool", "create-lv copy verify publish commit remove-source finish-lv",
	  "thin", NULL },
	{ "s:type=thin s:mapped=8 p:pool p:full", "create-lv copy verify publish commit remove-source finish-lv",
	  "thin", NULL },
	{ "s:type=thin p:pool r:thick", "create-lv copy verify publish commit remove-source finish-lv",
	  "linear", NULL },
	{ "p:pool r:thin", "create-lv copy verify publish commit remove-source finish-lv", "thin", NULL },
	{ "p:pool p:in-pool", "create-lv copy verify publish commit remove-source finish-lv", "thin", NULL },
	{ "p:pool-unzeroed p:in-pool", "create-lv copy verify publish commit remove-source finish-lv", "thin",
	  "what is zero in them is written" },
	{ "p:pool-full r:thin", "create-lv copy verify publish commit remove-source finish-lv", "thin",
	  "the copy fits only if" },
	{ "p:taken r:into", "copy verify commit remove-source", NULL, NULL },
	{ "p:own r:thick", "create-lv copy verify commit remove-source finish-lv", "linear", NULL },
	{ "p:own p:name=other", "create-lv copy verify publish commit remove-source finish-lv", "linear", NULL },
	{ "s:type=thin p:pv r:force r:thick p:own", "create-lv copy verify commit remove-source finish-lv", "linear", NULL },
	{ "p:pv r:force p:own", "create-lv copy verify commit remove-source finish-lv", "linear", NULL },
};

static void check_steps(const struct plan *plan, const char *words, const char *wanted)
{
	char steps[512] = "";

	for (size_t k = 0; k < plan->step_count; k++) {
		size_t len = strlen(steps);

		snprintf(steps + len, sizeof(steps) - len, "%s%s", k ? " " : "", plan->steps[k]->name);
	}
	if (strcmp(steps, wanted))
		fail_msg("\"%s\": %s", words, steps);
}

static void what_is_planned(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(planned); i++) {
		struct plan plan = { 0 }, back = { 0 };
		struct err err;
		bool warned = !planned[i].warning;
		json_t *json, *again;

		if (plan_of(planned[i].words, &plan, &err) < 0)
			fail_msg("\"%s\" is refused: %s: %s", planned[i].words, err.object, err.cause);
		check_steps(&plan, planned[i].words, planned[i].steps);
		if (strcmp(plan.move.lvm.type ?: "", planned[i].type ?: ""))
			fail_msg("\"%s\" makes a %s", planned[i].words, plan.move.lvm.type);
		if (planned[i].type)
			assert_int_equal(plan.move.lvm.bytes % (4 * MIB), 0);
		for (size_t k = 0; k < plan.warnings.count; k++)
			warned = warned || strstr(plan.warnings.items[k], planned[i].warning);
		if (!warned)
			fail_msg("\"%s\" does not warn: %s", planned[i].words, planned[i].warning);

		/* What is journalled is the same when it is read back. */
		json = plan_to_json(&plan);
		assert_int_equal(plan_from_json(&back, json, &err), 0);
		again = plan_to_json(&back);
		assert_true(json_equal(json, again));
		json_decref(json);
		json_decref(again);
		plan_free(&back);
		plan_free(&plan);
	}
}

/* Names as LVM and device-mapper write them. */
static void names(void **state)
{
	static const struct {
		const char *path, *vg, *name;
	} table[] = {
		{ "/dev/vg0/web", "vg0", "web" },
		{ "/dev/mapper/vg0-web", "vg0", "web" },
		{ "/dev/mapper/vg--0-web--a--b", "vg-0", "web-a-b" },
		{ "/dev/mapper/vg0", NULL, NULL },
		{ "/dev/mapper/a-b-c", NULL, NULL },
		{ "/dev/mapper/control", NULL, NULL },
		{ "/dev/vg0", NULL, NULL },
		{ "/dev/disk/by-id/x", NULL, NULL },
		{ "/dev/vg 0/web", NULL, NULL },
		{ "/srv/vg0/web", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		char *vg = NULL, *name = NULL;

		assert_int_equal(lv_names_of_path(table[i].path, &vg, &name), table[i].vg != NULL);
		if (table[i].vg) {
			assert_string_equal(vg, table[i].vg);
			assert_string_equal(name, table[i].name);
		}
		free(vg);
		free(name);
	}
}

/* A volume is told by its UUIDs alone, and overlaps with what it lies on and hangs together with. */
static void identity(void **state)
{
	struct facts a = a_volume("vg0", "web"), b = a_volume("vg0", "db");
	struct facts disk = { .kind = block_volume_ops.kind, .dev = 100 };
	char *why;

	(void)state;
	assert_true(facts_overlap(&a, &a));
	assert_false(facts_overlap(&a, &b));
	assert_true(facts_overlap(&a, &disk));
	assert_true(facts_overlap(&disk, &b));
	disk.dev = 200;
	assert_false(facts_overlap(&a, &disk));
	text_list_add(&a.lv->snapshots, text_copy("db"));
	assert_true(facts_overlap(&a, &b));
	set(&b.lv->pool_uuid, "uuid-of-web");
	assert_true(facts_overlap(&b, &a));
	set(&b.path, "/dev/vg0/renamed");
	b.dev = 7;
	assert_null(facts_not_same(&a, &b, true));
	set(&b.wwid, "LVM-y");
	why = facts_not_same(&a, &b, false);
	assert_non_null(why);
	free(why);
	facts_free(&a);
	facts_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(what_is_planned),
		cmocka_unit_test(names),
		cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
