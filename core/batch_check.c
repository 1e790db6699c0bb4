/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All lines of a batch: planned one by one, and held against each other. */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "report.h"
#include "support/interrupt.h"
#include "volumes/lv.h"
#include "volumes/lvm_report.h"

/* One end of a line's move. */
struct end {
	size_t item;
	bool is_source;
	bool exists;
	bool is_file;
	uint64_t dev, ino;		/* of a file; of what is made the directory's */
	char *name;			/* of what is made; else NULL */
	struct facts facts;		/* of what exists and is no file */
};

struct ends {
	struct end *items;
	size_t count, others;		/* others: what is neither a file nor made; they come first */
};

/* What the lines put on a file system. */
struct space {
	uint64_t dev;
	uint64_t need, free;
	char *dir;
};

struct spaces {
	struct space *items;
	size_t count;
};

static void line_fault(struct batch *batch, struct batch_item *item, const char *object,
		       const char *cause, const char *next)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_REFUSED, object, "%s", cause);
	err_next(&err, "%s", next);
	batch_item_failed(item, &err);
	batch_fault(&batch->faults, item->number, &err);
}

/* Takes what it needs of facts. */
static void add_end(struct ends *ends, size_t item, bool is_source, struct facts *facts,
		    const char *made)
{
	struct end end = { .item = item, .is_source = is_source, .exists = facts->kind && !made };

	end.is_file = !facts->kind || !strcmp(facts->kind, "file");
	if (!end.exists) {
		end.dev = facts->dir_dev;
		end.ino = facts->dir_ino;
		end.name = text_copy(made ? made : "");
	} else if (end.is_file) {
		end.dev = facts->dev;
		end.ino = facts->ino;
	} else {
		end.facts = *facts;
		*facts = (struct facts){ 0 };
		ends->others++;
	}
	ends->items = text_grow(ends->items, ends->count + 1, sizeof(end));
	ends->items[ends->count++] = end;
}

static int by_identity(const void *a, const void *b)
{
	const struct end *x = a, *y = b;
	bool ox = x->exists && !x->is_file, oy = y->exists && !y->is_file;
	int names;

	if (ox != oy)
		return ox ? -1 : 1;
	if (!ox) {
		if (x->exists != y->exists)
			return x->exists ? -1 : 1;
		if (x->dev != y->dev)
			return x->dev < y->dev ? -1 : 1;
		if (x->ino != y->ino)
			return x->ino < y->ino ? -1 : 1;
		names = x->name && y->name ? strcmp(x->name, y->name) : 0;
		if (names)
			return names;
	}
	return x->item < y->item ? -1 : x->item > y->item ? 1 : x->is_source ? -1 : 1;
}

/* Do the two lines want the same thing?  a comes first in the order of identity, not of lines. */
static void collide(struct batch *batch, const struct end *a, const struct end *b)
{
	const struct end *first = a->item <= b->item ? a : b, *second = first == a ? b : a;
	struct batch_item *item = &batch->items[second->item];
	unsigned other = batch->items[first->item].number;
	const char *object = second->is_source ? item->source : item->destination;
	char *cause;

	if (first->item == second->item)
		return;		/* the planner has looked at that */
	if (first->is_source && second->is_source)
		cause = text_format("the volume is named twice: line %u moves it already", other);
	else if (!first->is_source && !second->is_source)
		cause = text_format("the destination is named twice: line %u makes or overwrites it already", other);
	else
		cause = text_format("%s of this line is the %s of line %u: the moves go in a circle, or one undoes the other",
				    second->is_source ? "the volume" : "the destination",
				    first->is_source ? "volume" : "destination", other);
	line_fault(batch, item, object, cause, "leave one of them out, or make two batches of it");
	free(cause);
}

static bool same(const struct end *a, const struct end *b)
{
	bool other_a = a->exists && !a->is_file, other_b = b->exists && !b->is_file;

	if (other_a || other_b)
		return other_a && other_b && facts_overlap(&a->facts, &b->facts);
	return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino &&
	       (a->exists || !strcmp(a->name, b->name));
}

static void compare_ends(struct batch *batch, struct ends *ends)
{
	if (!ends->count)
		return;
	qsort(ends->items, ends->count, sizeof(*ends->items), by_identity);
	for (size_t i = 0; i < ends->others; i++)
		for (size_t j = i + 1; j < ends->others; j++)
			if (same(&ends->items[i], &ends->items[j]))
				collide(batch, &ends->items[i], &ends->items[j]);
	for (size_t i = ends->others; i + 1 < ends->count; i++)
		if (same(&ends->items[i], &ends->items[i + 1]))
			collide(batch, &ends->items[i], &ends->items[i + 1]);
}

