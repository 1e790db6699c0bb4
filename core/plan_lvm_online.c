/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of moves inside a volume group, with the volume in use or not: pvmove and lvconvert. */
#include "plan_parts.h"

#include "support/err.h"

int plan_lvm_online(const struct request *request, struct plan *plan, struct err *err)
{
	(void)request;
	plan_add_not_moved(plan, "pvmove", text_copy("moves inside a group are not possible so far"));
	(void)err;
	return 1;
}
