/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes and access control lists, to another host and from there. */
#include "volumes/attributes.h"

#include <endian.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "support/json.h"
#include "support/text.h"

#define ACL "system.posix_acl_access"
#define USER "user."
#define VALUE_MAX 65536		/* the kernel's limit */
#define ENTRIES_MAX 512

/* An access control list as the kernel gives it, all little-endian; see linux/posix_acl_xattr.h. */
#define ACL_VERSION 2
enum { ACL_USER = 0x02, ACL_GROUP = 0x08 };

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

bool attributes_have_acl(const char *path)
{
	return getxattr(path, ACL, NULL, 0) > 0;
}

/* ---- reading ---- */

static char *to_hex(const unsigned char *value, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = text_alloc(2 * length + 1, 1);

	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[value[i] >> 4];
		hex[2 * i + 1] = digits[value[i] & 15];
	}
	hex[2 * length] = '\0';
	return hex;
}

/* The list by names; NULL: somebody in it has none. */
static json_t *acl_by_names(const unsigned char *value, size_t length)
{
	struct acl_entry entry;
	json_t *list = json_array();
	uint32_t version;

	memcpy(&version, value, sizeof(version));
	if (le32toh(version) != ACL_VERSION)
		goto none;
	for (size_t at = sizeof(version); at + sizeof(entry) <= length; at += sizeof(entry)) {
		const char *name = NULL;

		memcpy(&entry, value + at, sizeof(entry));
		if (le16toh(entry.tag) == ACL_USER) {
			const struct passwd *user = getpwuid(le32toh(entry.id));

			name = user ? user->pw_name : NULL;
		} else if (le16toh(entry.tag) == ACL_GROUP) {
			const struct group *group = getgrgid(le32toh(entry.id));

			name = group ? group->gr_name : NULL;
		}
		if (!name && (le16toh(entry.tag) == ACL_USER || le16toh(entry.tag) == ACL_GROUP))
			goto none;
		json_array_append_new(list, json_pack("{s:i, s:i, s:o}", "tag", (int)le16toh(entry.tag),
						      "perm", (int)le16toh(entry.perm), "name", json_name(name)));
	}
	return list;
none:
	json_decref(list);
	return NULL;
}

static void read_one(json_t *json, const char *path, const char *name, unsigned char *value)
{
	json_t *user = json_object_get(json, "user"), *acl;
	ssize_t length;

	/* The other host gives security.* by rules of its own, and trusted.* belongs to this host's programs. */
	if (strcmp(name, ACL) && strncmp(name, USER, strlen(USER))) {
		if (strncmp(name, "security.", 9))
			json_array_append_new(json_object_get(json, "lost"), json_text(name));
		return;
	}
	length = getxattr(path, name, value, VALUE_MAX);
	if (length >= 0 && strcmp(name, ACL)) {
		char *hex = to_hex(value, (size_t)length);
		json_t *key = json_name(name);

		/* Names that are no text are rare, and would need a form of their own. */
		if (json_is_string(key))
			json_put(user, name, json_string(hex));
		else
			json_array_append_new(json_object_get(json, "lost"), json_text(name));
		json_decref(key);
		free(hex);
		return;
	}
	acl = length > (ssize_t)sizeof(uint32_t) ? acl_by_names(value, (size_t)length) : NULL;
	if (!strcmp(name, ACL))
		json_put(json, "acl", acl ? acl : json_null());
	else
		json_array_append_new(json_object_get(json, "lost"), json_text(name));
}

char *attributes_read(const char *path)
{
	json_t *json = json_pack("{s:{}, s:[]}", "user", "lost");
	unsigned char *value = NULL;
	char *names = NULL, *text = NULL;
	ssize_t size = listxattr(path, NULL, 0);
	struct stat st;

	if (size <= 0 || stat(path, &st) < 0)
		goto out;
	names = text_alloc((size_t)size + 1, 1);
	value = text_alloc(VALUE_MAX, 1);
	size = listxattr(path, names, (size_t)size);
	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1)
		read_one(json, path, name, value);
	json_put(json, "mode", json_integer(st.st_mode & 0777));
	if (json_object_size(json_object_get(json, "user")) || json_array_size(json_object_get(json, "lost")) ||
	    json_object_get(json, "acl"))
		text = json_dumps(json, JSON_COMPACT);
	/* More of them than of a volume's bytes is not what they are for. */
	if (text && strlen(text) > ATTRIBUTES_MAX) {
		free(text);
		text = text_format("{\"lost\":[\"more than 64 KiB of them\"]%s}",
				   json_object_get(json, "acl") ? ",\"acl\":null" : "");
	}
