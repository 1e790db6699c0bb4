/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is journalled of a move in which LVM has a part. */
#ifndef ENGINES_LVM_MOVE_H
#define ENGINES_LVM_MOVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/text.h"

struct err;

/* All of it is empty where LVM has no part. */
struct lvm_move {
	struct text_list pvs;		/* onto these, by LVM's names for them; or empty: wherever there is room */

	/* A new logical volume, in the group of destination.lv: */
	bool create;
	char *type;			/* "linear", "striped", "raid1", "thin" */
	char *pool;			/* thin: in this pool */
	uint64_t bytes;			/* its size: whole extents */
	uint64_t stripes;		/* striped; legs of a raid1 */
	uint64_t stripe_bytes;
	bool late_name;			/* the source has its name, and gives it up only when it is removed */

	/* What was not active is so only while it is copied. */
	bool activate_source;
	bool activate_destination;
};

void lvm_move_free(struct lvm_move *lvm);
json_t *lvm_move_to_json(const struct lvm_move *lvm);
int lvm_move_from_json(struct lvm_move *ret, const json_t *json, struct err *err);

#endif
