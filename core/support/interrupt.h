/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIGINT and SIGTERM become a flag that long work looks at where stopping is safe. */
#ifndef SUPPORT_INTERRUPT_H
#define SUPPORT_INTERRUPT_H

#include <stdbool.h>

/*
 * From here on SIGINT, SIGTERM and SIGHUP only set the flag.  They are
 * installed without SA_RESTART, so a blocking wait returns EINTR.  SIGPIPE and
 * SIGXFSZ are ignored: a closed stdout must not end a move, and a file that must
 * not grow is an error like others.
 */
void interrupt_catch(void);

/* How often the user asked: 0 go on, 1 stop at the next safe point, 2 and more: at once. */
int interrupt_requested(void);

/* Did somebody ask, by SIGUSR1, how far we are?  True once for each time. */
bool interrupt_wants_report(void);

/* The signal that asked last, or 0. */
int interrupt_signal(void);

/* Who asked, for messages: "interrupted", or "stopped at the end of its window". */
const char *interrupt_reason(void);

/*
 * Ask ourselves, once so many seconds are over; that the machine sleeps counts.
 * 0: not any more.  It is SIGALRM that does it, so a blocking wait returns.
 */
void interrupt_after(unsigned seconds);

/* Ask, from inside the program (tests). */
void interrupt_request(void);
void interrupt_reset(void);

#endif
