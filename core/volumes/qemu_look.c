/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at volumes that QEMU opens: image files and RBD images. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "sys/nbd.h"
#include "sys/procs.h"
#include "sys/qemu_daemon.h"
#include "sys/qemu_img.h"
#include "sys/uses.h"
#include "volumes/format.h"
#include "volumes/guests.h"
#include "volumes/look.h"
#include "volumes/lun.h"
#include "volumes/nbd_volume.h"
#include "volumes/qemu.h"

#define LOOK_MS 10000
#define WATCH_MS 40000		/* a dead client's watch: osd_client_watch_timeout is 30 s, looked at every few */

static struct qemu_facts *new_facts(const char *driver)
{
	struct qemu_facts *facts = text_alloc(1, sizeof(*facts));

	facts->driver = driver;
	return facts;
}

/* Is it an image of that format, by its magic? */
static int check_format(int fd, const struct facts *facts, const char *driver, struct err *err)
{
	char head[FORMAT_HEAD_BYTES];
	ssize_t length = pread(fd, head, sizeof(head), 0);
	const char *format;

	if (length < 0)
		return look_refuse_sys(err, errno, facts->spec, "cannot read it");
	format = format_detect(head, (size_t)length, NULL, 0);
	if (format && !strcmp(format, driver))
		return 0;
	err_set(err, ERR_REFUSED, facts->spec, "is no %s image%s%s", driver,
		format ? ", but looks like " : "", format ? format : "");
	return err_next(err, format ? "write %s:%s" : "for a raw file write %s%s",
			format ? format : "file:", facts->path);
}

static void users_of_image(unsigned flags, struct facts *facts)
{
	/* Whoever runs a guest on an overlay only reads this one. */
	const struct procs_target target = { .file_dev = facts->dev, .file_ino = facts->ino, .readers = true };

	uses_of_file(facts->path, facts->dev, facts->ino, &facts->uses);
	look_for_mounts(facts);
	look_for_overlays(flags, facts);
	if (!facts->uses.count)
		procs_open(&target, &facts->uses);
}

/*
 * What a qcow2 image says of its size itself, where that is all that is wanted:
 * it is looked at again and again while it is moved.  0: ask qemu-img.
 */
static uint64_t size_by_header(int fd, const char *driver)
{
	unsigned char header[32];
	uint64_t size = 0;

	/* docs/interop/qcow2.txt: big endian, after 24 bytes. */
	if (strcmp(driver, "qcow2") || pread(fd, header, sizeof(header), 0) != sizeof(header))
		return 0;
	for (size_t i = 24; i < 32; i++)
		size = size << 8 | header[i];
	return size;
}

/* What lies in it; what is known of it by other means stays. */
static int look_inside_by_qemu(unsigned flags, struct facts *facts, struct err *err)
{
	uint64_t bytes = facts->bytes, allocated = facts->allocated;
	bool read_only = facts->read_only, is_lun = qemu_is_lun(facts);
	uint32_t sector = facts->sector;
	struct qemu_daemon *daemon = NULL;
	struct nbd *nbd = NULL;
	int fd, ret;

	if (qemu_serve(facts, false, LOOK_MS, false, &daemon, &fd, NULL, err) < 0) {
		if (err->class == ERR_FAILED)
			err->class = ERR_REFUSED;
		return -1;
	}
	ret = nbd_export_open_socket(&nbd, fd, "", facts->spec, LOOK_MS, err);
	if (ret == 0)
		ret = nbd_volume_look(nbd, flags, facts, err);
	nbd_export_close(nbd);
	qemu_daemon_stop(daemon);
	facts->read_only = read_only;
	if (!is_lun) {
		facts->bytes = bytes;
		facts->allocated = allocated;
		facts->sector = sector;
	}
	if (ret < 0)
		err->class = ERR_REFUSED;
	return ret;
}

