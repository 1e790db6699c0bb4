/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logical volumes and volume groups: what LVM knows of them, from one
 * consistent read that serves a whole plan.
 */
#ifndef VOLUMES_LV_H
#define VOLUMES_LV_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;

/* A physical volume of the group. */
struct lv_pv {
	char *name;		/* "/dev/sdb1", as LVM calls it */
	char *uuid;
	uint64_t dev;		/* its device number, or 0 where it is missing */
	uint64_t extents, free_extents;
	uint64_t used_here;	/* extents of this logical volume on it, its hidden parts' among them */
	bool missing;
	bool allocatable;
};

/* A thin pool of the group.  What is known of an active one only is 0 else. */
struct lv_pool {
	char *name;
	char *uuid;
	uint64_t bytes, free_bytes;		/* of data */
	uint64_t metadata_bytes, metadata_free_bytes;
	uint64_t chunk_bytes;
	char *discards;		/* "passdown", "nopassdown", "ignore" */
	bool zeroes;		/* new blocks read as zero */
	bool active;
};

/*
 * A group, and of a logical volume in it all that a plan may ask; name NULL
 * (and all that follows it empty) where only the group is meant.  UUIDs are
 * LVM's, with dashes.
 */
struct lv_facts {
	char *vg_name, *vg_uuid;
	char *lock_type;	/* "dlm", "sanlock": a shared group; NULL: none */
	uint64_t extent_bytes, free_extents;
	uint64_t missing_pvs;
	bool exported, partial, shared, read_only_group;
	struct lv_pv *pvs;
	size_t pv_count;
	struct lv_pool *pools;
	size_t pool_count;

	char *name, *uuid;
	char *type;		/* its first segment's: "linear", "striped", "raid1", "thin", "thin-pool", ... */
	char *layout, *role;	/* LVM's words, joined by commas */
	char *parent;		/* of a hidden part: the volume it is a part of */
	uint64_t bytes;
	uint64_t stripes, stripe_bytes;		/* of its first segment; stripes: also legs of a raid1 */
	uint64_t segments;
	char *origin, *origin_uuid;		/* of a snapshot, thick or thin */
	struct text_list snapshots;		/* thick ones of it: they would go with it */
	struct text_list thin_snapshots;	/* thin volumes whose origin it is */
	char *pool, *pool_uuid;			/* thin: its pool's name; also of a cached or VDO volume */
	uint64_t mapped;	/* thin: bytes that are mapped, where it is active; else bytes */
	char *sync_percent;	/* raid, mirror: "100.00"; NULL: not known */
	char *sync_action;	/* raid: "idle", "resync", ... */
	uint64_t mismatches;
	char *integrity;	/* raid with integrity: its mode */
	char *moving;		/* it is, or is part of, a pvmove: from that device */
	bool converting, suspended;
	char *health;		/* "partial", "refresh needed", ...; NULL: fine */
	struct text_list tags;
	char *read_ahead;	/* "auto", or a number of sectors */
	bool activation_skip, read_only;
	bool fixed_minor;
	uint64_t minor;		/* of a fixed one */
	bool hidden;		/* a part of another volume, not to be used by itself */
	bool active, open;
	uint64_t dev;		/* of an active one */

	/* Of a place: */
	char *wanted;		/* the name of a volume that is not there yet; NULL: the source's */
	char *wanted_pool;	/* the place is this thin pool of the group */
	struct text_list wanted_pvs;	/* the place is these physical volumes of the source's own group */
};

void lv_facts_free(struct lv_facts *lv);		/* the struct as well; NULL is fine */
struct lv_facts *lv_facts_copy(const struct lv_facts *lv);

/* The journal's form, and back. */
json_t *lv_facts_to_json(const struct lv_facts *lv);
int lv_facts_from_json(struct lv_facts **ret, const json_t *json, struct err *err);

/*
 * The group of that name, and in it the volume (NULL: only the group).  A group
 * that is not there gives NULL; a volume that is not there gives its group, with
 * ->wanted.  A failure is one of LVM itself.
 */
int lv_find(const char *vg, const char *name, struct lv_facts **ret, struct err *err);

/* The same by UUIDs; both have to be there, else NULL. */
int lv_find_uuid(const char *vg_uuid, const char *lv_uuid, struct lv_facts **ret, struct err *err);

/*
 * The names of a group's volumes that one can use: neither hidden nor pools.
 * select: "@TAG", or a glob of names, or NULL.  *ret_found: there is such a group.
 */
int lv_list(const char *vg, const char *select, struct text_list *ret_names, bool *ret_found,
	    struct err *err);

/*
 * Volumes of the group that have the tag: the first, or NULL.  vg: its name,
 * where that is sure, so that no other group has to be read; else NULL.
 */
int lv_find_tag(const char *vg, const char *vg_uuid, const char *tag, struct lv_facts **ret, struct err *err);

/* By device-mapper's UUID, "LVM-..."; a hidden part gives that part. */
int lv_find_dm(const char *dm_uuid, struct lv_facts **ret, struct err *err);

/* The group that has this device as one of its physical volumes, or NULL. */
int lv_find_pv(uint64_t dev, struct lv_facts **ret, struct err *err);

/*
 * Is dev a physical volume of lv's group?  Its name, or NULL.
 */
const char *lv_pv_name(const struct lv_facts *lv, uint64_t dev);

/* The same from a report that was read already: pure.  NULL where there is none. */
struct lv_facts *lv_from_report(const json_t *report, const char *vg, const char *vg_uuid,
				const char *name, const char *lv_uuid);

/* The names in /dev/GROUP/NAME or /dev/mapper/GROUP-NAME: free them; false: it has no such form. */
bool lv_names_of_path(const char *path, char **ret_vg, char **ret_name);

/* "LVM-...", as the kernel shows it; free it. */
char *lv_dm_uuid(const struct lv_facts *lv);

/* The device number of an active volume, by device-mapper alone; 0: not active. */
uint64_t lv_device(const struct lv_facts *lv);

/*
 * The same volume as its device shows it now: by the names and the number that
 * device-mapper has for it, else as it was.  NULL: it is not active, or gone.
 */
struct lv_facts *lv_by_device(const struct lv_facts *was);

/* The name that a group has, or had a second ago; NULL: there is no such group.  Free it. */
int lv_group_name(const char *vg_uuid, char **ret, struct err *err);

/* The pool of that name in its group, or NULL. */
const struct lv_pool *lv_pool_of(const struct lv_facts *lv, const char *name);

#endif
