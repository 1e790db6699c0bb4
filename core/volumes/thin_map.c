/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map of a thin volume, from XML to bits; see thin_map.h. */
#include "volumes/thin_map.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"

#define BITS_MOST (UINT64_C(1) << 27)	/* 16 MiB */
#define LINE_MOST 4096

struct thin_map {
	uint64_t bytes;			/* of the volume */
	uint64_t unit;			/* what a bit stands for: chunks, as many as must be */
	uint64_t count;
	uint64_t *words;
};

void thin_map_free(struct thin_map *map)
{
	if (map)
		free(map->words);
	free(map);
}

static bool has(const struct thin_map *map, uint64_t bit)
{
	return map->words[bit / 64] >> (bit % 64) & 1;
}

/* The first bit from on that is so. */
static uint64_t find(const struct thin_map *map, uint64_t bit, bool set)
{
	uint64_t all = set ? 0 : UINT64_MAX;

	while (bit < map->count && has(map, bit) != set) {
		if (bit % 64 == 0 && map->words[bit / 64] == all)
			bit += 64;
		else
			bit++;
	}
	return bit < map->count ? bit : map->count;
}

void thin_map_next(const struct thin_map *map, uint64_t offset, uint64_t *ret_start,
		   uint64_t *ret_end)
{
	uint64_t first = offset < map->bytes ? find(map, offset / map->unit, true) : map->count;
	uint64_t start = first * map->unit, end;

	*ret_start = *ret_end = map->bytes;
	if (first >= map->count)
		return;
	end = find(map, first, false) * map->unit;
	*ret_start = start < offset ? offset : start;
	if (end < map->bytes)
		*ret_end = end;
}

struct thin_map *thin_map_empty(const struct thin_map_expect *expect)
{
	struct thin_map *map = text_alloc(1, sizeof(*map));

	map->bytes = expect->bytes;
	map->unit = expect->chunk;
	while (expect->bytes / map->unit >= BITS_MOST)
		map->unit *= 2;
	map->count = (expect->bytes + map->unit - 1) / map->unit;
	map->words = text_alloc(map->count / 64 + 1, sizeof(*map->words));
	return map;
}

static void add(struct thin_map *map, uint64_t start, uint64_t end)
{
	if (end > map->bytes)
		end = map->bytes;
	for (uint64_t bit = start / map->unit; bit * map->unit < end; bit++)
		map->words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* What comes next: the elements are one a line. */
enum place { BEFORE, IN_POOL, IN_VOLUME, AFTER_VOLUME, AFTER };

struct reader {
	const struct thin_map_expect *expect;
	struct thin_map *map;
	enum place place;
	uint64_t next_chunk;		/* ranges are in order: the first that the next may hold */
	uint64_t chunks;		/* mapped, beyond the end too */
	const char *why;		/* it cannot be trusted, or NULL */
};

/* The number of name="..." in an element; false: it is not there, or no number. */
static bool attribute(const char *line, const char *name, uint64_t *ret)
{
	size_t len = strlen(name);

	for (const char *p = strchr(line, ' '); p; p = strchr(p + 1, ' ')) {
		char *end;

		if (strncmp(p + 1, name, len) || strncmp(p + 1 + len, "=\"", 2))
			continue;
		p += len + 3;
		if (!isdigit((unsigned char)*p))
			return false;
		errno = 0;
		*ret = strtoull(p, &end, 10);
		return !errno && *end == '"';
	}
	return false;
}

static bool is_element(const char *line, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(line, name, len) && (line[len] == ' ' || line[len] == '>');
}

static void read_range(struct reader *r, const char *line, const char *begin_name, bool single)
{
	uint64_t begin, length = 1, chunk = r->expect->chunk;

	if (!attribute(line, begin_name, &begin) || (!single && !attribute(line, "length", &length)) ||
	    !length || begin > UINT64_MAX / chunk / 2 || length > UINT64_MAX / chunk / 2) {
		r->why = "a mapping is not understood";
	} else if (begin < r->next_chunk) {
		r->why = "the mappings are not in order";
	} else {
		r->next_chunk = begin + length;
		r->chunks += length;
		add(r->map, begin * chunk, (begin + length) * chunk);
	}
}

static void read_line(struct reader *r, const char *line)
{
	uint64_t value;

	if (r->place == BEFORE && is_element(line, "<superblock")) {
		if (!attribute(line, "data_block_size", &value) || value * 512 != r->expect->chunk)
			r->why = "its chunk size is another one";
		r->place = IN_POOL;
	} else if (r->place == IN_POOL && is_element(line, "<device")) {
		if (!attribute(line, "dev_id", &value) || value != r->expect->id)
			r->why = "it is of another volume";
		r->place = IN_VOLUME;
	} else if (r->place == IN_VOLUME && is_element(line, "<range_mapping")) {
		read_range(r, line, "origin_begin", false);
	} else if (r->place == IN_VOLUME && is_element(line, "<single_mapping")) {
		read_range(r, line, "origin_block", true);
	} else if (r->place == IN_VOLUME && is_element(line, "</device")) {
		r->place = AFTER_VOLUME;
	} else if (r->place == AFTER_VOLUME && is_element(line, "</superblock")) {
		r->place = AFTER;
	} else {
		r->why = "it holds what is not understood";
	}
}

int thin_map_read(FILE *f, const struct thin_map_expect *expect, struct thin_map **ret,
		  struct err *err)
{
	struct reader r = { .expect = expect, .map = thin_map_empty(expect) };
	char line[LINE_MOST];

	while (!r.why && fgets(line, sizeof(line), f)) {
		const char *text = line + strspn(line, " \t");

		if (!strchr(line, '\n'))
			r.why = "a line has no end";
		else if (*text != '\n')
			read_line(&r, text);
	}
	if (!r.why && (ferror(f) || r.place != AFTER))
		r.why = "it ends too soon";
	if (!r.why && r.chunks * expect->chunk != expect->mapped)
		r.why = "the kernel counts another number of chunks";
	if (r.why) {
		thin_map_free(r.map);
		return err_set(err, ERR_FAILED, NULL, "the thin map cannot be trusted: %s", r.why);
	}
	*ret = r.map;
	return 0;
}
