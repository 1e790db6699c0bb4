/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tool of another package that answers in JSON or in words, asked under a time limit. */
#ifndef SYS_TOOL_H
#define SYS_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

struct tool {
	const char *const *argv;	/* argv[0] is its name, found by $PATH; ends with NULL */
	const char *const *env;		/* as in struct program; or NULL */
	const char *object;		/* what errors are about */
	const char *doing;		/* "cannot look at it" */
	const char *drop;		/* what its errors begin with, "rbd: "; or NULL */
	uint64_t timeout_ms;
	int kept;			/* it has this as descriptor 3; 0: it has none */
};

/* The package that has that program, by Debian's names; NULL: not known. */
const char *tool_package(const char *name);

/* The path of the tool, free it; or NULL, and err names the package (ERR_REFUSED). */
char *tool_find(const char *name, const char *object, struct err *err);

/*
 * Run it.  ret_json: what it prints, parsed; or NULL.  -1 when it is not there
 * or has not come back in time (ERR_REFUSED, ERR_FAILED), or ended with another
 * status than 0: ERR_FAILED, err->number that status as an errno where the tool
 * gives one, and the cause holds the last line that it said.
 */
int tool_run(const struct tool *tool, json_t **ret_json, struct err *err);

/*
 * Of what a program said on standard error the last line that begins with drop,
 * without that; where there is none the last that is not empty.  Free it.
 */
char *tool_last_words(const char *errors, const char *drop);

#endif
