/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of volumes that QEMU opens: taken apart, not looked at. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "volumes/lun.h"
#include "volumes/qemu.h"

static const char *const drivers[] = { "qcow2", "vmdk", "vhdx", "vdi", "rbd" };

const char *qemu_driver_of(const char *text)
{
	if (!strncmp(text, LUN_PREFIX, strlen(LUN_PREFIX)))
		return "iscsi";
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		size_t length = strlen(drivers[i]);

		if (!strncmp(text, drivers[i], length) && text[length] == ':')
			return drivers[i];
	}
	return NULL;
}

void qemu_name_free(struct qemu_name *name)
{
	free(name->path);
	free(name->pool);
	free(name->image);
	free(name->conf);
	free(name->user);
	free(name->portal);
	free(name->target);
	free(name->chap_file);
	*name = (struct qemu_name){ 0 };
}

static char *absolute(const char *path, const char *cwd)
{
	return *path == '/' ? text_copy(path) : text_format("%s/%s", cwd, path);
}

static int parse_path(struct qemu_name *name, const char *text, const char *path, const char *cwd,
		      struct err *err)
{
	size_t length = strlen(path);

	if (!length)
		return err_set(err, ERR_USAGE, text, "names no file");
	if (length + (*path == '/' ? 0 : strlen(cwd) + 1) >= PATH_MAX)
		return err_set(err, ERR_USAGE, text, "the name is too long");
	name->path = absolute(path, cwd);
	name->directory = path[length - 1] == '/' || !strcmp(path, ".") || !strcmp(path, "..") ||
			  (length >= 2 && !strcmp(path + length - 2, "/.")) ||
			  (length >= 3 && !strcmp(path + length - 3, "/.."));
	return 0;
}

/* What Ceph allows in both, less what its tools read as something else. */
static bool is_rbd_name(const char *name, size_t length)
{
	return length > 0 && length < 256 && *name != '-' && !memchr(name, '@', length) &&
	       !memchr(name, '\\', length) && !memchr(name, '=', length);
}

static int parse_option(struct qemu_name *name, const char *text, const char *option, size_t length,
			const char *cwd, struct err *err)
{
	const char *value = memchr(option, '=', length);
	size_t value_length;
	char **at = NULL, *copy;

	value = value ? value + 1 : option + length;
	value_length = (size_t)(option + length - value);
	if (!strncmp(option, "conf=", 5))
		at = &name->conf;
	else if (!strncmp(option, "id=", 3))
		at = &name->user;
	if (!at || !value_length || *at) {
		char *image = text_format("rbd:%.*s", (int)strcspn(text + 4, ":"), text + 4);

		/* Without what is behind it: people try key=SECRET. */
		err_set(err, ERR_USAGE, image, "%s: %.*s", at && *at ? "an option twice" : "no such option",
			(int)(strcspn(option, "=:") < length ? strcspn(option, "=:") : length), option);
		free(image);
		return err_next(err, "write rbd:POOL/IMAGE[:conf=FILE][:id=USER]");
	}
	copy = text_format("%.*s", (int)value_length, value);
	*at = at == &name->conf ? absolute(copy, cwd) : text_copy(copy);
	free(copy);
	return 0;
}

