/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which domains use a volume: each domain's XML is read, and each path in it looked at. */
#include "volumes/guests.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/err.h"
#include "support/inject.h"
#include "sys/virt.h"
#include "sys/virt_xml.h"
#include "volumes/backing.h"
#include "volumes/lv.h"
#include "volumes/volume.h"

#define URIS_MAX 8

static char *wanted_uri;
static struct virt *connection;
static struct virt *others[URIS_MAX];	/* of the second, the third, ... that is named */
static bool asked_before;

void guests_set_uri(const char *uri)
{
	if (wanted_uri == uri || (wanted_uri && uri && !strcmp(wanted_uri, uri)))
		return;
	virt_close(connection);
	connection = NULL;
	for (size_t i = 0; i < URIS_MAX; i++) {
		virt_close(others[i]);
		others[i] = NULL;
	}
	free(wanted_uri);
	wanted_uri = text_copy(uri);
}

/* ---- is there a libvirtd at all? ---- */

static bool listens(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error = 0;

	if (strlen(path) >= sizeof(address.sun_path) || access(path, F_OK) < 0)
		return false;
	strcpy(address.sun_path, path);
	/* Not to wait in a queue: that there is one is answer enough. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = errno;
	close(fd);
	return error != ECONNREFUSED && error != ENOENT;
}

/* The sockets of the monolithic daemon and of the one for QEMU alone. */
static bool local_daemon(void)
{
	static const char *const names[] = { "libvirt-sock", "virtqemud-sock" };
	const char *run = getenv("XDG_RUNTIME_DIR");
	bool found = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++) {
		char *path = geteuid() == 0 ? text_format("/run/libvirt/%s", names[i]) :
			     text_format("%s/libvirt/%s", run ? run : "/nonexistent", names[i]);

		found = listens(path);
		free(path);
	}
	return found;
}

const char *guests_uri(void)
{
	const char *uri = wanted_uri ? wanted_uri : getenv("LIBVIRT_DEFAULT_URI");

	return uri && *uri ? uri : NULL;
}

static int connect_once(const char *uri, struct virt **ret_virt, struct err *err)
{
	uint64_t limit_ms;

	if (!inject_number("virt-limit", &limit_ms))
		limit_ms = VIRT_LIMIT_MS;
	if (*ret_virt || virt_open(uri, limit_ms, ret_virt, err) == 0)
		return 0;
	err->class = ERR_REFUSED;
	err_context(err, "cannot ask which domains use a volume");
	return err_next(err, "start libvirtd or name another by --connect; --connect=none asks nobody, for volumes that are no guest's");
}

int guests_connection(struct virt **ret_virt, struct err *err)
{
	const char *uri = guests_uri();

	*ret_virt = NULL;
	if (uri && !strcmp(uri, "none"))
		return 0;
	if (!connection && !uri && !local_daemon()) {
		/* One that has gone while we work is not one that never was. */
		if (!asked_before)
			return 0;
		err_set(err, ERR_REFUSED, "libvirt", "the libvirtd that was asked before is gone");
		return err_next(err, "start it, then try again");
	}
	if (connect_once(uri, &connection, err) < 0)
		return -1;
	asked_before = true;
	*ret_virt = connection;
	return 0;
}

char *guests_unseen(void)
{
	glob_t found = { 0 };
	char *text = NULL;

	if (guests_uri() || geteuid() != 0 || local_daemon())
		return NULL;
	if (glob("/etc/libvirt/qemu/*.xml", GLOB_NOSORT, NULL, &found) == 0)
		text = text_format("libvirtd is not running, so that nobody can tell whether one of %zu domains uses a volume",
				   found.gl_pathc);
	globfree(&found);
	return text;
}

/* ---- is that path the volume? ---- */

