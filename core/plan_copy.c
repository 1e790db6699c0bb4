/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of the generic copy: may these two ends be copied, by which steps, and what becomes of the source. */
#include "plan_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "far_plan.h"
#include "support/err.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

static int check_source(const struct request *request, const struct plan *plan, struct err *err)
{
	const struct facts *source = &plan->move.source;
	/* A copy leaves the source what it is to them. */
	const char *shut_off = request->command == COMMAND_COPY ? "*" : plan->move.cold.uuid;

	/* What another host says of its volume is for that one to judge. */
	if (facts_is_far(source) && source->kind)
		return 0;
	if (plan_check_volume(source, request->raw, err) < 0)
		return -1;
	if (request->state_dir && strcmp(source->path, request->state_dir) &&
	    plan_is_below(source->path, request->state_dir))
		return err_set(err, ERR_REFUSED, source->spec, "is in volmig's own state directory");
	if (plan_check_qemu(source, err) < 0)
		return -1;
	return guests_check_unused(source, shut_off, source->spec,
				   " first, a copy of a changing volume is worth nothing", err);
}

/* A new file: where, and may it be made there? */
int plan_check_new_file(const struct move *move, const struct facts *destination, const char *name,
			struct text_list *warnings, struct err *err)
{
	const struct facts *source = &move->source;
	const char *dir = destination->dir;
	char need[TEXT_SIZE_MAX], have[TEXT_SIZE_MAX];

	if (plan_is_below(dir, "/dev") || plan_is_below(dir, "/proc") || plan_is_below(dir, "/sys")) {
		err_set(err, ERR_REFUSED, destination->spec,
			"no such device, and no file is made below %.5s", dir);
		return err_next(err, "check the device's name");
	}
	if (strlen(name) > 255)
		return err_set(err, ERR_REFUSED, destination->spec, "the file name is too long");
	if (!destination->dir_writable)
		return err_set(err, ERR_REFUSED, dir, "the directory is not writable");
	/* What is made there could neither be given its name nor be taken back. */
	if (destination->unremovable)
		return err_set(err, ERR_REFUSED, dir, "no volume can be made there: %s",
			       destination->unremovable);
	if (source->allocated > destination->dir_free) {
		text_size(source->allocated, need);
		text_size(destination->dir_free, have);
		if (!strcmp(facts_there(source)->kind, "file")) {
			err_set(err, ERR_REFUSED, dir,
				"too little space: %s (%" PRIu64 " bytes) are free, the source has %s (%"
				PRIu64 " bytes) allocated", have, destination->dir_free,
				need, source->allocated);
			return err_next(err, "free some space or choose another place");
		}
		text_list_add(warnings, text_format(
			"%s has %s free; the copy fits only if no more than that of the source's %s is not zero",
			dir, have, need));
	}
	return 0;
}

/* Copied onto itself it would look proven, and then be removed or wiped. */
static int check_two_volumes(const struct facts *source, const struct facts *destination, struct err *err)
{
	if (!facts_overlap(source, destination))
		return 0;
	err_set(err, ERR_REFUSED, destination->spec,
		"source and destination are the same volume, or one is part of the other (%s and %s)",
		source->path, destination->path);
	return err_next(err, "name two different volumes");
}

/* How it was named; but what is in a directory, where only that was named, by its path. */
static const char *named(const struct facts *destination)
{
	return destination->dir && volume_is_file(destination) ? destination->path : destination->spec;
}

int plan_check_existing(const struct request *request, struct plan *plan, struct err *err)
{
	const struct facts *source = &plan->move.source, *destination = &plan->move.destination;
	const char *holds = destination->format ? destination->format : destination->signature;
	char size[TEXT_SIZE_MAX];

	if (request->create) {
		err_set(err, ERR_REFUSED, named(destination), "destination exists already");
		return err_next(err, "leave --create out to write onto it");
	}
	if (check_two_volumes(source, destination, err) < 0 ||
	    guests_check_unused(destination, NULL, named(destination), " first", err) < 0)
		return -1;
	if (!request->into_existing && (request->command == COMMAND_MIGRATE || holds)) {
		err_set(err, ERR_REFUSED, named(destination), "destination exists (%s, %s)",
			text_size(destination->bytes, size), holds ? holds : "no known signature");
		return err_next(err, "use --into-existing to overwrite it");
	}
	if (destination->read_only)
		return err_set(err, ERR_REFUSED, destination->spec, "destination is read-only");
	if (plan_check_qemu(destination, err) < 0 || plan_check_overwritten(destination, err) < 0)
		return -1;
	if (holds)
		text_list_add(&plan->warnings, text_format("%s on %s is overwritten",
							   holds, destination->path));
	if (volume_is_file(destination) && destination->links > 1)
		text_list_add(&plan->warnings, text_format(
			"%s has %" PRIu64 " names (hard links), and is overwritten under all of them",
			destination->path, destination->links));
	return 0;
}

