/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy of moves inside a volume group, online: lvconvert, which proves what
 * it has done, where it applies; pvmove, which moves more, where it does not.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plan_parts.h"
#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/lvm_group.h"

#define LEGS_MAX 10	/* of a raid1 volume: LVM's own limit */

/* What is being looked at; all of it belongs to others. */
struct wish {
	const struct request *request;
	const struct lvm_group *group;
	const struct lvm_lv *lv;
	const struct text_list *wanted;	/* the targets, by LVM's names */
	char *name;			/* "vg/lv" */
	const struct lvm_pv *targets[PLAN_PVS_MAX];
	size_t target_count;
};

static bool is_target(const struct wish *wish, const struct lvm_pv *pv)
{
	for (size_t i = 0; i < wish->target_count; i++)
		if (wish->targets[i] == pv)
			return true;
	return false;
}

static bool is_ours(const struct wish *wish, const struct lvm_piece *piece)
{
	return lvm_is_part(wish->group, &wish->group->lvs[piece->lv], wish->lv->name);
}

static uint64_t free_on(const struct lvm_pv *pv)
{
	return pv->extents > pv->used ? pv->extents - pv->used : 0;
}

/* ---- what cannot be moved this way at all ---- */

static int check_group(const struct wish *wish, struct err *err)
{
	const struct lvm_group *group = wish->group;

	if (group->exported) {
		err_set(err, ERR_REFUSED, group->name, "the volume group is exported");
		return err_next(err, "vgimport %s first", group->name);
	}
	return 0;
}

/* Integrity is a layer of each leg, which the volume itself does not show. */
static bool has_integrity(const struct wish *wish)
{
	for (size_t i = 0; i < wish->group->lv_count; i++)
		if (lvm_has_word(wish->group->lvs[i].layout, "integrity") &&
		    lvm_is_part(wish->group, &wish->group->lvs[i], wish->lv->name))
			return true;
	return false;
}

static int check_kind(const struct wish *wish, struct err *err)
{
	static const struct {
		const char *word, *what;
	} others[] = {
		{ "vdopool", "a VDO pool" }, { "vdo", "a VDO volume" }, { "cache", "cached (lvmcache)" },
		{ "writecache", "cached (dm-writecache)" }, { "integrity", "a volume with dm-integrity" },
		{ "virtual", "a virtual volume without extents" },
	};
	const struct lvm_lv *lv = wish->lv;
	bool pool = lvm_has_word(lv->layout, "pool");

	if (lvm_has_word(lv->layout, "thin") && !pool) {
		err_set(err, ERR_REFUSED, wish->name,
			"a thin volume has no extents of its own, they are those of its pool %s/%s",
			wish->group->name, lv->pool);
		return err_next(err, "to move the pool with all its volumes name %s/%s",
				wish->group->name, lv->pool);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!lvm_has_word(lv->layout, others[i].word) &&
		    (strcmp(others[i].word, "integrity") || !has_integrity(wish)))
			continue;
		err_set(err, ERR_REFUSED, wish->name, "it is %s, which cannot be moved while it is in use",
			others[i].what);
		return err_next(err, "split that off (lvconvert --splitcache, --raidintegrity n), or move it by pvmove yourself");
	}
	if (lvm_has_word(lv->role, "private") && !(pool && lvm_has_word(lv->layout, "thin"))) {
		err_set(err, ERR_REFUSED, wish->name, "it is a hidden part of %s%s%s",
			*lv->parent ? wish->group->name : "LVM's own", *lv->parent ? "/" : "", lv->parent);
		return err_next(err, "name the volume that it is part of");
	}
	return 0;
}

/* A job's mark of another state directory, or of a journal that is lost. */
static const char *foreign_tag(const struct lvm_lv *lv)
{
	for (size_t i = 0; i < lv->tags.count; i++)
		if (!strncmp(lv->tags.items[i], "volmig.job.", 11))
			return lv->tags.items[i];
	return NULL;
}

