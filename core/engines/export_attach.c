/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An NBD export as a device of this host's kernel, found again by its mark. */
#include "engines/export_attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/host_attach.h"
#include "engines/record_file.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/json.h"
#include "sys/hash.h"
#include "sys/nbd.h"
#include "sys/nbddev.h"
#include "sys/procs.h"
#include "sys/uses.h"
#include "sys/uuid.h"
#include "volumes/volume.h"

#define RECORD_VERSION 1
#define CONNECT_MS 10000
#define REQUEST_SECONDS 30	/* a server that is silent for so long is gone */
#define SECTOR 512U
#define SECTOR_MOST 4096U
#define KERNEL_REQUEST (128U << 10)	/* the longest that the kernel asks for by itself */
#define READERS_MS 1000		/* udev and friends look at devices for a moment */
#define POLL_MS 250

struct now {
	int dirfd;			/* of the records, locked; -1: there are none */
	char *name;			/* of the record */
	struct export_record record;	/* uri NULL: there is none */
	struct nbddev device;
	bool live;			/* device is there, and is the recorded one */
};

/* ---- the record ---- */

void export_record_free(struct export_record *record)
{
	free(record->uri);
	free(record->mark);
	*record = (struct export_record){ 0 };
}

int export_record_read(int dirfd, const char *name, struct export_record *ret, struct err *err)
{
	json_t *json = NULL;
	const char *boot, *uri, *mark;
	char this_boot[UUID_TEXT_SIZE];
	int found = record_file_read(dirfd, name, &json, err);

	if (found <= 0)
		return found;
	boot = json_get_string(json, "boot");
	uri = json_get_string(json, "export");
	mark = json_get_string(json, "mark");
	if (json_get_u64(json, "volmig_export") != RECORD_VERSION || !boot || !uri || !mark || !*mark) {
		json_decref(json);
		err_set(err, ERR_REFUSED, name, "the record of an attached export cannot be understood");
		return err_next(err, "look at /sys/block/nbd*/backend, release what is attached (nbd-client -d), "
				"then remove the record");
	}
	*ret = (struct export_record){
		.uri = text_copy(uri),
		.mark = text_copy(mark),
		.readonly = json_get_bool(json, "readonly"),
		.current = *boot && !strcmp(boot, uuid_of_boot(this_boot)),
	};
	json_decref(json);
	return 1;
}

static int write_record(const struct now *now, struct err *err)
{
	json_t *json = json_object();
	char boot[UUID_TEXT_SIZE];
	int ret;

	json_put(json, "volmig_export", json_integer(RECORD_VERSION));
	json_put(json, "boot", json_string(uuid_of_boot(boot)));
	json_put(json, "export", json_string(now->record.uri));
	json_put(json, "mark", json_string(now->record.mark));
	json_put(json, "readonly", json_boolean(now->record.readonly));
	ret = record_file_write(now->dirfd, now->name, json, err);
	json_decref(json);
	return ret;
}

/* ---- looking ---- */

struct mark_search {
	const char *mark;
	struct nbddev *ret;
};

static int match_mark(const struct nbddev *device, void *data)
{
	struct mark_search *search = data;

	if (strcmp(device->marker, search->mark))
		return 0;
	*search->ret = *device;
	return 1;
}

static int look_at(const char *uri, const char *dir, bool make, struct now *now, struct err *err)
{
	struct hash hash = hash_of(uri, strlen(uri));
	char hex[HASH_HEX];

	*now = (struct now){ .dirfd = -1, .name = text_format(EXPORT_RECORD_PREFIX "%s.json", hash_hex(&hash, hex)) };
	if (record_dir_open(dir, make, &now->dirfd, err) < 0 ||
	    export_record_read(now->dirfd, now->name, &now->record, err) < 0)
		return -1;
	if (now->record.current) {
		struct mark_search search = { now->record.mark, &now->device };

		now->live = nbddev_each(match_mark, &search);
	}
	return 0;
}

static void end_look(struct now *now)
{
	if (now->dirfd >= 0)
		close(now->dirfd);
	free(now->name);
	export_record_free(&now->record);
}

static void fill(const struct now *now, struct host_attachment *ret)
{
	snprintf(ret->device, sizeof(ret->device), "/dev/nbd%u", now->device.number);
	ret->readonly = now->record.readonly;
}

int export_attached(const char *uri, bool readonly, const char *dir, struct host_attachment *ret,
		    struct err *err)
{
	struct now now;
	int rc = look_at(uri, dir, false, &now, err);

