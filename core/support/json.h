/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few things on top of jansson that everybody needs. */
#ifndef SUPPORT_JSON_H
#define SUPPORT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A name as JSON.  A file name is bytes, JSON is UTF-8: what is well-formed
 * becomes a string, the rest an object {"bytes": "HEX"}.  NULL becomes null.
 */
json_t *json_name(const char *name);

/* The inverse, a copy to free; NULL for null and for what is no name. */
char *json_name_get(const json_t *value);

/* For people and reports: always a string, made printable where it must be. */
json_t *json_text(const char *text);

/* Numbers as they are kept here; 0, false or NULL where the key is not there. */
json_t *json_u64(uint64_t value);
uint64_t json_get_u64(const json_t *object, const char *key);
bool json_get_bool(const json_t *object, const char *key);
const char *json_get_string(const json_t *object, const char *key);

/* Put value (taken over) under key; aborts when there is no memory. */
void json_put(json_t *object, const char *key, json_t *value);

#endif
