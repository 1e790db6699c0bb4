/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names by which users call volumes and places: read, not looked at. */
#include "volumes/spec.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"

/* Names that belong to volumes which this volmig cannot move. */
static const struct {
	const char *prefix;
	const char *what;
} foreign[] = {
	{ "nbd://", "an NBD export" },
	{ "nbds://", "an NBD export" },
	{ "nbd+unix://", "an NBD export" },
	{ "nbds+unix://", "an NBD export" },
	{ "iscsi://", "an iSCSI LUN" },
	{ "ssh://", "a volume of another host" },
	{ "qcow2:", "a qcow2 image" },
	{ "vmdk:", "a VMDK image" },
	{ "vhdx:", "a VHDX image" },
	{ "vdi:", "a VDI image" },
	{ "rbd:", "a Ceph RBD image" },
};

/* What LVM allows in names of groups and volumes, see lvm(8), VALID NAMES. */
static bool is_lvm_name(const char *name, size_t len)
{
	static const char valid[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";

	return len > 0 && len < 128 && name[0] != '-' && strspn(name, valid) >= len &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* "vg/lv", and for a place also "vg". */
static bool is_lvm_form(const char *text, enum spec_role role)
{
	const char *slash = strchr(text, '/');

	if (!slash)
		return role == SPEC_PLACE && is_lvm_name(text, strlen(text));
	return is_lvm_name(text, (size_t)(slash - text)) &&
	       is_lvm_name(slash + 1, strlen(slash + 1)) && !strchr(slash + 1, '/');
}

static bool is_path_form(const char *text)
{
	return text[0] == '/' || !strcmp(text, ".") || !strcmp(text, "..") ||
	       !strncmp(text, "./", 2) || !strncmp(text, "../", 3);
}

static void set_lv(struct spec *spec, const char *text, const char *name)
{
	size_t len = strcspn(name, "/");

	*spec = (struct spec){
		.kind = SPEC_LV,
		.text = text_copy(text),
		.vg = text_format("%.*s", (int)len, name),
		.lv = name[len] ? text_copy(name + len + 1) : NULL,
	};
}

int spec_parse(struct spec *spec, const char *text, enum spec_role role,
	       const char *cwd, struct err *err)
{
	const char *noun = role == SPEC_VOLUME ? "volume" : "place";
	const char *path = text;
	enum spec_kind kind = SPEC_PATH;
	size_t len;

	if (!*text)
		return err_set(err, ERR_USAGE, NULL, "the %s has an empty name", noun);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (strncmp(text, foreign[i].prefix, strlen(foreign[i].prefix)))
			continue;
		err_set(err, ERR_USAGE, text,
			"that names %s; this volmig moves raw files, block devices and logical volumes only",
			foreign[i].what);
		return err_next(err, "for a file of that name write file:%s", text);
	}
	if (!strncmp(text, "lvm:", 4)) {
		if (is_path_form(text + 4) || !is_lvm_form(text + 4, SPEC_PLACE) ||
		    (role == SPEC_VOLUME && !strchr(text + 4, '/'))) {
			err_set(err, ERR_USAGE, text, "is no name of a logical volume%s, lvm:GROUP/NAME",
				role == SPEC_PLACE ? " or a volume group" : "");
			return err_next(err, "for a file of that name write file:%s", text);
		}
		set_lv(spec, text, text + 4);
		return 0;
	}
	if (!strncmp(text, "file:", 5)) {
		kind = SPEC_FILE;
		path = text + 5;
		if (!*path)
			return err_set(err, ERR_USAGE, text, "the %s has an empty name", noun);
	} else if (!is_path_form(text) && is_lvm_form(text, role)) {
		set_lv(spec, text, text);
		return 0;
	}

	len = strlen(path);
	if (len + (*path == '/' ? 0 : strlen(cwd) + 1) >= PATH_MAX)
		return err_set(err, ERR_USAGE, text, "the name is too long");
	*spec = (struct spec){
		.kind = kind,
		.text = text_copy(text),
		.path = *path == '/' ? text_copy(path) : text_format("%s/%s", cwd, path),
		.directory = path[len - 1] == '/' || !strcmp(path, ".") || !strcmp(path, "..") ||
			     (len >= 2 && !strcmp(path + len - 2, "/.")) ||
			     (len >= 3 && !strcmp(path + len - 3, "/..")),
	};
	return 0;
}

void spec_free(struct spec *spec)
{
	free(spec->text);
	free(spec->path);
	free(spec->vg);
	free(spec->lv);
	*spec = (struct spec){ 0 };
}