static int check_state(const struct wish *wish, struct err *err)
{
	const struct lvm_lv *lv = wish->lv;
	const char *tag = foreign_tag(lv);

	if (tag) {
		err_set(err, ERR_REFUSED, wish->name, "it is marked as part of the unfinished job %s", tag + 11);
		return err_next(err, "resume or abort that job; if no state directory has it: lvchange --deltag %s %s",
				tag, wish->name);
	}
	if (lv->moving) {
		for (size_t i = 0; i < wish->group->lv_count; i++)
			if (*wish->group->lvs[i].move_pv)
				err_set(err, ERR_REFUSED, wish->name, "a pvmove from %s is running that moves it",
					wish->group->lvs[i].move_pv);
		return err_next(err, "wait for it, or end it with pvmove --abort");
	}
	if (lv->converting || lv->merging) {
		err_set(err, ERR_REFUSED, wish->name, lv->merging ? "a snapshot is being merged into it" :
			"it is being converted (lvconvert)");
		return err_next(err, "wait until that is done");
	}
	if (!lv->active) {
		err_set(err, ERR_REFUSED, wish->name, "it is not active, and its extents are moved by the kernel");
		return err_next(err, "lvchange -ay %s", wish->name);
	}
	if (*lv->health || (*lv->action && strcmp(lv->action, "idle")) ||
	    (lvm_has_word(lv->layout, "raid") && *lv->sync && strcmp(lv->sync, "100.00"))) {
		err_set(err, ERR_REFUSED, wish->name, "its legs are not all whole: %s%s%s%% in sync, %s", lv->health,
			*lv->health ? ", " : "", *lv->sync ? lv->sync : "0", *lv->action ? lv->action : "idle");
		return err_next(err, "wait until it is in sync, or mend it with lvconvert --repair %s", wish->name);
	}
	return 0;
}

/* ---- where to ---- */

static int find_targets(struct wish *wish, struct err *err)
{
	for (size_t i = 0; i < wish->wanted->count && i < PLAN_PVS_MAX; i++) {
		const char *name = wish->wanted->items[i];
		const struct lvm_pv *pv = lvm_group_pv(wish->group, name);

		if (!pv) {
			err_set(err, ERR_REFUSED, name, "it is no physical volume of %s", wish->group->name);
			return err_next(err, "pvs -S vg_name=%s lists them", wish->group->name);
		}
		if (pv->missing)
			return err_set(err, ERR_REFUSED, pv->name, "the physical volume is missing");
		if (!pv->allocatable) {
			err_set(err, ERR_REFUSED, pv->name, "no extents may be allocated on it");
			return err_next(err, "pvchange -x y %s", pv->name);
		}
		if (is_target(wish, pv))
			continue;
		wish->targets[wish->target_count++] = pv;
	}
	return 0;
}

static int check_places(const struct wish *wish, uint64_t *ret_away, struct err *err)
{
	const struct lvm_group *group = wish->group;
	uint64_t away = 0, there = 0;

	for (size_t i = 0; i < group->piece_count; i++) {
		const struct lvm_piece *piece = &group->pieces[i];

		if (!is_ours(wish, piece))
			continue;
		if (group->pvs[piece->pv].missing)
			return err_set(err, ERR_REFUSED, wish->name, "the physical volume %s, which it has extents on, is missing",
				       group->pvs[piece->pv].uuid);
		if (is_target(wish, &group->pvs[piece->pv]))
			there += piece->count;
		else
			away += piece->count;
	}
	if (!away && there) {
		err_set(err, ERR_REFUSED, wish->name, "all of it is there already: nothing is to be moved");
		return err_next(err, "name other physical volumes of %s", group->name);
	}
	if (!away)
		return err_set(err, ERR_REFUSED, wish->name, "it has no extents that could be moved");
	*ret_away = away;
	return 0;
}

static uint64_t free_on_targets(const struct wish *wish)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < wish->target_count; i++)
		sum += free_on(wish->targets[i]);
	return sum;
}

static char *target_names(const struct wish *wish)
{
	struct text_list names = { 0 };
	char *text;

	for (size_t i = 0; i < wish->target_count; i++)
		text_list_add(&names, text_copy(wish->targets[i]->name));
	text = text_list_join(&names);
	text_list_free(&names);
	return text;
}

/* ---- can lvconvert? ---- */

/* The physical volumes of one leg, sorted into targets and others. */
static void leg_place(const struct wish *wish, const struct lvm_lv *leg, uint64_t *ret_in, uint64_t *ret_out)
{
	const struct lvm_group *group = wish->group;

	*ret_in = *ret_out = 0;
	for (size_t i = 0; i < group->piece_count; i++) {
		const struct lvm_piece *piece = &group->pieces[i];

		if (&group->lvs[piece->lv] != leg)
			continue;
		if (is_target(wish, &group->pvs[piece->pv]))
			*ret_in += piece->count;
		else
			*ret_out += piece->count;
	}
}

