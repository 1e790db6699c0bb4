/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between hosts: whole ones arrive, and an end that neither reads nor writes holds nobody for longer than the limit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/wire.h"

#define LIMIT_MS 300
#define HANGS_SECONDS 60	/* SIGALRM ends a test that waits for ever */

/* A message that is larger than what any channel takes at once. */
static json_t *large(void)
{
	size_t length = 900000;
	char *text = malloc(length + 1);
	json_t *json = json_object();

	assert_non_null(text);
	memset(text, 'x', length);
	text[length] = '\0';
	json_put(json, "text", json_string(text));
	free(text);
	return json;
}

/* Nobody reads: it is given up, and not in a system call that waits for ever. */
static void give_up(int in, int out)
{
	struct wire wire = { .in = in, .out = out };
	struct err err = ERR_INIT;

	alarm(HANGS_SECONDS);
	assert_int_equal(wire_send(&wire, large(), LIMIT_MS, &err), -1);
	alarm(0);
	assert_int_equal(err.class, ERR_STOPPED);
	assert_int_equal(err.number, WIRE_LOST);
	wire_free(&wire);
}

static void who_does_not_read_is_given_up(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	give_up(ends[0], ends[1]);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	give_up(ends[0], ends[0]);
	close(ends[0]);
	close(ends[1]);
}

static void who_does_not_write_is_given_up(void **state)
{
	struct err err = ERR_INIT;
	json_t *json = NULL;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct wire wire = { .in = ends[0], .out = ends[1] };

	/* Half a line is no message. */
	assert_int_equal(write(ends[1], "{\"do\":", 6), 6);
	assert_int_equal(wire_receive(&wire, LIMIT_MS, &json, &err), -1);
	assert_int_equal(err.number, WIRE_LOST);
	wire_free(&wire);
	close(ends[0]);
	close(ends[1]);
}

static void a_large_message_arrives(void **state)
{
	struct err err = ERR_INIT;
	json_t *json = NULL, *wanted = large();
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct wire wire = { .in = ends[1], .out = ends[1] };

		close(ends[0]);
		_exit(wire_send(&wire, large(), 30000, &err) < 0);
	}
	close(ends[1]);
	struct wire wire = { .in = ends[0], .out = ends[0] };

	assert_int_equal(wire_receive(&wire, 30000, &json, &err), 1);
	assert_true(json_equal(json, wanted));
	json_decref(json);
	json_decref(wanted);
	assert_int_equal(wire_receive(&wire, 30000, &json, &err), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	wire_free(&wire);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_does_not_read_is_given_up),
		cmocka_unit_test(who_does_not_write_is_given_up),
		cmocka_unit_test(a_large_message_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
