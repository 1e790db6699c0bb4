/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The step that gives a shut-off domain's disk its new source.
 *
 * It comes when the copy is whole, proven and under its name, and before the
 * commit: at each instant the definition names one of two whole volumes.  Who
 * starts the domain before it runs on the old one, and the job stops; who
 * starts it afterwards runs on the new one, and the job can only go on.
 */
#include "engines/cold_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/step.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/virt.h"
#include "sys/virt_xml.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

/* The disk's element in a domain's XML; NULL: there is none.  Free it. */
static char *disk_element(const char *xml, const char *target, size_t *ret_begin, size_t *ret_end)
{
	struct virt_disks disks = { 0 };
	struct err ignored = ERR_INIT;
	const struct virt_disk *disk;
	char *text = NULL;

	if (virt_xml_disks(xml, &disks, &ignored) < 0)
		return NULL;
	disk = virt_disk_by_target(&disks, target);
	if (disk) {
		text = text_format("%.*s", (int)(disk->end - disk->begin), xml + disk->begin);
		*ret_begin = disk->begin;
		*ret_end = disk->end;
	}
	virt_disks_free(&disks);
	return text;
}

void cold_move_begin(struct cold_move *cold, const char *uri, const struct guest_use *use)
{
	size_t begin, end;

	*cold = (struct cold_move){
		.uri = text_copy(uri),
		.uuid = text_copy(use->uuid),
		.domain = text_copy(use->domain),
		.target = text_copy(use->role),
		.old_disk = disk_element(use->definition, use->role, &begin, &end),
	};
}

static bool becomes_device(const struct move *move)
{
	return move->destination.lv ||
	       (!move->create && !volume_is_file(&move->destination));
}

int cold_move_finish(struct move *move, struct err *err)
{
	struct cold_move *cold = &move->cold;
	char *path;
	int ret;

	if (!cold->uuid)
		return 0;
	if (!cold->old_disk)
		return err_set(err, ERR_REFUSED, cold->domain, "cannot make out %s in its definition",
			       cold->target);
	path = move_final_path(move);
	ret = virt_xml_repoint(cold->old_disk, cold->target, becomes_device(move), path,
			       &cold->new_disk, err);
	/* A copy that takes its name over only when the source has gone: nothing could be told apart. */
	if (ret == 0 && !strcmp(cold->old_disk, cold->new_disk)) {
		ret = err_set(err, ERR_REFUSED, path, "the definition of domain %s names it already", cold->domain);
		err_next(err, "give the copy another name");
	}
	free(path);
	return ret;
}

void cold_move_free(struct cold_move *cold)
{
	free(cold->uri);
	free(cold->uuid);
	free(cold->domain);
	free(cold->target);
	free(cold->old_disk);
	free(cold->new_disk);
	*cold = (struct cold_move){ 0 };
}

json_t *cold_move_to_json(const struct cold_move *cold)
{
	if (!cold->uuid)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "uri", json_name(cold->uri),
			 "uuid", cold->uuid, "domain", json_name(cold->domain),
			 "target", json_name(cold->target), "old_disk", json_name(cold->old_disk),
			 "new_disk", json_name(cold->new_disk));
}

int cold_move_from_json(struct cold_move *cold, const json_t *json, struct err *err)
{
	*cold = (struct cold_move){ 0 };
	if (!json || json_is_null(json))
		return 0;
	cold->uri = json_name_get(json_object_get(json, "uri"));
	cold->uuid = text_copy(json_get_string(json, "uuid"));
	cold->domain = json_name_get(json_object_get(json, "domain"));
	cold->target = json_name_get(json_object_get(json, "target"));
	cold->old_disk = json_name_get(json_object_get(json, "old_disk"));
	cold->new_disk = json_name_get(json_object_get(json, "new_disk"));
	if (cold->uuid && cold->domain && cold->target && cold->old_disk && cold->new_disk)
		return 0;
	cold_move_free(cold);
	return err_set(err, ERR_REFUSED, NULL, "the journal's plan does not say whose definition follows");
}

/* ---- the step ---- */

/* What the definition's disk is, beside what it was and what it shall be. */
enum pointing {
	POINTS_OLD,
	POINTS_NEW,
	POINTS_ELSEWHERE,
};

