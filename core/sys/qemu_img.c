/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image files of QEMU's formats, by qemu-img: looked at and made. */
#include "sys/qemu_img.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/tool.h"

#define LIMIT_MS 60000

void qemu_image_free(struct qemu_image *image)
{
	text_list_free(&image->chain);
	free(image->unusable);
	*image = (struct qemu_image){ 0 };
}

/* The name by which qemu-img opens that very format, and never guesses; free it. */
static char *image_name(const char *format, const char *path)
{
	json_t *json = json_pack("{s:s, s:{s:s, s:s}}", "driver", format, "file", "driver", "file",
				 "filename", path);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, *name = NULL;

	if (text)
		name = text_format("json:%s", text);
	free(text);
	json_decref(json);
	return name;
}

/*
 * VMDK may be a description only, of other files with the data: whoever writes
 * to those, or is to remove them, does not see it in the one that was named.
 */
static const char *file_elsewhere(const json_t *data, const char *path)
{
	const json_t *extent;
	size_t i;

	json_array_foreach(json_object_get(data, "extents"), i, extent) {
		const char *name = json_get_string(extent, "filename");

		if (name && strcmp(name, path))
			return name;
	}
	return NULL;
}

/* What of an image of a chain, at path, is in the way; free it. */
static char *why_unusable(const json_t *info, const char *path)
{
	const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
	const char *elsewhere = file_elsewhere(data, path);

	if (json_get_bool(info, "encrypted") || json_object_get(data, "encrypt"))
		return text_copy("it is encrypted, and its key is not known here");
	if (json_get_bool(data, "corrupt"))
		return text_copy("it is marked as corrupt: see qemu-img check");
	if (json_get_bool(info, "dirty-flag"))
		return text_copy("it was not closed in order (dirty): qemu-img check -r all mends it");
	if (json_object_get(data, "data-file"))
		return text_copy("its data is in another file (data_file)");
	if (elsewhere)
		return text_format("its data is in another file, %s: qemu-img convert makes one of both", elsewhere);
	return NULL;
}

static int read_chain(const json_t *chain, struct qemu_image *image, struct err *err, const char *path)
{
	const json_t *info;
	size_t i;

	json_array_foreach(chain, i, info) {
		const char *backing = json_get_string(info, "full-backing-filename") ?:
				      json_get_string(info, "backing-filename");

		if (!image->unusable)
			image->unusable = why_unusable(info, i ? json_get_string(info, "filename") ?: path : path);
		if (!backing)
			continue;
		text_list_add(&image->chain, text_copy(backing));
		if (!image->unusable && !json_get_string(info, "backing-filename-format"))
			image->unusable = text_format("it does not say of which format %s is, that it stands on: "
						      "qemu-img rebase -u -F FORMAT -b FILE tells it", backing);
	}
	info = json_array_get(chain, 0);
	image->bytes = json_get_u64(info, "virtual-size");
	image->cluster = json_get_u64(info, "cluster-size");
	image->snapshots = json_array_size(json_object_get(info, "snapshots"));
	if (!json_is_integer(json_object_get(info, "virtual-size")))
		return err_set(err, ERR_REFUSED, path, "qemu-img does not tell its size");
	return 0;
}

int qemu_img_look(const char *format, const char *path, struct qemu_image *ret_image, struct err *err)
{
	char *name = text_is_utf8(path) ? image_name(format, path) : NULL;
	const char *const argv[] = { "qemu-img", "info", "--force-share", "--backing-chain", "--output=json",
				     name, NULL };
	struct tool tool = { .argv = argv, .object = path, .doing = "cannot look at the image",
			     .drop = "qemu-img: ", .timeout_ms = LIMIT_MS };
	struct qemu_image image = { 0 };
	json_t *chain = NULL;
	char *found;
	int ret = -1;

	if (!name)
		return err_set(err, ERR_REFUSED, path, "QEMU opens no file whose name is not UTF-8");
	if (tool_run(&tool, &chain, err) < 0) {
		/* Without the name, which is long and known. */
		found = strstr(err->cause, "': ");
		if (found && err->class == ERR_FAILED) {
			char *rest = text_copy(found + 3);

			err_set(err, ERR_REFUSED, path, "cannot look at the image: %s", rest);
			free(rest);
		}
		goto out;
	}
	ret = read_chain(chain, &image, err, path);
	if (ret == 0) {
		*ret_image = image;
		image = (struct qemu_image){ 0 };
	}
out:
	qemu_image_free(&image);
	json_decref(chain);
	free(name);
	return ret;
}

int qemu_img_create(const char *format, int fd, const char *path, uint64_t bytes, uint64_t cluster, struct err *err)
{
	char *size = text_format("%llu", (unsigned long long)bytes);
	char *option = cluster ? text_format("cluster_size=%llu", (unsigned long long)cluster) : NULL;
	const char *argv[10];
	struct tool tool = { .argv = argv, .object = path, .doing = "cannot make the image",
			     .drop = "qemu-img: ", .timeout_ms = LIMIT_MS, .kept = fd };
	size_t n = 0;
	int ret;

	argv[n++] = "qemu-img";
	argv[n++] = "create";
	argv[n++] = "-q";
	argv[n++] = "-f";
	argv[n++] = format;
	if (option) {
		argv[n++] = "-o";
		argv[n++] = option;
	}
	/* Not /dev/fd: versions before 3.0 take that for a floppy disk. */
	argv[n++] = "/proc/self/fd/3";
	argv[n++] = size;
	argv[n] = NULL;
	ret = tool_run(&tool, NULL, err);
	free(option);
	free(size);
	return ret;
}
