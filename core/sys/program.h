/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another program, run with nothing of ours but what it is given, and not for longer than it may. */
#ifndef SYS_PROGRAM_H
#define SYS_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct program {
	const char *const *argv;	/* argv[0] is its path; ends with NULL */
	const char *const *env;		/* "NAME=VALUE", on top of our own environment; or NULL */
	const char *input;		/* what it finds on standard input */
	size_t input_length;
	uint64_t timeout_ms;		/* 0: it may take for ever */
};

enum program_end {
	PROGRAM_EXITED,			/* *ret_number: its status */
	PROGRAM_KILLED,			/* by the signal *ret_number, not of ours */
	PROGRAM_TIMED_OUT,		/* it was killed, with its process group */
	PROGRAM_INTERRUPTED,		/* we were asked to stop; it was ended */
};

/*
 * Run it and wait.  It is the leader of a process group of its own, with the
 * signals as after login, no descriptor of ours but standard error, which is
 * its standard output too, and it does not outlive us.  -1: it was not started.
 */
int program_run(const struct program *program, enum program_end *ret_end, int *ret_number,
		struct err *err);

#endif
