/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which running domain's disk a volume is, before there is a plan. */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/live_look.h"
#include "engines/live_network.h"
#include "plan.h"
#include "support/err.h"
#include "sys/procs.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

static int refuse(struct err *err, const char *object, const char *cause)
{
	return err_set(err, ERR_REFUSED, object, "%s", cause);
}

/* Is it a volume that we know by a name of ours? */
static bool can_name(const struct virt_source *source)
{
	char *name = live_network_name(source, NULL);
	bool can = name || (source->path && source->type &&
			    (!strcmp(source->type, "file") || !strcmp(source->type, "block")));

	free(name);
	return can;
}

/* May a disk like this be moved at all? */
static int check_disk(const struct virt_domain *domain, const struct virt_disk *disk, struct err *err)
{
	const struct virt_source *source = &disk->source;

	if (disk->mirrored) {
		char *mirror = virt_source_text(&disk->mirror);

		err_set(err, ERR_REFUSED, domain->name, "a block job \"%s\" that is not this one's is on %s, with %s",
			disk->mirror_job && *disk->mirror_job ? disk->mirror_job : "copy", disk->target,
			mirror ? mirror : "nothing");
		free(mirror);
		return err_next(err, "let it end, or have whoever began it end it (virsh blockjob %s %s --info)",
				domain->name, disk->target);
	}
	if (strcmp(disk->device, "disk"))
		return err_set(err, ERR_REFUSED, domain->name, "%s is a %s, no disk", disk->target, disk->device);
	if (!domain->running && source->protocol) {
		err_set(err, ERR_REFUSED, domain->name, "%s is on the network, and the domain is shut off", disk->target);
		return err_next(err, "move it while the domain runs; its vCPUs may be halted (virsh start --paused %s)",
				domain->name);
	}
	if (!can_name(source)) {
		err_set(err, ERR_REFUSED, domain->name, "%s is on a source of type %s%s%s", disk->target,
			source->type ? source->type : "none", source->protocol ? ", " : "",
			source->protocol ? source->protocol : "");
		return err_next(err, "only disks on files, block devices, NBD exports and RBD images are moved");
	}
	if (!disk->format || strcmp(disk->format, "raw")) {
		err_set(err, ERR_REFUSED, domain->name, "%s has the format %s", disk->target,
			disk->format ? disk->format : "that QEMU guesses");
		return err_next(err, "only raw disks are moved so far");
	}
	if (disk->readonly || disk->shareable)
		return err_set(err, ERR_REFUSED, domain->name, "%s is %s", disk->target,
			       disk->readonly ? "read-only" : "shared with other domains");
	if (source->sliced && source->slice_offset)
		return err_set(err, ERR_REFUSED, domain->name, "%s is a window in the middle of its volume",
			       disk->target);
	return 0;
}

/* A job that is no mirror has no place in the XML. */
static int check_no_job(struct virt *virt, const struct virt_domain *domain, const char *target,
			struct err *err)
{
	struct virt_job job;

	if (virt_job(virt, domain->uuid, target, &job, err) < 0)
		return -1;
	if (!job.exists)
		return 0;
	err_set(err, ERR_REFUSED, domain->name, "a block job that is not this one's is on %s", target);
	return err_next(err, "let it end, or have whoever began it end it (virsh blockjob %s %s --info)",
			domain->name, target);
}

/* disks: all that move with it, and will have other sources too; NULL: it alone. */
static int hash_definition(struct virt *virt, struct live_move *live, const char *const *disks,
			   struct err *err)
{
	const char *const alone[] = { live->target, NULL };
	char *xml = NULL, hex[HASH_HEX];
	int ret = virt_xml(virt, live->uuid, true, &xml, err);

	if (!disks)
		disks = alone;
	for (size_t i = 0; ret == 0 && disks[i]; i++) {
		char *rest = NULL;

		ret = virt_xml_without_source(xml, disks[i], &rest, err);
		free(xml);
		xml = rest;
	}
	if (ret == 0)
		live->definition = text_copy(live_definition_hash(xml, hex));
	free(xml);
	return ret;
}

/*
 * The name by which we read a disk that is on the network.  Under TLS the
 * certificates are its QEMU's, if the user names no others.
 */
static int name_source(struct virt *virt, const struct request *request, const struct virt_disk *disk,
		       struct live_move *live, struct err *err)
{
	char *certificates = live_qemu_certificates(virt, live->uuid, &disk->source);

	if (request->tls_certificates && (certificates || disk->source.tls)) {
		free(certificates);
		/* Whoever resumes may be anywhere. */
		certificates = realpath(request->tls_certificates, NULL);
		if (!certificates) {
			err_sys(err, errno, request->tls_certificates, "cannot be used for certificates");
			err->class = ERR_REFUSED;
			return -1;
		}
	}
	live->old_name = live_network_name(&disk->source, certificates);
	free(certificates);
	return 0;
}

