/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volume a domain's disk really is. */
#include "engines/live_look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engines/live_network.h"
#include "engines/step.h"
#include "support/err.h"
#include "support/json.h"

const char *live_where_text(enum live_where where)
{
	switch (where) {
	case LIVE_OLD:
		return "the guest uses the source, there is no mirror";
	case LIVE_MIRROR:
		return "the guest uses the source, which is being mirrored";
	case LIVE_READY:
		return "the guest uses the source, and the mirror is ready";
	case LIVE_CANCEL:
		return "the guest uses the source, and the mirror is being given up";
	case LIVE_PIVOT:
		return "the guest is being moved onto the destination";
	case LIVE_NEW:
		return "the guest uses the destination";
	case LIVE_OFF:
		return "the domain does not run; defined with the source";
	case LIVE_OFF_NEW:
		return "the domain does not run; defined with the destination";
	case LIVE_FOREIGN:
		return "somebody else works on the disk";
	case LIVE_SPLIT:
		return "libvirt, the definition and QEMU do not agree";
	}
	return "?";
}

bool live_same_volume(const char *a, const char *b)
{
	struct stat first, second;

	if (!a || !b)
		return false;
	if (live_network_same(a, b))
		return true;
	if (stat(a, &first) < 0 || stat(b, &second) < 0)
		return false;
	if (S_ISBLK(first.st_mode) || S_ISBLK(second.st_mode))
		return S_ISBLK(first.st_mode) && S_ISBLK(second.st_mode) &&
		       first.st_rdev == second.st_rdev;
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* Is the alias one of the names between slashes in a device's path? */
static bool is_device(const char *qdev, const char *alias)
{
	size_t length = strlen(alias);
	const char *at = qdev;

	while (at && (at = strstr(at, alias))) {
		if ((at == qdev || at[-1] == '/') && (!at[length] || at[length] == '/'))
			return true;
		at++;
	}
	return false;
}

/* A file name as QEMU gives it: a path, or "json:{...}" that describes layers with one below. */
static char *path_of(const char *file)
{
	json_t *json;
	const json_t *layer;
	char *path = NULL;

	path = live_network_of_qemu(file);
	if (path || !file || strncmp(file, "json:", 5))
		return path ? path : text_copy(file);
	json = json_loads(file + 5, 0, NULL);
	for (layer = json; layer && !path; layer = json_object_get(layer, "file"))
		if (json_get_string(layer, "filename"))
			path = path_of(json_get_string(layer, "filename"));
	json_decref(json);
	return path ? path : text_copy(file);
}

int live_qemu_path(struct virt *virt, const char *uuid, const char *alias, char **ret_path,
		   struct err *err)
{
	char *answer = NULL;
	json_t *json;
	const json_t *device;
	size_t i;
	int ret = -1;

	*ret_path = NULL;
	if (virt_qmp(virt, uuid, "{\"execute\": \"query-block\"}", &answer, err) < 0)
		return -1;
	json = json_loads(answer, 0, NULL);
	if (!json_is_array(json_object_get(json, "return"))) {
		err_set(err, ERR_FAILED, uuid, "QEMU does not say which disks it has");
		goto out;
	}
	json_array_foreach(json_object_get(json, "return"), i, device) {
		const char *qdev = json_get_string(device, "qdev") ?: "";
		const char *name = json_get_string(device, "device") ?: "";

		if (alias && (is_device(qdev, alias) || is_device(name, alias)) && !*ret_path)
			*ret_path = path_of(json_get_string(json_object_get(device, "inserted"), "file"));
	}
	ret = 0;
out:
	json_decref(json);
	free(answer);
	return ret;
}

char *live_qemu_certificates(struct virt *virt, const char *uuid, const struct virt_source *source)
{
	char *command, *answer = NULL, *dir = NULL;
	struct err ignored = ERR_INIT;
	json_t *json;

	if (!source->protocol || strcmp(source->protocol, "nbd") || !source->index ||
	    strspn(source->index, "0123456789") != strlen(source->index))
		return NULL;
	/* Called after the node that they are for. */
	command = text_format("{\"execute\": \"qom-get\", \"arguments\": "
			      "{\"path\": \"/objects/objlibvirt-%s-storage_tls0\", \"property\": \"dir\"}}",
			      source->index);
	if (virt_qmp(virt, uuid, command, &answer, &ignored) == 0) {
		json = json_loads(answer, 0, NULL);
		if (json_get_string(json, "return"))
			dir = text_copy(json_get_string(json, "return"));
		json_decref(json);
	}
	free(answer);
	free(command);
	return dir;
}

/* The source of the disk in the definition; NULL: there is none. */
static int defined_source(struct virt *virt, const struct live_move *live, char **ret_path,
			  struct err *err)
{
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;
	char *xml = NULL;
	int ret = -1;

	*ret_path = NULL;
	if (virt_xml(virt, live->uuid, true, &xml, err) < 0)
		return -1;
	if (virt_xml_disks(xml, &disks, err) == 0) {
		disk = virt_disk_by_target(&disks, live->target);
		*ret_path = disk ? virt_source_text(&disk->source) : NULL;
		ret = 0;
	}
	virt_disks_free(&disks);
	free(xml);
	return ret;
}

static int look_off(struct virt *virt, const struct live_move *live, bool persistent,
		    enum live_where *ret_where, char **ret_why, struct err *err)
{
	char *defined = NULL;

	*ret_where = LIVE_OFF;
	if (!persistent)
		return 0;
	if (defined_source(virt, live, &defined, err) < 0)
		return -1;
	if (live_same_volume(defined, live->new_path)) {
		*ret_where = LIVE_OFF_NEW;
	} else if (!live_same_volume(defined, live->old_path)) {
		*ret_where = LIVE_FOREIGN;
		*ret_why = text_format("%s is defined with %s", live->target, defined ? defined : "nothing");
	}
	free(defined);
	return 0;
}

/* What the live XML says of the disk. */
static enum live_where where_of(const struct virt_disk *disk, const struct live_move *live,
				char **ret_why)
{
	char *source = virt_source_text(&disk->source), *mirror = virt_source_text(&disk->mirror);
	enum live_where where;

	if (disk->mirrored && (!live_same_volume(mirror, live->new_path) ||
			       (disk->mirror_job && *disk->mirror_job && strcmp(disk->mirror_job, "copy")))) {
		*ret_why = text_format("a block job \"%s\" of somebody else is on %s, with %s",
				       disk->mirror_job ? disk->mirror_job : "copy", live->target,
				       mirror ? mirror : "nothing");
		where = LIVE_FOREIGN;
	} else if (live_same_volume(source, live->new_path)) {
		where = disk->mirrored ? LIVE_PIVOT : LIVE_NEW;
	} else if (!live_same_volume(source, live->old_path)) {
		*ret_why = text_format("%s is %s by now", live->target, source ? source : "empty");
		where = LIVE_FOREIGN;
	} else if (!disk->mirrored) {
		where = LIVE_OLD;
	} else if (disk->mirror_ready && !strcmp(disk->mirror_ready, "yes")) {
		where = LIVE_READY;
	} else if (disk->mirror_ready && !strcmp(disk->mirror_ready, "abort")) {
		where = LIVE_CANCEL;
	} else if (disk->mirror_ready && !strcmp(disk->mirror_ready, "pivot")) {
		where = LIVE_PIVOT;
	} else {
		where = LIVE_MIRROR;
	}
	free(source);
	free(mirror);
	return where;
}

/*
 * A libvirtd that was killed while it pivoted may believe in a disk that the
 * guest does not use any more.  QEMU knows; and so must the definition.
 */
static int check_agreement(struct virt *virt, const struct live_move *live, const char *alias,
			   bool persistent, enum live_where *where, char **ret_why, struct err *err)
{
	const char *wanted = *where == LIVE_NEW ? live->new_path : live->old_path;
	char *qemu = NULL, *defined = NULL;
	int ret = -1;

	if (live_qemu_path(virt, live->uuid, alias, &qemu, err) < 0 ||
	    (persistent && defined_source(virt, live, &defined, err) < 0))
		goto out;
	ret = 0;
	if (live_same_volume(qemu, wanted) && (!persistent || live_same_volume(defined, wanted)))
		goto out;
	*ret_why = text_format("libvirt says that %s is %s, QEMU has %s, and %s is defined",
			       live->target, wanted, qemu ? qemu : "nothing",
			       persistent ? (defined ? defined : "nothing") : "none");
	*where = LIVE_SPLIT;
out:
	free(qemu);
	free(defined);
	return ret;
}

int live_look(struct virt *virt, const struct live_move *live, bool ask_qemu,
	      enum live_where *ret_where, char **ret_why, struct err *err)
{
	struct virt_domain domain = { 0 };
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;
	char *xml = NULL;
	int ret = -1;

	*ret_why = NULL;
	if (virt_find(virt, live->uuid, &domain, err) < 0) {
		/* One that was only running has gone when it does not run. */
		if (err->number != ENOENT || live->persistent)
			return -1;
		*err = (struct err)ERR_INIT;
		*ret_where = LIVE_OFF;
		return 0;
	}
	if (!domain.running) {
		ret = look_off(virt, live, domain.persistent, ret_where, ret_why, err);
		goto out;
	}
	if (virt_xml(virt, live->uuid, false, &xml, err) < 0 || virt_xml_disks(xml, &disks, err) < 0)
		goto out;
	disk = virt_disk_by_target(&disks, live->target);
	if (!disk) {
		*ret_where = LIVE_FOREIGN;
		*ret_why = text_format("the domain has no disk %s any more", live->target);
		ret = 0;
		goto out;
	}
	*ret_where = where_of(disk, live, ret_why);
	ret = 0;
	if (ask_qemu && *ret_where != LIVE_FOREIGN && *ret_where != LIVE_PIVOT)
		ret = check_agreement(virt, live, disk->alias, domain.persistent, ret_where, ret_why, err);
out:
	free(xml);
	virt_disks_free(&disks);
	virt_domain_free(&domain);
	if (ret < 0) {
		free(*ret_why);
		*ret_why = NULL;
	}
	return ret;
}

const char *live_definition_hash(const char *xml, char hex[static HASH_HEX])
{
	struct hash hash = hash_of(xml, strlen(xml));

	return hash_hex(&hash, hex);
}

int live_definition_same(struct virt *virt, const struct step_part *parts, size_t count, struct err *err)
{
	const struct live_move *live = &parts[0].move->live;
	char *xml = NULL, hex[HASH_HEX];
	int ret;

	if (!live->definition)
		return 1;
	ret = virt_xml(virt, live->uuid, true, &xml, err);
	for (size_t i = 0; ret == 0 && i < count; i++) {
		char *rest = NULL;

		ret = virt_xml_without_source(xml, parts[i].move->live.target, &rest, err);
		free(xml);
		xml = rest;
	}
	if (ret == 0)
		ret = !strcmp(live_definition_hash(xml, hex), live->definition);
	free(xml);
	return ret;
}
