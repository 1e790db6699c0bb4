/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identifiers: of jobs by libuuid, and of this boot of the machine. */
#include "sys/uuid.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

const char *uuid_new(char buf[static UUID_TEXT_SIZE])
{
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, buf);
	return buf;
}

bool uuid_canonical(const char *text, char buf[static UUID_TEXT_SIZE])
{
	/* Not by uuid_parse(): directories of thousands of them are gone through. */
	for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	if (text[UUID_TEXT_SIZE - 1])
		return false;
	for (size_t i = 0; i < UUID_TEXT_SIZE; i++)
		buf[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

const char *uuid_named(const void *name, size_t length, char buf[static UUID_TEXT_SIZE])
{
	/* The name space of what volmig names: never to be changed. */
	static const uuid_t space = {
		0x5d, 0x3c, 0x1e, 0x0a, 0x9b, 0x7e, 0x4c, 0x52,
		0x8f, 0x11, 0x76, 0x6f, 0x6c, 0x6d, 0x69, 0x67,
	};
	uuid_t uuid;

	uuid_generate_sha1(uuid, space, name, length);
	uuid_unparse_lower(uuid, buf);
	return buf;
}

const char *uuid_of_boot(char buf[static UUID_TEXT_SIZE])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	char line[64] = "";

	buf[0] = '\0';
	if (file) {
		if (fgets(line, sizeof(line), file)) {
			line[strcspn(line, "\n")] = '\0';
			uuid_canonical(line, buf);
		}
		fclose(file);
	}
	return buf;
}
