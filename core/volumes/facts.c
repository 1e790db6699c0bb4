/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts about a volume: kept as JSON, and compared. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/lv.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"
#include "volumes/volume.h"

#define SECOND 1000000000ULL
#define BEFORE_EPOCH 2147483648ULL	/* seconds: the earliest that 32 bits can tell */

int64_t volume_time(int64_t seconds, uint32_t nanoseconds)
{
	return (int64_t)((uint64_t)seconds * SECOND + nanoseconds);
}

uint64_t volume_time_order(int64_t time)
{
	return (uint64_t)time + BEFORE_EPOCH * SECOND;
}

struct timespec volume_timespec(int64_t time)
{
	uint64_t since = volume_time_order(time);

	return (struct timespec){
		.tv_sec = (time_t)(since / SECOND) - (time_t)BEFORE_EPOCH,
		.tv_nsec = (long)(since % SECOND),
	};
}

enum field_type {
	FIELD_NAME,		/* char *, owned */
	FIELD_U64,
	FIELD_I64,
	FIELD_U32,
	FIELD_BOOL,
};

#define FIELD(type, name) { #name, FIELD_##type, offsetof(struct facts, name) }

/* Everything but kind, which is not owned, and uses, guests and overlays, which are only of the moment. */
static const struct field {
	const char *key;
	enum field_type type;
	size_t offset;
} fields[] = {
	FIELD(NAME, spec),
	FIELD(NAME, path),
	FIELD(NAME, lun),
	FIELD(NAME, name),
	FIELD(U64, dev),
	FIELD(U64, ino),
	FIELD(U64, diskseq),
	FIELD(I64, birth_ns),
	FIELD(NAME, wwid),
	FIELD(NAME, sys_path),
	FIELD(U64, backing_dev),
	FIELD(U64, backing_ino),
	FIELD(U64, bytes),
	FIELD(U64, allocated),
	FIELD(I64, mtime_ns),
	FIELD(U64, written),
	FIELD(U32, sector),
	FIELD(BOOL, rotational),
	FIELD(BOOL, no_flush),
	FIELD(BOOL, read_only),
	FIELD(U32, mode),
	FIELD(U32, uid),
	FIELD(U32, gid),
	FIELD(U64, links),
	FIELD(NAME, format),
	FIELD(NAME, signature),
	FIELD(NAME, dir),
	FIELD(U64, dir_dev),
	FIELD(U64, dir_ino),
	FIELD(I64, dir_birth_ns),
	FIELD(U64, dir_free),
	FIELD(BOOL, dir_writable),
	FIELD(NAME, unremovable),
	FIELD(BOOL, reflinks),
	FIELD(NAME, fs_type),
	FIELD(NAME, host),
	FIELD(NAME, owner),
	FIELD(NAME, group),
	FIELD(NAME, attributes),
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static void *field_of(const struct facts *facts, const struct field *field)
{
	return (char *)facts + field->offset;
}

void facts_free(struct facts *facts)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].type == FIELD_NAME)
			free(*(char **)field_of(facts, &fields[i]));
	text_list_free(&facts->uses);
	text_list_free(&facts->overlays);
	free(facts->overlays_unseen);
	lv_facts_free(facts->lv);
	qemu_facts_free(facts->qemu);
	if (facts->far)
		facts_free(facts->far);
	free(facts->far);
	guests_free(facts->guests, facts->guest_count);
	*facts = (struct facts){ 0 };
}

json_t *facts_to_json(const struct facts *facts)
{
	json_t *json = json_object();

	json_put(json, "kind", json_text(facts->kind));
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const void *at = field_of(facts, &fields[i]);
		json_t *value = NULL;

		switch (fields[i].type) {
		case FIELD_NAME:
			value = json_name(*(char *const *)at);
			break;
		case FIELD_U64:
			value = json_u64(*(const uint64_t *)at);
			break;
		case FIELD_I64:
			value = json_integer(*(const int64_t *)at);
			break;
		case FIELD_U32:
			value = json_integer(*(const uint32_t *)at);
			break;
		case FIELD_BOOL:
			value = json_boolean(*(const bool *)at);
			break;
		}
		json_put(json, fields[i].key, value);
	}
	if (facts->lv)
		json_put(json, "lv", lv_facts_to_json(facts->lv));
	if (facts->qemu)
		json_put(json, "qemu", qemu_facts_to_json(facts->qemu));
	if (facts->far)
		json_put(json, "far", facts_to_json(facts->far));
	return json;
}

