/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XML of domains, read by expat; changed by the byte, so that all else stays as it is. */
#include "sys/virt_xml.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"

#define DEPTH_MAX 64

/* A parse in progress. */
struct reader {
	XML_Parser parser;
	struct virt_disks *disks;
	char path[1024];		/* "/domain/devices/disk/source": of the element that is open */
	size_t depth;
	size_t ends[DEPTH_MAX];		/* how long path was before each open element */
	size_t root;			/* how long path is for the disk element itself; 0: in no disk */
	struct virt_source *source;	/* the <source> that is open, or NULL */
	size_t source_depth;
	bool wants_serial;
	bool wants_boot;		/* text belongs to the last of boot_paths */
	bool too_deep;
};

static const char *attribute(const char **attributes, const char *name)
{
	for (; attributes && *attributes; attributes += 2)
		if (!strcmp(attributes[0], name))
			return attributes[1];
	return NULL;
}

static void set(char **field, const char *value)
{
	if (!value)
		return;
	free(*field);
	*field = text_copy(value);
}

static uint64_t number(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

/* The disk that is open. */
static struct virt_disk *disk_of(struct reader *reader)
{
	return &reader->disks->items[reader->disks->count - 1];
}

static void begin_disk(struct reader *reader, const char **attributes)
{
	struct virt_disks *disks = reader->disks;
	struct virt_disk *disk;

	disks->items = text_grow(disks->items, disks->count + 1, sizeof(*disks->items));
	disk = &disks->items[disks->count++];
	*disk = (struct virt_disk){ 0 };
	disk->begin = (size_t)XML_GetCurrentByteIndex(reader->parser);
	disk->tag_end = disk->begin + (size_t)XML_GetCurrentByteCount(reader->parser);
	disk->source_begin = disk->source_end = disk->tag_end;
	disk->backing_begin = disk->backing_end = disk->tag_end;
	set(&disk->source.type, attribute(attributes, "type") ?: "file");
	set(&disk->device, attribute(attributes, "device") ?: "disk");
	reader->root = strlen(reader->path);
}

static void begin_source(struct reader *reader, struct virt_source *source, const char **attributes)
{
	reader->source = source;
	reader->source_depth = reader->depth;
	set(&source->path, attribute(attributes, "file") ?: attribute(attributes, "dev") ?:
	    attribute(attributes, "dir"));
	set(&source->protocol, attribute(attributes, "protocol"));
	source->tls = !strcmp(attribute(attributes, "tls") ?: "no", "yes");
	set(&source->tls_hostname, attribute(attributes, "tlsHostname"));
	set(&source->index, attribute(attributes, "index"));
	set(&source->name, attribute(attributes, "name"));
	set(&source->pool, attribute(attributes, "pool"));
	set(&source->volume, attribute(attributes, "volume"));
}

/* An element below an open <source>. */
static void in_source(struct virt_source *source, const char *name, const char **attributes)
{
	if (!strcmp(name, "host") && !source->host && !source->socket) {
		const char *port = attribute(attributes, "port");
		const char *host = attribute(attributes, "name");

		set(&source->socket, attribute(attributes, "socket"));
		/* An IPv6 address in brackets, as in a URI. */
		if (host)
			source->host = text_format(strchr(host, ':') ? "[%s]%s%s" : "%s%s%s", host, port ? ":" : "",
						   port ? port : "");
	} else if (!strcmp(name, "config")) {
		set(&source->conf, attribute(attributes, "file"));
	} else if (!strcmp(name, "auth")) {
		set(&source->user, attribute(attributes, "username"));
	} else if (!strcmp(name, "slice")) {
		source->sliced = true;
		source->slice_offset = number(attribute(attributes, "offset"));
		source->slice_bytes = number(attribute(attributes, "size"));
	}
}

static void add_backing(struct virt_disk *disk, const char **attributes)
{
	struct virt_source source = { 0 };

	/* An empty element says that the chain ends here. */
	if (!attribute(attributes, "type"))
		return;
	set(&source.type, attribute(attributes, "type"));
	disk->backing = text_grow(disk->backing, disk->backing_count + 1, sizeof(*disk->backing));
	disk->backing[disk->backing_count++] = source;
}

static bool is_below(const char *path, const char *start)
{
	return !strncmp(path, start, strlen(start));
}

/* path: relative to the disk, "/source". */
static void in_disk(struct reader *reader, const char *path, const char *name, const char **attributes)
{
	struct virt_disk *disk = disk_of(reader);

	if (!strcmp(path, "/source")) {
		disk->source_begin = (size_t)XML_GetCurrentByteIndex(reader->parser);
		begin_source(reader, &disk->source, attributes);
	} else if (!strcmp(path, "/driver")) {
		set(&disk->format, attribute(attributes, "type"));
	} else if (!strcmp(path, "/target")) {
		set(&disk->target, attribute(attributes, "dev"));
		set(&disk->bus, attribute(attributes, "bus"));
	} else if (!strcmp(path, "/alias")) {
		set(&disk->alias, attribute(attributes, "name"));
	} else if (!strcmp(path, "/serial")) {
		reader->wants_serial = true;
	} else if (!strcmp(path, "/readonly")) {
		disk->readonly = true;
	} else if (!strcmp(path, "/shareable")) {
		disk->shareable = true;
	} else if (!strcmp(path, "/mirror")) {
		disk->mirrored = true;
		set(&disk->mirror_job, attribute(attributes, "job"));
		set(&disk->mirror_ready, attribute(attributes, "ready"));
		set(&disk->mirror.type, attribute(attributes, "type"));
	} else if (!strcmp(path, "/mirror/source")) {
		begin_source(reader, &disk->mirror, attributes);
	} else if (is_below(path, "/backingStore") && !strcmp(name, "backingStore")) {
		if (!strcmp(path, "/backingStore"))
			disk->backing_begin = (size_t)XML_GetCurrentByteIndex(reader->parser);
		add_backing(disk, attributes);
	} else if (is_below(path, "/backingStore") && !strcmp(name, "source") &&
		   !reader->source && disk->backing_count) {
		begin_source(reader, &disk->backing[disk->backing_count - 1], attributes);
	} else if (reader->source) {
		in_source(reader->source, name, attributes);
	}
}

static void begin_boot(struct reader *reader, const char *path)
{
	static const char *const roles[] = { "kernel", "initrd", "loader", "nvram", "dtb" };

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(path, roles[i]))
			continue;
		text_list_add(&reader->disks->boot_roles, text_copy(roles[i]));
		text_list_add(&reader->disks->boot_paths, text_copy(""));
		reader->wants_boot = true;
	}
}