/* What a path leads to, as far as it can be told without reading it; kind NULL: nothing. */
static void identify(const char *path, struct facts *ret)
{
	struct err ignored = ERR_INIT;
	struct stat st;
	int fd;

	*ret = (struct facts){ 0 };
	if (stat(path, &st) < 0)
		return;
	if (S_ISREG(st.st_mode)) {
		ret->kind = file_volume_ops.kind;
		ret->dev = st.st_dev;
		ret->ino = st.st_ino;
	} else if (S_ISBLK(st.st_mode)) {
		/* Loop devices, partitions and other paths to a disk are the disk. */
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || volume_identify(fd, path, ret, &ignored) < 0) {
			ret->kind = block_volume_ops.kind;
			ret->dev = st.st_rdev;
		}
		if (fd >= 0)
			close(fd);
	}
}

/* One that is not active has no device that could be looked at, only its names. */
static bool is_lv_name(const struct lv_facts *lv, const char *path)
{
	char *vg = NULL, *name = NULL;
	bool same = lv && lv->name && lv_names_of_path(path, &vg, &name) &&
		    !strcmp(vg, lv->vg_name) && !strcmp(name, lv->name);

	free(vg);
	free(name);
	return same;
}

static bool is_it(const struct facts *facts, const char *path)
{
	struct facts other;
	bool same;

	if (is_lv_name(facts->lv, path))
		return true;
	identify(path, &other);
	same = facts_overlap(facts, &other) || (facts->lv && facts->lv->dev && other.kind &&
						!other.ino && other.dev == facts->lv->dev);
	facts_free(&other);
	return same;
}

/* ---- one domain ---- */

/* A look at one XML of one domain. */
struct look {
	struct facts *facts;
	struct virt *virt;
	const struct virt_domain *domain;
	bool live;		/* the XML is that of the running domain */
	const char *xml;
};

/* The path of a source on this host, or NULL; free it. */
static char *local_path(const struct look *look, const struct virt_source *source)
{
	struct err err = ERR_INIT;
	char *path = NULL;
	const char *name = strrchr(look->facts->path, '/');

	if (source->path && *source->path == '/')
		return text_copy(source->path);
	if (!source->pool || !source->volume)
		return NULL;
	if (virt_volume_path(look->virt, source->pool, source->volume, &path, &err) == 0)
		return path;
	/* A pool that is not started cannot tell: then a name that is the same is one too many. */
	return name && !strcmp(name + 1, source->volume) ? text_copy(look->facts->path) : NULL;
}

static struct guest_use *same_use(const struct look *look, const char *role)
{
	for (size_t i = 0; i < look->facts->guest_count; i++) {
		struct guest_use *use = &look->facts->guests[i];

		if (!strcmp(use->uuid, look->domain->uuid) && !strcmp(use->role, role))
			return use;
	}
	return NULL;
}

static void add_use(const struct look *look, const char *role, const struct virt_disk *disk,
		    bool backing, bool mirror)
{
	struct facts *facts = look->facts;
	struct guest_use *use = same_use(look, role);

	if (!use) {
		facts->guests = text_grow(facts->guests, facts->guest_count + 1, sizeof(*facts->guests));
		use = &facts->guests[facts->guest_count++];
		*use = (struct guest_use){
			.domain = text_copy(look->domain->name),
			.role = text_copy(role),
			.disk = disk,
			.running = look->domain->running,
		};
		snprintf(use->uuid, sizeof(use->uuid), "%s", look->domain->uuid);
	}
	*(look->live ? &use->live : &use->config) = true;
	use->backing = use->backing || backing;
	use->mirror = use->mirror || mirror;
	if (disk) {
		const char *source = look->xml + disk->source_begin;
		size_t length = disk->source_end - disk->source_begin;

		use->readonly = disk->readonly;
		use->shareable = disk->shareable;
		free(use->device);
		use->device = text_copy(disk->device);
		use->bare = length > 1 && !memchr(source + 1, '<', length - 1) &&
			    !memmem(source, length, "startupPolicy", strlen("startupPolicy"));
	}
}

/* Does the image at path stand on the volume, as its header and those below it say? */
static bool stands_on_it(const struct facts *facts, const char *path)
{
	struct text_list below = { 0 };
	bool found = false;

	backing_all(path, &below);
	for (size_t i = 0; !found && i < below.count; i++)
		found = is_it(facts, below.items[i]);
	text_list_free(&below);
	return found;
}

