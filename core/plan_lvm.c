/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of moves to, from and between logical volumes. */
#include "plan_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/thin.h"

#define NAME_MAX_LVM 127

/* LVM keeps these for itself, see lvm(8), VALID NAMES. */
static const char *const reserved_parts[] = {
	"_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog",
	"_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
};

static bool is_type(const struct lv_facts *lv, const char *type)
{
	return lv->type && !strcmp(lv->type, type);
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && !strcmp(text + len - tail, end);
}

/* May anything in this group be changed by this host now? */
static int check_group(const struct lv_facts *lv, const char *object, struct err *err)
{
	const char *vg = lv->vg_name;

	if (lv->exported) {
		err_set(err, ERR_REFUSED, object, "volume group %s is exported", vg);
		return err_next(err, "vgimport %s, if it belongs to this host now", vg);
	}
	if (lv->partial || lv->missing_pvs) {
		err_set(err, ERR_REFUSED, object, "volume group %s is partial: %" PRIu64
			" of its physical volumes are missing", vg, lv->missing_pvs);
		return err_next(err, "bring them back, or see vgreduce(8), --removemissing");
	}
	/* Those of lvmlockd's tell hosts from each other, see lv_activate(). */
	if (lv->shared && (!lv->lock_type || !strcmp(lv->lock_type, "clvm"))) {
		err_set(err, ERR_REFUSED, object,
			"volume group %s is clustered, and nobody here can tell whether another host uses it", vg);
		return err_next(err, "make it a shared one (vgchange --lock-type sanlock or dlm), or none (--lock-type none)");
	}
	if (lv->read_only_group)
		return err_set(err, ERR_REFUSED, object, "volume group %s is read-only", vg);
	return 0;
}

static int check_plain(const struct facts *facts, struct err *err)
{
	const struct lv_facts *lv = facts->lv;

	if (lv->hidden && lv->parent) {
		err_set(err, ERR_REFUSED, facts->spec, "is a part of %s/%s", lv->vg_name, lv->parent);
		return err_next(err, "name that volume");
	}
	if (lv->hidden) {
		err_set(err, ERR_REFUSED, facts->spec, "is an internal part of %s, no volume by itself", lv->vg_name);
		return err_next(err, "name a volume that lvs shows");
	}
	if (lv->type && (ends_in(lv->type, "-pool"))) {
		err_set(err, ERR_REFUSED, facts->spec, "is a %s%s: what is in it are volumes of their own",
			is_type(lv, "thin-pool") ? "thin pool" : is_type(lv, "cache-pool") ? "cache pool" : lv->type,
			"");
		return err_next(err, "name one of its volumes");
	}
	if (lv->suspended) {
		err_set(err, ERR_REFUSED, facts->spec, "is suspended");
		return err_next(err, "see what suspended it (dmsetup info), or dmsetup resume %s-%s",
				lv->vg_name, lv->name);
	}
	return 0;
}

int plan_check_lv(const struct facts *facts, struct err *err)
{
	const struct lv_facts *lv = facts->lv;

	if (!lv)
		return 0;
	if (!lv->name) {
		err_set(err, ERR_REFUSED, facts->spec, "there is no logical volume %s in %s",
			lv->wanted ? lv->wanted : "of that name", lv->vg_name);
		return err_next(err, "for a file of that name write ./%s", facts->spec);
	}
	return check_group(lv, facts->spec, err) < 0 ? -1 : check_plain(facts, err);
}

static int refuse_dependents(const struct facts *source, const struct text_list *names,
			     const char *what, const char *next, struct err *err)
{
	char *joined = text_list_join(names);

	err_set(err, ERR_REFUSED, source->spec, "%s: %s", what, joined);
	free(joined);
	return err_next(err, "%s", next);
}

