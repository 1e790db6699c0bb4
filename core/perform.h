/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a command does from end to end: names in, a report and an outcome out. */
#ifndef PERFORM_H
#define PERFORM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "engines/disk_attach.h"
#include "history.h"
#include "plan.h"

struct err;
struct lun_options;
struct progress;
struct terms;

struct perform_options {
	const char *state_dir;		/* as given, or NULL; see job_state_dir() */
	const char *connect;		/* libvirt's URI, or NULL for its default */
	const char *job_id;		/* chosen by the caller, canonical, or NULL */
	bool dry_run;
	bool all;			/* status: also old jobs */
	struct history_options history;
	bool keep_source;		/* resume: neither wipe nor remove it, whatever was planned */
	bool no_hook;			/* resume: without the commands that the job was given */
	bool now;			/* resume: whatever its windows are */
	bool forget;			/* abort: leave behind what cannot be reached */
	uint64_t wait_ms;		/* for volumes that another job holds */
	const struct terms *terms;	/* of a new job; NULL: none */
	void (*waits)(const char *what);	/* hears what a job waits for; or NULL */
	struct progress *progress;	/* NULL: nobody watches */
	void (*announce)(const json_t *plan);	/* called with the plan before anything is done; or NULL */
};

/*
 * Each fills *ret_report, on failure too, with what report.h describes (it may
 * stay NULL when there is nothing to tell but the error), to be freed by the
 * caller.
 */

/* migrate and copy: inspect, plan, and unless dry_run, do it. */
int perform_move(const struct request *request, const struct perform_options *options,
		 json_t **ret_report, struct err *err);

/* Only inspect (flags of volume.h) both ends and plan: what perform_move() would do. */
int perform_plan(const struct request *request, const char *state_dir, const char *id,
		 unsigned flags, struct plan *ret_plan, struct err *err);

/* Go on with a job.  One that is done already is a success. */
int perform_resume(const char *job, const struct perform_options *options,
		   json_t **ret_report, struct err *err);

/* Undo a job; a process that works on it is asked to stop first, and waited for. */
int perform_abort(const char *job, const struct perform_options *options,
		  json_t **ret_report, struct err *err);

/* Another rate for an unfinished job, running or not; 0: no limit. */
int perform_set_rate(const char *job, uint64_t bytes_per_second,
		     const struct perform_options *options, json_t **ret_report, struct err *err);

/* One job, or with job NULL all of them ({"volmig":1,"jobs":[...]}), as it really is now. */
int perform_status(const char *job, const struct perform_options *options,
		   json_t **ret_report, struct err *err);

/*
 * What earlier failures left behind, and what this host can do: see doctor.h.
 * ERR_FAILED when something is left; the report is complete all the same.
 */
int perform_doctor(bool fix, const struct perform_options *options, json_t **ret_report,
		   struct err *err);

/*
 * Process-wide, before all else: what LVM commands are given as --config and
 * --devicesfile; NULL: nothing.  The strings stay the caller's.
 */
void perform_lvm_options(const char *config, const char *devicesfile);

/* Process-wide, before all else: the command in place of "ssh"; NULL: the usual one. */
void perform_ssh_command(const char *command);

/* The far side of a move between hosts, on standard input and output: see serve.h. */
struct serve_options;
int perform_serve(struct serve_options *serve, const struct perform_options *options, struct err *err);

/* attach and detach a volume to and from this host; lun: how to get at an iSCSI LUN. */
int perform_attach(const char *volume, bool readonly, bool raw, const struct lun_options *lun,
		   const struct perform_options *options,
		   json_t **ret_report, struct err *err);
int perform_detach(const char *volume, const struct perform_options *options,
		   json_t **ret_report, struct err *err);

/* The same to and from a domain; detach takes a disk's target as well. */
int perform_attach_domain(const char *volume, bool raw, const struct disk_attach_options *disk,
			  const struct perform_options *options, json_t **ret_report, struct err *err);
int perform_detach_domain(const char *volume, const struct disk_attach_options *disk,
			  const struct perform_options *options, json_t **ret_report, struct err *err);

#endif
