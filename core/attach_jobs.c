/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attachments and jobs keep out of each other's way. */
#include "attach_jobs.h"

#include <stdlib.h>

#include "job.h"
#include "perform.h"
#include "support/err.h"

int attach_lock_jobs(const struct perform_options *options, bool dry_run, int *ret_lock, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	struct err none = ERR_INIT;
	int ret = 0;

	*ret_lock = -1;
	if (!dry_run && job_state_dir_make(state_dir, &none) == 0) {
		*ret_lock = job_lock_store(state_dir, err);
		ret = *ret_lock < 0 ? -1 : 0;
	}
	free(state_dir);
	return ret;
}

int attach_check_jobs(const struct perform_options *options, const struct facts *facts, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	const struct plan plan = { .move = { .source = *facts, .destination = *facts } };
	int ret = job_check_conflicts(state_dir, "", &plan, 0, err);

	free(state_dir);
	return ret;
}