/* Fill in what is to be known of a disk; on failure *live is the caller's to free. */
static int fill(struct virt *virt, const struct request *request, const struct virt_domain *domain,
		const struct virt_disk *disk, struct live_move *live, struct err *err)
{
	enum live_where where;
	uint64_t allocated;
	char *why = NULL;
	int ret = -1;

	live->uri = text_copy(request->connect);
	live->uuid = text_copy(domain->uuid);
	live->domain = text_copy(domain->name);
	live->target = text_copy(disk->target);
	live->old_path = virt_source_text(&disk->source);
	live->persistent = domain->persistent;
	if (name_source(virt, request, disk, live, err) < 0 ||
	    check_disk(domain, disk, err) < 0 || check_no_job(virt, domain, disk->target, err) < 0 ||
	    virt_disk_size(virt, live->uuid, live->target, &live->bytes, &allocated, err) < 0 ||
	    live_look(virt, live, true, &where, &why, err) < 0)
		return -1;
	if (where != LIVE_OLD) {
		refuse(err, live->domain, why ? why : live_where_text(where));
		err_next(err, "keep every volume that is named there, and mend the definition first");
	} else if (!live->persistent || hash_definition(virt, live, request->disks, err) == 0) {
		ret = 0;
	}
	free(why);
	return ret;
}

/* By its target, or by the path of its source. */
static const struct virt_disk *find_disk(const struct virt_disks *disks, const char *name)
{
	const struct virt_disk *disk = virt_disk_by_target(disks, name);

	for (size_t i = 0; !disk && *name == '/' && i < disks->count; i++)
		if (disks->items[i].target && live_same_volume(disks->items[i].source.path, name))
			disk = &disks->items[i];
	return disk;
}

int live_of_disk(const struct request *request, struct live_move *ret_live, struct err *err)
{
	struct virt_domain domain = { 0 };
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;
	struct virt *virt = NULL;
	char *xml = NULL;
	int ret = -1;

	*ret_live = (struct live_move){ 0 };
	if (virt_open(request->connect, VIRT_LIMIT_MS, &virt, err) < 0)
		goto out;
	if (virt_find(virt, request->domain, &domain, err) < 0) {
		if (err->number == ENOENT) {
			refuse(err, request->domain, "no such domain");
			err_next(err, "virsh list --all");
		}
		goto out;
	}
	if (!domain.running) {
		refuse(err, domain.name, "the domain does not run, so it has no disk that could be swapped");
		err_next(err, "move its volume with volmig migrate");
		goto out;
	}
	if (virt_xml(virt, domain.uuid, false, &xml, err) < 0 || virt_xml_disks(xml, &disks, err) < 0)
		goto out;
	disk = find_disk(&disks, request->disk);
	if (!disk) {
		err_set(err, ERR_REFUSED, domain.name, "has no disk %s", request->disk);
		err_next(err, "virsh domblklist %s", domain.name);
		goto out;
	}
	ret = fill(virt, request, &domain, disk, ret_live, err);
out:
	if (ret < 0)
		live_move_free(ret_live);
	free(xml);
	virt_disks_free(&disks);
	virt_domain_free(&domain);
	virt_close(virt);
	return ret;
}

int live_of_volume(const struct request *request, const struct facts *volume,
		   struct live_move *ret_live, struct err *err)
{
	struct virt_domain *domains = NULL;
	size_t count = 0;
	struct virt *virt = NULL;
	struct err ignored = ERR_INIT;
	int ret = 0;

	*ret_live = (struct live_move){ 0 };
	if (virt_open(request->connect, VIRT_LIMIT_MS, &virt, &ignored) < 0 ||
	    virt_list(virt, &domains, &count, &ignored) < 0)
		goto out;
	for (size_t i = 0; ret == 0 && i < count; i++) {
		struct virt_disks disks = { 0 };
		char *xml = NULL;

		if (domains[i].running && virt_xml(virt, domains[i].uuid, false, &xml, &ignored) == 0 &&
		    virt_xml_disks(xml, &disks, &ignored) == 0)
			for (size_t k = 0; ret == 0 && k < disks.count; k++)
				if (disks.items[k].target &&
				    live_same_volume(disks.items[k].source.path, volume->path))
					ret = fill(virt, request, &domains[i], &disks.items[k], ret_live,
						   err) < 0 ? -1 : 1;
		virt_disks_free(&disks);
		free(xml);
	}
out:
	if (ret < 0)
		live_move_free(ret_live);
	virt_domains_free(domains, count);
	virt_close(virt);
	return ret;
}

/* ---- all disks of a domain ---- */

void live_disks_free(struct live_disks *disks)
{
	text_list_free(&disks->targets);
	text_list_free(&disks->paths);
	text_list_free(&disks->left_out);
	*disks = (struct live_disks){ 0 };
}

static void take_disk(struct live_disks *disks, const struct virt_disk *disk)
{
	if (text_list_has(&disks->targets, disk->target))
		return;
	text_list_add(&disks->targets, text_copy(disk->target));
	text_list_add(&disks->paths, text_copy(disk->source.path));
}

