/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes, rates, times and names, read from and written for people. */
#ifndef SUPPORT_TEXT_H
#define SUPPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "4096", "64K", "1.5G": bytes, with K M G T P in powers of 1024.  Returns 0,
 * -EINVAL for what is no size, or -ERANGE for what does not fit 64 bits.
 */
int text_parse_size(const char *text, uint64_t *ret_bytes);

/*
 * "500ms", "90", "90s", "10m", "2h", "1d" as milliseconds; a bare number is
 * seconds.  Returns as text_parse_size() does.
 */
int text_parse_time(const char *text, uint64_t *ret_ms);

#define TEXT_SIZE_MAX 32

/* "512 B", "1.5 GiB": at most three digits that mean something; returns buf. */
const char *text_size(uint64_t bytes, char buf[static TEXT_SIZE_MAX]);

/* "45s", "3m10s", "2h05m"; returns buf. */
const char *text_duration(uint64_t seconds, char buf[static TEXT_SIZE_MAX]);

/*
 * A copy of text in which control characters, DEL and bytes that are no UTF-8
 * are written as \n, \t or \xHH, so that a hostile name stays on its line and
 * cannot drive the terminal.  Free it.
 */
char *text_printable(const char *text);

/*
 * A copy of text as one word of a shell's command line: as it is where it can
 * be, else in quotes, and made of what text_printable() leaves alone.  Free it.
 */
char *text_shell_word(const char *text);

/* Is text well-formed UTF-8 without surrogates? */
bool text_is_utf8(const char *text);

/* asprintf() that aborts when there is no memory; free the result. */
char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* strdup(), calloc(), realloc() of an array, that abort when there is no memory; text may be NULL. */
char *text_copy(const char *text);
void *text_alloc(size_t count, size_t size);
void *text_grow(void *array, size_t count, size_t size);

/* A growing list of strings that it owns. */
struct text_list {
	char **items;
	size_t count;
};

/* Takes item over. */
void text_list_add(struct text_list *list, char *item);
bool text_list_has(const struct text_list *list, const char *item);
void text_list_free(struct text_list *list);

/* "a, b and c"; free it. */
char *text_list_join(const struct text_list *list);

#endif