static void look_at_disk(const struct look *look, const struct virt_disk *disk)
{
	const char *role = disk->target ? disk->target : "?";
	char *path = local_path(look, &disk->source);

	if (path && is_it(look->facts, path))
		add_use(look, role, disk, false, false);
	else if (path && !(disk->format && !strcmp(disk->format, "raw")) &&
		 stands_on_it(look->facts, path))
		add_use(look, role, disk, true, false);
	free(path);
	for (size_t i = 0; i < disk->backing_count; i++) {
		path = local_path(look, &disk->backing[i]);
		if (path && (is_it(look->facts, path) || stands_on_it(look->facts, path)))
			add_use(look, role, disk, true, false);
		free(path);
	}
	path = disk->mirrored ? local_path(look, &disk->mirror) : NULL;
	if (path && is_it(look->facts, path))
		add_use(look, role, disk, false, true);
	free(path);
}

static int look_at_xml(struct look *look, struct err *err)
{
	struct virt_disks disks = { 0 };
	char *xml = NULL;
	int ret = -1;

	if (virt_xml(look->virt, look->domain->uuid, !look->live, &xml, err) < 0 ||
	    virt_xml_disks(xml, &disks, err) < 0)
		goto out;
	look->xml = xml;
	for (size_t i = 0; i < disks.count; i++)
		look_at_disk(look, &disks.items[i]);
	for (size_t i = 0; i < disks.boot_paths.count; i++)
		if (is_it(look->facts, disks.boot_paths.items[i]))
			add_use(look, disks.boot_roles.items[i], NULL, false, false);
	ret = 0;
out:
	/* One that has gone since it was listed uses nothing. */
	if (ret < 0 && err->number == ENOENT)
		ret = 0;
	virt_disks_free(&disks);
	free(xml);
	return ret;
}

static int look_at_domain(struct facts *facts, struct virt *virt, const struct virt_domain *domain,
			  struct err *err)
{
	struct look look = { .facts = facts, .virt = virt, .domain = domain };

	if (domain->persistent && look_at_xml(&look, err) < 0)
		return -1;
	look.live = true;
	return domain->running ? look_at_xml(&look, err) : 0;
}

/* ---- what is known of a use beyond that it is one ---- */

static char *describe(const struct guest_use *use)
{
	const char *state = !use->running ? "shut off" :
		use->live && use->config ? "running" :
		use->live ? "running, not so defined" : "running without it, but so defined";
	const char *how = use->mirror ? "being mirrored onto it" : use->backing ? "standing on it" : NULL;

	return text_format("%s%s of domain %s (%s%s%s%s)", use->disk ? "disk " : "", use->role,
			   use->domain, state, how ? ", " : "", how ? how : "",
			   use->shareable ? ", shareable" : "");
}

static int complete(struct virt *virt, struct guest_use *use, struct err *err)
{
	struct virt_ties ties = { 0 };
	struct text_list texts = { 0 };

	use->text = describe(use);
	if (!use->config)
		return 0;
	if (virt_xml(virt, use->uuid, true, &use->definition, err) < 0 ||
	    virt_ties(virt, use->uuid, &ties, err) < 0)
		return err->number == ENOENT ? 0 : -1;
	use->autostart = ties.autostart;
	if (ties.managed_save)
		text_list_add(&texts, text_copy("a saved memory image (managed save)"));
	if (ties.snapshots)
		text_list_add(&texts, text_format("%d snapshot%s", ties.snapshots,
						  ties.snapshots == 1 ? "" : "s"));
	if (ties.checkpoints)
		text_list_add(&texts, text_format("%d checkpoint%s", ties.checkpoints,
						  ties.checkpoints == 1 ? "" : "s"));
	use->tied = texts.count ? text_list_join(&texts) : NULL;
	text_list_free(&texts);
	return 0;
}

static int look_at_all(struct facts *facts, struct virt *virt, struct err *err)
{
	struct virt_domain *domains = NULL;
	size_t count = 0;
	int ret = virt_list(virt, &domains, &count, err);

	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = look_at_domain(facts, virt, &domains[i], err);
	virt_domains_free(domains, count);
	return ret;
}

