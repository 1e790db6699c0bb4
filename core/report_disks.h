/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of reports that is about the disks of a domain, moved one alone or several together. */
#ifndef REPORT_DISKS_H
#define REPORT_DISKS_H

#include <jansson.h>
#include <stddef.h>

struct move;
struct plan;
struct progress_record;

/* What step i of the plan is done to; free it. */
char *report_step_object(const struct plan *plan, size_t i);

/* How the pivot of a running domain's disk went. */
json_t *report_pivot(const struct progress_record *record);

/* Add a disk, with what is known of its move (taken over), to "disks". */
void report_add_disk(json_t *json, const struct move *move, json_t *disk);

/* Of a job that moves several: the head's members become those of all disks together. */
void report_sum_disks(json_t *json, const struct plan *plan);

/* Rows for people; free them.  NULL: there is no such row. */
char *report_disk_text(const json_t *disk);
char *report_row_suspended(const json_t *report);

#endif
