/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a move uses that may be limited: the host of a running domain, or of an export. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "job_limits.h"
#include "plan.h"
#include "support/text.h"

#define UUID "0c0ffee0-0000-4000-8000-0000000000a1"

static char *things_of(const char *uuid, const char *uri)
{
	struct plan plan = { .move.live = { .uuid = (char *)uuid, .uri = (char *)uri } };
	struct text_list things = { 0 };
	char *joined;

	limits_things(&plan, &things);
	joined = text_list_join(&things);
	text_list_free(&things);
	return joined;
}

static void a_live_move_uses_the_host_of_its_libvirt(void **state)
{
	static const struct {
		const char *uri, *host;
	} table[] = {
		{ NULL, "localhost" },
		{ "qemu:///system", "localhost" },
		{ "qemu+unix:///session?socket=/tmp/a@b:c/sock", "localhost" },
		{ "qemu+ssh://root@Store-1.example:2222/system", "store-1.example" },
		{ "qemu+tls://store/system", "store" },
		{ "qemu+tcp://store", "store" },
		{ "qemu+tcp://store?mode=direct", "store" },
		{ "qemu+ssh://me@[fe80::1]:22/system", "fe80::1" },
		{ "qemu+tcp://[fe80::1]/system", "fe80::1" },
		{ "qemu+ssh://me@/system", "localhost" },
		{ "no uri", "localhost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *things = things_of(UUID, table[i].uri);
		char *wanted = text_format("max-jobs and host:%s", table[i].host);

		assert_string_equal(things, wanted);
		free(things);
		free(wanted);
	}
}

static void a_move_of_an_export_uses_the_host_of_its_server(void **state)
{
	static const struct {
		const char *uri, *host;
	} table[] = {
		{ "nbd://Store-1.example:10810/web", "store-1.example" },
		{ "nbds://lab@store?tls-psk-file=/etc/k", "store" },
		{ "nbd://[fe80::1]/web", "fe80::1" },
		{ "nbd+unix:///web?socket=/run/a@b:c/sock", "localhost" },
		{ "nbds+unix://lab@/?socket=/run/s", "localhost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct plan plan = { .move.destination = { .kind = "nbd", .path = (char *)table[i].uri } };
		struct text_list things = { 0 };
		char *wanted = text_format("host:%s", table[i].host);

		limits_things(&plan, &things);
		assert_true(text_list_has(&things, wanted));
		text_list_free(&things);
		free(wanted);
	}
}

static void another_move_uses_none(void **state)
{
	char *things = things_of(NULL, "qemu+tcp://store");

	(void)state;
	assert_string_equal(things, "max-jobs");
	free(things);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_live_move_uses_the_host_of_its_libvirt),
		cmocka_unit_test(a_move_of_an_export_uses_the_host_of_its_server),
		cmocka_unit_test(another_move_uses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
