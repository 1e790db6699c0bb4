/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few things on top of jansson that everybody needs. */
#include "support/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"

json_t *json_name(const char *name)
{
	char *hex;
	size_t len;
	json_t *value;

	if (!name)
		return json_null();
	if (text_is_utf8(name))
		return json_string_nocheck(name);
	len = strlen(name);
	hex = text_alloc(len * 2 + 1, 1);
	for (size_t i = 0; i < len; i++)
		sprintf(hex + i * 2, "%02x", (unsigned char)name[i]);
	value = json_pack("{s:s}", "bytes", hex);
	free(hex);
	return value;
}

char *json_name_get(const json_t *value)
{
	const char *hex;
	char *name;
	size_t len;

	if (json_is_string(value))
		return text_copy(json_string_value(value));
	hex = json_get_string(value, "bytes");
	if (!hex || strlen(hex) % 2)
		return NULL;
	len = strlen(hex) / 2;
	name = text_alloc(len + 1, 1);
	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (sscanf(hex + i * 2, "%2x", &byte) != 1 || byte == 0) {
			free(name);
			return NULL;
		}
		name[i] = (char)byte;
	}
	return name;
}

json_t *json_text(const char *text)
{
	char *printable;
	json_t *value;

	if (!text)
		return json_null();
	if (text_is_utf8(text))
		return json_string_nocheck(text);
	printable = text_printable(text);
	value = json_string_nocheck(printable);
	free(printable);
	return value;
}

json_t *json_u64(uint64_t value)
{
	/* jansson's integers are signed; sizes beyond 8 EiB do not exist here. */
	return json_integer((json_int_t)value);
}

uint64_t json_get_u64(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

bool json_get_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const char *json_get_string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		abort();
}
