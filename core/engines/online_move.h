/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A logical volume that is moved onto other physical volumes of its own group
 * while it is in use: what is journalled of such a move, what it looks like
 * now, and the LVM commands that both ways of it share.
 */
#ifndef ENGINES_ONLINE_MOVE_H
#define ENGINES_ONLINE_MOVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"
#include "volumes/lvm_group.h"

struct err;
struct step_context;

/* Extents of the volume, or of a hidden part of it, where they were at first. */
struct online_piece {
	char *lv_uuid, *pv_uuid;
	unsigned stripe;
	uint64_t at, count;		/* extents of that stripe before it, and in it */
};

struct online_move {
	char *vg, *vg_uuid;		/* vg NULL: it is no such move */
	char *lv, *lv_uuid;
	struct text_list sources;	/* UUIDs of the physical volumes that it leaves */
	struct text_list targets;	/* ... and onto which it goes, without those it stays on */
	struct text_list target_names;	/* as they were called, for people */
	unsigned legs;			/* lvconvert: how many it has and will have (1: linear) */
	unsigned add;			/* lvconvert: how many are made anew */
	uint64_t max_pause_ms;		/* lvconvert: how long it may be suspended to compare legs */
	char *max_rate;			/* lvconvert: the recovery rate that it had, KiB/s, or "" */
	struct online_piece *pieces;	/* pvmove: for moving it back */
	size_t piece_count;
};

/* What the steps have found out. */
struct online_record {
	uint64_t checks, repairs;	/* scrubs of either kind */
	uint64_t mismatches;		/* sectors, by the last check */
	bool compared;			/* both legs, in a pause */
};

void online_move_free(struct online_move *online);
json_t *online_move_to_json(const struct online_move *online);
int online_move_from_json(struct online_move *online, const json_t *json, struct err *err);
json_t *online_record_to_json(const struct online_record *record);
struct online_record online_record_from_json(const json_t *json);

/* The volume as it is now. */
struct online_now {
	struct lvm_group group;
	struct lvm_lv *lv;		/* by its UUID, whatever it is called */
	unsigned legs;			/* raid1: of all; else 1 */
	unsigned ours;			/* legs that lie on the targets only */
	unsigned old;			/* legs that lie on what it leaves */
	bool ours_first;		/* the first leg is one of ours: a repair would copy from it */
	const char *moving_from;	/* the PV that a pvmove takes it from, or NULL */
	uint64_t left;			/* extents on what it leaves */
};

/* ERR_REFUSED when the group or the volume is not there any more. */
int online_look(const struct online_move *online, struct online_now *ret, struct err *err);
void online_now_free(struct online_now *now);

/* Does a pvmove from this PV run in the group?  It need not be ours. */
bool online_pvmove_from(const struct lvm_group *group, const char *pv);

/* The names that the listed PVs have now, appended to argv; ERR_REFUSED when one is gone. */
int online_pv_names(const struct lvm_group *group, const struct text_list *uuids,
		    const char **argv, size_t *count, size_t max, struct err *err);

/* Mark the volume as the job's, and not any more; both are content if it is so already. */
int online_tag(const struct step_context *ctx, const struct online_now *now, struct err *err);
int online_untag(const struct step_context *ctx, const struct online_now *now, struct err *err);

/* One LVM command that changes something; argv ends with NULL. */
int online_change(const char *object, const char *const *argv, struct err *err);

/* "vg/lv -> PV, PV" for the plan. */
char *online_object(const struct online_move *online);

#endif
