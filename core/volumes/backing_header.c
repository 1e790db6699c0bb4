/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of other files in the headers of QEMU's images. */
#include "volumes/backing_header.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/json.h"
#include "support/text.h"

#define HEADER_BYTES 4096	/* with qcow2's extensions, of which those looked for come early */
#define NAME_MAX_BYTES 1023

struct image {
	int fd;
	const char *path;
	unsigned char header[HEADER_BYTES];
	size_t length;			/* of what was read of it */
	struct text_list *names;
};

static uint64_t big_endian(const unsigned char *bytes, size_t count)
{
	uint64_t value = 0;

	for (size_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

static uint64_t little_endian(const unsigned char *bytes, size_t count)
{
	uint64_t value = 0;

	while (count--)
		value = value << 8 | bytes[count];
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

static bool is_itself(const struct image *image, const char *path)
{
	struct stat own, other;

	return fstat(image->fd, &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
	       own.st_ino == other.st_ino;
}

/* A name as written in the header, made absolute against the image's. */
static void add_name(const struct image *image, const char *name)
{
	const char *path = image->path, *slash = strrchr(path, '/');
	char *found = !strncmp(name, "json:", 5) ? name_in_json(name + 5) :
		      text_copy(name + (strncmp(name, "file:", 5) ? 0 : 5));

	if (found && *found && *found != '/') {
		char *absolute = text_format("%.*s/%s", slash ? (int)(slash - path) : 1, slash ? path : ".", found);

		free(found);
		found = absolute;
	}
	/* An extent of VMDK is mostly the rest of the file that names it. */
	if (found && *found && !is_itself(image, found))
		text_list_add(image->names, found);
	else
		free(found);
}

/* The name that stands at offset in the file, without a zero at its end. */
static void add_name_at(const struct image *image, uint64_t offset, uint64_t length)
{
	char name[NAME_MAX_BYTES + 1];

	if (!offset || !length || length > NAME_MAX_BYTES || offset > INT64_MAX ||
	    pread(image->fd, name, length, (off_t)offset) != (ssize_t)length)
		return;
	name[length] = '\0';
	add_name(image, name);
}

/* ---- qcow2 and qcow, from QEMU's docs/interop/qcow2.txt; the first 20 bytes are those of version 1, too ---- */

#define DATA_FILE_BIT 4		/* of the incompatible features */
#define DATA_FILE_EXTENSION 0x44415441

/* The name of a data file is in an extension of the header: type, length, padded to 8 bytes. */
static void add_data_file(const struct image *image)
{
	const unsigned char *header = image->header;
	const size_t length = image->length;
	uint64_t at = length >= 104 ? big_endian(header + 100, 4) : length;

	if (length < 104 || big_endian(header + 4, 4) < 3 || !(header[79] & DATA_FILE_BIT))
		return;
	while (at + 8 <= length) {
		uint64_t type = big_endian(header + at, 4), size = big_endian(header + at + 4, 4);
		char name[NAME_MAX_BYTES + 1];

		at += 8;
		if (!type || size > length - at)
			return;
		if (type == DATA_FILE_EXTENSION && size <= NAME_MAX_BYTES) {
			memcpy(name, header + at, size);
			name[size] = '\0';
			add_name(image, name);
		}
		at += (size + 7) & ~7ULL;
	}
}

static void add_of_qcow(const struct image *image)
{
	add_name_at(image, big_endian(image->header + 8, 8), big_endian(image->header + 16, 4));
	add_data_file(image);
}

/* ---- QED, from QEMU's docs/interop/qed_spec.txt ---- */

#define QED_BACKING_BIT 1	/* of the features */

static void add_of_qed(const struct image *image)
{
	if (image->length >= 64 && (image->header[16] & QED_BACKING_BIT))
		add_name_at(image, little_endian(image->header + 56, 4), little_endian(image->header + 60, 4));
}

/* ---- VMDK, from VMware's "Virtual Disk Format 5.0" ---- */

#define VMDK_SECTOR 512U
#define VMDK_DESCRIPTOR_MAX (64U << 10)

/* Lines of text: parentFileNameHint="NAME", and of each extent: ACCESS SECTORS TYPE "NAME" ... */
static void add_of_descriptor(const struct image *image, uint64_t offset, uint64_t length)
{
	char *text = text_alloc(length + 1, 1), *rest = text, *line;
	ssize_t n = offset <= INT64_MAX ? pread(image->fd, text, length, (off_t)offset) : -1;

	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&rest, "\r\n"))) {
		char *name = strchr(line, '"'), *end = name ? strchr(name + 1, '"') : NULL;

		if (!end || (strncmp(line, "parentFileNameHint", 18) && strncmp(line, "RW ", 3) &&
			     strncmp(line, "RDONLY ", 7)))
			continue;
		*end = '\0';
		add_name(image, name + 1);
	}
	free(text);
}

static void add_of_vmdk(const struct image *image)
{
	uint64_t at = little_endian(image->header + 28, 8), sectors = little_endian(image->header + 36, 8);

	if (image->length >= 44 && at && at < INT64_MAX / VMDK_SECTOR)
		add_of_descriptor(image, at * VMDK_SECTOR,
				  sectors < VMDK_DESCRIPTOR_MAX / VMDK_SECTOR ? sectors * VMDK_SECTOR : VMDK_DESCRIPTOR_MAX);
}

static void add_of_vmdk_text(const struct image *image)
{
	add_of_descriptor(image, 0, VMDK_DESCRIPTOR_MAX);
}

int backing_header_names(int fd, const char *path, struct text_list *ret)
{
	static const struct {
		const char *magic;
		void (*add)(const struct image *image);
	} formats[] = {
		{ "QFI\xfb", add_of_qcow },
		{ "QED", add_of_qed },
		{ "KDMV", add_of_vmdk },
		{ "# Disk DescriptorFile", add_of_vmdk_text },
	};
	struct image image = { .fd = fd, .path = path, .names = ret };
	ssize_t got = pread(fd, image.header, sizeof(image.header), 0);

	if (got < 0)
		return -errno;
	image.length = (size_t)got;
	if (image.length < BACKING_HEADER_LEAST)
		return 0;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (image.length >= strlen(formats[i].magic) &&
		    !memcmp(image.header, formats[i].magic, strlen(formats[i].magic)))
			formats[i].add(&image);
	return 0;
}