/* A field that is not there stays as it is: what wrote it may not have known it. */
static bool read_field(struct facts *facts, const struct field *field, const json_t *value)
{
	void *at = field_of(facts, field);
	json_int_t number = json_integer_value(value);

	if (!value)
		return true;
	switch (field->type) {
	case FIELD_NAME:
		*(char **)at = json_name_get(value);
		return json_is_null(value) || *(char **)at;
	case FIELD_U64:
		*(uint64_t *)at = (uint64_t)number;
		return json_is_integer(value);
	case FIELD_I64:
		*(int64_t *)at = number;
		return json_is_integer(value);
	case FIELD_U32:
		*(uint32_t *)at = (uint32_t)number;
		return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
	case FIELD_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	}
	return false;
}

int facts_from_json(struct facts *ret_facts, const json_t *json, struct err *err)
{
	struct facts facts = { 0 };
	const json_t *kind = json_object_get(json, "kind");
	const char *key = "kind";

	if (!json_is_object(json) || !kind)
		goto bad;
	if (json_is_string(kind)) {
		const struct volume_ops *ops = volume_ops_by_kind(json_string_value(kind));

		if (!ops)
			goto bad;
		facts.kind = ops->kind;
	} else if (!json_is_null(kind)) {
		goto bad;
	}
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		key = fields[i].key;
		if (!read_field(&facts, &fields[i], json_object_get(json, key)))
			goto bad;
	}
	if (json_object_get(json, "lv") &&
	    lv_facts_from_json(&facts.lv, json_object_get(json, "lv"), err) < 0) {
		facts_free(&facts);
		return -1;
	}
	if (json_object_get(json, "qemu") &&
	    qemu_facts_from_json(&facts.qemu, json_object_get(json, "qemu"), err) < 0) {
		facts_free(&facts);
		return -1;
	}
	key = "far";
	if (json_object_get(json, key)) {
		/* What is far from there is nobody's. */
		if (!facts.host || json_object_get(json_object_get(json, key), key))
			goto bad;
		facts.far = text_alloc(1, sizeof(*facts.far));
		if (facts_from_json(facts.far, json_object_get(json, key), err) < 0) {
			facts_free(&facts);
			return -1;
		}
	}
	if ((facts.kind == ssh_volume_ops.kind || facts.kind == peer_volume_ops.kind) && !facts.far)
		goto bad;
	key = "kind";
	if (facts.kind && volume_ops_is_qemu(facts.kind) &&
	    (!facts.qemu || strcmp(facts.qemu->driver, facts.kind) || (qemu_is_rbd(&facts) && !facts.qemu->id)))
		goto bad;
	if (facts.kind == lv_volume_ops.kind && (!facts.lv || !facts.lv->uuid))
		goto bad;
	*ret_facts = facts;
	return 0;
bad:
	facts_free(&facts);
	return err_set(err, ERR_REFUSED, NULL, "the record of a volume has no usable \"%s\"", key);
}

static bool differ(const char *a, const char *b)
{
	return a && b && strcmp(a, b);
}

/* A serial number alone may be given to two devices of different makers. */
static bool is_world_wide(const char *wwid)
{
	return wwid && strncmp(wwid, "serial-", strlen("serial-"));
}

static char *number_differs(const char *what, uint64_t is, uint64_t was)
{
	return text_format("another %s: %" PRIu64 ", was %" PRIu64, what, is, was);
}

char *facts_not_same_file(const struct facts *was, const struct facts *is, bool same_boot)
{
	if (same_boot && is->dev != was->dev)
		return number_differs("file system", is->dev, was->dev);
	if (is->ino != was->ino)
		return number_differs("inode", is->ino, was->ino);
	/* Inode numbers are used again; the time of birth tells. */
	if (is->birth_ns && was->birth_ns && is->birth_ns != was->birth_ns)
		return text_copy("another file in its place, made at another time");
	return NULL;
}

static char *block_not_same(const struct facts *was, const struct facts *is, bool same_boot)
{
	/* A LUN's disk is what its WWN says, which it has to have; it may have been attached anew. */
	if (was->lun)
		return differ(was->wwid, is->wwid) || !is->wwid ?
		       text_format("another volume: %s, was %s", is->wwid ? is->wwid : "?", was->wwid) : NULL;
	if (same_boot && is->dev != was->dev)
		return number_differs("device number", is->dev, was->dev);
	if (same_boot && is->diskseq && was->diskseq && is->diskseq != was->diskseq)
		return text_format("the device was detached and attached again (attachment %" PRIu64
				   ", was %" PRIu64 ")", is->diskseq, was->diskseq);
	if (differ(was->wwid, is->wwid))
		return text_format("another device: %s, was %s", is->wwid, was->wwid);
	if (is->backing_ino != was->backing_ino ||
	    (same_boot && is->backing_dev != was->backing_dev))
		return text_copy("a loop device over something else");
	if (same_boot || (is->wwid && is_world_wide(was->wwid)))
		return NULL;

	/* Nothing that outlives a boot is sure to name it, so it has to look the same in all else. */
	if (was->wwid && !is->wwid)
		return text_format("a device without identification, was %s", was->wwid);
	if (!was->wwid && (!was->sys_path || !is->sys_path || strcmp(was->sys_path, is->sys_path)))
		return text_format("another device: %s, was %s", is->sys_path ? is->sys_path : "?",
				   was->sys_path ? was->sys_path : "?");
	if (is->bytes != was->bytes)
		return number_differs("size", is->bytes, was->bytes);
	return NULL;
}

