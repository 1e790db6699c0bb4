/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the planner's files share: the entry, plan.c, and one file of policy for each family of methods. */
#ifndef PLAN_PARTS_H
#define PLAN_PARTS_H

#include <stdbool.h>

#include "plan.h"

void plan_add_step(struct plan *plan, const struct step_ops *step);

/* Takes reason over. */
void plan_add_not_moved(struct plan *plan, const char *method, char *reason);

#define PLAN_TRIED_FIRST "it is tried first"

/* Is it a method that comes before the one that is looked for? */
bool plan_was_tried(const struct request *request, const char *method);

/*
 * Fill in plan->next, if there is a next method at all.  The facts are copies of
 * what plan was made of, by plan_copy_facts(); they may be taken over.
 */
bool plan_copy_facts(const struct facts *from, struct facts *ret);
void plan_next_build(const struct request *request, const char *job_id, struct facts *source,
		     struct facts *destination, struct plan *plan);

/* Is path dir, or below it?  By the texts alone. */
bool plan_is_below(const char *path, const char *dir);

/*
 * Policies.  plan->move holds both ends' facts and what plan.c takes from the
 * request; on success its methods and steps are filled in.  Pure, as plan_build().
 */

/* Ground that policies share: may a new file be made there, how the source is retired in the end. */
int plan_check_new_file(const struct move *move, const struct facts *destination, const char *name,
			struct text_list *warnings, struct err *err);
int plan_check_creation(const struct request *request, const struct facts *destination, bool is_directory,
			struct err *err);
int plan_retirement(const struct request *request, struct plan *plan, struct err *err);

/* The same of a destination that is there: may it be overwritten?  Its size is the policy's to judge. */
int plan_check_existing(const struct request *request, struct plan *plan, struct err *err);

/* The last part of a path; free it. */
char *plan_base_name(const char *path);

/* Block by block on this host, or by sharing extents between two files. */
int plan_copy(const struct request *request, const char *job_id, struct plan *plan,
	      struct err *err);

/* The disk of a running domain, request->live, under it. */
int plan_live(const struct request *request, const char *job_id, struct plan *plan,
	      struct err *err);

/* To, from and between logical volumes; those methods that move them online are plan_lvm_online()'s. */
int plan_lvm(const struct request *request, const char *job_id, struct plan *plan,
	     struct err *err);

/*
 * Volumes that QEMU opens: can it be read and written, may it be overwritten or
 * removed, what is made at the place destination.qemu.  Content with all else.
 */
int plan_check_qemu(const struct facts *facts, struct err *err);
int plan_check_overwritten(const struct facts *destination, struct err *err);
int plan_check_removal(const struct move *move, struct err *err);
void plan_qemu_warnings(struct plan *plan);
int plan_new_image(const struct request *request, const char *job_id, struct plan *plan,
		   struct err *err);

/* Where they are logical volumes: may this source, or this destination that is there, be used? */
int plan_lv_source(const struct request *request, struct plan *plan, struct err *err);
int plan_lv_destination(struct plan *plan, struct err *err);

/* Fill in the logical volume that is made at the place destination.lv. */
int plan_new_lv(const struct request *request, const char *job_id, struct plan *plan,
		struct err *err);

/*
 * Inside the source's own group, by pvmove or lvconvert: destination.lv is that
 * group, its wanted_pvs are the targets (LVM's names), and request->group is
 * what lies where in it.  0: planned, with
 * plan->method and steps; 1: it cannot be, and why is in plan->not_moved, so
 * that another method may; -1: refused.
 */
int plan_lvm_online(const struct request *request, struct plan *plan, struct err *err);
/*
 * Before plan_copy(): the domains that use the source.  A shut-off one is taken
 * into move->cold, and its definition will follow.
 */
int plan_cold(const struct request *request, struct plan *plan, struct err *err);

#endif