static int parse_rbd(struct qemu_name *name, const char *text, const char *rest, enum spec_role role,
		     const char *cwd, struct err *err)
{
	size_t length = strcspn(rest, ":");
	const char *slash = memchr(rest, '/', length);
	size_t pool = slash ? (size_t)(slash - rest) : length;

	/* "rbd:pool/" is the pool. */
	if (slash && slash == rest + length - 1 && role == SPEC_PLACE)
		slash = NULL;
	if (!is_rbd_name(rest, pool) || (!slash && role == SPEC_VOLUME) ||
	    (slash && (!is_rbd_name(slash + 1, length - pool - 1) || memchr(slash + 1, '/', length - pool - 1)))) {
		err_set(err, ERR_USAGE, text, "is no name of an RBD image%s", role == SPEC_PLACE ? " or a pool" : "");
		return err_next(err, "write rbd:POOL/IMAGE[:conf=FILE][:id=USER]; snapshots and name spaces of a pool are not supported");
	}
	name->pool = text_format("%.*s", (int)pool, rest);
	if (slash)
		name->image = text_format("%.*s", (int)(length - pool - 1), slash + 1);
	for (rest += length; *rest; rest += length) {
		rest++;
		length = strcspn(rest, ":");
		if (parse_option(name, text, rest, length, cwd, err) < 0)
			return -1;
	}
	return 0;
}

static int parse_lun(struct qemu_name *name, const char *text, const char *cwd, struct err *err)
{
	static const char option[] = "chap-file=";
	size_t length = strcspn(text, "?"), skip = sizeof(option) - 1;
	char *address = text_format("%.*s", (int)length, text);
	struct lun lun;

	if (text[length] && (strncmp(text + length + 1, option, skip) || !text[length + 1 + skip])) {
		free(address);
		err_set(err, ERR_USAGE, text, "no such option: \"%s\"", text + length + 1);
		return err_next(err, "write " LUN_PREFIX "PORTAL[:PORT]/IQN/LUN[?chap-file=FILE]");
	}
	if (lun_parse(address, &lun, err) < 0) {
		free(address);
		return -1;
	}
	free(address);
	name->portal = iscsi_portal(&lun.target);
	name->target = text_copy(lun.target.name);
	name->lun = lun.number;
	if (text[length])
		name->chap_file = absolute(text + length + 1 + skip, cwd);
	lun_free(&lun);
	return 0;
}

int qemu_name_parse(struct qemu_name *ret, const char *text, enum spec_role role, const char *cwd,
		    struct err *err)
{
	struct qemu_name name = { .driver = qemu_driver_of(text) };
	const char *rest = name.driver ? text + strlen(name.driver) + 1 : text;
	int r;

	if (!name.driver)
		return err_set(err, ERR_USAGE, text, "is no name of a volume that QEMU opens");
	if (!text_is_utf8(text))
		return err_set(err, ERR_USAGE, text, "QEMU opens nothing whose name is not UTF-8");
	if (!strcmp(name.driver, "iscsi"))
		r = parse_lun(&name, text, cwd, err);
	else if (!strcmp(name.driver, "rbd"))
		r = parse_rbd(&name, text, rest, role, cwd, err);
	else
		r = parse_path(&name, text, rest, cwd, err);
	if (r < 0) {
		qemu_name_free(&name);
		return -1;
	}
	*ret = name;
	return 0;
}

/* ---- names for new volumes ---- */

static const char *const endings[] = { ".qcow2", ".vmdk", ".vhdx", ".vdi", ".raw", ".img" };

char *qemu_stem(const struct facts *source)
{
	const char *name = facts_name(source);
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t ending = strlen(endings[i]);

		if (length > ending && !strcmp(name + length - ending, endings[i]))
			return text_format("%.*s", (int)(length - ending), name);
	}
	return text_copy(name);
}

char *qemu_new_name(const struct facts *source, const struct facts *place)
{
	const char *name = facts_name(source);
	const char *from = source->qemu ? source->qemu->driver : source->kind;
	const char *to = place->qemu ? place->qemu->driver : "file";
	char *stem, *text;

	if (!strcmp(from, to))
		return text_copy(name);
	stem = qemu_stem(source);
	if (!strcmp(to, "rbd"))
		return stem;
	text = text_format("%s.%s", stem, place->qemu ? to : "img");
	free(stem);
	return text;
}

uint64_t qemu_round_size(const char *driver, uint64_t bytes)
{
	uint64_t unit = 512;

	(void)driver;
	return (bytes + unit - 1) / unit * unit;
}