int qemu_look_at_header(struct facts *facts, struct err *err)
{
	struct qemu_facts *qemu = facts->qemu;
	struct qemu_image image = { 0 };

	if (qemu_img_look(qemu->driver, facts->path, &image, err) < 0)
		return -1;
	facts->bytes = image.bytes;
	qemu->cluster = image.cluster;
	qemu->snapshots = image.snapshots;
	qemu->unusable = image.unusable;
	image.unusable = NULL;
	for (size_t i = 0; i < image.chain.count; i++) {
		char resolved[PATH_MAX];

		text_list_add(&qemu->chain, text_copy(
			realpath(image.chain.items[i], resolved) ? resolved : image.chain.items[i]));
	}
	qemu_image_free(&image);
	return 0;
}

/* An image file that exists, at the canonical facts->path. */
static int look_at_image(const char *driver, unsigned flags, struct facts *facts, struct err *err)
{
	char *slash;
	int ret = -1, fd = open(facts->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return look_refuse_sys(err, errno, facts->spec, "cannot open it for reading");
	facts->kind = volume_ops_by_kind(driver)->kind;
	facts->qemu = new_facts(driver);
	if (file_volume_ops.identify(fd, facts, err) < 0 || check_format(fd, facts, driver, err) < 0)
		goto out;
	slash = strrchr(facts->path, '/');
	facts->dir = slash == facts->path ? text_copy("/") :
		     text_format("%.*s", (int)(slash - facts->path), facts->path);
	if (look_at_directory(facts, err) < 0)
		goto out;
	facts->bytes = flags & INSPECT_OUTSIDE ? size_by_header(fd, driver) : 0;
	/* Before users are looked for: qemu-img would be one. */
	if (!facts->bytes && qemu_look_at_header(facts, err) < 0)
		goto out;
	ret = 0;
out:
	close(fd);
	if (ret == 0 && (flags & INSPECT_USES)) {
		users_of_image(flags, facts);
		ret = guests_look(facts, err);
	}
	/* Who has it open for writing does not let us; then that is said. */
	if (ret == 0 && !(flags & INSPECT_OUTSIDE) && !facts->qemu->unusable && !facts->uses.count)
		ret = look_inside_by_qemu(flags, facts, err);
	return ret;
}

/* Nothing has the name yet, or it is a directory: a place for an image. */
static int look_at_place(struct qemu_name *name, const struct spec *spec, struct facts *facts, struct err *err)
{
	struct facts place = { 0 };
	struct spec plain = { .kind = SPEC_PATH, .text = spec->text, .path = name->path, .directory = name->directory };

	if (volume_inspect(&plain, 0, &place, err) < 0)
		return -1;
	if (place.kind) {
		facts_free(&place);
		return err_set(err, ERR_REFUSED, spec->text, "is a block device, and no image file");
	}
	free(facts->spec);
	*facts = place;
	facts->qemu = new_facts(name->driver);
	return 0;
}

static int look_for_image(struct qemu_name *name, const struct spec *spec, unsigned flags, struct facts *facts,
			  struct err *err)
{
	struct stat st;

	facts->path = realpath(name->path, NULL);
	if (!facts->path && errno != ENOENT)
		return look_refuse_sys(err, errno, spec->text, "cannot look it up");
	if (!facts->path || lstat(facts->path, &st) < 0 || !S_ISREG(st.st_mode)) {
		free(facts->path);
		facts->path = NULL;
		return look_at_place(name, spec, facts, err);
	}
	if (name->directory)
		return err_set(err, ERR_REFUSED, spec->text, "is not a directory");
	return look_at_image(name->driver, flags, facts, err);
}

/*
 * A client that has died is one of those that have the image open until the
 * cluster finds out.  Where it may be ours, or that of this job's last run
 * (INSPECT_SETTLED), that is waited for.
 */
static int look_at_users(const struct rbd_name *name, unsigned flags, struct rbd_image *image, struct err *err)
{
	uint64_t settled_ns = clock_ns() + (flags & INSPECT_SETTLED ? WATCH_MS * 1000000ULL : 0);
	int found = rbd_image_look(name, true, image, err);

	while (found > 0 && image->watchers.count && !interrupt_requested() &&
	       (qemu_daemon_died_within(WATCH_MS) || clock_ns() < settled_ns)) {
		rbd_image_free(image);
		clock_sleep_ms(500);
		found = rbd_image_look(name, true, image, err);
	}
	return found;
}

/* By its pool and name; the name may be another image's by now. */
static int look_at_rbd(unsigned flags, struct facts *facts, struct err *err)
{
	struct qemu_facts *qemu = facts->qemu;
	struct rbd_name name = qemu_rbd_name(facts);
	struct rbd_image image = { 0 };
	int found;

	/* Is there a pool, and may we look into it?  No image has such a name. */
	if (!name.image)
		name.image = ".volmig";
	found = flags & INSPECT_USES ? look_at_users(&name, flags, &image, err) : rbd_image_look(&name, false, &image, err);
	if (found < 0)
		return -1;
	/* With what was known of it before the pool is the same one. */
	if (!qemu->pool_id) {
		qemu->pool_id = image.pool_id;
		image.pool_id = NULL;
	}
	facts->path = text_format("rbd:%s%s%s", qemu->pool, qemu->image ? "/" : "", qemu->image ? qemu->image : "");
	facts->sector = 512;
	if (!found || !qemu->image) {
		rbd_image_free(&image);
		return 0;
	}
	facts->kind = rbd_volume_ops.kind;
	facts->bytes = image.bytes;
	qemu->id = image.id;
	qemu->parent = image.parent;
	qemu->snapshots = image.snapshots;
	qemu->object_bytes = image.object_bytes;
	facts->allocated = flags == INSPECT_OUTSIDE ? image.bytes : rbd_image_allocated(&name, image.bytes);
	for (size_t i = 0; (flags & INSPECT_USES) && i < image.watchers.count; i++)
		text_list_add(&facts->uses, text_format("open by a client of the cluster at %s",
							image.watchers.items[i]));
	for (size_t i = 0; (flags & INSPECT_USES) && i < image.lockers.count; i++)
		text_list_add(&facts->uses, text_format("locked (rbd lock ls): %s", image.lockers.items[i]));
	image.id = image.parent = NULL;	/* handed over */
	rbd_image_free(&image);
	/* QEMU's driver (7.2) ends in an assertion when it looks for the data in such an image. */
	if (facts->bytes % 512) {
		qemu->unusable = text_format("its size, %llu bytes, is no multiple of 512, and QEMU cannot serve it: "
					     "rbd resize mends that", (unsigned long long)facts->bytes);
		return 0;
	}
	return flags & INSPECT_OUTSIDE ? 0 : look_inside_by_qemu(flags, facts, err);
}

/*
 * Which volume a LUN is, as far as somebody can ask it: its number may lead to
 * another one tomorrow.  Serial numbers are unique within a target at least.
 */
static char *lun_identity(const struct facts *facts)
{
	const struct qemu_facts *qemu = facts->qemu;
	struct lun_secrets secrets = { 0 };
	struct err ignored = ERR_INIT;
	char *serial, *identity;

	if (qemu->chap_file && lun_secrets_read(qemu->chap_file, &secrets, &ignored) < 0)
		return NULL;
	serial = iscsi_inquire_serial(facts->path, secrets.user, secrets.secret);
	identity = serial ? text_format("serial-%s of %s", serial, qemu->target) : NULL;
	lun_secrets_free(&secrets);
	free(serial);
	return identity;
}

/* All that is known of a LUN its target says. */
static int look_at_lun(unsigned flags, struct facts *facts, struct err *err)
{
	const struct qemu_facts *qemu = facts->qemu;
	const char *name = strrchr(qemu->target, ':') ? strrchr(qemu->target, ':') + 1 : qemu->target;

	facts->kind = lun_volume_ops.kind;
	facts->path = text_format(LUN_PREFIX "%s/%s/%llu", qemu->portal, qemu->target, (unsigned long long)qemu->lun);
	facts->name = text_format("%s-lun%llu", name, (unsigned long long)qemu->lun);
	if (look_inside_by_qemu(flags, facts, err) < 0)
		return -1;
	facts->wwid = lun_identity(facts);
	return 0;
}

static int look_at_name(struct qemu_name *name, const struct spec *spec, unsigned flags, struct facts *facts,
			struct err *err)
{
	if (name->path)
		return look_for_image(name, spec, flags, facts, err);
	facts->qemu = new_facts(name->driver);
	facts->qemu->pool = text_copy(name->pool);
	facts->qemu->image = text_copy(name->image);
	facts->qemu->conf = text_copy(name->conf);
	facts->qemu->user = text_copy(name->user);
	facts->qemu->portal = text_copy(name->portal);
	facts->qemu->target = text_copy(name->target);
	facts->qemu->lun = name->lun;
	facts->qemu->chap_file = text_copy(name->chap_file);
	return name->portal ? look_at_lun(flags, facts, err) : look_at_rbd(flags, facts, err);
}

void qemu_expect(const char *text)
{
	struct qemu_name name = { 0 };
	const char *driver = qemu_driver_of(text);
	char *cwd;

	if (!driver || strcmp(driver, "rbd"))
		return;
	cwd = getcwd(NULL, 0);
	if (qemu_name_parse(&name, text, SPEC_PLACE, cwd ? cwd : "/", &(struct err)ERR_INIT) == 0)
		rbd_image_expect(&(struct rbd_name){ .conf = name.conf, .user = name.user });
	qemu_name_free(&name);
	free(cwd);
}

int look_for_qemu(const struct spec *spec, unsigned flags, struct facts *facts, struct err *err)
{
	struct qemu_name name = { 0 };
	char *cwd = NULL;
	int ret = -1;

	/* The role was checked when it was typed: here a pool may stand for itself. */
	cwd = getcwd(NULL, 0);
	if (qemu_name_parse(&name, spec->remote, SPEC_PLACE, cwd ? cwd : "/", err) == 0)
		ret = look_at_name(&name, spec, flags, facts, err);
	qemu_name_free(&name);
	free(cwd);
	return ret;
}

int qemu_inspect_path(const char *driver, const char *path, unsigned flags, struct facts *ret_facts,
		      struct err *err)
{
	struct facts facts = { 0 };
	char *text = text_format("%s:%s", driver, path), *copy = text_copy(path);
	struct spec spec = { .kind = SPEC_QEMU, .text = text, .remote = text };
	struct qemu_name name = { .driver = driver, .path = copy };
	int ret = -1;

	facts.spec = text_copy(text);
	if (look_for_image(&name, &spec, flags, &facts, err) < 0)
		goto out;
	if (strcmp(facts.path, path)) {
		err_set(err, ERR_REFUSED, path, "leads to %s now, by a symbolic link", facts.path);
		goto out;
	}
	*ret_facts = facts;
	facts = (struct facts){ 0 };
	ret = 0;
out:
	facts_free(&facts);
	free(text);
	free(copy);
	return ret;
}

int look_at_qemu_again(const struct facts *was, unsigned flags, struct facts *facts, struct err *err)
{
	if (qemu_is_lun(was)) {
		facts->spec = text_copy(was->spec);
		facts->qemu = new_facts(was->qemu->driver);
		facts->qemu->portal = text_copy(was->qemu->portal);
		facts->qemu->target = text_copy(was->qemu->target);
		facts->qemu->lun = was->qemu->lun;
		facts->qemu->chap_file = text_copy(was->qemu->chap_file);
		return look_at_lun(flags, facts, err);
	}
	if (qemu_is_rbd(was)) {
		facts->spec = text_copy(was->spec);
		facts->qemu = new_facts(was->qemu->driver);
		facts->qemu->pool = text_copy(was->qemu->pool);
		facts->qemu->image = text_copy(was->qemu->image);
		facts->qemu->conf = text_copy(was->qemu->conf);
		facts->qemu->user = text_copy(was->qemu->user);
		facts->qemu->pool_id = text_copy(was->qemu->pool_id);
		return look_at_rbd(flags, facts, err);
	}
	return qemu_inspect_path(was->qemu->driver, was->path, flags, facts, err);
}