static void on_start(void *data, const char *name, const char **attributes)
{
	struct reader *reader = data;
	size_t length = strlen(reader->path);

	if (reader->depth == DEPTH_MAX || length + strlen(name) + 2 > sizeof(reader->path)) {
		reader->too_deep = true;
		XML_StopParser(reader->parser, XML_FALSE);
		return;
	}
	reader->ends[reader->depth++] = length;
	snprintf(reader->path + length, sizeof(reader->path) - length, "/%s", name);
	if (reader->root)
		in_disk(reader, reader->path + reader->root, name, attributes);
	else if (!strcmp(reader->path, "/domain/devices/disk") || !strcmp(reader->path, "/disk"))
		begin_disk(reader, attributes);
	else if (is_below(reader->path, "/domain/os/"))
		begin_boot(reader, reader->path + strlen("/domain/os/"));
}

static void on_end(void *data, const char *name)
{
	struct reader *reader = data;
	size_t after = (size_t)XML_GetCurrentByteIndex(reader->parser) +
		       (size_t)XML_GetCurrentByteCount(reader->parser);

	(void)name;
	reader->wants_boot = false;
	if (reader->root) {
		struct virt_disk *disk = disk_of(reader);
		const char *path = reader->path + reader->root;

		if (!*path) {
			disk->end = after;
			reader->root = 0;
		} else if (!strcmp(path, "/source")) {
			disk->source_end = after;
		} else if (!strcmp(path, "/backingStore")) {
			disk->backing_end = after;
		}
		reader->wants_serial = false;
	}
	if (reader->source && reader->depth == reader->source_depth)
		reader->source = NULL;
	reader->path[reader->ends[--reader->depth]] = '\0';
}

