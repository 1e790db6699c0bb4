/* SPDX-License-Identifier: GPL-2.0-or-later */
/* multipathd, by its socket: a length as the machine's size_t, and so many bytes, in both directions. */
#include "sys/multipath.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/blkdev.h"

#define SOCKET_NAME "/org/kernel/linux/storage/multipathd"	/* abstract; in older and newer versions */
#define LIMIT_MS 10000
#define REPLY_MAX (16U << 20)

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path + 1, SOCKET_NAME, strlen(SOCKET_NAME));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(SOCKET_NAME))) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool multipath_runs(void)
{
	int fd = dial();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Move all of it one way, until the time is over.  0, or a negative errno. */
static int move_all(int fd, void *data, size_t length, bool out, uint64_t until_ns)
{
	char *at = data;

	while (length) {
		ssize_t n = out ? send(fd, at, length, MSG_NOSIGNAL) : recv(fd, at, length, 0);

		if (n == 0)
			return -ECONNRESET;
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			struct pollfd ready = { .fd = fd, .events = out ? POLLOUT : POLLIN };

			if (clock_ns() >= until_ns)
				return -ETIMEDOUT;
			poll(&ready, 1, 100);
		} else {
			return -errno;
		}
	}
	return 0;
}

/* Its answer, to be freed; NULL: it gave none. */
static char *ask(const char *command, struct err *err)
{
	uint64_t until = clock_ns() + LIMIT_MS * 1000000ULL;
	size_t length = strlen(command) + 1;
	char *reply = NULL;
	int fd = dial(), rc = fd < 0 ? -errno : move_all(fd, &length, sizeof(length), true, until);

	if (rc == 0)
		rc = move_all(fd, (void *)command, length, true, until);
	if (rc == 0)
		rc = move_all(fd, &length, sizeof(length), false, until);
	if (rc == 0 && length > REPLY_MAX)
		rc = -EMSGSIZE;
	if (rc == 0) {
		reply = text_alloc(length + 1, 1);
		rc = move_all(fd, reply, length, false, until);
	}
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		free(reply);
		reply = NULL;
		err_sys(err, -rc, "multipathd", "does not answer");
	}
	return reply;
}

/* How many paths the map has; *ret_has: is the disk one of them? */
static unsigned count_paths(const json_t *map, const char *disk, bool *ret_has)
{
	const json_t *group, *path;
	unsigned count = 0;
	size_t i, k;

	*ret_has = false;
	json_array_foreach(json_object_get(map, "path_groups"), i, group)
		json_array_foreach(json_object_get(group, "paths"), k, path) {
			const char *name = json_get_string(path, "dev");

			count++;
			*ret_has = *ret_has || (name && !strcmp(name, disk));
		}
	return count;
}

int multipath_map_of(const char *disk, struct multipath_map *ret_map, struct err *err)
{
	char *reply;
	json_t *json;
	const json_t *map;
	size_t i;
	int ret = 0;

	if (!multipath_runs())
		return 0;
	reply = ask("show maps json", err);
	if (!reply)
		return -1;
	json = json_loads(reply, 0, NULL);
	free(reply);
	if (!json)
		return err_set(err, ERR_FAILED, "multipathd", "its list of maps cannot be understood");
	json_array_foreach(json_object_get(json, "maps"), i, map) {
		const char *name = json_get_string(map, "name"), *uuid = json_get_string(map, "uuid");
		const char *sysfs = json_get_string(map, "sysfs");
		bool has;
		unsigned paths = count_paths(map, disk, &has);

		if (!has || !name || !uuid || !sysfs)
			continue;
		*ret_map = (struct multipath_map){ .dev = blkdev_by_name(sysfs), .paths = paths };
		snprintf(ret_map->name, sizeof(ret_map->name), "%s", name);
		snprintf(ret_map->uuid, sizeof(ret_map->uuid), "%s", uuid);
		ret = ret_map->dev ? 1 : 0;
	}
	json_decref(json);
	return ret;
}

int multipath_remove(const struct multipath_map *map, struct err *err)
{
	char *command = text_format("del map %s", map->name), *reply = ask(command, err);
	char *wanted = text_format("mpath-%s", map->uuid);
	int ret = reply ? 0 : -1;

	free(command);
	/* It is taken away with a moment's delay, or not at all; and "ok" is all that is said. */
	for (int i = 0; ret == 0 && i < 100; i++) {
		char *uuid = blkdev_attr(map->dev, "dm/uuid");
		bool gone = !uuid || strcmp(uuid, wanted);

		free(uuid);
		if (gone)
			goto out;
		clock_sleep_ms(50);
	}
	if (ret == 0) {
		ret = err_set(err, ERR_REFUSED, map->name, "multipathd does not let go of it: %.100s", reply);
		err_next(err, "see what uses it: dmsetup info -c %s", map->name);
	}
out:
	free(wanted);
	free(reply);
	return ret;
}
