/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ssh, as a way to a program on another host: its standard input and output are one socket here. */
#ifndef SYS_SSH_H
#define SYS_SSH_H

#include <sys/types.h>

#include "sys/squeeze.h"

struct err;

struct ssh {
	pid_t pid;		/* 0: there is none */
	int fd;			/* what the program reads and writes, a stream socket */
	int errors;		/* a file in memory with what ssh and the program complain of */
	struct squeeze squeeze;	/* between fd and the program, see ssh_squeeze() */
};

#define SSH_INIT { .fd = -1, .errors = -1 }

/*
 * Process-wide: the command in place of "ssh", with options of its own, in
 * words as a shell would split them, quotes and backslashes included; no shell
 * ever sees it.  NULL: $VOLMIG_SSH, else ssh.  The string stays the caller's.
 */
void ssh_set_command(const char *command);

/* Start remote, one command for the other host's shell, as user (or NULL) on host; port 0: the usual one. */
int ssh_start(struct ssh *ssh, const char *user, const char *host, unsigned port, const char *remote,
	      struct err *err);

/* What was complained of last, one line; or how ssh has ended.  Free it; NULL: nothing is known. */
char *ssh_complaint(struct ssh *ssh);

/* What is written to fd and read from it goes in frames from now on (sys/squeeze.h), as the program has agreed to. */
int ssh_squeeze(struct ssh *ssh, struct err *err);

/* The socket is somebody else's now: it is not closed at the end. */
void ssh_give_away(struct ssh *ssh);

/* Close and end it.  Content with SSH_INIT.  ret_counts: what went in frames, if anything did; or NULL. */
void ssh_end(struct ssh *ssh, struct squeeze_counts *ret_counts);

#endif
