/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a volume shall go: what the places on a command line mean for this source. */
#include "places.h"

#include <stdlib.h>
#include <string.h>

#include "inspect.h"
#include "plan.h"
#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"
#include "volumes/volume.h"

/* What was asked for, as it was written, is something else on a closer look. */
static void replace(struct facts *facts, struct facts *by)
{
	free(by->spec);
	by->spec = facts->spec;
	facts->spec = NULL;
	facts_free(facts);
	*facts = *by;
	*by = (struct facts){ 0 };
}

/* A place that is a directory means the file of the source's name in it: is there one already? */
static int look_into_directory(const struct facts *source, struct facts *destination,
			       unsigned flags, struct err *err)
{
	struct facts inside = { 0 };
	struct spec spec = { .kind = SPEC_PATH };
	char *path, *name;
	int ret;

	name = source->qemu ? qemu_new_name(source, destination) : text_copy(facts_name(source));
	path = text_format("%s/%s", destination->path, name);
	free(name);
	spec.text = path;
	spec.path = path;
	ret = volume_inspect(&spec, flags, &inside, err);
	if (ret == 0 && inside.kind)
		replace(destination, &inside);
	else if (ret == 0 && inside.dir && !strcmp(inside.dir, inside.path))
		ret = err_set(err, ERR_REFUSED, path, "is a directory, so no file of that name can be made");
	facts_free(&inside);
	free(path);
	return ret;
}

/* The same for a place where QEMU makes volumes: a directory for images, or a pool. */
static int look_into_qemu_place(const struct facts *source, struct facts *destination, unsigned flags,
				struct err *err)
{
	const struct qemu_facts *place = destination->qemu;
	struct spec spec = { .kind = SPEC_QEMU };
	struct facts inside = { 0 };
	char *name, *path = NULL, *text;
	int ret;

	if (place->image || (destination->dir && strcmp(destination->dir, destination->path)))
		return 0;
	name = qemu_new_name(source, destination);
	if (destination->dir) {
		path = text_format("%s/%s", strcmp(destination->dir, "/") ? destination->dir : "", name);
		text = text_format("%s:%s", place->driver, path);
	} else {
		text = text_format("rbd:%s/%s%s%s%s%s", place->pool, name, place->conf ? ":conf=" : "",
				   place->conf ? place->conf : "", place->user ? ":id=" : "",
				   place->user ? place->user : "");
	}
	spec.text = text;
	spec.remote = text;
	ret = volume_inspect(&spec, flags, &inside, err);
	if (ret == 0 && (inside.kind || !inside.dir))
		replace(destination, &inside);
	else if (ret == 0 && !strcmp(inside.dir, inside.path))
		ret = err_set(err, ERR_REFUSED, path, "is a directory, so no image of that name can be made");
	facts_free(&inside);
	free(text);
	free(path);
	free(name);
	return ret;
}

/*
 * A place that is a group, or a thin pool in it, means the volume of the
 * source's name there: is there one already?
 */
static int look_into_group(const struct facts *source, struct facts *destination, unsigned flags,
			   struct err *err)
{
	const struct lv_facts *there = destination->lv;
	bool is_pool = there->name && !strcmp(there->type ?: "", "thin-pool");
	struct spec spec = { .kind = SPEC_LV, .text = destination->spec, .vg = there->vg_name };
	struct facts inside = { 0 };
	char *name, *pool;
	int ret;

	if (!is_pool && (there->name || there->wanted))
		return 0;
	/* Within its own group the source itself has the name. */
	if (!is_pool && source->lv && !strcmp(source->lv->vg_uuid, there->vg_uuid))
		return 0;
	name = source->qemu ? qemu_stem(source) : text_copy(facts_name(source));
	pool = is_pool ? text_copy(there->name) : NULL;
	spec.lv = name;
	ret = volume_inspect(&spec, flags, &inside, err);
	if (ret == 0 && inside.kind && source->lv && !strcmp(inside.lv->uuid, source->lv->uuid)) {
		/* The source, as the name of what takes its place. */
		facts_free(&inside);
		spec.lv = NULL;
		ret = volume_inspect(&spec, flags, &inside, err);
		if (ret == 0)
			inside.lv->wanted = text_copy(name);
	}
	if (ret == 0)
		replace(destination, &inside);
	if (ret == 0 && pool)
		destination->lv->wanted_pool = text_copy(pool);
	facts_free(&inside);
	free(name);
	free(pool);
	return ret;
}

/* LVM's name for a device that is a physical volume of the source's group, or NULL. */
static const char *own_pv(const struct facts *source, const struct facts *place)
{
	return source->lv && place->kind == block_volume_ops.kind ?
	       lv_pv_name(source->lv, place->dev) : NULL;
}

/* The place is these physical volumes: then it is the group, and they are in wanted_pvs. */
static int to_own_pvs(const struct facts *source, struct text_list *pvs, struct facts *destination,
		      struct err *err)
{
	struct facts group = { 0 };
	struct spec spec = { .kind = SPEC_LV, .text = destination->spec, .vg = source->lv->vg_name };

	if (volume_inspect(&spec, 0, &group, err) < 0)
		return -1;
	group.lv->wanted = text_copy(source->lv->name);
	group.lv->wanted_pvs = *pvs;
	*pvs = (struct text_list){ 0 };
	replace(destination, &group);
	return 0;
}

int places_look(const struct request *request, const struct facts *source, unsigned flags,
		struct facts *ret_destination, struct err *err)
{
	bool is_place = request->command == COMMAND_MIGRATE || request->create;
	const char *const *places = request->places;
	const char *one[] = { request->destination, NULL };
	struct text_list pvs = { 0 };
	struct facts first = { 0 };
	int ret = -1;

	if (!places || !places[0])
		places = one;
	if (places[1] && !source->lv)
		return err_set(err, ERR_USAGE, places[1],
			       "one argument too many: several places are physical volumes of a logical volume's own group");
	for (size_t i = 0; places[i]; i++) {
		struct facts place = { 0 };
		const char *pv;

		if (inspect_named(places[i], is_place ? SPEC_PLACE : SPEC_VOLUME, flags, &place, err) < 0)
			goto out;
		pv = own_pv(source, &place);
		if (pv && !text_list_has(&pvs, pv))
			text_list_add(&pvs, text_copy(pv));
		if (i == 0) {
			first = place;
			place = (struct facts){ 0 };
		}
		if ((places[1] && !pv) || (i && !pvs.count)) {
			err_set(err, ERR_REFUSED, places[i], "is no physical volume of the source's volume group");
			err_next(err, "name several places only to move a logical volume onto these physical volumes of its own group");
			facts_free(&place);
			goto out;
		}
		facts_free(&place);
	}
	ret = 0;
	if (pvs.count && is_place)
		ret = to_own_pvs(source, &pvs, &first, err);
	else if (is_place && source->kind && !first.kind && first.qemu)
		ret = look_into_qemu_place(source, &first, flags, err);
	else if (is_place && source->kind && !first.kind && first.dir && !strcmp(first.dir, first.path))
		ret = look_into_directory(source, &first, flags, err);
	else if (is_place && source->kind && first.lv)
		ret = look_into_group(source, &first, flags, err);
	if (ret < 0)
		goto out;
	*ret_destination = first;
	first = (struct facts){ 0 };
out:
	text_list_free(&pvs);
	facts_free(&first);
	return ret;
}
