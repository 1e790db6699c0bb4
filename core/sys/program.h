/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another program, run with nothing of ours but what it is given, and not for longer than it may. */
#ifndef SYS_PROGRAM_H
#define SYS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct program {
	const char *const *argv;	/* argv[0] is its path; ends with NULL */
	const char *const *env;		/* "NAME=VALUE", on top of our own environment; or NULL */
	const char *input;		/* what it finds on standard input */
	size_t input_length;
	int input_fd;			/* instead: its standard input; 0: there is none */
	uint64_t timeout_ms;		/* 0: it may take for ever */
	int output;			/* its standard output; 0: its standard error */
	int errors;			/* its standard error; 0: ours */
	const int *kept;		/* it has these as 3, 4, ..., whatever their numbers here */
	size_t kept_count;		/* at most PROGRAM_KEPT_MAX */
};

#define PROGRAM_KEPT_MAX 4

/* In env: the program's own pid takes the place of the zeroes, see sd_listen_fds(3). */
#define PROGRAM_LISTEN_PID "LISTEN_PID=0000000000"

enum program_end {
	PROGRAM_EXITED,			/* *ret_number: its status */
	PROGRAM_KILLED,			/* by the signal *ret_number, not of ours */
	PROGRAM_TIMED_OUT,		/* it was killed, with its process group */
	PROGRAM_INTERRUPTED,		/* we were asked to stop; it was ended */
};

/*
 * Run it and wait.  It is the leader of a process group of its own, with the
 * signals as after login, no descriptor of ours but standard error, which is
 * its standard output too if nothing else is said, and it does not outlive the
 * thread that started it.  -1: it was not started.
 */
int program_run(const struct program *program, enum program_end *ret_end, int *ret_number,
		struct err *err);

/*
 * Start it the same way and leave it running; the pid is the caller's to end
 * and to wait for.  timeout_ms is the caller's affair, too.
 */
pid_t program_start(const struct program *program, struct err *err);

/* What a program has to say is kept up to this much of it. */
#define PROGRAM_SAID_MAX (1024 * 1024)

/*
 * Run it, and keep what it says: *ret_output as it is (its length is told where
 * ret_length is not NULL), *ret_errors without the line end; free both.  They
 * are set whenever 0 is returned, and end with a NUL.  output and errors of
 * program are not looked at.
 */
int program_capture(const struct program *program, enum program_end *ret_end, int *ret_number,
		    char **ret_output, size_t *ret_length, char **ret_errors, struct err *err);

/* What has been written to that file, as program_capture() gives it.  Free it. */
char *program_said(int fd, size_t *ret_length);

/* A file in memory for a program to write to; -1 and err. */
int program_memory(struct err *err);

/* The path of the program of that name by $PATH, then in the directories of root's, or NULL.  Free it. */
char *program_find(const char *name);

#endif