/* Targets that no part of the volume lies on and that have room for a whole leg. */
static unsigned places_for_legs(const struct wish *wish, uint64_t extents)
{
	unsigned places = 0;

	for (size_t i = 0; i < wish->target_count; i++)
		if (!lvm_extents_on(wish->group, wish->lv->name, wish->targets[i]) &&
		    free_on(wish->targets[i]) >= extents)
			places++;
	return places;
}

/* Linear volumes get raid metadata beside their data, for the time of the conversion. */
static const struct lvm_pv *without_room_for_metadata(const struct wish *wish)
{
	const struct lvm_group *group = wish->group;

	for (size_t i = 0; i < group->piece_count; i++)
		if (&group->lvs[group->pieces[i].lv] == wish->lv && !free_on(&group->pvs[group->pieces[i].pv]))
			return &group->pvs[group->pieces[i].pv];
	return NULL;
}

/* Why lvconvert cannot do it, or NULL: then so many legs are to be added. */
static char *no_lvconvert(const struct wish *wish, unsigned *ret_legs, unsigned *ret_add)
{
	const struct lvm_group *group = wish->group;
	const struct lvm_lv *lv = wish->lv;
	uint64_t in, out, extents = lv->bytes / (group->extent_bytes ? group->extent_bytes : 1) + 1;
	unsigned add = 0, legs = 1;

	if (lvm_has_word(lv->layout, "pool"))
		return text_copy("it is a thin pool");
	if (lvm_has_word(lv->role, "origin") || lvm_has_word(lv->role, "snapshot"))
		return text_copy("it is a snapshot, or has some");
	if (lvm_has_word(lv->layout, "raid1")) {
		legs = lv->stripes;
		for (unsigned i = 0; i < legs; i++) {
			char *name = text_format("%s_rimage_%u", lv->name, i);
			const struct lvm_lv *leg = lvm_group_lv(group, name);

			free(name);
			if (!leg)
				return text_format("its leg %u cannot be seen", i);
			leg_place(wish, leg, &in, &out);
			if (in && out)
				return text_format("its leg %u lies on a target already in part", i);
			add += out > 0;
		}
		if (!add)
			return text_copy("only its metadata lies elsewhere");
	} else if (!strcmp(lv->layout, "linear")) {
		const struct lvm_pv *full = without_room_for_metadata(wish);

		add = 1;
		leg_place(wish, lv, &in, &out);
		if (in)
			return text_copy("a part of it lies on a target already, and LVM keeps legs on different physical volumes");
		if (full)
			return text_format("%s has no free extent for the metadata of raid1", full->name);
	} else {
		return text_format("it is %s, and raid1 is made of linear volumes", lv->layout);
	}
	if (legs + add > LEGS_MAX)
		return text_format("it would have more than %d legs", LEGS_MAX);
	if (places_for_legs(wish, extents) < add)
		return text_format("%u new leg%s of %" PRIu64 " extents need%s as many physical volumes with that much room each",
				   add, add == 1 ? "" : "s", extents, add == 1 ? "s" : "");
	*ret_legs = legs;
	*ret_add = add;
	return NULL;
}

/* ---- can pvmove? ---- */

static char *no_pvmove(const struct wish *wish, uint64_t away)
{
	const struct lvm_group *group = wish->group;
	size_t leaving = 0;

	if (wish->request->bytes_per_second)
		return text_copy("LVM has no way to limit its rate (--bwlimit)");
	/* "Enable lvmpolld when using lvmlockd", says LVM 2.03; that would go on when the job has stopped. */
	if (group->shared)
		return text_copy("in a shared group LVM has it done by lvmpolld");
	for (size_t i = 0; i < group->pv_count; i++) {
		const struct lvm_pv *pv = &group->pvs[i];

		if (is_target(wish, pv) || !lvm_extents_on(group, wish->lv->name, pv))
			continue;
		leaving++;
		for (size_t j = 0; j < group->lv_count; j++)
			if (!strcmp(group->lvs[j].move_pv, pv->name))
				return text_format("another pvmove from %s is running, and LVM has but one for each", pv->name);
	}
	if (free_on_targets(wish) < away)
		return text_format("too little room: %" PRIu64 " extents are to be moved, and %" PRIu64 " are free there",
				   away, free_on_targets(wish));
	if (!lvm_has_word(wish->lv->layout, "linear") && !lvm_has_word(wish->lv->layout, "pool") &&
	    wish->target_count < leaving)
		return text_format("its %zu stripes or legs need as many physical volumes, and %zu are named", leaving,
				   wish->target_count);
	return NULL;
}