/* Those that other libvirts than the first have: nothing is done to them, but what they use is in use. */
static int look_at_others(struct facts *facts, struct err *err)
{
	const char *uri = guests_uri();
	int ret = 0;

	for (size_t k = 0; ret == 0 && uri && (uri = strchr(uri, ' ')); k++) {
		struct facts theirs = *facts;

		uri += strspn(uri, " ");
		if (!*uri)
			break;
		if (k == URIS_MAX)
			return err_set(err, ERR_REFUSED, "--connect", "no more than %d libvirts are asked", URIS_MAX + 1);
		theirs.guests = NULL;
		theirs.guest_count = 0;
		ret = connect_once(uri, &others[k], err);
		if (ret == 0)
			ret = look_at_all(&theirs, others[k], err);
		for (size_t i = 0; ret == 0 && i < theirs.guest_count; i++) {
			char *text = describe(&theirs.guests[i]);

			text_list_add(&facts->uses, text_format("%s at %.*s", text, (int)strcspn(uri, " "), uri));
			free(text);
		}
		guests_free(theirs.guests, theirs.guest_count);
	}
	return ret;
}

int guests_look(struct facts *facts, struct err *err)
{
	struct virt *virt;
	int ret = -1;

	if (guests_connection(&virt, err) < 0)
		return -1;
	if (!virt)
		return 0;
	if (look_at_all(facts, virt, err) < 0)
		goto out;
	for (size_t i = 0; i < facts->guest_count; i++) {
		if (complete(virt, &facts->guests[i], err) < 0)
			goto out;
		text_list_add(&facts->uses, text_copy(facts->guests[i].text));
	}
	ret = look_at_others(facts, err);
out:
	if (ret < 0) {
		err->class = ERR_REFUSED;
		err_context(err, "cannot ask which domains use %s", facts->path);
		if (!*err->next)
			err_next(err, "see what is the matter with libvirtd, then try again");
	}
	return ret;
}

void guests_free(struct guest_use *guests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(guests[i].domain);
		free(guests[i].role);
		free(guests[i].device);
		free(guests[i].definition);
		free(guests[i].tied);
		free(guests[i].text);
	}
	free(guests);
}

bool guests_run(const struct facts *facts)
{
	for (size_t i = 0; i < facts->guest_count; i++)
		if (facts->guests[i].running)
			return true;
	return false;
}

bool guests_is_disk(const struct facts *facts, const char *text, const char *uuid, const char *target)
{
	for (size_t i = 0; i < facts->guest_count; i++) {
		const struct guest_use *use = &facts->guests[i];

		if (use->disk && !use->backing && use->text && !strcmp(use->text, text) &&
		    !strcmp(use->uuid, uuid) && !strcmp(use->role, target))
			return true;
	}
	return false;
}

char *guests_uses_besides(const struct facts *facts, const char *uuid)
{
	struct text_list rest = { 0 };
	char *text = NULL;

	for (size_t i = 0; i < facts->uses.count; i++) {
		bool allowed = false;

		for (size_t k = 0; uuid && k < facts->guest_count; k++) {
			const struct guest_use *use = &facts->guests[k];

			allowed = allowed || (!use->running && use->text &&
					      !strcmp(use->text, facts->uses.items[i]) &&
					      (!strcmp(uuid, "*") || !strcmp(uuid, use->uuid)));
		}
		if (!allowed)
			text_list_add(&rest, text_copy(facts->uses.items[i]));
	}
	if (rest.count)
		text = text_list_join(&rest);
	text_list_free(&rest);
	return text;
}

int guests_check_unused(const struct facts *facts, const char *uuid, const char *object, const char *what,
			struct err *err)
{
	char *uses = guests_uses_besides(facts, uuid);

	if (!uses)
		return 0;
	err_set(err, ERR_REFUSED, object, "in use: %s", uses);
	free(uses);
	return err_next(err, "end that use%s", what);
}
