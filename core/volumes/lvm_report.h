/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What LVM says of its groups in one consistent read (fullreport), and how the
 * rows of that are read.  Two things are made of it: volumes/lv.h has a volume
 * as a plan and a journal want it, volumes/lvm_group.h which extents lie where.
 */
#ifndef VOLUMES_LVM_REPORT_H
#define VOLUMES_LVM_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Between these two all that is asked for comes from the same read; they nest.
 * A change of our own ends that, see below.
 */
void lvm_report_hold(void);
void lvm_report_release(void);

/*
 * Read all groups, or only that one (vg).  What was read within the last
 * max_age_ms will do, and what is held in any case.  json_decref() it.
 */
int lvm_report_read(const char *vg, uint64_t max_age_ms, json_t **ret, struct err *err);

/* Something was changed through LVM: what was read before is not true any more. */
void lvm_report_changed(void);

/* The part of a report that is about a group, by its name or its UUID (or both); NULL: there is none. */
const json_t *lvm_report_group(const json_t *report, const char *vg, const char *vg_uuid);

/* ---- a row: everything in it is a string ---- */

const char *lvm_report_text(const json_t *row, const char *field);	/* "" where there is none */
char *lvm_report_copy(const json_t *row, const char *field);		/* NULL where it is empty */
uint64_t lvm_report_number(const json_t *row, const char *field);	/* "-1", not known: 0 */

/* A yes-or-no field is empty, or says what it is about. */
bool lvm_report_flag(const json_t *row, const char *field);

/* The name of a volume, without the brackets that a hidden one has. */
char *lvm_report_name(const json_t *row, const char *field);

/* Of rows: the one whose field is just that; NULL: none is. */
const json_t *lvm_report_row(const json_t *rows, const char *field, const char *value);

#endif