/* ---- the choice ---- */

static int refuse_both(const struct wish *wish, char *convert, char *move, uint64_t away, struct err *err)
{
	char *names = target_names(wish);
	uint64_t there = free_on_targets(wish);

	if (there < away) {
		err_set(err, ERR_REFUSED, names, "too little room: %" PRIu64 " extents (%" PRIu64
			" bytes) are to be moved, and %" PRIu64 " (%" PRIu64 " bytes) are free", away,
			away * wish->group->extent_bytes, there, there * wish->group->extent_bytes);
		err_next(err, "name another physical volume, or several");
	} else {
		err_set(err, ERR_REFUSED, wish->name, "it cannot be moved: lvconvert: %s; pvmove: %s", convert, move);
		err_next(err, wish->request->bytes_per_second ? "leave --bwlimit out" : "name other physical volumes");
	}
	free(names);
	free(convert);
	free(move);
	return -1;
}

static int choose(const struct wish *wish, uint64_t away, struct plan *plan, struct err *err)
{
	struct online_move *online = &plan->move.online;
	const char *method = wish->request->method;
	bool any = !strcmp(method, "auto");
	char *convert = plan_was_tried(wish->request, "lvconvert") ? text_copy(PLAN_TRIED_FIRST) :
			no_lvconvert(wish, &online->legs, &online->add);
	char *move = plan_was_tried(wish->request, "pvmove") ? text_copy(PLAN_TRIED_FIRST) :
		     no_pvmove(wish, away);

	if (!any && strcmp(method, "pvmove") && strcmp(method, "lvconvert")) {
		err_set(err, ERR_REFUSED, wish->name,
			"method %s does not move onto physical volumes of the volume's own group", method);
		err_next(err, "leave --method out, or use lvconvert or pvmove");
		goto refused;
	}
	if (!convert && strcmp(method, "pvmove")) {
		plan->method = "lvconvert";
		plan_add_not_moved(plan, "pvmove", move ? move :
			text_copy("it would do, but proves nothing: lvconvert scrubs both legs before the old one is dropped"));
		return 0;
	}
	if (!move && strcmp(method, "lvconvert")) {
		plan->method = "pvmove";
		plan_add_not_moved(plan, "lvconvert", convert ? convert : text_copy("--method=pvmove"));
		text_list_add(&plan->warnings, text_copy(
			"pvmove drops the old extents when the kernel's mirror is in sync; nothing is read back and compared"));
		online->legs = online->add = 0;
		return 0;
	}
	if (any && free_on_targets(wish) >= away) {
		plan_add_not_moved(plan, "lvconvert", text_copy(convert));
		plan_add_not_moved(plan, "pvmove", text_copy(move));
		refuse_both(wish, convert, move, away, err);
		return 1;
	}
	if (any)
		return refuse_both(wish, convert, move, away, err);
	err_set(err, ERR_REFUSED, wish->name, "method %s cannot be used: %s", method,
		!strcmp(method, "pvmove") ? move : convert);
	err_next(err, !strcmp(method, "pvmove") && wish->request->bytes_per_second ? "leave --bwlimit out" :
		 "leave --method out");
refused:
	free(convert);
	free(move);
	return -1;
}

static int check_options(const struct wish *wish, struct err *err)
{
	const struct request *request = wish->request;

	if (request->keep_source) {
		err_set(err, ERR_REFUSED, "--keep-source",
			"the volume itself is moved, so that no second one is left that could be kept");
		return err_next(err, "volmig copy makes a second one");
	}
	if (request->wipe != WIPE_NONE)
		return err_set(err, ERR_REFUSED, "--wipe",
			       "LVM frees the old extents at once, so that they cannot be emptied after a move inside a group");
	if (request->into_existing || request->force_host_copy) {
		err_set(err, ERR_REFUSED, wish->targets[0]->name, "it is a physical volume of %s, and nothing is copied over it",
			wish->group->name);
		return err_next(err, "leave %s out to move the volume's extents onto it",
				request->into_existing ? "--into-existing" : "--force-host-copy");
	}
	return 0;
}

