/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of moves to, from and between logical volumes. */
#include "plan_parts.h"

#include "support/err.h"
#include "volumes/lv.h"

int plan_lvm(const struct request *request, const char *job_id, struct plan *plan, struct err *err)
{
	const struct lv_facts *to = plan->move.destination.lv;
	int online = 1;

	(void)job_id;
	if (to && to->wanted_pvs.count)
		online = plan_lvm_online(request, plan, err);
	if (online <= 0)
		return online;
	return err_set(err, ERR_REFUSED, plan->move.source.spec, "logical volumes cannot be moved so far");
}