/* What would be lost with a source that goes away. */
static int check_source_goes(const struct facts *source, struct err *err)
{
	const struct lv_facts *lv = source->lv;

	if (lv->snapshots.count)
		return refuse_dependents(source, &lv->snapshots, "has snapshots, which would go with it",
					 "remove or merge them first, or use --keep-source", err);
	if (lv->thin_snapshots.count)
		return refuse_dependents(source, &lv->thin_snapshots,
					 "is the origin of thin snapshots, which would no longer share its blocks",
					 "remove them first, or use --keep-source", err);
	if (is_type(lv, "cache") || is_type(lv, "writecache")) {
		err_set(err, ERR_REFUSED, source->spec, "is a cached volume (%s%s%s), and its cache would go with it",
			lv->type, lv->pool ? ", by " : "", lv->pool ? lv->pool : "");
		return err_next(err, "lvconvert --splitcache %s/%s first, or use --keep-source",
				lv->vg_name, lv->name);
	}
	if (is_type(lv, "vdo")) {
		err_set(err, ERR_REFUSED, source->spec,
			"is a VDO volume (in %s), which would be moved uncompressed and in full",
			lv->pool ? lv->pool : "its pool");
		return err_next(err, "use --keep-source, or volmig copy, if that is wanted");
	}
	return 0;
}

/* Its lock is taken by the step that activates it. */
static void warn_of_shared(struct plan *plan, const struct facts *end)
{
	const struct lv_facts *lv = end->lv;

	if (lv->shared)
		text_list_add(&plan->warnings, text_format(
			"%s is in a group that is shared with other hosts (%s): this host takes its lock for itself alone, and the job ends there if another host has it active",
			end->path, lv->lock_type));
}

int plan_lv_source(const struct request *request, struct plan *plan, struct err *err)
{
	struct facts *source = &plan->move.source;
	const struct lv_facts *lv = source->lv;
	bool goes = request->command == COMMAND_MIGRATE && !request->keep_source &&
		    request->verify != VERIFY_NONE;

	if (!lv)
		return 0;
	if (plan_check_lv(source, err) < 0)
		return -1;
	if (goes && check_source_goes(source, err) < 0)
		return -1;
	warn_of_shared(plan, source);
	if (lv->health)
		text_list_add(&plan->warnings, text_format("%s is not healthy: %s", source->path, lv->health));
	if (lv->origin)
		text_list_add(&plan->warnings, text_format(
			"%s is a snapshot of %s; its copy is a volume of its own and shares nothing with it",
			source->path, lv->origin));
	if (lv->integrity)
		text_list_add(&plan->warnings, text_format(
			"%s has dm-integrity, and its copy has none: lvconvert --raidintegrity y adds it to a raid1 volume",
			source->path));
	plan->move.lvm.activate_source = !lv->active;
	return 0;
}

/* A volume that is there and shall be overwritten. */
int plan_lv_destination(struct plan *plan, struct err *err)
{
	const struct facts *dst = &plan->move.destination;

	if (plan_check_lv(dst, err) < 0)
		return -1;
	warn_of_shared(plan, dst);
	if (dst->lv->snapshots.count)
		text_list_add(&plan->warnings, text_format(
			"%s has %zu snapshot%s, which will keep what is overwritten, and may run full",
			dst->path, dst->lv->snapshots.count, dst->lv->snapshots.count == 1 ? "" : "s"));
	plan->move.lvm.activate_destination = !dst->lv->active;
	return 0;
}

static int check_name(const char *name, const struct lv_facts *group, const char *object,
		      struct err *err)
{
	static const char valid[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";
	bool good = *name && *name != '-' && strcmp(name, ".") && strcmp(name, "..") &&
		    strspn(name, valid) == strlen(name) && strcmp(name, "snapshot") &&
		    strcmp(name, "pvmove") && strncmp(name, "snapshot", 8) && strncmp(name, "pvmove", 6);

	for (size_t i = 0; i < sizeof(reserved_parts) / sizeof(reserved_parts[0]); i++)
		good = good && !strstr(name, reserved_parts[i]);
	if (good && strlen(name) + strlen(group->vg_name) <= NAME_MAX_LVM)
		return 0;
	err_set(err, ERR_REFUSED, object, "LVM takes no volume named %s", name);
	return err_next(err, "give it another name: %s/NAME", group->vg_name);
}

/* So many extents, as bytes and as text. */
static int too_little(const char *object, const char *what, uint64_t have, uint64_t need,
		      const char *next, struct err *err)
{
	char have_text[TEXT_SIZE_MAX], need_text[TEXT_SIZE_MAX];

	text_size(have, have_text);
	text_size(need, need_text);
	err_set(err, ERR_REFUSED, object, "too little %s: %s (%" PRIu64 " bytes) are free, %s (%" PRIu64
		" bytes) are needed", what, have_text, have, need_text, need);
	return err_next(err, "%s", next);
}

/* May the physical volume be used, and is it among those that were asked for? */
static bool is_usable(const struct lv_pv *pv, const struct text_list *wanted)
{
	return pv->allocatable && !pv->missing && pv->free_extents &&
	       (!wanted->count || text_list_has(wanted, pv->name));
}

static uint64_t free_extents(const struct lv_facts *group, const struct text_list *pvs)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < group->pv_count; i++)
		if (is_usable(&group->pvs[i], pvs))
			sum += group->pvs[i].free_extents;
	return sum;
}

