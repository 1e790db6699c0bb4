/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One JSON object a line over a pair of descriptors, each under a time limit:
 * what two volmigs on two hosts say to each other.  Nothing that comes in is
 * trusted: a line has a limit, must be UTF-8 and one object, and no key twice.
 */
#ifndef SYS_WIRE_H
#define SYS_WIRE_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define WIRE_LINE_MAX (1024 * 1024)

struct wire {
	int in, out;			/* stay the caller's */
	char *buffer;			/* what came in and was not taken yet */
	size_t length, size;
	bool to_the_line;		/* take nothing that comes behind a line: it is another's to read */
};

#define WIRE_INIT { .in = -1, .out = -1 }

/* The number of an error that says: the other end is gone, or silent for too long. */
#define WIRE_LOST ENOTCONN

/* Text without its newline as an object, or NULL and ERR_REFUSED. */
json_t *wire_parse(const char *text, size_t length, struct err *err);

/* Send message (taken over).  ERR_STOPPED with WIRE_LOST when it does not go out in time. */
int wire_send(struct wire *wire, json_t *message, uint64_t limit_ms, struct err *err);

/*
 * The next message.  1: *ret is it, the caller's; 0: the other end has closed;
 * -1: as wire_parse(), or ERR_STOPPED with WIRE_LOST when nothing whole has
 * come within limit_ms (0: it may take for ever), or when the user asks to stop.
 */
int wire_receive(struct wire *wire, uint64_t limit_ms, json_t **ret, struct err *err);

/* Frees, closes nothing. */
void wire_free(struct wire *wire);

#endif
