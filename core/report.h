/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is planned, what was done and what is, as JSON and, from the same rows, as text. */
#ifndef REPORT_H
#define REPORT_H

#include <jansson.h>
#include <stdio.h>

struct err;
struct job;
struct plan;

/* A plan before anything is done; state "planned". */
json_t *report_plan(const struct plan *plan, const char *job_id);

/* A job as its journal tells. */
json_t *report_job(const struct job *job);

/* Only an error: no plan was come to.  command and job_id may be NULL. */
json_t *report_failure(const char *command, const char *job_id);

/*
 * Put err into a report (with what is known there of both ends), or "error":
 * null where err is NULL.  exit_status is what the process will end with.
 */
void report_set_error(json_t *report, const struct err *err, int exit_status);

/* Rows for people: "label  value". */
void report_print(const json_t *report, FILE *out);

/* The table of what perform_status() tells of all jobs, fitted to so many columns; 0: as wide as it is. */
void report_print_jobs(const json_t *report, int columns, FILE *out);

#endif