static int check_existing(const struct request *request, struct plan *plan, struct err *err)
{
	const struct facts *source = &plan->move.source, *destination = &plan->move.destination;

	if (plan_check_existing(request, plan, err) < 0)
		return -1;
	if (destination->bytes < source->bytes) {
		err_set(err, ERR_REFUSED, destination->spec,
			"destination is too small: %" PRIu64 " bytes, the source has %" PRIu64,
			destination->bytes, source->bytes);
		return err_next(err, "choose or make one of at least the source's size");
	}
	if (destination->bytes > source->bytes)
		text_list_add(&plan->warnings, text_format(
			"%s is larger than the source: its last %" PRIu64 " bytes become zero",
			destination->path, destination->bytes - source->bytes));
	return 0;
}

char *plan_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return text_copy(slash ? slash + 1 : path);
}

/* Nothing is there: may it be made?  is_directory: what was named is a directory, or a pool. */
int plan_check_creation(const struct request *request, const struct facts *dst, bool is_directory,
			struct err *err)
{
	bool may_create = request->command == COMMAND_MIGRATE || request->create;

	if (is_directory && !may_create) {
		err_set(err, ERR_REFUSED, dst->spec, "is a %s, not a volume", dst->dir ? "directory" : "pool");
		return err_next(err, "use --create to make a new volume in it");
	}
	if (!may_create && !(dst->dir && plan_is_below(dst->dir, "/dev"))) {
		err_set(err, ERR_REFUSED, dst->spec, "no such volume");
		return err_next(err, "use --create to make it");
	}
	if (request->into_existing && !is_directory) {
		err_set(err, ERR_REFUSED, dst->spec, "no such volume to be overwritten");
		return err_next(err, "leave --into-existing out to make a new one");
	}
	if (request->delta) {
		err_set(err, ERR_REFUSED, dst->spec, "--delta needs a destination that exists");
		return err_next(err, "leave --delta out to make a full copy");
	}
	return 0;
}

/* Fill in what is made where, or what is overwritten. */
static int plan_destination(const struct request *request, const char *job_id,
			    struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	struct facts *dst = &move->destination;
	bool is_directory = !dst->kind && dst->dir && !strcmp(dst->dir, dst->path);

	/* That host has planned the rest. */
	if (facts_is_far(dst))
		return check_two_volumes(&move->source, dst, err);
	if (request->state_dir && plan_is_below(dst->path, request->state_dir))
		return err_set(err, ERR_REFUSED, dst->spec, "is in volmig's own state directory");
	if (!dst->kind && dst->lv)
		return plan_new_lv(request, job_id, plan, err);
	if (!dst->kind && dst->qemu)
		return plan_new_image(request, job_id, plan, err);
	if (dst->kind)
		return check_existing(request, plan, err);
	if (plan_check_creation(request, dst, is_directory, err) < 0)
		return -1;
	move->create = true;
	move->name = !is_directory ? plan_base_name(dst->path) :
		     move->source.qemu ? qemu_new_name(&move->source, dst) : text_copy(facts_name(&move->source));
	/* Short whatever the name's length, and ours whoever finds it. */
	move->temp_name = text_format(".volmig-%s", job_id);
	return plan_check_new_file(move, dst, move->name, &plan->warnings, err);
}

/* Known by its address alone. */
static bool is_export(const struct facts *facts)
{
	return facts->kind && !strcmp(facts->kind, "nbd");
}

static const char *kind_noun(const struct facts *facts)
{
	return facts->lv ? "a logical volume" : !strcmp(facts->kind, "file") ? "a file" :
	       facts->qemu ? "a volume that QEMU opens" :
	       is_export(facts) ? "an NBD export" : "a block device";
}

/* What is not known of an end that another host may have, too. */
static void warn_of_remote(struct plan *plan, const struct facts *facts)
{
	if (is_export(facts))
		text_list_add(&plan->warnings, text_format(
			"%s is known by its address and its size only: who else uses it cannot be seen from here",
			facts->path));
}

