/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the lines of a batch come from: a plan file, a directory, a volume group. */
#ifndef BATCH_LINES_H
#define BATCH_LINES_H

struct batch_faults;
struct batch_text;
struct err;

/* The lines of a plan file, or of standard input ("-"); what is wrong with some goes to faults. */
int batch_lines_of_plan(const char *name, struct batch_text *plan, struct batch_faults *faults,
			struct err *err);

/* A line for each volume of a group, or each file of a directory, that matches select (NULL: all). */
int batch_lines_from(const char *from, const char *select, const char *to, struct batch_text *plan,
		     struct err *err);

/* The group that --from names, or NULL when it is no group's name; free it. */
char *batch_lines_group(const char *from);

#endif
