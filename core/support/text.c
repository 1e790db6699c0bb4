/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes, rates, times and names, read from and written for people. */
#include "support/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Reads DIGITS[.DIGITS] as a whole and a fraction in millionths.  The point is
 * always '.', whatever the locale.
 */
static int parse_number(const char **text, uint64_t *ret_whole,
			uint64_t *ret_millionths)
{
	const char *p = *text;
	uint64_t whole = 0, millionths = 0, unit = 100000;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -ERANGE;
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++, unit /= 10)
			millionths += unit * (uint64_t)(*p - '0');
	}
	*text = p;
	*ret_whole = whole;
	*ret_millionths = millionths;
	return 0;
}

static int scale(uint64_t whole, uint64_t millionths, uint64_t unit,
		 uint64_t *ret)
{
	uint64_t value;
	__uint128_t fraction = (__uint128_t)millionths * unit / 1000000;

	if (__builtin_mul_overflow(whole, unit, &value) ||
	    __builtin_add_overflow(value, (uint64_t)fraction, &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

int text_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTP";
	uint64_t whole, millionths, unit = 1;
	const char *u;
	int ret = parse_number(&text, &whole, &millionths);

	if (ret < 0)
		return ret;
	if (*text) {
		u = strchr(units, toupper((unsigned char)*text));
		if (!u || text[1])
			return -EINVAL;
		unit = 1ULL << (10 * (u - units + 1));
	} else if (millionths) {
		return -EINVAL;
	}
	return scale(whole, millionths, unit, ret_bytes);
}

int text_parse_time(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t whole, millionths;
	int ret = parse_number(&text, &whole, &millionths);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(text, units[i].name))
			return scale(whole, millionths, units[i].ms, ret_ms);
	return -EINVAL;
}

const char *text_size(uint64_t bytes, char buf[static TEXT_SIZE_MAX])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1023.5 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, TEXT_SIZE_MAX, "%u B", (unsigned)bytes);
	else
		snprintf(buf, TEXT_SIZE_MAX, "%.*f %ciB",
			 value < 99.95 && value != (double)(int)value,
			 value, units[unit]);
	return buf;
}

const char *text_duration(uint64_t seconds, char buf[static TEXT_SIZE_MAX])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(buf, TEXT_SIZE_MAX, "%llus", s);
	else if (s < 3600)
		snprintf(buf, TEXT_SIZE_MAX, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, TEXT_SIZE_MAX, "%lluh%02llum", s / 3600,
			 s / 60 % 60);
	else
		snprintf(buf, TEXT_SIZE_MAX, "%llud%02lluh", s / 86400,
			 s / 3600 % 24);
	return buf;
}

/* The length of the well-formed UTF-8 sequence at p, or 0. */
static size_t utf8_sequence(const unsigned char *p)
{
	size_t len;
	uint32_t code;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	code = p[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && code < 0x10000) ||
	    code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

bool text_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len;

	for (; *p; p += len) {
		len = utf8_sequence(p);
		if (!len)
			return false;
	}
	return true;
}

char *text_printable(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char *out = text_alloc(strlen(text) * 4 + 1, 1);
	char *o = out;

	while (*p) {
		size_t len = utf8_sequence(p);

		if (*p == '\n') {
			o = stpcpy(o, "\\n");
			p++;
		} else if (*p == '\t') {
			o = stpcpy(o, "\\t");
			p++;
		} else if (!len || *p < 0x20 || *p == 0x7f ||
			   (*p == 0xc2 && p[1] < 0xa0)) {
			/* C0, DEL, C1 and stray bytes. */
			len = len ? len : 1;
			while (len--)
				o += sprintf(o, "\\x%02x", *p++);
		} else {
			memcpy(o, p, len);
			o += len;
			p += len;
		}
	}
	*o = '\0';
	return out;
}

char *text_shell_word(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_./:@%+=,-";
	char *printable, *out, *o;
	bool plain;

	if (*text && strspn(text, safe) == strlen(text))
		return text_copy(text);
	printable = text_printable(text);
	plain = !strcmp(printable, text);
	free(printable);
	out = text_alloc(strlen(text) * 4 + 4, 1);
	o = stpcpy(out, plain ? "'" : "$'");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (plain && c == '\'')
			o = stpcpy(o, "'\\''");
		else if (!plain && (c < 0x20 || c > 0x7e || c == '\'' || c == '\\'))
			o += sprintf(o, "\\x%02x", c);
		else
			*o++ = *text;
	}
	stpcpy(o, "'");
	return out;
}

char *text_format(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

char *text_copy(const char *text)
{
	char *copy;

	if (!text)
		return NULL;
	copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

void *text_alloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		abort();
	return p;
}

void *text_grow(void *array, size_t count, size_t size)
{
	void *p = reallocarray(array, count, size);

	if (!p)
		abort();
	return p;
}

void text_list_add(struct text_list *list, char *item)
{
	list->items = text_grow(list->items, list->count + 1,
				sizeof(*list->items));
	list->items[list->count++] = item;
}

bool text_list_has(const struct text_list *list, const char *item)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], item))
			return true;
	return false;
}

void text_list_free(struct text_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct text_list){ 0 };
}

char *text_list_join(const struct text_list *list)
{
	char *out = text_copy("");

	for (size_t i = 0; i < list->count; i++) {
		const char *glue = i == 0 ? "" :
				   i + 1 == list->count ? " and " : ", ";
		char *longer = text_format("%s%s%s", out, glue, list->items[i]);

		free(out);
		out = longer;
	}
	return out;
}