struct sight {
	struct virt *virt;
	bool gone;			/* there is no such domain, or no definition of it */
	bool running;
	enum pointing definition;
	enum pointing live;		/* running only */
	char *xml;			/* the definition */
};

static void sight_free(struct sight *sight)
{
	free(sight->xml);
	*sight = (struct sight){ 0 };
}

/* The source of the disk in a domain's XML, for comparing; NULL: there is no such disk or source. */
static char *source_in(const char *xml, const char *target)
{
	struct virt_disks disks = { 0 };
	struct err ignored = ERR_INIT;
	const struct virt_disk *disk;
	char *text = NULL;

	if (virt_xml_disks(xml, &disks, &ignored) < 0)
		return NULL;
	disk = virt_disk_by_target(&disks, target);
	if (disk)
		text = virt_source_text(&disk->source);
	virt_disks_free(&disks);
	return text;
}

static enum pointing disk_points(const struct cold_move *cold, const char *xml)
{
	char *now = source_in(xml, cold->target);
	char *was = source_in(cold->old_disk, cold->target);
	char *shall = source_in(cold->new_disk, cold->target);
	enum pointing ret = POINTS_ELSEWHERE;

	if (now && shall && !strcmp(now, shall))
		ret = POINTS_NEW;
	else if (now && was && !strcmp(now, was))
		ret = POINTS_OLD;
	free(now);
	free(was);
	free(shall);
	return ret;
}

/* All disks that are moved: old, new, or else not as a whole. */
static enum pointing pointing_of(const struct step_context *ctx, const char *xml)
{
	enum pointing all = disk_points(&ctx->move->cold, xml);

	for (size_t i = 1; i < ctx->part_count; i++)
		if (disk_points(&ctx->parts[i].move->cold, xml) != all)
			return POINTS_ELSEWHERE;
	return all;
}

static int look(const struct step_context *ctx, struct sight *ret, struct err *err)
{
	const struct cold_move *cold = &ctx->move->cold;
	struct virt_domain domain = { 0 };
	struct sight sight = { 0 };
	char *live = NULL;
	int result = -1;

	if (guests_connection(&sight.virt, err) < 0)
		return -1;
	if (!sight.virt) {
		err_set(err, ERR_STOPPED, cold->domain, "there is no libvirtd to tell of the domain's new disk");
		return err_next(err, "start libvirtd (or name it by --connect), then resume");
	}
	if (virt_find(sight.virt, cold->uuid, &domain, err) < 0) {
		sight.gone = err->number == ENOENT;
		result = sight.gone ? 0 : -1;
		goto out;
	}
	sight.running = domain.running;
	sight.gone = !domain.persistent;
	if (domain.persistent) {
		if (virt_xml(sight.virt, cold->uuid, true, &sight.xml, err) < 0)
			goto out;
		sight.definition = pointing_of(ctx, sight.xml);
	}
	if (domain.running) {
		if (virt_xml(sight.virt, cold->uuid, false, &live, err) < 0)
			goto out;
		sight.live = pointing_of(ctx, live);
	}
	result = 0;
out:
	if (result == 0) {
		*err = (struct err)ERR_INIT;
		*ret = sight;
	} else {
		sight_free(&sight);
	}
	free(live);
	virt_domain_free(&domain);
	return result;
}

/* Started just before its definition was changed: what it writes goes to the old volumes. */
static bool is_torn(const struct sight *sight)
{
	return !sight->gone && sight->running && sight->live == POINTS_OLD && sight->definition == POINTS_NEW;
}

int cold_move_names(const struct step_context *ctx, enum cold_names *ret_names, struct err *err)
{
	struct sight sight = { 0 };

	if (look(ctx, &sight, err) < 0)
		return -1;
	*ret_names = COLD_NAMES_OTHER;
	if (is_torn(&sight))
		*ret_names = COLD_TORN;
	else if (!sight.gone && sight.definition == POINTS_OLD && (!sight.running || sight.live == POINTS_OLD))
		*ret_names = COLD_NAMES_OLD;
	sight_free(&sight);
	return 0;
}

static int stopped(struct err *err, const struct cold_move *cold, const char *cause, const char *next,
		   const char *job_id)
{
	err_set(err, ERR_STOPPED, cold->domain, "%s", cause);
	return next ? err_next(err, "%s", next) : err_next(err, "volmig abort %s, then start again", job_id);
}

