/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD exports as volumes.  They cannot be made or removed, and who uses them elsewhere nobody tells. */
#include "volumes/nbd_volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/nbd.h"
#include "sys/nbddev.h"
#include "volumes/look.h"
#include "volumes/spec.h"

#define MIB (1024U * 1024)
#define BLOCK 4096U
#define GRANULARITY_MAX 65536U
#define LOOK_MS 10000			/* how long a server may take for each answer while it is looked at */
#define MAP_NS 2000000000ULL		/* how long its map may take */
#define CONNECTIONS_FROM (64U * MIB)	/* a smaller volume is not worth several connections */

/* How much of it is not known to be zero; all of it where that takes too long to find out. */
static uint64_t allocated(struct nbd *nbd, uint64_t bytes)
{
	uint64_t until_ns = clock_ns() + MAP_NS, sum = 0, start, end = 0;
	struct err ignored = ERR_INIT;

	if (!nbd_export_info(nbd)->has_map)
		return bytes;
	while (end < bytes) {
		if (clock_ns() > until_ns || nbd_export_next_data(nbd, end, &start, &end, &ignored) < 0)
			return bytes;
		sum += end - start;
	}
	return sum;
}

/* A piece of the export at the same place of a file.  Unreadable parts stay holes: blkid sees nothing there. */
static int carry(struct nbd *nbd, int fd, uint64_t from, size_t length, struct err *err)
{
	char *data = malloc(length);
	int ret = 0;

	if (!data)
		abort();
	if (nbd_export_read(nbd, data, length, from, err) < 0)
		ret = -1;
	else if (pwrite(fd, data, length, (off_t)from) != (ssize_t)length)
		ret = err_sys(err, errno, NULL, "no memory to look into it");
	free(data);
	return ret;
}

/* Its first and its last MiB tell what it holds, as far as it has a name for that. */
static int look_at_ends(struct nbd *nbd, struct facts *facts, struct err *err)
{
	size_t head = facts->bytes < MIB ? (size_t)facts->bytes : MIB;
	uint64_t tail = facts->bytes > MIB ? (facts->bytes - MIB) / BLOCK * BLOCK : 0;
	struct err unreadable = ERR_INIT;
	int fd = memfd_create("volmig-look", MFD_CLOEXEC);
	int ret = -1;

	if (tail < head)
		tail = head;
	if (fd < 0 || ftruncate(fd, (off_t)facts->bytes) < 0) {
		look_refuse_sys(err, errno, facts->spec, "no memory to look into it");
		goto out;
	}
	if ((head && carry(nbd, fd, 0, head, &unreadable) < 0) ||
	    (tail < facts->bytes && carry(nbd, fd, tail, (size_t)(facts->bytes - tail), &unreadable) < 0)) {
		if (nbd_export_lost(nbd)) {
			*err = unreadable;
			goto out;
		}
		/* It may be worth saving; but it is not known to be empty. */
		facts->signature = text_format("unreadable (%s)", strerror(unreadable.number));
		ret = 0;
		goto out;
	}
	ret = look_inside(fd, facts, err);
out:
	if (fd >= 0)
		close(fd);
	return ret;
}

int nbd_volume_look(struct nbd *nbd, unsigned flags, struct facts *facts, struct err *err)
{
	const struct nbd_info *info = nbd_export_info(nbd);

	facts->bytes = info->bytes;
	facts->sector = info->block_min;
	facts->read_only = info->read_only;
	facts->no_flush = !info->can_flush && !info->can_fua;
	if (!info->bytes)
		return err_set(err, ERR_REFUSED, facts->spec, "the server has nothing in it: its size is 0 bytes");
	facts->allocated = allocated(nbd, info->bytes);
	if (!(flags & INSPECT_OUTSIDE) && look_at_ends(nbd, facts, err) < 0) {
		err->class = ERR_REFUSED;
		return -1;
	}
	return 0;
}

/*
 * What a new volume of it is called: as the export, or its socket, or else its
 * host.  With what is no good in a name left out.
 */