static char *lv_not_same(const struct facts *was, const struct facts *is)
{
	/* What the device tells when it is opened is just this, as one text. */
	if (differ(was->wwid, is->wwid))
		return text_format("another logical volume: %s, was %s", is->wwid, was->wwid);
	return is->wwid ? NULL : text_copy("it has no UUID");
}

static char *remote_not_same(const struct facts *was, const struct facts *is)
{
	if (strcmp(was->path, is->path))
		return text_format("another address: %s, was %s", is->path, was->path);
	if (differ(was->wwid, is->wwid))
		return text_format("another volume: %s, was %s", is->wwid, was->wwid);
	return is->bytes != was->bytes ? number_differs("size", is->bytes, was->bytes) : NULL;
}

bool facts_remote(const struct facts *facts)
{
	const struct volume_ops *ops = facts->kind ? volume_ops_by_kind(facts->kind) : NULL;

	/* An image file is opened by a server of ours, but it is a file. */
	return ops && ops->open && !volume_is_file(facts);
}

const char *facts_name(const struct facts *facts)
{
	const char *slash = strrchr(facts->path, '/');

	return facts->name ? facts->name : slash ? slash + 1 : facts->path;
}

static char *rbd_not_same(const struct facts *was, const struct facts *is)
{
	if (strcmp(was->qemu->pool, is->qemu->pool))
		return text_format("in pool %s now, was in %s", is->qemu->pool, was->qemu->pool);
	if (strcmp(was->qemu->id, is->qemu->id))
		return text_format("another image: id %s, was %s", is->qemu->id, was->qemu->id);
	return NULL;
}

char *facts_not_same(const struct facts *was, const struct facts *is, bool same_boot)
{
	if (!was->kind || !is->kind) {
		if (was->kind)
			return text_copy("it is not there any more");
		return is->kind ? text_copy("there was nothing of that name before") : NULL;
	}
	if (strcmp(was->kind, is->kind))
		return text_format("a %s now, was a %s", is->kind, was->kind);
	if (!strcmp(is->kind, lv_volume_ops.kind))
		return lv_not_same(was, is);
	/* When another host was restarted nobody knows here. */
	if (is->far && was->far)
		return facts_not_same(was->far, is->far, false);
	if (qemu_is_rbd(is))
		return rbd_not_same(was, is);
	if (facts_remote(is))
		return remote_not_same(was, is);
	return volume_is_file(is) ? facts_not_same_file(was, is, same_boot) : block_not_same(was, is, same_boot);
}

bool facts_tell_changes(const struct facts *was, bool same_boot)
{
	/* Its own host keeps watch over it. */
	if (facts_is_far(was))
		return true;
	/* Of what is elsewhere it never can, and nothing that we could do would change that. */
	return volume_is_file(was) || facts_remote(was) || (same_boot && was->written);
}

char *facts_changed(const struct facts *was, const struct facts *is, bool same_boot)
{
	if (is->bytes != was->bytes)
		return text_format("its size is %" PRIu64 " bytes, was %" PRIu64,
				   is->bytes, was->bytes);
	if (is->far && was->far)
		return facts_changed(was->far, is->far, false);
	/*
	 * The count of an LV begins anew each time that it is activated.  One that
	 * was not active then the job has activated, and counts from there on.
	 */
	if (!strcmp(is->kind, lv_volume_ops.kind) && is->diskseq != was->diskseq)
		return !same_boot || !was->diskseq ? NULL : text_format(
			"it was deactivated%s, and may have been written to",
			is->diskseq ? " and activated again" : "");
	if (is->mtime_ns != was->mtime_ns ||
	    (same_boot && was->written && is->written && is->written != was->written))
		return text_copy("it was written to");
	return NULL;
}

/* Is one the device that the other is a partition of, by their WWNs? */
static bool is_part_by_name(const struct facts *disk, const struct facts *part)
{
	size_t len = is_world_wide(disk->wwid) ? strlen(disk->wwid) : 0;

	return len && part->wwid && !strncmp(part->wwid, disk->wwid, len) &&
	       !strncmp(part->wwid + len, "-part", 5);
}