out:
	free(names);
	free(value);
	json_decref(json);
	return text;
}

/* ---- giving ---- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool give_one(int fd, const char *name, const char *hex)
{
	size_t length = hex ? strlen(hex) / 2 : 0;
	unsigned char *value;
	bool good = hex && strlen(hex) == 2 * length && length <= VALUE_MAX && strlen(name) < 256 &&
		    !strncmp(name, USER, strlen(USER));

	if (!good)
		return false;
	value = text_alloc(length + 1, 1);
	for (size_t i = 0; good && i < length; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		good = high >= 0 && low >= 0;
		if (good)
			value[i] = (unsigned char)(high << 4 | low);
	}
	good = good && fsetxattr(fd, name, value, length, 0) == 0;
	free(value);
	return good;
}

/* Whether the list makes sense the kernel sees to. */
static bool give_acl(int fd, const json_t *list)
{
	size_t count = json_array_size(list), i;
	uint32_t version = htole32(ACL_VERSION);
	unsigned char *value;
	const json_t *item;
	bool good = count && count <= ENTRIES_MAX;

	if (!good)
		return false;
	value = text_alloc(sizeof(version) + count * sizeof(struct acl_entry), 1);
	memcpy(value, &version, sizeof(version));
	json_array_foreach(list, i, item) {
		json_int_t tag = json_integer_value(json_object_get(item, "tag"));
		json_int_t perm = json_integer_value(json_object_get(item, "perm"));
		char *name = json_name_get(json_object_get(item, "name"));
		const struct passwd *user = tag == ACL_USER && name ? getpwnam(name) : NULL;
		const struct group *group = tag == ACL_GROUP && name ? getgrnam(name) : NULL;
		struct acl_entry entry = {
			.tag = htole16((uint16_t)tag), .perm = htole16((uint16_t)perm),
			.id = htole32(user ? user->pw_uid : group ? group->gr_gid : UINT32_MAX),
		};

		if (perm < 0 || perm > 7 || tag < 1 || tag > 0x20 ||
		    (!user && tag == ACL_USER) || (!group && tag == ACL_GROUP))
			good = false;
		memcpy(value + sizeof(version) + i * sizeof(entry), &entry, sizeof(entry));
		free(name);
	}
	good = good && fsetxattr(fd, ACL, value, sizeof(version) + count * sizeof(struct acl_entry), 0) == 0;
	free(value);
	return good;
}

static void note_lost(const struct text_list *lost, struct text_list *notes)
{
	char *joined;

	if (!lost->count)
		return;
	joined = text_list_join(lost);
	text_list_add(notes, text_format("extended attributes not carried over: %s", joined));
	free(joined);
}

bool attributes_give(const char *text, int fd, bool with_acl, mode_t *mode, struct text_list *notes)
{
	json_t *json = text && strlen(text) <= ATTRIBUTES_MAX ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *user = json_object_get(json, "user"), *acl = json_object_get(json, "acl");
	json_int_t full = json_integer_value(json_object_get(json, "mode"));
	struct text_list lost = { 0 };
	bool acl_kept = false;
	const char *name;
	json_t *value;
	size_t i;

	if (text && !json)
		text_list_add(&lost, text_copy("all, for they make no sense"));
	json_object_foreach(user, name, value)
		if (!give_one(fd, name, json_string_value(value)))
			text_list_add(&lost, text_printable(name));
	json_array_foreach(json_object_get(json, "lost"), i, value)
		if (json_is_string(value))
			text_list_add(&lost, text_printable(json_string_value(value)));
	if (acl && with_acl) {
		acl_kept = give_acl(fd, acl);
		if (acl_kept)
			*mode = (mode_t)full & 0777;
		else
			text_list_add(notes, text_copy(
				"the access control list could not be kept, so only the owner has access"));
	}
	note_lost(&lost, notes);
	text_list_free(&lost);
	json_decref(json);
	return acl_kept;
}
