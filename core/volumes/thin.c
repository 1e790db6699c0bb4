/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thin volumes and pools; see thin.h. */
#include "volumes/thin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "support/err.h"
#include "support/text.h"
#include "sys/dm.h"

#define SECTOR 512ULL
#define META_BLOCK 4096ULL
#define KIB 1024ULL
#define MIB (1024 * KIB)

/* A mapping takes 16 bytes of a leaf that may be a third full; and something for what is above. */
#define META_PER_CHUNK 64

uint64_t thin_pool_data_reserve(uint64_t data_total)
{
	uint64_t part = data_total / 50;

	return part < 32 * MIB ? 32 * MIB : part > 1024 * MIB ? 1024 * MIB : part;
}

uint64_t thin_pool_meta_reserve(uint64_t meta_total)
{
	uint64_t part = meta_total / 20;

	return part < 256 * KIB ? 256 * KIB : part > 16 * MIB ? 16 * MIB : part;
}

uint64_t thin_meta_needed(uint64_t data, uint64_t chunk)
{
	return (data + chunk - 1) / chunk * META_PER_CHUNK;
}

bool thin_parse_table(const char *text, unsigned *ret_major, unsigned *ret_minor, uint64_t *ret_id,
		      bool *ret_origin_outside)
{
	char origin[64];
	int n = sscanf(text, "%u:%u %" SCNu64 " %63s", ret_major, ret_minor, ret_id, origin);

	*ret_origin_outside = n > 3;
	return n >= 3;
}

bool thin_parse_status(const char *text, uint64_t *ret_mapped)
{
	uint64_t sectors;

	if (sscanf(text, "%" SCNu64, &sectors) != 1)
		return false;
	*ret_mapped = sectors * SECTOR;
	return true;
}

bool thin_parse_pool_table(const char *text, struct thin_pool *pool)
{
	unsigned major, minor, data_major, data_minor;
	uint64_t chunk;

	if (sscanf(text, "%u:%u %u:%u %" SCNu64, &major, &minor, &data_major, &data_minor, &chunk) != 5 ||
	    !chunk)
		return false;
	pool->metadata = makedev(major, minor);
	pool->chunk = chunk * SECTOR;
	pool->zeroes = !strstr(text, "skip_block_zeroing");
	pool->discards = !strstr(text, "ignore_discard");
	return true;
}

bool thin_parse_pool_status(const char *text, struct thin_pool *pool)
{
	uint64_t transaction, meta_used, meta_total, data_used, data_total;
	char root[32], mode[32];

	pool->writable = false;
	if (!strncmp(text, "Fail", 4) || !strncmp(text, "Error", 5)) {
		pool->fails = true;
		snprintf(pool->mode, sizeof(pool->mode), "%s", *text == 'F' ? "Fail" : "Error");
		return true;
	}
	if (sscanf(text, "%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%" SCNu64 " %31s %31s",
		   &transaction, &meta_used, &meta_total, &data_used, &data_total, root, mode) != 7)
		return false;
	pool->meta_used = meta_used * META_BLOCK;
	pool->meta_total = meta_total * META_BLOCK;
	pool->data_used = data_used * pool->chunk;
	pool->data_total = data_total * pool->chunk;
	pool->root = strcmp(root, "-") ? strtoull(root, NULL, 10) : 0;
	snprintf(pool->mode, sizeof(pool->mode), "%s%s", mode,
		 strstr(text, "needs_check") ? ", needs_check" : "");
	pool->writable = !strcmp(pool->mode, "rw");
	return true;
}

/* Device-mapper's name of a device; empty: it is none of its. */
static void name_of(dev_t dev, char name[static THIN_NAME_MAX])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/name", major(dev), minor(dev));
	f = fopen(path, "re");
	*name = '\0';
	if (!f)
		return;
	if (!fgets(name, THIN_NAME_MAX, f))
		*name = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
}

static int not_understood(const char *name, const char *what, struct err *err)
{
	return err_set(err, ERR_FAILED, name, "device-mapper's %s of it is not understood", what);
}

