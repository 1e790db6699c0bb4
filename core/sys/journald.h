/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines with fields for systemd's journal, by libsystemd, which is loaded with
 * the first of them.
 */
#ifndef SYS_JOURNALD_H
#define SYS_JOURNALD_H

#include <stdbool.h>

/*
 * From here on lines for a journal at the other end of standard error go there
 * with their fields (log_set_journal()).  Nothing is loaded yet.
 */
void journald_setup(void);

/*
 * A field of all lines from now on, process-wide: "VOLMIG_JOB"; value NULL or
 * "": of none any more.  From one thread, while no other one logs.
 */
void journald_field(const char *name, const char *value);

#endif