/* May the definition be changed? */
static int check_sight(const struct step_context *ctx, const struct sight *sight, struct err *err)
{
	const struct cold_move *cold = &ctx->move->cold;
	struct virt_ties ties = { 0 };

	if (sight->gone)
		return stopped(err, cold, "the domain is not defined any more", NULL, ctx->job_id);
	if (sight->running)
		return stopped(err, cold, "the domain was started while its disk was copied", NULL, ctx->job_id);
	if (sight->definition != POINTS_OLD)
		return stopped(err, cold, "its definition names another volume now", NULL, ctx->job_id);
	if (virt_ties(sight->virt, cold->uuid, &ties, err) < 0)
		return -1;
	if (ties.managed_save || ties.snapshots || ties.checkpoints)
		return stopped(err, cold, "a snapshot, a checkpoint or a saved memory image was made of it",
			       "remove that, then resume", ctx->job_id);
	return 0;
}

/* A definition without the sources of the disks that are moved; NULL: cannot be told.  Free it. */
static char *without_sources(const struct step_context *ctx, const char *xml)
{
	struct err ignored = ERR_INIT;
	char *rest = text_copy(xml);

	for (size_t i = 0; rest && i < ctx->part_count; i++) {
		char *next = NULL;

		virt_xml_without_source(rest, ctx->parts[i].move->cold.target, &next, &ignored);
		free(rest);
		rest = next;
	}
	return rest;
}

/* Do two definitions differ in these disks' sources alone? */
static bool same_but_sources(const struct step_context *ctx, const char *a, const char *b)
{
	char *rest_a = without_sources(ctx, a), *rest_b = without_sources(ctx, b);
	bool same = rest_a && rest_b && !strcmp(rest_a, rest_b);

	free(rest_a);
	free(rest_b);
	return same;
}

/* The definition with the new sources. */
static int repointed(const struct step_context *ctx, const char *xml, char **ret_xml, struct err *err)
{
	char *now = text_copy(xml);

	for (size_t i = 0; i < ctx->part_count; i++) {
		const struct move *move = ctx->parts[i].move;
		char *path = move_final_path(move), *next = NULL;
		int ret = virt_xml_repoint(now, move->cold.target, becomes_device(move), path, &next, err);

		free(path);
		free(now);
		now = next;
		if (ret < 0)
			return -1;
	}
	*ret_xml = now;
	return 0;
}

/*
 * Give the definition the new sources, all at once, and make sure that this,
 * and nothing else, has changed.
 */
static int repoint(const struct step_context *ctx, const struct sight *before, struct err *err)
{
	const struct cold_move *cold = &ctx->move->cold;
	struct err ignored = ERR_INIT;
	struct sight after = { 0 };
	char *xml = NULL;
	int ret = -1;

	if (repointed(ctx, before->xml, &xml, err) < 0)
		goto out;
	inject_kill_at("kill-repoint", 1);
	if (virt_define(before->virt, xml, err) < 0)
		goto out;
	inject_kill_at("kill-repoint", 2);
	if (look(ctx, &after, err) < 0)
		goto out;
	if (after.running && after.live == POINTS_OLD) {
		/* Started in between: it runs on what was copied, and so it stays. */
		virt_define(before->virt, before->xml, &ignored);
		stopped(err, cold, "the domain was started just now", NULL, ctx->job_id);
	} else if (after.gone || after.definition != POINTS_NEW ||
		   !same_but_sources(ctx, before->xml, after.xml)) {
		virt_define(before->virt, before->xml, &ignored);
		stopped(err, cold, "libvirt made something else of its definition than was asked for", NULL,
			ctx->job_id);
	} else {
		ret = 0;
	}
out:
	sight_free(&after);
	free(xml);
	return ret;
}

/* Are all ends still what was copied and proven? */
static int check_ends(const struct step_context *ctx, struct err *err)
{
	for (size_t i = 0; i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (step_check_target(&part, true, err) < 0 ||
		    step_check_source(&part, true, part.move->cold.uuid, err) < 0)
			return -1;
	}
	return 0;
}

static enum step_result repoint_run(struct step_context *ctx, struct err *err)
{
	struct sight sight = { 0 };
	enum step_result ret = STEP_STOPPED;

