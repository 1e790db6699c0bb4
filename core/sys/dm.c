/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device-mapper devices, by libdevmapper. */
#include "sys/dm.h"

#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "support/err.h"
#include "support/text.h"
#include "sys/blkdev.h"

/* The library talks to a callback; what it said last about an error is the reason. */
static char said[256];

__attribute__((format(printf, 5, 6)))
static void hear(int level, const char *file, int line, int number, const char *format, ...)
{
	va_list args;

	(void)file;
	(void)line;
	(void)number;
	/* As syslog: 3 is an error.  The first one tells most. */
	if ((level & 7) > 3 || *said)
		return;
	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

static struct dm_task *task_for(int type, const char *name, struct err *err)
{
	struct dm_task *task;

	said[0] = '\0';
	dm_log_with_errno_init(hear);
	task = dm_task_create(type);
	/* Nobody waits for udev here: no name comes or goes. */
	if (task && dm_task_set_name(task, name))
		return task;
	if (task)
		dm_task_destroy(task);
	err_set(err, ERR_FAILED, name, "cannot ask device-mapper: %s", *said ? said : "out of memory");
	return NULL;
}

static int task_failed(struct dm_task *task, const char *name, const char *what, struct err *err)
{
	int number = dm_task_get_errno(task);

	if (number) {
		err_sys(err, number, name, "device-mapper cannot %s", what);
	} else {
		err_set(err, ERR_FAILED, name, "device-mapper cannot %s: %s", what,
			*said ? said : "no reason given");
		err->number = EIO;
	}
	return -1;
}

static void task_end(struct dm_task *task)
{
	if (task)
		dm_task_destroy(task);
	dm_lib_release();
	dm_log_with_errno_init(NULL);
}

char *dm_lv_name(const char *vg, const char *lv, const char *layer)
{
	const char *parts[] = { vg, lv, layer };
	size_t size = 2 * (strlen(vg) + strlen(lv) + (layer ? strlen(layer) : 0)) + 3;
	char *name = text_format("%*s", (int)size, "");
	char *at = name;

	for (int i = 0; i < 3 && parts[i]; i++) {
		if (i)
			*at++ = '-';
		for (const char *c = parts[i]; *c; c++) {
			if (*c == '-' && i < 2)
				*at++ = '-';
			*at++ = *c;
		}
	}
	*at = '\0';
	return name;
}

/* "vg--0-a--b" and "vg-lv-layer": a hyphen that is not doubled separates.  The two parts of the name, or false. */
static bool split_name(const char *name, char *parts[static 2])
{
	size_t part = 0, out = 0;

	for (const char *c = name; *c; c++) {
		if (*c == '-' && c[1] != '-') {
			if (++part > 1)
				return false;
			out = 0;
			continue;
		}
		if (*c == '-')
			c++;
		parts[part][out++] = *c;
	}
	return part == 1;
}

bool dm_lv_of(dev_t dev, char **ret_vg, char **ret_lv)
{
	char *uuid = blkdev_attr(dev, "dm/uuid"), *name = blkdev_attr(dev, "dm/name");
	size_t room = name ? strlen(name) + 1 : 1;
	char *parts[2] = { text_alloc(room, 1), text_alloc(room, 1) };
	bool found = uuid && name && !strncmp(uuid, "LVM-", 4) && split_name(name, parts);

	free(uuid);
	free(name);
	if (!found) {
		free(parts[0]);
		free(parts[1]);
		return false;
	}
	*ret_vg = parts[0];
	*ret_lv = parts[1];
	return true;
}

static int inspect_task(struct dm_task *task, const char *name, struct dm_info *ret, struct err *err)
{
	if (!dm_task_run(task)) {
		if (dm_task_get_errno(task) == ENXIO) {
			*ret = (struct dm_info){ 0 };
			return 0;
		}
		return task_failed(task, name, "tell about it", err);
	}
	if (!dm_task_get_info(task, ret))
		return task_failed(task, name, "tell about it", err);
	return 0;
}

int dm_inspect(const char *name, struct dm_device *ret, struct err *err)
{
	struct dm_task *task = task_for(DM_DEVICE_INFO, name, err);
	struct dm_info info;
	int result;

	if (!task)
		return -1;
	result = inspect_task(task, name, &info, err);
	if (result == 0) {
		const char *uuid = info.exists ? dm_task_get_uuid(task) : NULL;

		*ret = (struct dm_device){ .exists = info.exists != 0 };
		if (ret->exists) {
			ret->suspended = info.suspended != 0;
			ret->read_only = info.read_only != 0;
			ret->dev = makedev(info.major, info.minor);
			ret->open_count = info.open_count;
			snprintf(ret->uuid, sizeof(ret->uuid), "%s", uuid ? uuid : "");
		}
	}
	task_end(task);
	return result;
}

static int read_lines(int type, const char *name, struct dm_lines *ret, struct err *err)
{
	struct dm_task *task = task_for(type, name, err);
	struct dm_lines lines = DM_LINES_INIT;
	struct dm_info info = { 0 };
	void *next = NULL;
	int result = -1;

	if (!task)
		return -1;
	dm_task_no_flush(task);
	if (inspect_task(task, name, &info, err) < 0)
		goto out;
	if (!info.exists) {
		err_sys(err, ENXIO, name, "no such device-mapper device");
		goto out;
	}
	do {
		struct dm_line *line;
		char *target = NULL, *text = NULL;
		uint64_t start = 0, length = 0;

		next = dm_get_next_target(task, next, &start, &length, &target, &text);
		if (!target)
			continue;
		lines.items = text_grow(lines.items, lines.count + 1, sizeof(*lines.items));
		line = &lines.items[lines.count++];
		*line = (struct dm_line){ .start = start, .length = length,
					  .text = text_copy(text ? text : "") };
		snprintf(line->type, sizeof(line->type), "%s", target);
	} while (next);
	*ret = lines;
	result = 0;
out:
	task_end(task);
	return result;
}

int dm_status(const char *name, struct dm_lines *ret, struct err *err)
{
	return read_lines(DM_DEVICE_STATUS, name, ret, err);
}

int dm_table(const char *name, struct dm_lines *ret, struct err *err)
{
	return read_lines(DM_DEVICE_TABLE, name, ret, err);
}

void dm_lines_free(struct dm_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].text);
	free(lines->items);
	*lines = (struct dm_lines)DM_LINES_INIT;
}

