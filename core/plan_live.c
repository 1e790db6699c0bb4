/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of moving the disk of a running domain under it. */
#include "plan_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engines/live_network.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

static int check_source(const struct request *request, const struct live_move *live,
			const struct facts *source, struct err *err)
{
	/* The guest may see a container's magic as data of its own: the domain says that it is raw. */
	if (plan_check_volume(source, true, err) < 0)
		return -1;
	if (source->uses.count) {
		char *uses = text_list_join(&source->uses);

		err_set(err, ERR_REFUSED, source->spec, "in use not only by domain %s: %s", live->domain, uses);
		free(uses);
		return err_next(err, "end that use first");
	}
	if (request->delta)
		return err_set(err, ERR_USAGE, "--delta", "a running domain's disk is always copied in full");
	if (live->bytes % 512 || live->bytes > source->bytes) {
		err_set(err, ERR_REFUSED, source->spec,
			"the guest sees %" PRIu64 " bytes, the volume has %" PRIu64,
			live->bytes, source->bytes);
		return err_next(err, "bring the two into agreement first (virsh blockresize)");
	}
	if (request->api == LIVE_API_REBASE && live->persistent) {
		err_set(err, ERR_REFUSED, live->domain,
			"libvirt's BlockRebase takes no domain that is defined, and undefining it could lose it");
		return err_next(err, "use --api=copy");
	}
	return 0;
}

/* What a disk becomes that goes into a larger volume. */
static void take_window(struct plan *plan, const char *path)
{
	plan->move.live.window = plan->move.live.bytes;
	text_list_add(&plan->warnings, text_format(
		"%s is larger than the disk: its first %" PRIu64 " bytes become the disk (a slice in the domain's XML), "
		"and the guest's disk cannot be resized until the slice is taken out and the domain started again",
		path, plan->move.live.bytes));
}

/* On the network: what libvirt is given, once it is known how much of it becomes the disk. */
static int name_remote(const struct request *request, struct plan *plan, struct err *err)
{
	struct live_move *live = &plan->move.live;
	char *note;

	if (request->api == LIVE_API_REBASE) {
		err_set(err, ERR_REFUSED, plan->move.destination.spec, "BlockRebase knows no volumes on the network");
		return err_next(err, "use --api=copy");
	}
	if (live_network_source(&plan->move, live->window, request->ceph_secret, &live->new_source,
				&live->new_path, err) < 0)
		return -1;
	note = live_network_note(&plan->move.destination);
	if (note)
		text_list_add(&plan->warnings, note);
	return 0;
}

static bool is_disk_kind(const struct facts *facts)
{
	return !facts_remote(facts) || qemu_is_rbd(facts) || !strcmp(facts->kind, "nbd");
}

static int check_existing(const struct request *request, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	const struct facts *dst = &move->destination;

	if (plan_check_existing(request, plan, err) < 0)
		return -1;
	if (dst->bytes < move->live.bytes) {
		err_set(err, ERR_REFUSED, dst->spec,
			"destination is too small: %" PRIu64 " bytes, the guest's disk has %" PRIu64,
			dst->bytes, move->live.bytes);
		return err_next(err, "a running domain's disk moves only onto as many bytes, or into the beginning of more");
	}
	if (dst->bytes == move->live.bytes)
		return 0;
	if (request->api == LIVE_API_REBASE) {
		err_set(err, ERR_REFUSED, dst->spec, "has %" PRIu64 " bytes, the disk %" PRIu64
			", and BlockRebase needs the same size", dst->bytes, move->live.bytes);
		return err_next(err, "use --api=copy");
	}
	take_window(plan, dst->path);
	return 0;
}

/* A new logical volume, which has its name before the guest gets it. */
static int plan_new_disk_lv(const struct request *request, const char *job_id, struct plan *plan,
			    struct err *err)
{
	struct move *move = &plan->move;

	if (request->command == COMMAND_SWAP && !request->create) {
		err_set(err, ERR_REFUSED, move->destination.spec, "no such volume");
		return err_next(err, "use --create to make it");
	}
	if (plan_new_lv(request, job_id, plan, err) < 0)
		return -1;
	if (move->lvm.late_name) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"the new volume would have to wait for the name that the guest's disk has in that group");
		return err_next(err, "give it another name: %s/NAME", move->destination.lv->vg_name);
	}
	move->live.new_path = move_final_path(move);
	if (move->lvm.bytes == move->live.bytes)
		return 0;
	if (request->api == LIVE_API_REBASE) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"BlockRebase needs the same size, and a volume there is made of whole extents");
		return err_next(err, "use --api=copy");
	}
	take_window(plan, move->live.new_path);
	return 0;
}

/* A new image in a pool of Ceph's, which has its name before the guest gets it. */
static int plan_new_disk_image(const struct request *request, const char *job_id, struct plan *plan,
			       struct err *err)
{
	struct move *move = &plan->move;

	if (!qemu_is_rbd(&move->destination)) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"a running domain's disk does not become a %s image", move->destination.qemu->driver);
		return err_next(err, "shut the domain down first, or choose a raw volume");
	}
	if (request->command == COMMAND_SWAP && !request->create) {
		err_set(err, ERR_REFUSED, move->destination.spec, "no such volume");
		return err_next(err, "use --create to make it");
	}
	if (plan_new_image(request, job_id, plan, err) < 0)
		return -1;
	if (move_new_bytes(move) != move->live.bytes)
		take_window(plan, move->destination.spec);
	return name_remote(request, plan, err);
}

