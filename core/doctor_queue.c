/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places in the queue, and batches, that no process holds any more. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>

#include "batch_left.h"
#include "job_limits.h"
#include "support/err.h"

/* A ticket counts for nobody once its process is gone: whoever comes next would remove it. */
void doctor_limits(struct doctor *doctor)
{
	struct text_list left = { 0 }, removed = { 0 };
	struct err err = ERR_INIT;

	if (limits_left(doctor->state_dir, false, &left, &err) < 0 ||
	    (doctor->fix && limits_left(doctor->state_dir, true, &removed, &err) < 0))
		doctor_note(doctor, "limits", err.cause);
	for (size_t i = 0; i < left.count; i++)
		doctor_found(doctor, "limits", left.items[i], NULL,
			     "a place in the queue that no process holds; of no use any more",
			     "volmig doctor --fix", text_list_has(&removed, left.items[i]));
	text_list_free(&left);
	text_list_free(&removed);
}

static void found_batch(const struct batch_left *left, void *data)
{
	struct doctor *doctor = data;
	char *word, *what, *next;

	if (left->damage) {
		doctor_found(doctor, "batches", left->journal, left->id, left->damage->cause, "look at it", false);
		return;
	}
	if (left->empty) {
		doctor_found(doctor, "batches", left->journal, left->id,
			     "left by a batch that was killed before it had begun; of no use any more",
			     "volmig doctor --fix", doctor->fix && batch_bury_empty(doctor->state_dir, left->id));
		return;
	}
	what = text_format("unfinished, and no process works on it: %s", left->plan ? left->plan : "?");
	word = text_shell_word(left->plan ? left->plan : "?");
	if (left->from || !left->plan || !strcmp(left->plan, "-"))
		next = text_copy("give the same command again, but without --again, to go on");
	else
		next = text_format("volmig batch %s, with the options that it had but --again, to go on", word);
	doctor_found(doctor, "batches", left->id, left->id, what, next, false);
	free(word);
	free(what);
	free(next);
}

void doctor_batches(struct doctor *doctor)
{
	batch_each_left(doctor->state_dir, found_batch, doctor);
}
