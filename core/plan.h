/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what is wanted and what is there to a list of steps, or to a refusal with its reason. */
#ifndef PLAN_H
#define PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "engines/step.h"
#include "hooks.h"
#include "support/text.h"

struct err;

#define PLAN_MOVES_MAX 24	/* volumes of one job */
#define PLAN_STEPS_EACH 14
#define PLAN_STEPS_MAX (PLAN_STEPS_EACH * PLAN_MOVES_MAX)
#define PLAN_PVS_MAX 32	/* physical volumes of one move */
#define PLAN_TRIED_MAX 3	/* methods that are tried one after the other */

enum command_kind {
	COMMAND_MIGRATE,	/* the source goes away in the end, unless it is kept */
	COMMAND_COPY,		/* the source stays */
	COMMAND_SWAP,		/* a running domain's disk; the source stays */
};

/* A method that the back end has, and that cannot be used or has failed and was undone: what then? */
enum fallback {
	FALLBACK_ALWAYS,	/* go on with the next */
	FALLBACK_ON_REFUSAL,	/* go on when it cannot be used, fail when it has failed */
	FALLBACK_NEVER,
};

/* What the user wants; strings belong to the caller. */
struct request {
	enum command_kind command;
	const char *source;		/* as typed */
	const char *destination;	/* the first place */
	const char *const *places;	/* all of them, where there are several, ending with NULL; or NULL */
	const char *state_dir;		/* canonical; what is below it is no volume; or NULL */
	const char *method;		/* "auto", or one method's name */
	bool create;			/* copy: make the destination */
	bool into_existing;
	bool raw;			/* --format=raw: a container's magic is just data */
	bool keep_source;
	const char *thin_pool;		/* --thin: a thin volume in this pool; or NULL */
	bool thick;			/* --thick: no thin volume, whatever the source is */
	bool thin_is_default;		/* either is set for all moves, and means nothing where no logical volume is made */
	enum fallback fallback;
	bool force_host_copy;
	bool delta;
	bool compress;			/* the bytes on their way to another host, or from it */
	bool compress_is_default;	/* it is set for all moves, and means nothing to those on this host */
	bool sparse;
	enum verify_mode verify;
	enum wipe_mode wipe;
	uint64_t bytes_per_second;
	uint64_t stall_ms;
	const char *connect;		/* libvirt's URI, or NULL */
	const char *domain, *disk;	/* swap: whose disk is the source */
	const char *tls_certificates;	/* a running domain's disk: where we have our own to read it by; NULL: its QEMU's */
	const char *ceph_secret;	/* a running domain's disk: libvirt's secret for its new place; or NULL */
	const char *const *disks;	/* migrate of a domain: those, ends with NULL; NULL: all that can be moved */
	enum live_api api;
	bool sync_writes;
	bool hold;			/* --cutover=manual */
	uint32_t granularity;
	uint64_t max_pause_ms;		/* how long a volume in use may be suspended */
	const struct lvm_group *group;	/* for moves inside a group: all of it */
	const struct live_move *live;	/* the running domain that uses the source; NULL: none does */
	const struct far_plan *far;	/* what the host of a far end has planned: see far_plan.h; or NULL */
	const char *const *hooks;	/* commands, ends with NULL; or NULL */
	uint64_t hook_timeout_ms;
	const char *tried[PLAN_TRIED_MAX];	/* methods that come before the one that is planned now; or NULL */
};

#define REQUEST_DEFAULTS { .method = "auto", .sparse = true, .stall_ms = 600000, \
	.hook_timeout_ms = HOOKS_TIMEOUT_MS }

/* A method that was not chosen, and why. */
struct not_moved {
	const char *method;
	char *reason;
};

struct plan {
	enum command_kind command;
	const char *method;		/* "copy", "reflink", "live", "lvconvert" or "pvmove": what moves the bytes */
	struct move move;
	/* A job that moves several disks of a domain together, all or none: the others; and what they are called. */
	struct move *more;
	size_t more_count;
	char *set;			/* "web: vda, vdb"; NULL: it moves one volume */
	const struct step_ops *steps[PLAN_STEPS_MAX];
	unsigned char step_moves[PLAN_STEPS_MAX];	/* to which move each is done: 0 or, of more, its index + 1 */
	size_t step_count;
	struct not_moved not_moved[8];
	size_t not_moved_count;
	struct text_list warnings;	/* what the user should know before */
	struct hook_options hooks;
	json_t *serve;			/* made for another host, which asks for its steps: see serve.h; or NULL */
	struct plan *next;		/* to go on with when this method fails and was undone; or NULL */
};

/*
 * Pure: no I/O.  source and destination are what volume_inspect() found, with
 * their uses; they are taken over on success.  Every refusal is ERR_REFUSED
 * (or ERR_USAGE where the options contradict the facts' kinds).
 */
int plan_build(const struct request *request, const char *job_id,
	       struct facts *source, struct facts *destination,
	       struct plan *ret_plan, struct err *err);

/* Is there a volume at all, and are its bytes what they seem?  raw: the user says so. */
int plan_check_volume(const struct facts *facts, bool raw, struct err *err);

/* Where it is a logical volume: is it one that people use by itself?  Content with all else. */
int plan_check_lv(const struct facts *facts, struct err *err);

void plan_free(struct plan *plan);

/* What the job moves: 0 is plan->move. */
const struct move *plan_move(const struct plan *plan, size_t i);
size_t plan_moves(const struct plan *plan);

/*
 * Make one plan of several, which are taken over and empty afterwards: steps
 * that are joint come once, for all.  set: what they are called together.
 * ERR_REFUSED where they get in each other's way.
 */
int plan_join(struct plan *plans, size_t count, const char *job_id, const char *set,
	      struct plan *ret_plan, struct err *err);

/*
 * Its method has failed, and was undone.  Is there a next one, as far as what
 * was found lets it go on?  And make that the plan; reason: why it failed.
 */
bool plan_has_next(const struct plan *plan, enum go_on go_on);
void plan_go_on(struct plan *plan, enum go_on go_on, const char *reason);

/* "migrate", "copy", "swap". */
const char *command_name(enum command_kind command);

/* The plan as it is journalled, and back. */
json_t *plan_to_json(const struct plan *plan);
int plan_from_json(struct plan *plan, const json_t *json, struct err *err);

#endif
