/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an image stands on, as its own header says. */
#include "volumes/backing.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/json.h"
#include "support/text.h"

/* From QEMU's docs/interop/qcow2.txt: magic, version, backing_file_offset, backing_file_size. */
#define HEADER_BYTES 20
#define NAME_MAX_BYTES 1023

static uint64_t big_endian(const unsigned char *bytes, size_t count)
{
	uint64_t value = 0;

	for (size_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* json:{...}: the file's name, wherever QEMU's options have it; else NULL. */
static char *name_in_json(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	const json_t *file = json;
	const char *name = NULL;
	char *copy;

	for (int depth = 0; file && !name && depth < 8; depth++) {
		name = json_get_string(file, "filename") ?: json_get_string(file, "file.filename");
		file = json_object_get(file, "file");
	}
	copy = text_copy(name);
	json_decref(json);
	return copy;
}

/* As written in the header at path, made absolute against that. */
static char *resolve(const char *path, char *name)
{
	const char *slash = strrchr(path, '/');
	char *absolute;

	if (*name == '/')
		return name;
	absolute = text_format("%.*s/%s", slash ? (int)(slash - path) : 1, slash ? path : ".", name);
	free(name);
	return absolute;
}

char *backing_of(const char *path)
{
	/* O_NONBLOCK: whatever it may have become. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned char header[HEADER_BYTES];
	char name[NAME_MAX_BYTES + 1], *found = NULL;
	uint64_t offset, length;

	if (fd < 0)
		return NULL;
	if (pread(fd, header, sizeof(header), 0) != sizeof(header) || memcmp(header, "QFI\xfb", 4))
		goto out;
	offset = big_endian(header + 8, 8);
	length = big_endian(header + 16, 4);
	if (!offset || !length || length > NAME_MAX_BYTES || offset > INT64_MAX ||
	    pread(fd, name, length, (off_t)offset) != (ssize_t)length)
		goto out;
	name[length] = '\0';
	if (!strncmp(name, "json:", 5))
		found = name_in_json(name + 5);
	else
		found = text_copy(name + (strncmp(name, "file:", 5) ? 0 : 5));
	if (found)
		found = resolve(path, found);
out:
	close(fd);
	return found;
}