static char *name_of(const char *uri)
{
	const char *rest = strstr(uri, "://") + 3, *slash = strchr(rest, '/');
	const char *host_end = rest + strcspn(rest, "/?#"), *at = memchr(rest, '@', (size_t)(host_end - rest));
	const char *from = slash ? slash + 1 : "", *end = from + strcspn(from, "?#");
	const char *socket = strstr(uri, "socket=");
	char *name, *to;

	if (from == end && socket) {
		from = socket + strlen("socket=");
		end = from + strcspn(from, "&;#");
	} else if (from == end) {
		from = at ? at + 1 : rest;
		end = from + strcspn(from, ":/?#");
	}
	for (const char *c = from; c < end; c++)
		if (*c == '/' && c + 1 < end)
			from = c + 1;
	name = text_format("%.*s", (int)(end - from), from);
	to = name;
	for (const char *c = name; *c; c++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-", *c) &&
		    (to > name || (*c != '.' && *c != '-')))
			*to++ = *c;
	*to = '\0';
	if (!*name) {
		free(name);
		return text_copy("export");
	}
	return name;
}

static int nbd_inspect(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err)
{
	struct nbd *nbd = NULL;
	struct nbddev device;
	int ret;

	facts->path = text_copy(spec->remote);
	if (nbd_export_open_uri(&nbd, spec->remote, spec->text, LOOK_MS, err) < 0) {
		/* Nothing was touched. */
		if (err->class == ERR_FAILED)
			err->class = ERR_REFUSED;
		return -1;
	}
	facts->kind = nbd_volume_ops.kind;
	facts->name = name_of(spec->remote);
	if ((flags & INSPECT_USES) && nbddev_of_export(facts->path, &device))
		text_list_add(&facts->uses, text_format("attached to this host as /dev/nbd%u", device.number));
	ret = nbd_volume_look(nbd, flags, facts, err);
	nbd_export_close(nbd);
	return ret;
}

int nbd_volume_setup(struct volume *vol, struct nbd *nbd, unsigned flags, uint64_t patience_ms,
		     struct err *err)
{
	const struct nbd_info *info = nbd_export_info(nbd);

	vol->nbd = nbd;
	nbd_export_set_limit(nbd, patience_ms);
	if ((flags & OPEN_WRITE) && info->read_only)
		return err_set(err, ERR_REFUSED, vol->path, "the server exports it read-only");
	if (info->block_max < BLOCK)
		return err_set(err, ERR_FAILED, vol->path,
			       "the server takes no more than %u bytes at a time, and that is too little",
			       info->block_max);
	vol->bytes = info->bytes;
	vol->align = info->block_min;
	vol->request_most = info->block_max - info->block_max % BLOCK;
	vol->granularity = info->block_preferred > GRANULARITY_MAX ? GRANULARITY_MAX : info->block_preferred;
	if (vol->granularity < BLOCK)
		vol->granularity = BLOCK;
	if (vol->granularity & (vol->granularity - 1))
		vol->granularity = BLOCK;
	if (vol->granularity < vol->align)
		vol->granularity = vol->align;
	vol->blind = !info->has_map;
	vol->no_flush = !info->can_flush && !info->can_fua;
	if (vol->bytes >= CONNECTIONS_FROM && !(flags & OPEN_BRIEFLY))
		nbd_export_connections(nbd, NBD_CONNECTIONS_MOST);
	return 0;
}

static int nbd_open(struct volume *vol, const struct facts *facts, unsigned flags, uint64_t patience_ms,
		    struct err *err)
{
	struct nbd *nbd = NULL;

	if (nbd_export_open_uri(&nbd, facts->path, facts->path,
				patience_ms && patience_ms < LOOK_MS ? patience_ms : LOOK_MS, err) < 0)
		return -1;
	return nbd_volume_setup(vol, nbd, flags, patience_ms, err);
}

int nbd_volume_next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start,
			 uint64_t *ret_end, struct err *err)
{
	return nbd_export_next_data(vol->nbd, offset, ret_start, ret_end, err);
}

int nbd_volume_zero(struct volume *vol, uint64_t offset, uint64_t length, enum zero_how how,
		    struct err *err)
{
	return nbd_export_zero(vol->nbd, offset, length, how == ZERO_KEEP, err);
}

const struct volume_ops nbd_volume_ops = {
	.kind		= "nbd",
	.spec_kind	= SPEC_NBD,
	.inspect	= nbd_inspect,
	.open		= nbd_open,
	.next_data	= nbd_volume_next_data,
	.zero		= nbd_volume_zero,
};