static void on_text(void *data, const char *text, int length)
{
	struct reader *reader = data;
	char **into = NULL, *more;

	if (reader->root && reader->wants_serial)
		into = &disk_of(reader)->serial;
	else if (reader->wants_boot)
		into = &reader->disks->boot_paths.items[reader->disks->boot_paths.count - 1];
	if (!into)
		return;
	more = text_format("%s%.*s", *into ? *into : "", length, text);
	free(*into);
	*into = more;
}

int virt_xml_disks(const char *xml, struct virt_disks *ret_disks, struct err *err)
{
	struct virt_disks disks = { 0 };
	struct reader reader = { .disks = &disks };
	int ret = -1;

	reader.parser = XML_ParserCreate("UTF-8");
	if (!reader.parser)
		return err_set(err, ERR_FAILED, NULL, "no memory to read a domain's XML");
	XML_SetUserData(reader.parser, &reader);
	XML_SetElementHandler(reader.parser, on_start, on_end);
	XML_SetCharacterDataHandler(reader.parser, on_text);
	if (XML_Parse(reader.parser, xml, (int)strlen(xml), XML_TRUE) == XML_STATUS_ERROR) {
		err_set(err, ERR_FAILED, NULL, "cannot read a domain's XML: %s (line %lu)",
			reader.too_deep ? "nested too deeply" :
			XML_ErrorString(XML_GetErrorCode(reader.parser)),
			(unsigned long)XML_GetCurrentLineNumber(reader.parser));
		virt_disks_free(&disks);
	} else {
		*ret_disks = disks;
		ret = 0;
	}
	XML_ParserFree(reader.parser);
	return ret;
}

static void source_free(struct virt_source *source)
{
	free(source->type);
	free(source->path);
	free(source->protocol);
	free(source->name);
	free(source->host);
	free(source->socket);
	free(source->conf);
	free(source->user);
	free(source->tls_hostname);
	free(source->index);
	free(source->pool);
	free(source->volume);
}

void virt_disks_free(struct virt_disks *disks)
{
	for (size_t i = 0; i < disks->count; i++) {
		struct virt_disk *disk = &disks->items[i];

		free(disk->target);
		free(disk->bus);
		free(disk->device);
		free(disk->format);
		free(disk->serial);
		free(disk->alias);
		free(disk->mirror_job);
		free(disk->mirror_ready);
		source_free(&disk->source);
		source_free(&disk->mirror);
		for (size_t k = 0; k < disk->backing_count; k++)
			source_free(&disk->backing[k]);
		free(disk->backing);
	}
	free(disks->items);
	text_list_free(&disks->boot_roles);
	text_list_free(&disks->boot_paths);
	*disks = (struct virt_disks){ 0 };
}

const struct virt_disk *virt_disk_by_target(const struct virt_disks *disks, const char *target)
{
	for (size_t i = 0; i < disks->count; i++)
		if (disks->items[i].target && !strcmp(disks->items[i].target, target))
			return &disks->items[i];
	return NULL;
}

char *virt_source_text(const struct virt_source *source)
{
	if (source->path)
		return text_copy(source->path);
	if (source->protocol)
		return text_format("%s:%s%s%s", source->protocol,
				   source->socket ? source->socket : source->host ? source->host : "",
				   source->name ? "/" : "", source->name ? source->name : "");
	if (source->volume)
		return text_format("%s/%s", source->pool ? source->pool : "", source->volume);
	return NULL;
}

char *virt_xml_escape(const char *text)
{
	/* The longest that a byte becomes is "&apos;". */
	char *escaped = text_alloc(strlen(text) * 6 + 1, 1);
	char *at = escaped;

	for (; *text; text++)
		switch (*text) {
		case '&':
			at = stpcpy(at, "&amp;");
			break;
		case '<':
			at = stpcpy(at, "&lt;");
			break;
		case '>':
			at = stpcpy(at, "&gt;");
			break;
		case '\'':
			at = stpcpy(at, "&apos;");
			break;
		case '"':
			at = stpcpy(at, "&quot;");
			break;
		default:
			*at++ = *text;
		}
	*at = '\0';
	return escaped;
}

static char *source_element(bool is_device, const char *path, uint64_t window)
{
	char *escaped = virt_xml_escape(path);
	const char *attribute_name = is_device ? "dev" : "file";
	char *xml;

	if (window)
		xml = text_format("<source %s='%s'><slices><slice type='storage' offset='0' size='%llu'/></slices></source>",
				  attribute_name, escaped, (unsigned long long)window);
	else
		xml = text_format("<source %s='%s'/>", attribute_name, escaped);
	free(escaped);
	return xml;
}

