/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy for volumes that QEMU opens: may they be read, overwritten, removed, and what is made. */
#include "plan_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "volumes/qemu.h"

int plan_check_qemu(const struct facts *facts, struct err *err)
{
	const struct qemu_facts *qemu = facts->qemu;

	if (!qemu || !facts->kind || !qemu->unusable)
		return 0;
	err_set(err, ERR_REFUSED, facts->spec, "%s", qemu->unusable);
	return err_next(err, "nothing was touched");
}

/* Whatever stands on it would be lost with it. */
static int check_overlays(const struct facts *facts, const char *what, const char *way_out, struct err *err)
{
	if (!facts->overlays.count)
		return 0;
	err_set(err, ERR_REFUSED, facts->spec, "is the backing file of %s, and so cannot be %s",
		facts->overlays.items[0], what);
	return err_next(err, "rebase that image first (qemu-img rebase), or use %s", way_out);
}

int plan_check_overwritten(const struct facts *destination, struct err *err)
{
	const struct qemu_facts *qemu = destination->qemu;

	if (check_overlays(destination, "overwritten", "another destination", err) < 0)
		return -1;
	if (!qemu)
		return 0;
	if (qemu->chain.count) {
		err_set(err, ERR_REFUSED, destination->spec, "stands on %s, and would be filled up with what is there already",
			qemu->chain.items[0]);
		return err_next(err, "name a new image as the place");
	}
	return 0;
}

int plan_check_removal(const struct move *move, struct err *err)
{
	const struct facts *source = &move->source;

	if ((move->remove || move->wipe != WIPE_NONE) &&
	    check_overlays(source, move->remove ? "removed" : "wiped", "--keep-source", err) < 0)
		return -1;
	if (!source->qemu || qemu_is_lun(source))
		return 0;
	if (move->wipe != WIPE_NONE) {
		err_set(err, ERR_REFUSED, source->spec, "cannot be wiped: zeroes would be written beside its old blocks");
		return err_next(err, "leave --wipe out: its space is freed when it is removed");
	}
	if (!move->remove)
		return 0;
	if (source->qemu->snapshots) {
		err_set(err, ERR_REFUSED, source->spec, "has snapshots, and so cannot be removed");
		return err_next(err, "remove them first (%s), or use --keep-source",
				qemu_is_rbd(source) ? "rbd snap purge" : "qemu-img snapshot -d");
	}
	return 0;
}

/* What is said before a volume is copied that is not all that there is of it. */
static void warn_of_source(struct plan *plan)
{
	const struct qemu_facts *qemu = plan->move.source.qemu;

	if (!qemu)
		return;
	if (qemu->chain.count)
		text_list_add(&plan->warnings, text_format(
			"%s stands on %s: the copy holds all of both and stands alone",
			plan->move.source.path, qemu->chain.items[0]));
	if (qemu->snapshots)
		text_list_add(&plan->warnings, text_format(
			"%s has snapshots, and the copy has none of them", plan->move.source.path));
	if (qemu->parent)
		text_list_add(&plan->warnings, text_format(
			"%s is a clone of %s: the copy holds all of both and stands alone",
			plan->move.source.path, qemu->parent));
}

void plan_qemu_warnings(struct plan *plan)
{
	const struct move *move = &plan->move;

	warn_of_source(plan);
	if ((move->remove || move->wipe != WIPE_NONE) && move->source.overlays_unseen)
		text_list_add(&plan->warnings, text_format(
			"whether an image stands on %s, and would be lost with it, is not known of all: %s",
			move->source.path, move->source.overlays_unseen));
	if (move->remove && qemu_is_image(&move->source))
		text_list_add(&plan->warnings, text_format(
			"only in %s was it looked for images that stand on %s: others would be lost with it",
			move->source.dir, move->source.path));
	if (move->create && move->new_bytes)
		text_list_add(&plan->warnings, text_format(
			"%s images have a multiple of 512 bytes: %" PRIu64 " in place of the source's %" PRIu64,
			move->destination.qemu->driver, move->new_bytes, move->source.bytes));
}

int plan_new_image(const struct request *request, const char *job_id, struct plan *plan,
		   struct err *err)
{
	struct move *move = &plan->move;
	struct facts *dst = &move->destination;
	bool is_rbd = qemu_is_rbd(dst);
	bool is_directory = is_rbd ? !dst->qemu->image : !strcmp(dst->dir, dst->path);
	uint64_t bytes = qemu_round_size(dst->qemu->driver, move->source.bytes);

	if (plan_check_creation(request, dst, is_directory, err) < 0)
		return -1;
	if (!move->source.bytes)
		return err_set(err, ERR_REFUSED, move->source.spec, "is empty, and no %s image is", dst->qemu->driver);
	move->create = true;
	move->name = is_directory ? qemu_new_name(&move->source, dst) :
		     is_rbd ? text_copy(dst->qemu->image) : plan_base_name(dst->path);
	move->temp_name = text_format(".volmig-%s", job_id);
	move->new_bytes = bytes == move->source.bytes ? 0 : bytes;
	if (!is_rbd)
		return plan_check_new_file(move, dst, move->name, &plan->warnings, err);
	if (strchr(move->name, '@') || strlen(move->name) > 200)
		return err_set(err, ERR_REFUSED, dst->spec, "%s is no name for an RBD image: give one", move->name);
	text_list_add(&plan->warnings, text_format("how much room pool %s has is not known", dst->qemu->pool));
	return 0;
}
