/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume group as one consistent read of LVM's metadata tells it: its
 * physical volumes, its logical volumes with the hidden ones, and which
 * extents of which physical volume belong to which.
 */
#ifndef VOLUMES_LVM_GROUP_H
#define VOLUMES_LVM_GROUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/text.h"

struct err;

struct lvm_pv {
	char *name, *uuid;	/* name: "/dev/sdb"; "[unknown]" where it is missing */
	uint64_t extents, used;
	bool allocatable, missing;
};

struct lvm_lv {
	char *name, *uuid;
	char *layout, *role;	/* words with commas: "linear", "raid,raid1"; "public,origin,thickorigin" */
	char *parent;		/* of a hidden one: the name of the volume it is part of; else "" */
	char *origin, *pool;
	char *move_pv;		/* of a pvmove volume: where it moves from */
	char *health;		/* "", "partial", "refresh needed", "mismatches exist" */
	char *sync, *action;	/* raid: "100.00", "idle" */
	char *max_rate;		/* raid: KiB a second, or "" */
	struct text_list tags;
	uint64_t bytes;
	unsigned stripes;	/* areas of its widest segment: stripes, or legs */
	bool active, open;
	bool read_only;
	bool converting, merging;
	bool moving;		/* a part of it lies on a pvmove volume */
};

/* Extents of a physical volume that are part of a linear or striped segment. */
struct lvm_piece {
	size_t lv, pv;		/* indices */
	unsigned stripe;	/* which stripe of its segment */
	uint64_t at;		/* extents of that stripe before it */
	uint64_t start, count;	/* on the physical volume */
};

struct lvm_group {
	char *name, *uuid;
	uint64_t extent_bytes;
	bool exported, partial, shared;
	struct lvm_pv *pvs;
	size_t pv_count;
	struct lvm_lv *lvs;
	size_t lv_count;
	struct lvm_piece *pieces;
	size_t piece_count;
};

/* Pure: what LVM answered.  ERR_REFUSED when there is no such group in it. */
int lvm_group_parse(const json_t *report, const char *vg, struct lvm_group *ret, struct err *err);

/*
 * Read it now.  What was read within the last second is not read again, since
 * steps that follow each other all look; but for changes of our own, see
 * lvm_report_changed().
 */
int lvm_group_read(const char *vg, struct lvm_group *ret, struct err *err);

void lvm_group_free(struct lvm_group *group);

/* NULL: there is none. */
struct lvm_lv *lvm_group_lv(const struct lvm_group *group, const char *name);
struct lvm_lv *lvm_group_lv_by_uuid(const struct lvm_group *group, const char *uuid);
struct lvm_pv *lvm_group_pv(const struct lvm_group *group, const char *name);
struct lvm_pv *lvm_group_pv_by_uuid(const struct lvm_group *group, const char *uuid);

/* Is lv the volume of this name, or a hidden part of it (or of its parts)? */
bool lvm_is_part(const struct lvm_group *group, const struct lvm_lv *lv, const char *name);

/* Extents of the named volume, hidden parts included, that lie on pv. */
uint64_t lvm_extents_on(const struct lvm_group *group, const char *name, const struct lvm_pv *pv);

/* Is word one of the words of text, which are separated by commas? */
bool lvm_has_word(const char *text, const char *word);

#endif