static void ends_free(struct ends *ends)
{
	for (size_t i = 0; i < ends->count; i++) {
		facts_free(&ends->items[i].facts);
		free(ends->items[i].name);
	}
	free(ends->items);
}

static void add_space(struct spaces *spaces, const struct move *move)
{
	struct space *space = spaces->items;

	if (!move->create || !move->destination.dir || move->source.dev == move->destination.dir_dev ||
	    strcmp(move->source.kind, "file"))
		return;
	while (space < spaces->items + spaces->count && space->dev != move->destination.dir_dev)
		space++;
	if (space == spaces->items + spaces->count) {
		spaces->items = text_grow(spaces->items, spaces->count + 1, sizeof(*space));
		space = &spaces->items[spaces->count++];
		*space = (struct space){
			.dev = move->destination.dir_dev,
			.free = move->destination.dir_free,
			.dir = text_copy(move->destination.dir),
		};
	}
	space->need += move->source.allocated;
}

static void check_spaces(struct batch *batch, struct spaces *spaces)
{
	for (size_t i = 0; i < spaces->count; i++) {
		struct space *space = &spaces->items[i];
		char need[TEXT_SIZE_MAX], have[TEXT_SIZE_MAX];
		struct err err = ERR_INIT;

		if (space->need > space->free) {
			err_set(&err, ERR_REFUSED, space->dir,
				"too little space for all: %s are free, the volumes that go there have %s allocated",
				text_size(space->free, have), text_size(space->need, need));
			err_next(&err, "free some space, or move some of them elsewhere");
			batch_fault(&batch->faults, 0, &err);
		}
		free(space->dir);
	}
	free(spaces->items);
}

static bool jobs_are_unfinished(const char *state_dir)
{
	struct text_list ids = { 0 };
	struct err err = ERR_INIT;
	bool found;

	/* When in doubt, look at each line. */
	found = job_list_unfinished(state_dir, false, &ids, &err) < 0 || ids.count;
	text_list_free(&ids);
	return found;
}

static void check_line(struct batch *batch, size_t i, bool conflicts, struct ends *ends,
		       struct spaces *spaces)
{
	struct batch_item *item = &batch->items[i];
	const struct batch_reader *reader = batch->options->reader;
	struct batch_move move = { 0 };
	struct plan plan = { 0 };
	struct err err = ERR_INIT;

	if (reader->read(batch->defaults, item->text, &move, &err) < 0 ||
	    perform_plan(&move.request, batch->state_dir, item->job_id, INSPECT_USES, &plan, &err) < 0 ||
	    (conflicts && job_check_conflicts(batch->state_dir, item->job_id, &plan, 0, &err) < 0)) {
		batch_item_failed(item, &err);
		batch_fault(&batch->faults, item->number, &err);
	}
	if (plan.step_count) {
		free(item->source);
		free(item->destination);
		item->source = text_copy(plan.move.source.path);
		item->destination = move_final_path(&plan.move);
		item->bytes = plan.move.source.bytes;
		if (batch->options->dry_run)
			item->plan = report_plan(&plan, item->job_id);
		add_space(spaces, &plan.move);
		add_end(ends, i, false, &plan.move.destination, plan.move.create ? item->destination : NULL);
		add_end(ends, i, true, &plan.move.source, NULL);
	}
	plan_free(&plan);
	reader->release(&move);
}

static int by_line(const void *a, const void *b)
{
	const struct batch_fault *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

void batch_check(struct batch *batch)
{
	bool conflicts = jobs_are_unfinished(batch->state_dir);
	struct spaces spaces = { 0 };
	struct ends ends = { 0 };

	/* LVM is asked once for all of them. */
	lvm_report_hold();
	for (size_t i = 0; i < batch->count && !interrupt_requested(); i++)
		if (batch->items[i].state == BATCH_WAITS && !batch->items[i].begun)
			check_line(batch, i, conflicts, &ends, &spaces);
	lvm_report_release();
	compare_ends(batch, &ends);
	check_spaces(batch, &spaces);
	ends_free(&ends);
	if (batch->faults.count)
		qsort(batch->faults.items, batch->faults.count, sizeof(*batch->faults.items), by_line);
}