int dm_deps(const char *name, dev_t **ret_devs, size_t *ret_count, struct err *err)
{
	struct dm_task *task = task_for(DM_DEVICE_DEPS, name, err);
	struct dm_deps *deps;
	dev_t *devs = NULL;
	int result = -1;

	if (!task)
		return -1;
	if (!dm_task_run(task) || !(deps = dm_task_get_deps(task))) {
		task_failed(task, name, "tell what it stands on", err);
		goto out;
	}
	devs = text_alloc(deps->count + 1, sizeof(*devs));
	for (uint32_t i = 0; i < deps->count; i++)
		devs[i] = (dev_t)deps->device[i];
	*ret_count = deps->count;
	*ret_devs = devs;
	result = 0;
out:
	task_end(task);
	return result;
}

int dm_message(const char *name, uint64_t sector, const char *message,
	       char **ret_answer, struct err *err)
{
	struct dm_task *task = task_for(DM_DEVICE_TARGET_MSG, name, err);
	int result = -1;

	if (!task)
		return -1;
	if (!dm_task_set_sector(task, sector) || !dm_task_set_message(task, message) ||
	    !dm_task_run(task)) {
		char *what = text_format("do \"%s\"", message);

		task_failed(task, name, what, err);
		free(what);
	} else {
		const char *answer = dm_task_get_message_response(task);

		if (ret_answer)
			*ret_answer = answer ? text_copy(answer) : NULL;
		result = 0;
	}
	task_end(task);
	return result;
}

int dm_resume(const char *name, struct err *err)
{
	struct dm_task *task = task_for(DM_DEVICE_RESUME, name, err);
	int result;

	if (!task)
		return -1;
	result = dm_task_run(task) ? 0 : task_failed(task, name, "resume it", err);
	task_end(task);
	return result;
}

int dm_suspend(const char *name, struct err *err)
{
	struct dm_task *task = task_for(DM_DEVICE_SUSPEND, name, err);
	int result;

	if (!task)
		return -1;
	dm_task_skip_lockfs(task);
	result = dm_task_run(task) ? 0 : task_failed(task, name, "suspend it", err);
	task_end(task);
	return result;
}

/* ---- what some targets say ---- */

bool dm_parse_raid_status(const char *text, struct dm_raid_status *ret)
{
	struct dm_raid_status status = { 0 };

	if (sscanf(text, "%15s %u %63s %" SCNu64 "/%" SCNu64 " %15s %" SCNu64, status.level,
		   &status.legs, status.health, &status.done, &status.total, status.action,
		   &status.mismatches) != 7 || status.legs != strlen(status.health))
		return false;
	*ret = status;
	return true;
}

/* "2 98:0 254:0 29/32 1 AA 1 core": legs, their devices, regions, words about health, log. */
bool dm_parse_mirror_status(const char *text, struct dm_mirror_status *ret)
{
	struct dm_mirror_status status = { 0 };
	unsigned words;
	int used;

	if (sscanf(text, "%u%n", &status.legs, &used) != 1 || !status.legs || status.legs > 16)
		return false;
	text += used;
	for (unsigned i = 0; i < status.legs; i++) {
		used = 0;
		if (sscanf(text, " %*s%n", &used) != 0 || !used)
			return false;
		text += used;
	}
	if (sscanf(text, " %" SCNu64 "/%" SCNu64 " %u %63s", &status.done, &status.total, &words,
		   status.health) != 4 || words < 1 || strlen(status.health) != status.legs)
		return false;
	*ret = status;
	return true;
}
