/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of logical volumes.  Each names what it changes by its UUID as well,
 * so that a name which is another's by now does no harm.
 */
#ifndef VOLUMES_LV_CHANGE_H
#define VOLUMES_LV_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct lv_facts;
struct text_list;

/* What a job makes carries this tag from its first moment to its end; free it. */
char *lv_job_tag(const char *job_id);

struct lv_new {
	const char *vg;
	const char *name;
	const char *tag;
	const char *type;		/* "linear", "striped", "thin"; see lv_mirror() */
	const char *pool;		/* thin */
	uint64_t bytes;
	uint64_t stripes, stripe_bytes;
	const struct text_list *pvs;	/* on these only; or NULL */
};

/* Make it, active; nothing is wiped or zeroed, and no question is asked. */
int lv_create(const struct lv_new *new, struct err *err);

/*
 * Make a linear one a raid1 with so many legs; done already is fine.  LVM gives
 * the tags of one that is made as raid1 to its hidden parts, and never takes
 * them away from there again.
 */
int lv_mirror(const struct lv_facts *lv, uint64_t legs, const struct text_list *pvs,
	      struct err *err);

/*
 * Usable on this host, whatever its activation skip says; done already is fine.
 * In a group that is shared by lvmlockd it is this host's alone from then on, as
 * long as it is active.  ERR_REFUSED: another host has it.
 */
int lv_activate(const struct lv_facts *lv, struct err *err);
int lv_deactivate(const struct lv_facts *lv, struct err *err);

int lv_rename(const struct lv_facts *lv, const char *name, struct err *err);

/*
 * Remove it, and never what hangs on it: one that has become the origin of a
 * snapshot stays.  ERR_FAILED when it is still there afterwards.
 */
int lv_remove(const struct lv_facts *lv, struct err *err);

/* Something that LVM takes for a tag; NULL is none. */
bool lv_is_tag(const char *text);

/*
 * Give it what from had, which may be what another host says of it: tags, permission, read-ahead, activation skip; and take
 * tag away in the same change.  from may be NULL.
 */
int lv_carry_over(const struct lv_facts *lv, const struct lv_facts *from, const char *tag,
		  struct err *err);

/* Its persistent minor number; deactivates and activates it for that. */
int lv_fix_minor(const struct lv_facts *lv, uint64_t minor, struct err *err);

#endif