/* Why a reflink cannot be had, or NULL. */
static char *no_reflink(const struct request *request, const struct move *move)
{
	const struct facts *src = &move->source, *dst = &move->destination;

	if (request->command == COMMAND_COPY)
		return text_copy("volmig copy always makes a copy of its own");
	if (request->force_host_copy)
		return text_copy("--force-host-copy");
	if (facts_is_far(src) || facts_is_far(dst))
		return text_copy("source and destination are on different hosts");
	if (strcmp(src->kind, "file"))
		return text_format("%s is %s", src->path, kind_noun(src));
	if (!move->create)
		return text_copy("the destination exists already");
	if (dst->lv)
		return text_copy("the destination is a logical volume");
	if (dst->qemu)
		return text_copy("the destination is no raw file");
	if (!src->reflinks || !dst->reflinks)
		return text_format("%s on %s cannot share extents between files",
				   src->reflinks ? dst->fs_type : src->fs_type,
				   src->reflinks ? dst->dir : src->dir);
	if (src->dev != dst->dir_dev)
		return text_format("%s and %s are different file systems", src->dir, dst->dir);
	return NULL;
}

static int choose_method(const struct request *request, struct plan *plan, struct err *err)
{
	char *reason = no_reflink(request, &plan->move);
	bool any = !strcmp(request->method, "auto");

	if (!any && strcmp(request->method, "copy") && strcmp(request->method, "reflink")) {
		free(reason);
		return err_set(err, ERR_REFUSED, plan->move.source.spec,
			       "method %s is for logical volumes or for volumes in use, and this is %s that nobody uses",
			       request->method,
			       plan->move.source.lv ? "a logical volume that goes to another place than physical volumes of its group" :
			       kind_noun(&plan->move.source));
	}
	if (!reason && strcmp(request->method, "copy")) {
		plan->method = "reflink";
		return 0;
	}
	if (!strcmp(request->method, "reflink")) {
		err_set(err, ERR_REFUSED, plan->move.source.spec, "method reflink cannot be used: %s", reason);
		free(reason);
		return err_next(err, "leave --method out");
	}
	plan->method = "copy";
	plan_add_not_moved(plan, "reflink", reason ? reason : text_copy("--method=copy"));
	return 0;
}

/* Is it gone with the next restart, whatever is synced?  By the disk's name where it is one. */
static bool is_in_memory(const struct facts *end)
{
	const struct facts *facts = facts_there(end);
	const char *disk = facts->sys_path ? strstr(facts->sys_path, "/devices/virtual/block/") : NULL;

	disk = disk ? disk + strlen("/devices/virtual/block/") : "";
	if (facts->lv || (facts->qemu && !volume_is_file(facts)))
		return false;
	return !strncmp(disk, "ram", 3) || !strncmp(disk, "zram", 4) ||
	       (facts->fs_type && (!strcmp(facts->fs_type, "tmpfs") || !strcmp(facts->fs_type, "ramfs")));
}

/* What becomes of the source in the end. */
int plan_retirement(const struct request *request, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	bool keep = request->keep_source || request->command != COMMAND_MIGRATE;
	bool is_file = volume_is_file(&move->source);

	/* A source on another host is that host's to retire. */
	if (facts_is_far(&move->source)) {
		move->remove = request->far && request->far->removes;
		return 0;
	}
	if (request->verify == VERIFY_NONE && !keep) {
		keep = true;
		text_list_add(&plan->warnings, text_copy(
			"nothing is verified, so the source is kept (--verify=none)"));
	}
	/* What was read back may have been in the server's memory only. */
	if (move->destination.no_flush && !keep) {
		keep = true;
		text_list_add(&plan->warnings, text_format(
			"the source is kept, for the server of %s cannot be told to make durable what was written",
			move->destination.path));
	}
	if (is_in_memory(&move->destination) && !is_in_memory(&move->source) && !keep) {
		keep = true;
		text_list_add(&plan->warnings, text_format(
			"the source is kept, for %s is in memory, and what is there is lost with the next restart",
			move->destination.path));
	}
	if (keep && request->wipe != WIPE_NONE)
		return err_set(err, ERR_USAGE, "--wipe",
			       "nothing is wiped that is kept or not proven to be elsewhere: it contradicts --keep-source, --verify=none, servers that cannot flush and destinations in memory");
	move->wipe = request->wipe;
	move->remove = !keep && (is_file || move->source.lv || qemu_is_rbd(&move->source));
	if (plan_check_removal(move, err) < 0)
		return -1;
	if (!keep && !move->remove && request->wipe == WIPE_NONE)
		text_list_add(&plan->warnings, text_format(
			"%s is %s and stays as it is: use --wipe=discard or --wipe=zero to empty it",
			move->source.path, kind_noun(&move->source)));
	/* Were they one volume by two addresses, nothing would be left. */
	if (request->wipe != WIPE_NONE && (is_export(&move->destination) ||
					   (is_export(&move->source) && facts_remote(&move->destination)))) {
		err_set(err, ERR_REFUSED, move->source.spec,
			"is not wiped: nobody can tell that it is another volume than %s", move->destination.path);
		return err_next(err, "use --keep-source, and wipe it yourself");
	}
	if (!keep && move->source.read_only && request->wipe != WIPE_NONE)
		return err_set(err, ERR_REFUSED, move->source.spec, "cannot be wiped: it is read-only");
	if (is_file && move->remove && move->source.links > 1 && request->wipe != WIPE_NONE) {
		err_set(err, ERR_REFUSED, move->source.spec,
			"has %" PRIu64 " names (hard links), wiping would empty them all",
			move->source.links);
		return err_next(err, "leave --wipe out to remove this name only");
	}
	if (is_file && move->remove && move->source.links > 1)
		text_list_add(&plan->warnings, text_format(
			"%s has %" PRIu64 " names (hard links), only this one is removed",
			move->source.path, move->source.links));
	if (move->remove && move->source.unremovable) {
		err_set(err, ERR_REFUSED, move->source.spec, "the source could not be removed: %s",
			move->source.unremovable);
		return err_next(err, "use --keep-source to leave it where it is");
	}
	if (request->wipe == WIPE_ZERO && move->source.reflinks)
		text_list_add(&plan->warnings, text_format(
			"%s may write zeroes beside the source's old blocks and not over them: they are only freed",
			move->source.fs_type));
	if (is_file && move->remove && !move->source.dir_writable)
		return err_set(err, ERR_REFUSED, move->source.dir,
			       "the source could not be removed: the directory is not writable");
	return 0;
}