	*ret = (struct host_attachment){ .readonly = readonly, .already = rc == 0 && now.live };
	if (rc == 0 && now.live) {
		fill(&now, ret);
		rc = 1;
		if (now.record.readonly != readonly) {
			rc = err_set(err, ERR_REFUSED, uri, "attached already, but %s",
				     now.record.readonly ? "read-only" : "for reading and writing");
			err_next(err, "detach it first");
		} else if (!nbddev_answers(&now.device)) {
			rc = err_set(err, ERR_FAILED, uri,
				     "attached already as %s, but the server does not answer any more", ret->device);
			err_next(err, "the device never comes back to it: volmig detach %s, then attach it again",
				 ret->device);
		}
	}
	end_look(&now);
	return rc;
}

/* ---- attaching ---- */

static int check(const struct facts *facts, bool readonly, struct err *err)
{
	if (facts->read_only && !readonly) {
		err_set(err, ERR_REFUSED, facts->spec, "it cannot be written to");
		return err_next(err, "attach it with --readonly");
	}
	if (facts->bytes < SECTOR)
		return err_set(err, ERR_REFUSED, facts->spec, "smaller than one sector");
	return 0;
}

static int connect_server(const struct facts *facts, struct nbd **ret, uint32_t *ret_sector, struct err *err)
{
	const struct nbd_info *info;

	if (nbd_export_open_plain(ret, facts->path, facts->spec, CONNECT_MS, err) < 0)
		return -1;
	info = nbd_export_info(*ret);
	*ret_sector = info->block_min < SECTOR ? SECTOR : info->block_min;
	if (info->tls) {
		err_set(err, ERR_REFUSED, facts->spec, "the kernel's NBD client speaks no TLS");
		return err_next(err, "have a program of yours do that: nbdkit --unix SOCKET nbd uri='%s', "
				"then attach 'nbd+unix:///?socket=SOCKET'", facts->spec);
	}
	if (*ret_sector > SECTOR_MOST)
		return err_set(err, ERR_REFUSED, facts->spec, "the server wants blocks of %u bytes, the kernel "
			       "has none above %u", info->block_min, SECTOR_MOST);
	if (info->block_max < KERNEL_REQUEST)
		return err_set(err, ERR_REFUSED, facts->spec, "the server takes no more than %u bytes at a time, "
			       "the kernel asks for up to %u", info->block_max, KERNEL_REQUEST);
	if (info->bytes != facts->bytes)
		return err_set(err, ERR_REFUSED, facts->spec, "its size has just changed");
	return 0;
}

static void describe(const struct facts *facts, const struct now *now, struct host_attachment *ret)
{
	uint64_t rest = facts->bytes - now->device.bytes;

	fill(now, ret);
	if (rest)
		snprintf(ret->note, sizeof(ret->note),
			 "the last %u bytes are no whole sector and not part of the device", (unsigned)rest);
	else if (facts->no_flush && !ret->readonly)
		snprintf(ret->note, sizeof(ret->note),
			 "the server cannot be told to make durable what was written");
}

/* One connection: with several the kernel tries a request on each of them in turn, and waits as often. */
static int make_device(const struct facts *facts, bool readonly, struct now *now, struct err *err)
{
	uint64_t seconds = REQUEST_SECONDS;
	struct nbd *nbd = NULL;
	struct err ignored = ERR_INIT;
	char mark[NBDDEV_MARKER_SIZE];
	uint32_t sector;
	int fd = -1, ret = -1;

	inject_number("nbd-silence", &seconds);
	if (connect_server(facts, &nbd, &sector, err) < 0)
		goto out;
	fd = nbd_export_take_socket(nbd);
	if (fd < 0) {
		err_sys(err, errno, facts->spec, "cannot hand its connection to the kernel");
		goto out;
	}
	nbddev_mark(facts->path, mark);
	export_record_free(&now->record);
	now->record = (struct export_record){
		.uri = text_copy(facts->path),
		.mark = text_copy(mark),
		.readonly = readonly,
	};
	if (write_record(now, err) < 0)
		goto out;
	inject_kill_at("kill-attach", 1);
	if (nbddev_connect(fd, nbd_export_info(nbd), sector, readonly, (unsigned)seconds, now->record.mark,
			   &now->device, err) < 0) {
		record_file_remove(now->dirfd, now->name, &ignored);
		goto out;
	}
	inject_kill_at("kill-attach", 2);
	ret = 0;
out:
	if (fd >= 0)
		close(fd);
	nbd_export_close(nbd);
	return ret;
}