/* How many physical volumes have so much room? */
static uint64_t pvs_with(const struct lv_facts *group, const struct text_list *pvs, uint64_t extents)
{
	uint64_t count = 0;

	for (size_t i = 0; i < group->pv_count; i++)
		count += is_usable(&group->pvs[i], pvs) && group->pvs[i].free_extents >= extents;
	return count;
}

/* Of a thick volume: the source's kind where the group can, else linear. */
static int choose_thick(struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	struct lvm_move *lvm = &move->lvm;
	const struct lv_facts *from = move->source.lv, *to = move->destination.lv;
	uint64_t extents = lvm->bytes / to->extent_bytes;
	uint64_t have = free_extents(to, &lvm->pvs);
	const char *was = from && from->type ? from->type : "linear";

	lvm->type = text_copy("linear");
	if (have < extents)
		return too_little(to->vg_name, "space in the volume group", have * to->extent_bytes,
				  lvm->bytes, "free some, extend the group, or choose another place", err);
	if (!strcmp(was, "striped") && from->stripes > 1) {
		uint64_t each = (extents + from->stripes - 1) / from->stripes;

		if (pvs_with(to, &lvm->pvs, each) >= from->stripes) {
			free(lvm->type);
			lvm->type = text_copy("striped");
			lvm->stripes = from->stripes;
			lvm->stripe_bytes = from->stripe_bytes;
			lvm->bytes = each * from->stripes * to->extent_bytes;
			return 0;
		}
	} else if ((!strcmp(was, "raid1") || !strcmp(was, "mirror")) && from->stripes > 1) {
		/* Each leg has an extent of metadata. */
		if (pvs_with(to, &lvm->pvs, extents + 1) >= from->stripes) {
			free(lvm->type);
			lvm->type = text_copy("raid1");
			lvm->stripes = from->stripes;
			return 0;
		}
	} else if (!strcmp(was, "linear") || !strcmp(was, "thin") || !strcmp(was, "cache") ||
		   !strcmp(was, "writecache") || !strcmp(was, "vdo") || !strcmp(was, "snapshot")) {
		return 0;
	}
	text_list_add(&plan->warnings, text_format(
		"%s is %s with %" PRIu64 " legs or stripes, and its copy is linear: %s has no room for that on so many physical volumes",
		move->source.path, was, from->stripes, to->vg_name));
	return 0;
}

/* Which pool?  NULL and err where there is none, or not one. */
static const struct lv_pool *choose_pool(const struct request *request, const struct lv_facts *to,
					 struct err *err)
{
	const char *name = request->thin_pool ? request->thin_pool : to->wanted_pool;
	const char *slash = name ? strchr(name, '/') : NULL;
	const struct lv_pool *pool;

	if (slash && (strncmp(name, to->vg_name, (size_t)(slash - name)) || to->vg_name[slash - name])) {
		err_set(err, ERR_REFUSED, name, "is no pool of %s, where the volume shall be", to->vg_name);
		err_next(err, "name a thin pool of that group");
		return NULL;
	}
	if (name) {
		pool = lv_pool_of(to, slash ? slash + 1 : name);
		if (!pool) {
			err_set(err, ERR_REFUSED, name, "there is no such thin pool in %s", to->vg_name);
			err_next(err, "lvs %s", to->vg_name);
		}
		return pool;
	}
	if (to->pool_count == 1)
		return &to->pools[0];
	if (!to->pool_count) {
		err_set(err, ERR_REFUSED, to->vg_name, "the source is thin, and the group has no thin pool");
		err_next(err, "make one (lvcreate --type thin-pool), or use --thick");
	} else {
		err_set(err, ERR_REFUSED, to->vg_name, "the source is thin, and the group has %zu thin pools",
			to->pool_count);
		err_next(err, "name one: --thin %s, or use --thick", to->pools[0].name);
	}
	return NULL;
}