static void plan_steps(const struct request *request, struct plan *plan)
{
	struct move *move = &plan->move;

	const struct lvm_move *lvm = &move->lvm;
	bool to_far = facts_is_far(&move->destination), from_far = facts_is_far(&move->source);
	bool asking = request->far, asked = (to_far || from_far) && !asking;
	uint64_t bytes = lvm->create ? lvm->bytes : move->create ? move->new_bytes :
			 to_far ? 0 : move->destination.bytes;

	if (move->source.lun || move->destination.lun)
		plan_add_step(plan, &attach_lun_step);
	if (move_activates(move))
		plan_add_step(plan, &activate_step);
	if (asking)
		plan_add_step(plan, &prepare_far_step);
	if (move->create)
		plan_add_step(plan, lvm->create ? &create_lv_step :
			      qemu_is_rbd(&move->destination) ? &create_image_step : &create_file_step);
	plan_add_step(plan, asked ? &serve_step : !strcmp(plan->method, "reflink") ? &reflink_step : &copy_step);
	if (bytes > move->source.bytes)
		plan_add_step(plan, &zero_tail_step);
	if (move->verify == VERIFY_FULL && !(asked && to_far))
		plan_add_step(plan, asked ? &prove_step : &verify_step);
	if (asking && to_far)
		plan_add_step(plan, &publish_far_step);
	if (move->create && !lvm->late_name)
		plan_add_step(plan, &publish_step);
	if (move->cold.uuid)
		plan_add_step(plan, &repoint_step);
	plan_add_step(plan, asking && to_far ? &commit_far_step : &commit_step);
	if (move->wipe != WIPE_NONE && !from_far)
		plan_add_step(plan, &wipe_source_step);
	if (move->remove && !from_far)
		plan_add_step(plan, &remove_source_step);
	if (lvm->create)
		plan_add_step(plan, &finish_lv_step);
	if (asking)
		plan_add_step(plan, &finish_far_step);
	if ((lvm->activate_source && !move->remove) || lvm->activate_destination)
		plan_add_step(plan, &deactivate_step);
	if (move->source.lun || move->destination.lun)
		plan_add_step(plan, &detach_lun_step);
}

int plan_copy(const struct request *request, const char *job_id, struct plan *plan, struct err *err)
{
	if (check_source(request, plan, err) < 0 ||
	    plan_destination(request, job_id, plan, err) < 0 ||
	    choose_method(request, plan, err) < 0 ||
	    plan_retirement(request, plan, err) < 0)
		return -1;
	plan_qemu_warnings(plan);
	warn_of_remote(plan, &plan->move.source);
	warn_of_remote(plan, &plan->move.destination);
	if (plan->move.destination.no_flush)
		text_list_add(&plan->warnings, text_format(
			"the server of %s cannot be told to make durable what was written: it may lose the copy when it crashes",
			plan->move.destination.path));
	plan_steps(request, plan);
	return 0;
}
