/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that liblvm2cmd runs in: it takes one command after the other,
 * so that loading and starting the library is paid for once.
 */
#ifndef SYS_LVM_CHILD_H
#define SYS_LVM_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* What the library has to say comes by ways of its own. */
enum {
	LVM_LINES,		/* progress and the like */
	LVM_ERRORS,
	LVM_REPORT,
	LVM_WAYS,
};

/* What a command ended with where the library itself gave no number; above all of its own. */
enum {
	LVM_NO_LIBRARY = 100,	/* errors say why */
	LVM_NO_HANDLE = 101,	/* it may work the next time */
};

struct lvm_child {
	pid_t pid;
	int pidfd;
	int talk;		/* a command is one message, and its result (an int) another */
	int ways[LVM_WAYS];	/* to be read */
};

/*
 * The child, made anew where there is none that is well and belongs to this
 * very process; -1 when it cannot be made, errno tells.
 *
 * A signal of the terminal does not reach it.  When this process dies it dies
 * as well, unless it is just changing metadata: then it first brings that to
 * its end, holding LVM's lock on the group, so that a command that comes after
 * sees either all of it or nothing.
 */
struct lvm_child *lvm_child_get(void);

/* Give it a command, that changes something or only looks; false: it has died. */
bool lvm_child_tell(struct lvm_child *child, const char *line, bool changes);

/* Its result has come: 0 well, else the library's number or one of the above.  false: not yet. */
bool lvm_child_result(struct lvm_child *child, int *ret);

/* End it; only between two commands, or where ending the one that runs does no harm. */
void lvm_child_end(void);

/* It does not come to an end: leave it to itself, and know it no more. */
void lvm_child_forget(void);

#endif