static int choose_thin(const struct request *request, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	const struct lv_facts *to = move->destination.lv;
	const struct lv_pool *pool = choose_pool(request, to, err);
	uint64_t need = move->source.allocated, data, metadata, reserve;
	bool exact = !strcmp(move->source.kind, "file") ||
		     (move->source.lv && is_type(move->source.lv, "thin") && move->source.lv->active);
	char *object;
	int ret = 0;

	if (!pool)
		return -1;
	move->lvm.type = text_copy("thin");
	move->lvm.pool = text_copy(pool->name);
	if (!pool->zeroes) {
		text_list_add(&plan->warnings, text_format(
			"pool %s/%s does not zero the blocks that it gives out: what is zero in them is written",
			to->vg_name, pool->name));
		/* And what is written is allocated. */
		need = move->source.bytes;
		exact = true;
	}
	if (!pool->active)
		return 0;	/* LVM cannot tell; the copy looks at the pool as it goes */
	object = text_format("%s/%s", to->vg_name, pool->name);
	reserve = thin_pool_data_reserve(pool->bytes);
	data = pool->free_bytes > reserve ? pool->free_bytes - reserve : 0;
	reserve = thin_pool_meta_reserve(pool->metadata_bytes);
	metadata = pool->metadata_free_bytes > reserve ? pool->metadata_free_bytes - reserve : 0;
	if (need > data && exact)
		ret = too_little(object, "room in the thin pool", data, need,
				 "extend the pool (lvextend), or choose another place", err);
	else if (need > data)
		text_list_add(&plan->warnings, text_format(
			"pool %s has %" PRIu64 " bytes free; the copy fits only if no more than that of the source's %" PRIu64
			" is not zero", object, data, need));
	else if (thin_meta_needed(need, pool->chunk_bytes) > metadata)
		ret = too_little(object, "room for metadata in the thin pool", metadata,
				 thin_meta_needed(need, pool->chunk_bytes),
				 "extend the pool's metadata (lvextend --poolmetadatasize), or choose another place", err);
	free(object);
	return ret;
}

/* Where the volume would stay in its own group, does the place say what is meant? */
static int check_same_group(const struct request *request, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	const struct lv_facts *from = move->source.lv, *to = move->destination.lv;

	if (!from || strcmp(from->vg_uuid, to->vg_uuid))
		return 0;
	move->lvm.late_name = !strcmp(move->name, from->name);
	if (!move->lvm.late_name)
		return 0;
	if (!to->wanted_pvs.count && !to->wanted_pool && !request->thin_pool && !request->thick) {
		err_set(err, ERR_REFUSED, move->destination.spec, "is the volume group that %s is in",
			move->source.spec);
		return err_next(err, "to move it inside the group name physical volumes of %s, to move it elsewhere another group or a directory",
				to->vg_name);
	}
	if (request->command == COMMAND_COPY || request->keep_source || request->verify == VERIFY_NONE) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"source and copy would have the same name in the same group");
		return err_next(err, "give the copy a name: %s/NAME", to->vg_name);
	}
	return 0;
}