	if (look(ctx, &sight, err) < 0)
		goto out;
	/* A crash came after it; who has started the domain since runs on the new volume. */
	if (!sight.gone && sight.definition == POINTS_NEW &&
	    !(sight.running && sight.live == POINTS_OLD)) {
		ret = STEP_DONE;
		goto out;
	}
	if (check_sight(ctx, &sight, err) == 0 && check_ends(ctx, err) == 0 &&
	    repoint(ctx, &sight, err) == 0)
		ret = STEP_DONE;
out:
	if (ret != STEP_DONE)
		err->class = ERR_STOPPED;
	sight_free(&sight);
	return ret;
}

/* Was a new volume written to since the definition names it? */
static int check_unwritten(const struct step_context *ctx, struct err *err)
{
	const struct cold_move *cold = &ctx->move->cold;
	char *path = move_final_path(ctx->move);
	struct facts now = { 0 };
	int ret = -1;

	if ((ctx->record->target.lv ? volume_inspect_again(&ctx->record->target, INSPECT_USES, &now, err) :
				      volume_inspect_path(path, INSPECT_USES, &now, err)) < 0)
		goto out;
	if (now.kind && written_since_verified(ctx, &now)) {
		stopped(err, cold, "the new volume was written to since the definition names it",
			"go forward: resume the job", ctx->job_id);
		goto out;
	}
	ret = 0;
out:
	facts_free(&now);
	free(path);
	return ret;
}

/* Were the new volumes used since the definition names them?  Then taking them back would lose what was written. */
static int check_unused(const struct step_context *ctx, const struct sight *sight, struct err *err)
{
	if (sight->running && !is_torn(sight))
		return stopped(err, &ctx->move->cold,
			       "the domain runs on the new volume, which cannot be taken from it",
			       "go forward: resume the job", ctx->job_id);
	for (size_t i = 0; i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);

		if (check_unwritten(&part, err) < 0)
			return -1;
	}
	return 0;
}

/* The definition with the old disk in it; whatever else somebody has changed in it stays. */
static int put_disk_back(const struct step_context *ctx, const char *xml, char **ret_xml, struct err *err)
{
	const struct move *move = ctx->move;
	size_t begin = 0, end = 0;
	char *now = disk_element(xml, move->cold.target, &begin, &end);
	int ret = 0;

	if (now && !strcmp(now, move->cold.new_disk))
		*ret_xml = text_format("%.*s%s%s", (int)begin, xml, move->cold.old_disk, xml + end);
	else
		ret = virt_xml_repoint(xml, move->cold.target,
				       !volume_is_file(&move->source),
				       move->source.path, ret_xml, err);
	free(now);
	return ret;
}

static int put_back(const struct step_context *ctx, const char *xml, char **ret_xml, struct err *err)
{
	char *now = text_copy(xml);

	for (size_t i = 0; i < ctx->part_count; i++) {
		struct step_context part = step_part_context(ctx, i);
		char *next = NULL;
		int ret = put_disk_back(&part, now, &next, err);

		free(now);
		now = next;
		if (ret < 0)
			return -1;
	}
	*ret_xml = now;
	return 0;
}

static int repoint_undo(struct step_context *ctx, struct err *err)
{
	const struct cold_move *cold = &ctx->move->cold;
	struct sight sight = { 0 }, after = { 0 };
	char *xml = NULL;
	int ret = -1;

	if (look(ctx, &sight, err) < 0)
		goto out;
	if (sight.gone || sight.definition != POINTS_NEW) {
		ret = 0;
		goto out;
	}
	if (check_unused(ctx, &sight, err) < 0)
		goto out;
	if (put_back(ctx, sight.xml, &xml, err) < 0)
		goto out;
	if (virt_define(sight.virt, xml, err) < 0 || look(ctx, &after, err) < 0)
		goto out;
	if (!after.gone && after.definition == POINTS_NEW) {
		stopped(err, cold, "its definition still names the new volume", NULL, ctx->job_id);
		goto out;
	}
	ret = 0;
out:
	sight_free(&sight);
	sight_free(&after);
	free(xml);
	return ret;
}

static char *repoint_object(const struct move *move)
{
	char *path = move_final_path(move);
	char *text = text_format("domain %s, disk %s -> %s", move->cold.domain, move->cold.target, path);

	free(path);
	return text;
}

const struct step_ops repoint_step = {
	.name	= "repoint",
	.joint	= true,
	.run	= repoint_run,
	.undo	= repoint_undo,
	.object	= repoint_object,
};
