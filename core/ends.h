/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the ends of a job are still as they were when it was planned. */
#ifndef ENDS_H
#define ENDS_H

#include <stdbool.h>

struct err;
struct job;

/*
 * What was true when the job was planned must still be: ERR_REFUSED where it is
 * not, or where somebody uses an end.  After the commit the steps look for
 * themselves, since the source may be gone or wiped in part; then it is content.
 */
int ends_check(const struct job *job, struct err *err);

/* May a domain's definition name the destination already? */
bool ends_repointed(const struct job *job);

#endif