static int plan_destination(const struct request *request, const char *job_id, struct plan *plan,
			    struct err *err)
{
	struct move *move = &plan->move;
	const struct facts *dst = &move->destination;
	bool is_directory = !dst->kind && dst->dir && !strcmp(dst->dir, dst->path);

	if (!dst->kind && dst->lv)
		return plan_new_disk_lv(request, job_id, plan, err);
	if (request->state_dir && plan_is_below(dst->path, request->state_dir))
		return err_set(err, ERR_REFUSED, dst->spec, "is in volmig's own state directory");
	if (!dst->kind && dst->qemu)
		return plan_new_disk_image(request, job_id, plan, err);
	if (dst->kind && (facts_remote(dst) || dst->qemu)) {
		if (!is_disk_kind(dst) || (dst->qemu && !qemu_is_rbd(dst))) {
			err_set(err, ERR_REFUSED, dst->spec, "a running domain's disk does not become a volume of kind %s",
				dst->kind);
			return err_next(err, "shut the domain down first, or choose a raw volume, an NBD export or an RBD image");
		}
		return check_existing(request, plan, err) < 0 ? -1 : name_remote(request, plan, err);
	}
	if (dst->kind) {
		/* What the definition will say has to be true after a restart too; /dev/VG/NAME is. */
		if (!strcmp(dst->kind, "block") && *dst->spec == '/')
			move->live.new_path = text_copy(dst->spec);
		else
			move->live.new_path = text_copy(dst->path);
		if (dst->lv && plan_lv_destination(plan, err) < 0)
			return -1;
		return check_existing(request, plan, err);
	}
	if (request->command != COMMAND_MIGRATE && !request->create) {
		err_set(err, ERR_REFUSED, dst->spec, is_directory ? "is a directory, not a volume" :
			"no such volume");
		return err_next(err, "use --create to make it");
	}
	if (request->into_existing && !is_directory) {
		err_set(err, ERR_REFUSED, dst->spec, "no such volume to be overwritten");
		return err_next(err, "leave --into-existing out to make a new one");
	}
	move->create = true;
	move->name = is_directory ? text_copy(facts_name(&move->source)) : plan_base_name(dst->path);
	move->temp_name = text_format(".volmig-%s", job_id);
	move->live.new_path = move_final_path(move);
	return plan_check_new_file(move, dst, move->name, &plan->warnings, err);
}

static int check_method(const struct request *request, struct plan *plan, struct err *err)
{
	const struct live_move *live = &plan->move.live;

	if (strcmp(request->method, "auto") && strcmp(request->method, "live")) {
		err_set(err, ERR_REFUSED, plan->move.source.spec,
			"method %s is not for a disk of a running domain (%s %s)", request->method,
			live->domain, live->target);
		return err_next(err, "leave --method out, or shut the domain down first");
	}
	plan->method = "live";
	plan_add_not_moved(plan, "copy", text_format("domain %s runs and writes to it (disk %s)",
						     live->domain, live->target));
	return 0;
}

static void plan_steps(struct plan *plan)
{
	struct move *move = &plan->move;

	if (move_activates(move))
		plan_add_step(plan, &activate_step);
	if (move->create) {
		plan_add_step(plan, move->lvm.create ? &create_lv_step :
			      qemu_is_rbd(&move->destination) ? &create_image_step : &create_file_step);
		if (move->lvm.create && move->lvm.bytes > move->source.bytes)
			plan_add_step(plan, &zero_tail_step);
		/* QEMU and the definition have it by its name from the start. */
		plan_add_step(plan, &publish_step);
	}
	plan_add_step(plan, &mirror_step);
	if (move->live.hold)
		plan_add_step(plan, &hold_step);
	if (move->verify == VERIFY_FULL)
		plan_add_step(plan, &compare_step);
	plan_add_step(plan, &pivot_step);
	if (move->remove || move->wipe != WIPE_NONE)
		plan_add_step(plan, &release_step);
	if (move->wipe != WIPE_NONE)
		plan_add_step(plan, &wipe_source_step);
	if (move->remove)
		plan_add_step(plan, &remove_source_step);
	if (move->lvm.create)
		plan_add_step(plan, &finish_lv_step);
}

int plan_live(const struct request *request, const char *job_id, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	json_t *copy = live_move_to_json(request->live);

	live_move_from_json(&move->live, copy);
	json_decref(copy);
	move->live.api = request->api;
	move->live.sync_writes = request->sync_writes;
	move->live.hold = request->hold;
	move->live.granularity = request->granularity;
	move->live.max_pause_ms = request->max_pause_ms;
	if (check_source(request, &move->live, &move->source, err) < 0 ||
	    plan_lv_source(request, plan, err) < 0 ||
	    plan_destination(request, job_id, plan, err) < 0 ||
	    check_method(request, plan, err) < 0 ||
	    plan_retirement(request, plan, err) < 0)
		return -1;
	plan_steps(plan);
	return 0;
}