int export_attach(const struct facts *facts, bool readonly, bool look, const char *dir,
		  struct host_attachment *ret, struct err *err)
{
	const char *missing = nbddev_missing(!look);
	struct now now;
	int rc;

	*ret = (struct host_attachment){ .readonly = readonly };
	if (missing) {
		err_set(err, ERR_REFUSED, facts->spec, "no device of this host is made of it: %s", missing);
		return err_next(err, geteuid() ? "run it as root" : "modprobe nbd tells why");
	}
	if (check(facts, readonly, err) < 0)
		return -1;
	if (look)
		return 0;
	rc = look_at(facts->path, dir, true, &now, err);
	/* Somebody was faster. */
	if (rc == 0 && now.live && now.record.readonly != readonly)
		rc = err_set(err, ERR_REFUSED, facts->spec, "has just been attached in the other way");
	else if (rc == 0 && now.live)
		ret->already = true;
	else if (rc == 0)
		rc = make_device(facts, readonly, &now, err);
	if (rc == 0)
		describe(facts, &now, ret);
	end_look(&now);
	return rc;
}

/* ---- detaching ---- */

/* Readers, too, would get nothing but errors from then on. */
static int check_uses(const struct now *now, const char *path, struct err *err)
{
	struct procs_target target = { .devs = &now->device.dev, .dev_count = 1, .readers = true };
	struct text_list uses = { 0 };

	uses_of_block(path, now->device.dev, &uses);
	for (unsigned ms = 0; !uses.count; ms += POLL_MS) {
		procs_open(&target, &uses);
		if (!uses.count || ms >= READERS_MS)
			break;
		text_list_free(&uses);
		clock_sleep_ms(POLL_MS);
	}
	return uses_refuse(path, &uses, err);
}

static int release(const struct now *now, struct host_attachment *ret, struct err *err)
{
	int rc = nbddev_disconnect(&now->device, true, err);

	/* It failed to flush, or took too long: is it the server, or is there none any more? */
	if (rc < 0 && err->class == ERR_FAILED && !nbddev_answers(&now->device)) {
		*err = (struct err)ERR_INIT;
		rc = nbddev_disconnect(&now->device, false, err);
		if (rc >= 0)
			snprintf(ret->note, sizeof(ret->note),
				 "the server had gone: what was not on its stable storage by then is lost");
	} else if (rc == 1) {
		snprintf(ret->note, sizeof(ret->note), "somebody has the device open still, and gets errors from it");
	}
	return rc < 0 ? -1 : 0;
}

int export_detach(const char *uri, bool look, const char *dir, struct host_attachment *ret,
		  uint64_t *ret_bytes, struct err *err)
{
	struct now now;
	int rc = look_at(uri, dir, false, &now, err);

	*ret = (struct host_attachment){ .already = !now.live };
	*ret_bytes = now.device.bytes;
	if (rc == 0 && now.live) {
		fill(&now, ret);
		rc = check_uses(&now, ret->device, err);
		if (rc == 0 && !look)
			rc = release(&now, ret, err);
		inject_kill_at("kill-detach", 1);
	}
	if (rc == 0 && !look)
		rc = record_file_remove(now.dirfd, now.name, err);
	end_look(&now);
	return rc;
}

struct path_search {
	int dirfd;
	const char *marker;
	char *uri;
};

static int match_record(const char *name, void *data)
{
	struct path_search *search = data;
	struct export_record record = { 0 };
	struct err ignored = ERR_INIT;

	if (export_record_read(search->dirfd, name, &record, &ignored) == 1 && record.current &&
	    !strcmp(record.mark, search->marker))
		search->uri = text_copy(record.uri);
	export_record_free(&record);
	return search->uri != NULL;
}

char *export_attached_as(const char *path, const char *dir)
{
	struct path_search search = { .dirfd = -1 };
	struct err ignored = ERR_INIT;
	struct nbddev device;
	unsigned number;
	char rest;

	if (sscanf(path, "/dev/nbd%u%c", &number, &rest) != 1 || !nbddev_of(number, &device) ||
	    record_dir_open(dir, false, &search.dirfd, &ignored) < 0)
		return NULL;
	search.marker = device.marker;
	record_file_each(search.dirfd, EXPORT_RECORD_PREFIX, match_record, &search);
	if (search.dirfd >= 0)
		close(search.dirfd);
	return search.uri;
}