char *virt_xml_raw_disk(bool is_device, const char *path, uint64_t window)
{
	char *source = source_element(is_device, path, window);
	char *xml = text_format("<disk type='%s' device='disk'><driver name='qemu' type='raw'/>%s</disk>",
				is_device ? "block" : "file", source);

	free(source);
	return xml;
}

char *virt_xml_network_disk(const char *source)
{
	return text_format("<disk type='network' device='disk'><driver name='qemu' type='raw'/>%s</disk>", source);
}

/* The value of the type attribute in a start tag: its place, or false. */
static bool find_type(const char *tag, size_t length, size_t *ret_begin, size_t *ret_end)
{
	char quote = 0;

	for (size_t i = 0; i + 6 < length; i++) {
		if (quote) {
			if (tag[i] == quote)
				quote = 0;
			continue;
		}
		if (tag[i] == '\'' || tag[i] == '"') {
			quote = tag[i];
		} else if ((tag[i] == ' ' || tag[i] == '\n' || tag[i] == '\t') &&
			   !strncmp(tag + i + 1, "type=", 5)) {
			const char *open = tag + i + 6, *close = memchr(open + 1, *open, length - i - 7);

			if (!close)
				return false;
			*ret_begin = i + 7;
			*ret_end = (size_t)(close - tag);
			return true;
		}
	}
	return false;
}

int virt_xml_repoint(const char *xml, const char *target, bool is_device, const char *path,
		     char **ret_xml, struct err *err)
{
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;
	size_t type_begin, type_end;
	char *source = NULL;
	int ret = -1;

	if (virt_xml_disks(xml, &disks, err) < 0)
		return -1;
	disk = virt_disk_by_target(&disks, target);
	if (!disk || disk->source_begin == disk->source_end ||
	    !find_type(xml + disk->begin, disk->tag_end - disk->begin, &type_begin, &type_end)) {
		err_set(err, ERR_FAILED, target, "the definition has no such disk with a source");
		goto out;
	}
	source = source_element(is_device, path, 0);
	*ret_xml = text_format("%.*s%s%.*s%s%s", (int)(disk->begin + type_begin), xml,
			       is_device ? "block" : "file",
			       (int)(disk->source_begin - disk->begin - type_end),
			       xml + disk->begin + type_end, source, xml + disk->source_end);
	ret = 0;
out:
	free(source);
	virt_disks_free(&disks);
	return ret;
}

/* Copy xml up to end, and go on at next: what lies between is left out, and the white space before it. */
static char *copy_up_to(char *to, const char *xml, size_t *at, size_t end, size_t next)
{
	to = mempcpy(to, xml + *at, end - *at);
	while (to[-1] == ' ' || to[-1] == '\n')
		to--;
	*at = next;
	return to;
}

int virt_xml_without_source(const char *xml, const char *target, char **ret_xml, struct err *err)
{
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;
	size_t begin, end, at = 0;
	bool backing_first;
	char *out, *to;

	if (virt_xml_disks(xml, &disks, err) < 0)
		return -1;
	disk = virt_disk_by_target(&disks, target);
	if (!disk) {
		virt_disks_free(&disks);
		return err_set(err, ERR_FAILED, target, "the definition has no such disk");
	}
	out = to = text_alloc(strlen(xml) + 1, 1);
	if (find_type(xml + disk->begin, disk->tag_end - disk->begin, &begin, &end))
		to = copy_up_to(to, xml, &at, disk->begin + begin, disk->begin + end);
	backing_first = disk->backing_begin < disk->source_begin;
	if (backing_first && disk->backing_begin != disk->backing_end)
		to = copy_up_to(to, xml, &at, disk->backing_begin, disk->backing_end);
	if (disk->source_begin != disk->source_end)
		to = copy_up_to(to, xml, &at, disk->source_begin, disk->source_end);
	if (!backing_first && disk->backing_begin != disk->backing_end)
		to = copy_up_to(to, xml, &at, disk->backing_begin, disk->backing_end);
	strcpy(to, xml + at);
	virt_disks_free(&disks);
	*ret_xml = out;
	return 0;
}