/* The same by sysfs or by their WWNs. */
static bool is_part_of(const struct facts *disk, const struct facts *part)
{
	size_t len = disk->sys_path ? strlen(disk->sys_path) : 0;

	return (len && part->sys_path && !strncmp(part->sys_path, disk->sys_path, len) &&
		part->sys_path[len] == '/') || is_part_by_name(disk, part);
}

/*
 * A disk of a storage network, or a logical volume on one, may be there on two
 * hosts at once: then only what it is called all over the world is the same.
 */
static bool is_shared(const struct facts *a, const struct facts *b)
{
	return (is_world_wide(a->wwid) && b->wwid && !strcmp(a->wwid, b->wwid)) ||
	       is_part_by_name(a, b) || is_part_by_name(b, a);
}

/* Is a loop over b?  A block device's identity is its device number and no inode. */
static bool stands_on(const struct facts *a, const struct facts *b)
{
	return a->backing_dev && a->backing_dev == b->dev && a->backing_ino == b->ino;
}

/* Is device one of the physical volumes that lv lies on (or its group's, for what is not there yet)? */
static bool lies_on(const struct lv_facts *lv, const struct facts *device)
{
	for (size_t i = 0; i < lv->pv_count; i++)
		if (lv->pvs[i].dev && lv->pvs[i].dev == device->dev)
			return true;
	return false;
}

/* Two volumes of one group: the same, snapshot and origin, or pool and thin volume? */
static bool lvs_overlap(const struct lv_facts *a, const struct lv_facts *b)
{
	if (strcmp(a->vg_uuid, b->vg_uuid))
		return false;
	if (!strcmp(a->uuid, b->uuid))
		return true;
	if (text_list_has(&a->snapshots, b->name) || text_list_has(&b->snapshots, a->name))
		return true;
	return (a->pool_uuid && !strcmp(a->pool_uuid, b->uuid)) ||
	       (b->pool_uuid && !strcmp(b->pool_uuid, a->uuid)) ||
	       (a->parent && !strcmp(a->parent, b->name)) || (b->parent && !strcmp(b->parent, a->name));
}

/* Is below among what the image stands on? */
static bool stands_on_file(const struct facts *image, const struct facts *below)
{
	return qemu_is_image(image) && below->path && text_list_has(&image->qemu->chain, below->path);
}

bool facts_overlap(const struct facts *a, const struct facts *b)
{
	if (!a->kind || !b->kind)
		return false;
	/* Two ways to one host may lead by two names; there the volume is held, too. */
	if (facts_is_far(a) || facts_is_far(b))
		return (a->kind == ssh_volume_ops.kind && b->kind == a->kind &&
			!strcmp(a->host, b->host) && facts_overlap(a->far, b->far)) ||
		       is_shared(facts_there(a), facts_there(b));
	if (a->kind == lv_volume_ops.kind && b->kind == lv_volume_ops.kind)
		return lvs_overlap(a->lv, b->lv);
	if (a->kind == lv_volume_ops.kind && b->kind == block_volume_ops.kind && lies_on(a->lv, b))
		return true;
	if (b->kind == lv_volume_ops.kind && a->kind == block_volume_ops.kind && lies_on(b->lv, a))
		return true;
	if (stands_on(a, b) || stands_on(b, a) || stands_on_file(a, b) || stands_on_file(b, a))
		return true;
	/* One file, called raw here and an image there. */
	if (volume_is_file(a) && volume_is_file(b))
		return a->dev == b->dev && a->ino == b->ino;
	if (strcmp(a->kind, b->kind))
		return false;
	if (qemu_is_rbd(a))
		return !strcmp(a->qemu->pool, b->qemu->pool) && !strcmp(a->qemu->id, b->qemu->id);
	if (facts_remote(a))
		return !strcmp(a->path, b->path) || (a->wwid && b->wwid && !strcmp(a->wwid, b->wwid));
	if (a->dev == b->dev && a->ino == b->ino)
		return true;
	/* Two paths to one LUN, or two loop devices over one file, are one volume. */
	if (is_world_wide(a->wwid) && b->wwid && !strcmp(a->wwid, b->wwid))
		return true;
	if (a->backing_dev && a->backing_dev == b->backing_dev &&
	    a->backing_ino == b->backing_ino && !(a->diskseq && a->diskseq == b->diskseq))
		return true;
	/* What is left of one attachment are the disk and its partitions. */
	return is_part_of(a, b) || is_part_of(b, a);
}