int thin_pool_look(const char *name, struct thin_pool *ret, struct err *err)
{
	struct dm_lines table = DM_LINES_INIT, status = DM_LINES_INIT;
	struct thin_pool pool = { 0 };
	struct dm_device device;
	int result = -1;

	snprintf(pool.name, sizeof(pool.name), "%s", name);
	if (dm_inspect(name, &device, err) < 0)
		goto out;
	if (!device.exists) {
		err_sys(err, ENXIO, name, "the thin pool is not active");
		goto out;
	}
	snprintf(pool.uuid, sizeof(pool.uuid), "%s", device.uuid);
	if (dm_table(name, &table, err) < 0 || dm_status(name, &status, err) < 0)
		goto out;
	if (table.count != 1 || strcmp(table.items[0].type, "thin-pool") ||
	    !thin_parse_pool_table(table.items[0].text, &pool)) {
		not_understood(name, "table", err);
		goto out;
	}
	name_of(pool.metadata, pool.metadata_name);
	if (status.count != 1 || !thin_parse_pool_status(status.items[0].text, &pool)) {
		not_understood(name, "status", err);
		goto out;
	}
	*ret = pool;
	result = 0;
out:
	dm_lines_free(&table);
	dm_lines_free(&status);
	return result;
}

int thin_pool_look_again(struct thin_pool *pool, struct err *err)
{
	struct dm_lines status = DM_LINES_INIT;
	struct thin_pool now = *pool;
	int result = -1;

	/* One that fails does not tell. */
	now.fails = false;
	now.root = 0;
	if (dm_status(pool->name, &status, err) < 0) {
		if (err->number == ENXIO)
			err_sys(err, ENXIO, pool->name, "the thin pool is not active");
	} else if (status.count != 1 || strcmp(status.items[0].type, "thin-pool") ||
		   !thin_parse_pool_status(status.items[0].text, &now)) {
		not_understood(pool->name, "status", err);
	} else {
		*pool = now;
		result = 0;
	}
	dm_lines_free(&status);
	return result;
}

int thin_look(dev_t dev, struct thin_volume *ret, struct err *err)
{
	struct dm_lines table = DM_LINES_INIT, status = DM_LINES_INIT;
	struct thin_volume thin = { 0 };
	char pool[THIN_NAME_MAX];
	unsigned pool_major, pool_minor;
	int result = -1;

	name_of(dev, thin.name);
	if (!*thin.name)
		return 0;
	if (dm_table(thin.name, &table, err) < 0)
		goto out;
	if (table.count != 1 || strcmp(table.items[0].type, "thin")) {
		result = 0;
		goto out;
	}
	if (!thin_parse_table(table.items[0].text, &pool_major, &pool_minor, &thin.id,
			      &thin.origin_outside)) {
		not_understood(thin.name, "table", err);
		goto out;
	}
	if (dm_status(thin.name, &status, err) < 0)
		goto out;
	name_of(makedev(pool_major, pool_minor), pool);
	if (thin_pool_look(pool, &thin.pool, err) < 0)
		goto out;
	if (!thin.pool.fails && (status.count != 1 ||
				 !thin_parse_status(status.items[0].text, &thin.mapped))) {
		not_understood(thin.name, "status", err);
		goto out;
	}
	*ret = thin;
	result = 1;
out:
	dm_lines_free(&table);
	dm_lines_free(&status);
	return result;
}

static int is_short(const struct thin_pool *pool, const char *what, uint64_t used, uint64_t total,
		    uint64_t reserve, struct err *err)
{
	char is_free[TEXT_SIZE_MAX], of[TEXT_SIZE_MAX], left[TEXT_SIZE_MAX];

	if (used <= total && total - used >= reserve)
		return 0;
	return err_set(err, ERR_STOPPED, pool->name,
		       "the thin pool is nearly full: %s of %s are free for %s, and %s are left alone: extend it (lvextend%s) or free some of it",
		       text_size(used < total ? total - used : 0, is_free), text_size(total, of),
		       what, text_size(reserve, left),
		       *what == 'm' ? " --poolmetadatasize" : "");
}

int thin_pool_has_room(const struct thin_pool *pool, struct err *err)
{
	if (!pool->writable)
		return err_set(err, ERR_STOPPED, pool->name, "the thin pool takes no writes (%s)",
			       pool->mode);
	if (is_short(pool, "data", pool->data_used, pool->data_total,
		     thin_pool_data_reserve(pool->data_total), err) < 0)
		return -1;
	return is_short(pool, "metadata", pool->meta_used, pool->meta_total,
			thin_pool_meta_reserve(pool->meta_total), err);
}