int plan_new_lv(const struct request *request, const char *job_id, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	struct facts *dst = &move->destination;
	struct lv_facts *to = dst->lv;
	struct lvm_move *lvm = &move->lvm;
	bool from_thin = move->source.lv && is_type(move->source.lv, "thin");
	bool thin = !request->thick && (from_thin || request->thin_pool || to->wanted_pool) &&
		    !to->wanted_pvs.count;
	uint64_t extent = to->extent_bytes;

	if (request->command == COMMAND_COPY && !request->create) {
		err_set(err, ERR_REFUSED, dst->spec, "no such volume");
		return err_next(err, "use --create to make it");
	}
	if (request->into_existing && to->wanted) {
		err_set(err, ERR_REFUSED, dst->spec, "no such volume to be overwritten");
		return err_next(err, "leave --into-existing out to make a new one");
	}
	if (request->delta) {
		err_set(err, ERR_REFUSED, dst->spec, "--delta needs a destination that exists");
		return err_next(err, "leave --delta out to make a full copy");
	}
	if (request->thick && (request->thin_pool || to->wanted_pool))
		return err_set(err, ERR_USAGE, "--thick", "contradicts a thin pool as the place");
	if (from_thin && to->wanted_pvs.count && !request->thick) {
		err_set(err, ERR_REFUSED, dst->spec,
			"the source is thin, and on physical volumes its copy would not be");
		return err_next(err, "use --thick if that is wanted, or name a thin pool as the place");
	}
	if (check_group(to, dst->spec, err) < 0)
		return -1;
	move->create = true;
	lvm->create = true;
	move->name = to->wanted ? text_copy(to->wanted) : text_copy(facts_name(&move->source));
	move->temp_name = text_format("volmig_%s", job_id);
	if (check_name(move->name, to, dst->spec, err) < 0 ||
	    check_name(move->temp_name, to, dst->spec, err) < 0 ||
	    check_same_group(request, plan, err) < 0)
		return -1;
	for (size_t i = 0; i < to->wanted_pvs.count; i++)
		text_list_add(&lvm->pvs, text_copy(to->wanted_pvs.items[i]));
	if (!extent || move->source.bytes > UINT64_MAX - extent)
		return err_set(err, ERR_REFUSED, dst->spec, "LVM does not tell the size of the group's extents");
	lvm->bytes = (move->source.bytes + extent - 1) / extent * extent;
	if ((thin ? choose_thin(request, plan, err) : choose_thick(plan, err)) < 0)
		return -1;
	if (lvm->bytes > move->source.bytes)
		text_list_add(&plan->warnings, text_format(
			"%s/%s is made of whole extents and larger than the source: its last %" PRIu64 " bytes become zero",
			to->vg_name, move->name, lvm->bytes - move->source.bytes));
	return 0;
}

int plan_lvm(const struct request *request, const char *job_id, struct plan *plan, struct err *err)
{
	struct move *move = &plan->move;
	const struct lv_facts *to = move->destination.lv;
	bool inside = to && to->wanted_pvs.count;
	bool generic = request->force_host_copy || !strcmp(request->method, "copy");
	int ret;

	if (plan_lv_source(request, plan, err) < 0 ||
	    (to && move->destination.kind && plan_lv_destination(plan, err) < 0))
		return -1;
	if (inside && request->command == COMMAND_COPY) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"is a physical volume of %s, which a volume of that group is moved onto, not copied", to->vg_name);
		return err_next(err, "name the copy: %s/NAME", to->vg_name);
	}
	if (inside && request->thin_pool) {
		const char *slash = strrchr(request->thin_pool, '/');

		err_set(err, ERR_REFUSED, "--thin", "the place are physical volumes of %s, and a thin volume lies where its pool does",
			to->vg_name);
		return err_next(err, "name the pool as the place: %s/%s; or leave --thin out", to->vg_name,
				slash ? slash + 1 : request->thin_pool);
	}
	if (inside && generic) {
		plan_add_not_moved(plan, "pvmove", text_copy(request->force_host_copy ? "--force-host-copy" :
							     "--method=copy"));
	} else if (inside) {
		struct err cannot = ERR_INIT, copy = ERR_INIT;
		size_t used;

		ret = plan_lvm_online(request, plan, &cannot);
		/* Neither way of LVM's will do: then by a copy, where that will. */
		if (ret > 0 && request->fallback != FALLBACK_NEVER) {
			if (plan_copy(request, job_id, plan, &copy) == 0)
				return 0;
			used = strlen(cannot.cause);
			snprintf(cannot.cause + used, sizeof(cannot.cause) - used, "; copy: %s", copy.cause);
		}
		*err = ret ? cannot : *err;
		return ret ? -1 : 0;
	}
	return plan_copy(request, job_id, plan, err);
}
