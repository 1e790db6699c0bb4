/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One move as it is journalled, and the names of what it makes. */
#include "engines/step.h"

#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

void move_free(struct move *move)
{
	facts_free(&move->source);
	facts_free(&move->destination);
	cold_move_free(&move->cold);
	free(move->name);
	free(move->temp_name);
	live_move_free(&move->live);
	lvm_move_free(&move->lvm);
	far_move_free(&move->far);
	online_move_free(&move->online);
	*move = (struct move){ 0 };
}

json_t *move_to_json(const struct move *move)
{
	json_t *json = json_object();

	json_put(json, "source", facts_to_json(&move->source));
	json_put(json, "destination", facts_to_json(&move->destination));
	json_put(json, "create", json_boolean(move->create));
	json_put(json, "name", json_name(move->name));
	json_put(json, "temp_name", json_name(move->temp_name));
	if (move->new_bytes)
		json_put(json, "new_bytes", json_u64(move->new_bytes));
	json_put(json, "verify", json_string(move->verify == VERIFY_FULL ? "full" : "none"));
	json_put(json, "sparse", json_boolean(move->sparse));
	json_put(json, "delta", json_boolean(move->delta));
	json_put(json, "remove", json_boolean(move->remove));
	json_put(json, "wipe", json_string(move->wipe == WIPE_ZERO ? "zero" :
					   move->wipe == WIPE_DISCARD ? "discard" : "none"));
	json_put(json, "bytes_per_second", json_u64(move->bytes_per_second));
	json_put(json, "stall_ms", json_u64(move->stall_ms));
	if (move->live.uuid)
		json_put(json, "live", live_move_to_json(&move->live));
	if (move->source.lv || move->destination.lv)
		json_put(json, "lvm", lvm_move_to_json(&move->lvm));
	json_put(json, "cold", cold_move_to_json(&move->cold));
	if (move->far.host)
		json_put(json, "far", far_move_to_json(&move->far));
	if (move->online.vg)
		json_put(json, "online", online_move_to_json(&move->online));
	return json;
}

int move_from_json(struct move *move, const json_t *json, struct err *err)
{
	const char *verify = json_get_string(json, "verify");
	const char *wipe = json_get_string(json, "wipe");

	*move = (struct move){ 0 };
	if (!verify || !wipe)
		return err_set(err, ERR_REFUSED, NULL, "the journal's plan is incomplete");
	if (facts_from_json(&move->source, json_object_get(json, "source"), err) < 0 ||
	    facts_from_json(&move->destination, json_object_get(json, "destination"), err) < 0 ||
	    lvm_move_from_json(&move->lvm, json_object_get(json, "lvm"), err) < 0 ||
	    cold_move_from_json(&move->cold, json_object_get(json, "cold"), err) < 0) {
		move_free(move);
		return -1;
	}
	if (online_move_from_json(&move->online, json_object_get(json, "online"), err) < 0) {
		move_free(move);
		return -1;
	}
	move->create = json_get_bool(json, "create");
	move->name = json_name_get(json_object_get(json, "name"));
	move->temp_name = json_name_get(json_object_get(json, "temp_name"));
	move->new_bytes = json_get_u64(json, "new_bytes");
	move->verify = strcmp(verify, "none") ? VERIFY_FULL : VERIFY_NONE;
	move->sparse = json_get_bool(json, "sparse");
	move->delta = json_get_bool(json, "delta");
	move->remove = json_get_bool(json, "remove");
	move->wipe = !strcmp(wipe, "zero") ? WIPE_ZERO :
		     !strcmp(wipe, "discard") ? WIPE_DISCARD : WIPE_NONE;
	move->bytes_per_second = json_get_u64(json, "bytes_per_second");
	move->stall_ms = json_get_u64(json, "stall_ms");
	live_move_from_json(&move->live, json_object_get(json, "live"));
	far_move_from_json(&move->far, json_object_get(json, "far"));
	if (move->create && (!move->name || !move->temp_name ||
			     (move->lvm.create ? !move->destination.lv :
			      !move->destination.dir && !qemu_is_rbd(&move->destination)))) {
		move_free(move);
		return err_set(err, ERR_REFUSED, NULL, "the journal's plan does not say what it makes");
	}
	return 0;
}

const char *move_shut_off_users(const struct move *move)
{
	if (move->cold.uuid)
		return move->cold.uuid;
	return move->remove || move->wipe != WIPE_NONE ? NULL : "*";
}

/* The path of what is made under that name. */
static char *new_path(const struct move *move, const char *name)
{
	const char *dir = move->destination.dir;

	if (move->lvm.create)
		return text_format("/dev/%s/%s", move->destination.lv->vg_name, name);
	if (qemu_is_rbd(&move->destination))
		return text_format("rbd:%s/%s", move->destination.qemu->pool, name);
	return text_format("%s/%s", strcmp(dir, "/") ? dir : "", name);
}

uint64_t move_new_bytes(const struct move *move)
{
	return move->new_bytes ? move->new_bytes : move_bytes(move);
}

char *move_temp_path(const struct move *move)
{
	return new_path(move, move->temp_name);
}

char *move_final_path(const struct move *move)
{
	return move->create ? new_path(move, move->name) : text_copy(move->destination.path);
}

char *move_written_path(const struct move *move)
{
	return move->create ? move_temp_path(move) : move_final_path(move);
}

char *move_both_paths(const struct move *move)
{
	char *to = move_written_path(move);
	char *text = text_format("%s -> %s", move->source.path, to);

	free(to);
	return text;
}

struct step_context step_part_context(const struct step_context *ctx, size_t part)
{
	struct step_context of = *ctx;

	of.move = ctx->parts[part].move;
	of.record = ctx->parts[part].record;
	of.parts = &ctx->parts[part];
	of.part_count = 1;
	return of;
}

static const struct step_ops *const all_steps[] = {
	&attach_lun_step, &detach_lun_step, &activate_step, &deactivate_step, &create_lv_step, &finish_lv_step,
	&create_file_step, &create_image_step, &reflink_step, &copy_step, &zero_tail_step, &verify_step,
	&mirror_step, &compare_step, &hold_step, &pivot_step, &release_step,
	&publish_step, &repoint_step, &commit_step, &wipe_source_step, &remove_source_step,
	&add_leg_step, &sync_leg_step, &scrub_leg_step, &commit_leg_step, &drop_leg_step,
	&pvmove_step, &end_pvmove_step,
	&prepare_far_step, &publish_far_step, &commit_far_step, &finish_far_step,
	&serve_step, &prove_step,
};

const struct step_ops *step_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(all_steps) / sizeof(all_steps[0]); i++)
		if (!strcmp(all_steps[i]->name, name))
			return all_steps[i];
	return NULL;
}
