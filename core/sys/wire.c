/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON lines over descriptors. */
#include "sys/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/text.h"

#define TICK_MS 200
#define PIECE 65536U
#define DEPTH_MAX 32

static int lost(struct err *err, const char *cause)
{
	err_set(err, ERR_STOPPED, NULL, "%s", cause);
	err->number = WIRE_LOST;
	return -1;
}

/* Deeper than anything that is said here: who nests so deep wants our stack. */
static bool is_deep(const char *text, size_t length)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == '{' || text[i] == '[') && ++depth > DEPTH_MAX)
			return true;
		else if (!quoted && (text[i] == '}' || text[i] == ']') && depth)
			depth--;
	}
	return false;
}

json_t *wire_parse(const char *text, size_t length, struct err *err)
{
	json_error_t why;
	json_t *json;

	if (is_deep(text, length)) {
		err_set(err, ERR_REFUSED, NULL, "what came over the line is nested too deep");
		return NULL;
	}
	json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
	if (json && json_is_object(json))
		return json;
	err_set(err, ERR_REFUSED, NULL, "what came over the line is no message (%s)",
		json ? "no object" : why.text);
	json_decref(json);
	return NULL;
}

/* Wait until fd is ready: 0, or -1 when it is not in time. */
static int wait_for(int fd, short events, uint64_t until_ns, int asked, struct err *err)
{
	for (;;) {
		struct pollfd ready = { .fd = fd, .events = events };
		int n = poll(&ready, 1, TICK_MS);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(err, errno, NULL, "cannot wait for the other end");
		if (interrupt_requested() > asked)
			return err_set(err, ERR_STOPPED, NULL, "%s", interrupt_reason());
		if (until_ns && clock_ns() >= until_ns)
			return lost(err, "no answer in time");
	}
}

static uint64_t deadline(uint64_t limit_ms)
{
	return limit_ms ? clock_ns() + limit_ms * 1000000 : 0;
}

int wire_send(struct wire *wire, json_t *message, uint64_t limit_ms, struct err *err)
{
	uint64_t until = deadline(limit_ms);
	int asked = interrupt_requested();
	char *text = json_dumps(message, JSON_COMPACT);
	size_t length, at = 0;
	int ret = -1;

	json_decref(message);
	if (!text)
		abort();
	length = strlen(text);
	/* The newline takes the NUL's place. */
	text[length++] = '\n';
	while (at < length) {
		ssize_t n;

		if (wait_for(wire->out, POLLOUT, until, asked, err) < 0)
			goto out;
		/* So much goes into what is ready without waiting; more could outlast the limit in the call. */
		n = write(wire->out, text + at, length - at < PIPE_BUF ? length - at : PIPE_BUF);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			lost(err, "the other end is gone");
			goto out;
		}
		at += (size_t)n;
	}
	ret = 0;
out:
	free(text);
	return ret;
}

int wire_receive(struct wire *wire, uint64_t limit_ms, json_t **ret, struct err *err)
{
	uint64_t until = deadline(limit_ms);
	int asked = interrupt_requested();
	size_t seen = 0;

	for (;;) {
		char *end = wire->length > seen ? memchr(wire->buffer + seen, '\n', wire->length - seen) : NULL;
		ssize_t n;

		if (end) {
			size_t length = (size_t)(end - wire->buffer);

			*ret = wire_parse(wire->buffer, length, err);
			wire->length -= length + 1;
			memmove(wire->buffer, end + 1, wire->length);
			return *ret ? 1 : -1;
		}
		seen = wire->length;
		if (wire->length >= WIRE_LINE_MAX)
			return err_set(err, ERR_REFUSED, NULL, "a line of more than %d bytes came in", WIRE_LINE_MAX);
		if (wire->size - wire->length < PIECE) {
			wire->size += PIECE;
			wire->buffer = text_grow(wire->buffer, wire->size, 1);
		}
		if (wait_for(wire->in, POLLIN, until, asked, err) < 0)
			return -1;
		n = read(wire->in, wire->buffer + wire->length, wire->to_the_line ? 1 : wire->size - wire->length);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return lost(err, "the other end is gone");
		if (n == 0)
			return wire->length ? lost(err, "the other end went in the middle of a message") : 0;
		wire->length += (size_t)n;
	}
}

void wire_free(struct wire *wire)
{
	free(wire->buffer);
	*wire = (struct wire)WIRE_INIT;
}
