/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attachments and jobs keep out of each other's way. */
#ifndef ATTACH_JOBS_H
#define ATTACH_JOBS_H

#include <stdbool.h>

struct err;
struct facts;
struct perform_options;

/*
 * From the first look until it is attached no job begins, nor another attachment.
 * *ret_lock is to be closed; -1: there are no jobs, nor can there be any.
 */
int attach_lock_jobs(const struct perform_options *options, bool dry_run, int *ret_lock, struct err *err);

/* A volume that a job moves is nobody's to attach until that has ended. */
int attach_check_jobs(const struct perform_options *options, const struct facts *facts, struct err *err);

#endif