static void note_pieces(const struct wish *wish, struct online_move *online)
{
	const struct lvm_group *group = wish->group;

	online->pieces = text_alloc(group->piece_count + 1, sizeof(*online->pieces));
	for (size_t i = 0; i < group->piece_count; i++) {
		const struct lvm_piece *piece = &group->pieces[i];

		if (is_ours(wish, piece))
			online->pieces[online->piece_count++] = (struct online_piece){
				.lv_uuid = text_copy(group->lvs[piece->lv].uuid),
				.pv_uuid = text_copy(group->pvs[piece->pv].uuid),
				.stripe = piece->stripe, .at = piece->at, .count = piece->count,
			};
	}
}

static void fill_in(const struct wish *wish, struct plan *plan)
{
	struct online_move *online = &plan->move.online;
	bool convert = !strcmp(plan->method, "lvconvert");

	online->vg = text_copy(wish->group->name);
	online->vg_uuid = text_copy(wish->group->uuid);
	online->lv = text_copy(wish->lv->name);
	online->lv_uuid = text_copy(wish->lv->uuid);
	online->max_rate = text_copy(wish->lv->max_rate);
	online->max_pause_ms = wish->request->max_pause_ms;
	for (size_t i = 0; i < wish->group->pv_count; i++) {
		const struct lvm_pv *pv = &wish->group->pvs[i];
		bool has = lvm_extents_on(wish->group, wish->lv->name, pv) > 0;

		if (is_target(wish, pv)) {
			/* A leg that is there already stays, and is not taken for a new one. */
			if (!convert || !has) {
				text_list_add(&online->targets, text_copy(pv->uuid));
				text_list_add(&online->target_names, text_copy(pv->name));
			}
		} else if (has) {
			text_list_add(&online->sources, text_copy(pv->uuid));
		}
	}
	if (!convert)
		note_pieces(wish, online);
	/* For people: the volume keeps its own path. */
	free(plan->move.destination.path);
	plan->move.destination.path = text_list_join(&online->target_names);
}

int plan_lvm_online(const struct request *request, struct plan *plan, struct err *err)
{
	const struct lv_facts *source = plan->move.source.lv;
	struct wish wish = {
		.request = request,
		.group = request->group,
		.lv = lvm_group_lv_by_uuid(request->group, source->uuid),
		.wanted = &plan->move.destination.lv->wanted_pvs,
	};
	uint64_t away = 0;
	int ret = -1, chosen;

	wish.name = text_format("%s/%s", source->vg_name, source->name);
	if (!wish.lv) {
		err_set(err, ERR_REFUSED, wish.name, "it has gone just now");
		goto out;
	}
	if (check_group(&wish, err) < 0 || find_targets(&wish, err) < 0 || check_options(&wish, err) < 0 ||
	    check_kind(&wish, err) < 0 || check_state(&wish, err) < 0 || check_places(&wish, &away, err) < 0)
		goto out;
	chosen = choose(&wish, away, plan, err);
	if (chosen) {
		ret = chosen;
		goto out;
	}
	if (request->verify == VERIFY_NONE && !strcmp(plan->method, "lvconvert")) {
		err_set(err, ERR_REFUSED, wish.name, "the old leg is dropped only when the new one is proven, so --verify=none is refused");
		err_next(err, "leave it out, or use --method=pvmove");
		goto out;
	}
	fill_in(&wish, plan);
	if (move_activates(&plan->move))
		plan_add_step(plan, &activate_step);
	if (!strcmp(plan->method, "lvconvert")) {
		plan_add_step(plan, &add_leg_step);
		plan_add_step(plan, &sync_leg_step);
		plan_add_step(plan, &scrub_leg_step);
		plan_add_step(plan, &commit_leg_step);
		plan_add_step(plan, &drop_leg_step);
	} else {
		plan->move.verify = VERIFY_NONE;
		plan_add_step(plan, &pvmove_step);
		plan_add_step(plan, &end_pvmove_step);
	}
	ret = 0;
out:
	free(wish.name);
	return ret;
}
