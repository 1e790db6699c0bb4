/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of another host: it survives the way there, and what nobody may ask is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/wire.h"
#include "volumes/far_name.h"
#include "wanted.h"

static json_t *asked(bool is_source)
{
	struct request request = REQUEST_DEFAULTS;
	struct facts here = {
		.kind = file_volume_ops.kind, .path = (char *)"/srv/a/web.img", .spec = (char *)"x",
		.bytes = 1000001, .allocated = 4096, .mtime_ns = 5, .mode = 0100640,
	};

	request.command = COMMAND_MIGRATE;
	request.thin_pool = "pool0";
	request.wipe = WIPE_DISCARD;
	return wanted_to_json(&request, is_source, "vg0/web", &here);
}

static void it_survives_the_way(void **state)
{
	json_t *json = asked(true);
	char *text = json_dumps(json, JSON_COMPACT);
	struct err err = ERR_INIT;
	json_t *there = wire_parse(text, strlen(text), &err);
	struct wanted wanted;
	struct request request;

	(void)state;
	assert_non_null(there);
	assert_int_equal(wanted_from_json(&wanted, there, &err), 0);
	request = wanted_request(&wanted);
	assert_int_equal(request.command, COMMAND_MIGRATE);
	assert_true(wanted.is_source);
	assert_string_equal(request.source, "vg0/web");
	assert_string_equal(request.thin_pool, "pool0");
	assert_int_equal(request.wipe, WIPE_DISCARD);
	assert_int_equal(request.verify, VERIFY_FULL);
	assert_int_equal(wanted.peer.bytes, 1000001);
	assert_int_equal(wanted.peer.mode, 0640);
	assert_string_equal(wanted.peer.far->path, "/srv/a/web.img");
	assert_true(facts_is_far(&wanted.peer));
	wanted_free(&wanted);
	json_decref(there);
	json_decref(json);
	free(text);
}

static const struct {
	const char *key;		/* "peer.X": of the other end */
	const char *value;		/* JSON; NULL: it is not there */
} refused[] = {
	{ "command", "\"swap\"" }, { "command", "1" }, { "command", NULL },
	{ "role", "\"both\"" }, { "name", "\"\"" }, { "name", "{\"bytes\": \"00\"}" }, { "name", NULL },
	{ "verify", "1" }, { "create", "null" }, { "wipe", "\"all\"" }, { "thin_pool", "7" },
	{ "peer", "[]" }, { "peer", NULL },
	{ "peer.kind", "\"peer\"" }, { "peer.kind", "\"nothing\"" },
	{ "peer.path", "\"web.img\"" }, { "peer.path", "\"/srv/..\"" }, { "peer.path", "\"/srv/.\"" },
	{ "peer.path", "\"/srv/\"" },
	{ "peer.bytes", "-1" }, { "peer.bytes", "9223372036854775807" }, { "peer.bytes", "1.5" },
	{ "peer.allocated", "\"1\"" }, { "peer.mode", "2048" }, { "peer.mode", "-1" }, { "peer.owner", "[]" },
};

static void what_nobody_may_ask(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		json_t *json = asked(false), *object = json;
		const char *key = refused[i].key;
		struct err err = ERR_INIT;
		struct wanted wanted = { 0 };

		if (!strncmp(key, "peer.", 5)) {
			object = json_object_get(json, "peer");
			key += 5;
		}
		if (refused[i].value)
			json_object_set_new(object, key, json_loads(refused[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(object, key);
		if (wanted_from_json(&wanted, json, &err) == 0)
			fail_msg("%s = %s was taken", refused[i].key, refused[i].value);
		assert_int_equal(err.class, ERR_REFUSED);
		assert_null(wanted.name);
		json_decref(json);
	}
}

static const struct {
	const char *text;
	const char *host, *name;	/* as a place */
} names[] = {
	{ "ssh://h/vg0/web", "h", "vg0/web" },
	{ "ssh://h/vg1", "h", "vg1" },
	{ "ssh://root@h:2222/srv/b/", "root@h:2222", "/srv/b/" },
	{ "ssh://h//srv/b", "h", "/srv/b" },
	{ "ssh://h/srv/b/x.img", "h", "/srv/b/x.img" },
	{ "ssh://h/lvm:vg0/web", "h", "lvm:vg0/web" },
	{ "ssh://[fe80::1]:22/vg1", "[fe80::1]:22", "vg1" },
	{ "ssh://h/./x", "h", "/./x" },
};

static void names_of_far_volumes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct far_host host = { 0 };
		struct err err = ERR_INIT;
		char *name = NULL, *text;

		assert_int_equal(far_name_parse(names[i].text, true, &host, &name, &err), 0);
		text = far_host_text(&host);
		assert_string_equal(text, names[i].host);
		assert_string_equal(name, names[i].name);
		free(text);
		free(name);
		far_host_free(&host);
	}
}

/* As deep as it takes to use a stack up. */
static void lines_that_are_no_messages(void **state)
{
	static const char *const lines[] = { "", "[]", "1", "{\"a\":1,\"a\":2}", "{\"a\":", "{} {}", "\"x\"" };
	char deep[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct err err = ERR_INIT;

		assert_null(wire_parse(lines[i], strlen(lines[i]), &err));
		assert_int_equal(err.class, ERR_REFUSED);
	}
	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = '[';
	assert_null(wire_parse(deep, sizeof(deep), &(struct err){ .class = ERR_NONE }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_survives_the_way),
		cmocka_unit_test(what_nobody_may_ask),
		cmocka_unit_test(names_of_far_volumes),
		cmocka_unit_test(lines_that_are_no_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
