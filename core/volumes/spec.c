/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names by which users call volumes and places: read, not looked at. */
#include "volumes/spec.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"
#include "volumes/far_name.h"
#include "volumes/qemu.h"

/* Names of volumes that are reached in other ways than by a path of this host. */
static const struct remote {
	const char *prefix;
	enum spec_kind kind;
	const char *what;
} remotes[] = {
	{ "nbd://", SPEC_NBD, "an NBD export" },
	{ "nbds://", SPEC_NBD, "an NBD export" },
	{ "nbd+unix://", SPEC_NBD, "an NBD export" },
	{ "nbds+unix://", SPEC_NBD, "an NBD export" },
	{ "nbd+vsock://", SPEC_NBD, "an NBD export" },
	{ "nbds+vsock://", SPEC_NBD, "an NBD export" },
	{ "iscsi://", SPEC_ISCSI, "an iSCSI LUN" },
	{ "ssh://", SPEC_SSH, "a volume of another host" },
	{ "qcow2:", SPEC_QEMU, "a qcow2 image" },
	{ "vmdk:", SPEC_QEMU, "a VMDK image" },
	{ "vhdx:", SPEC_QEMU, "a VHDX image" },
	{ "vdi:", SPEC_QEMU, "a VDI image" },
	{ "rbd:", SPEC_QEMU, "a Ceph RBD image" },
};

static const struct remote *remote_of(const char *text)
{
	for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++)
		if (!strncmp(text, remotes[i].prefix, strlen(remotes[i].prefix)))
			return &remotes[i];
	return NULL;
}

const char *spec_noun(const char *text)
{
	const struct remote *remote = remote_of(text);

	return remote ? remote->what : "a volume";
}

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

/* A path as a part of a URI: what would end it, or be taken for something else, as %XX.  Free it. */
static char *uri_path(const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	char *text = text_alloc(3 * strlen(path) + 1, 1), *to = text;

	for (; *path; path++) {
		if (strchr(plain, *path))
			*to++ = *path;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*path);
	}
	*to = '\0';
	return text;
}

/*
 * The URI of an NBD export as it means the same in any directory: files that
 * its query names (the socket, keys and certificates) made absolute.
 */
static char *absolute_uri(const char *text, const char *cwd)
{
	static const char *const files[] = { "socket=", "tls-certificates=", "tls-psk-file=" };
	const char *query = strchr(text, '?');
	char *dir, *uri;

	if (!query)
		return text_copy(text);
	dir = uri_path(cwd);
	uri = text_format("%.*s", (int)(query - text), text);
	/* Each part behind its '?', '&' or ';'. */
	while (*query) {
		size_t length = 1 + strcspn(query + 1, "&;");
		char *longer = NULL;

		for (size_t i = 0; !longer && i < sizeof(files) / sizeof(files[0]); i++) {
			size_t key = strlen(files[i]);

			if (strncmp(query + 1, files[i], key) || length == 1 + key || query[1 + key] == '/' ||
			    !strncasecmp(query + 1 + key, "%2f", 3))
				continue;
			longer = text_format("%s%c%s%s/%.*s", uri, *query, files[i], dir,
					     (int)(length - 1 - key), query + 1 + key);
		}
		if (!longer)
			longer = text_format("%s%.*s", uri, (int)length, query);
		free(uri);
		uri = longer;
		query += length;
	}
	free(dir);
	return uri;
}

/* Is there a password in what stands before the host? */
static bool has_password(const char *text)
{
	const char *host = strstr(text, "://");
	size_t length = host ? strcspn(host + 3, "/?#") : 0;
	const char *at = host ? memchr(host + 3, '@', length) : NULL;

	return at && memchr(host + 3, ':', (size_t)(at - (host + 3)));
}

/* Is it a name that makes sense, of an image, an RBD image or a LUN? */
static int parse_qemu(const char *text, enum spec_role role, const char *cwd, bool *ret_directory,
		      struct err *err)
{
	struct qemu_name name;

	if (qemu_name_parse(&name, text, role, cwd, err) < 0)
		return -1;
	*ret_directory = name.directory;
	qemu_name_free(&name);
	return 0;
}

/* It is read again when it is looked at. */
static int check_far_name(const char *text, enum spec_role role, struct err *err)
{
	struct far_host host = { 0 };
	char *name = NULL;

	if (far_name_parse(text, role == SPEC_PLACE, &host, &name, err) < 0)
		return -1;
	far_host_free(&host);
	free(name);
	return 0;
}

/* What stands behind the prefix is looked at by who knows the kind, when it is opened. */
static int parse_remote(struct spec *spec, const struct remote *remote, const char *text,
			enum spec_role role, const char *cwd, struct err *err)
{
	bool directory = false;
	const char *rest = text + strlen(remote->prefix);
	char *absolute;

	if (!*rest) {
		err_set(err, ERR_USAGE, text, "names no %s", strchr(remote->what, ' ') + 1);
		return err_next(err, "for a file of that name write file:%s", text);
	}
	/* Not repeated: messages are kept. */
	if (remote->kind != SPEC_QEMU && has_password(text)) {
		err_set(err, ERR_USAGE, remote->prefix, "there is a password in that name");
		return err_next(err, "leave it out: everybody on this host can read command lines");
	}
	if (remote->kind == SPEC_SSH && check_far_name(text, role, err) < 0)
		return -1;
	if ((remote->kind == SPEC_QEMU || remote->kind == SPEC_ISCSI) &&
	    parse_qemu(text, role, cwd, &directory, err) < 0)
		return -1;
	if (remote->kind == SPEC_NBD)
		absolute = absolute_uri(text, cwd);
	else if (remote->kind == SPEC_QEMU && strcmp(remote->prefix, "rbd:") && *rest != '/')
		absolute = text_format("%s%s/%s", remote->prefix, cwd, rest);
	else
		absolute = text_copy(text);
	if (strlen(absolute) >= PATH_MAX) {
		free(absolute);
		return err_set(err, ERR_USAGE, text, "the name is too long");
	}
	*spec = (struct spec){
		.kind = remote->kind,
		.text = text_copy(text),
		.remote = absolute,
		.place = remote->kind == SPEC_SSH && role == SPEC_PLACE,
		.directory = directory,
	};
	return 0;
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
	if (remote_of(text))
		return parse_remote(spec, remote_of(text), text, role, cwd, err);
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
	free(spec->remote);
	free(spec->vg);
	free(spec->lv);
	*spec = (struct spec){ 0 };
}