/* Those that were named. */
static int take_named(const struct request *request, const struct virt_domain *domain,
		      const struct virt_disks *disks, struct live_disks *taken, struct err *err)
{
	for (size_t i = 0; request->disks[i]; i++) {
		const struct virt_disk *disk = find_disk(disks, request->disks[i]);

		if (!disk) {
			err_set(err, ERR_REFUSED, domain->name, "has no disk %s", request->disks[i]);
			return err_next(err, "virsh domblklist %s", domain->name);
		}
		if (check_disk(domain, disk, err) < 0)
			return -1;
		take_disk(taken, disk);
	}
	return 0;
}

/* All but those whose kind is not moved; what somebody works on just now is no reason to leave it behind. */
static int take_all(const struct virt_domain *domain, const struct virt_disks *disks,
		    struct live_disks *taken, struct err *err)
{
	for (size_t i = 0; i < disks->count; i++) {
		const struct virt_disk *disk = &disks->items[i];
		struct err why = ERR_INIT;

		if (!disk->target || (!disk->source.path && !disk->source.protocol && !disk->source.volume))
			continue;
		if (check_disk(domain, disk, &why) == 0) {
			take_disk(taken, disk);
		} else if (disk->mirrored) {
			*err = why;
			return -1;
		} else {
			text_list_add(&taken->left_out, text_format("not moved: %s", why.cause));
		}
	}
	if (taken->targets.count)
		return 0;
	err_set(err, ERR_REFUSED, domain->name, "has no disk that can be moved%s%s",
		taken->left_out.count ? ": " : "", taken->left_out.count ? taken->left_out.items[0] : "");
	return err_next(err, "virsh domblklist %s", domain->name);
}

int live_disks_look(const struct request *request, struct live_disks *ret_disks, struct err *err)
{
	struct live_disks taken = { 0 };
	struct virt_domain domain = { 0 };
	struct virt_disks disks = { 0 };
	struct virt *virt = NULL;
	char *xml = NULL;
	int ret = -1;

	if (virt_open(guests_uri(), VIRT_LIMIT_MS, &virt, err) < 0)
		goto out;
	if (virt_find(virt, request->domain, &domain, err) < 0) {
		if (err->number == ENOENT) {
			refuse(err, request->domain, "no such domain");
			err_next(err, "virsh list --all");
		}
		goto out;
	}
	if (virt_xml(virt, domain.uuid, !domain.running, &xml, err) < 0 ||
	    virt_xml_disks(xml, &disks, err) < 0)
		goto out;
	taken.running = domain.running;
	ret = request->disks && request->disks[0] ? take_named(request, &domain, &disks, &taken, err) :
						    take_all(&domain, &disks, &taken, err);
	if (ret == 0) {
		*ret_disks = taken;
		taken = (struct live_disks){ 0 };
	}
out:
	live_disks_free(&taken);
	free(xml);
	virt_disks_free(&disks);
	virt_domain_free(&domain);
	virt_close(virt);
	return ret;
}

/* Is the process that a use names ("... (pid 12)") the QEMU of that domain?  It has the UUID among its arguments. */
static bool is_own(const char *use, const char *uuid)
{
	const char *at = strstr(use, "(pid ");
	char path[64];
	bool own;

	if (!at || (strncmp(use, "open ", 5) && strncmp(use, "mapped ", 7)))
		return false;
	snprintf(path, sizeof(path), "%.*s", (int)strspn(at + 5, "0123456789"), at + 5);
	own = procs_has_option(path, "-uuid", uuid);
	return own;
}

/* The one client of the cluster's that has an image open; NULL: there are more, or none. */
static const char *only_client(const struct facts *facts)
{
	const char *only = NULL;

	for (size_t i = 0; qemu_is_rbd(facts) && i < facts->uses.count; i++) {
		if (strncmp(facts->uses.items[i], "open by a client", strlen("open by a client")))
			continue;
		if (only)
			return NULL;
		only = facts->uses.items[i];
	}
	return only;
}

void live_drop_own_uses(const struct live_move *live, struct facts *facts)
{
	struct text_list *uses = &facts->uses;
	/* Addresses tell no more of a client; as the domain's QEMU has the image open, one is it. */
	const char *client = only_client(facts);
	size_t kept = 0;

	for (size_t i = 0; i < uses->count; i++) {
		if (uses->items[i] == client || is_own(uses->items[i], live->uuid) ||
		    guests_is_disk(facts, uses->items[i], live->uuid, live->target))
			free(uses->items[i]);
		else
			uses->items[kept++] = uses->items[i];
	}
	uses->count = kept;
}

char *live_now(const struct live_move *live)
{
	struct err err = ERR_INIT;
	struct virt *virt = NULL;
	enum live_where where;
	char *why = NULL, *text;

	if (virt_open(live->uri, VIRT_LIMIT_MS, &virt, &err) < 0 ||
	    live_look(virt, live, true, &where, &why, &err) < 0)
		text = text_format("not known: %s", err.cause);
	else
		text = text_format("%s%s%s", live_where_text(where), why ? ": " : "", why ? why : "");
	free(why);
	virt_close(virt);
	return text;
}
