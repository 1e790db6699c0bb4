/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of a plan file: which lines are moves, and what stands in front of them. */
#include "batch_plan.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void batch_fault(struct batch_faults *faults, unsigned number, const struct err *err)
{
	faults->items = text_grow(faults->items, faults->count + 1, sizeof(*faults->items));
	faults->items[faults->count++] = (struct batch_fault){ number, *err };
}

void batch_faults_free(struct batch_faults *faults)
{
	free(faults->items);
	*faults = (struct batch_faults){ 0 };
}

void batch_text_add(struct batch_text *plan, unsigned number, char *line)
{
	plan->lines = text_grow(plan->lines, plan->count + 1, sizeof(*plan->lines));
	plan->lines[plan->count++] = (struct batch_line){ number, line };
}

void batch_text_free(struct batch_text *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free(plan->lines[i].text);
	free(plan->lines);
	free(plan->defaults);
	*plan = (struct batch_text){ 0 };
}

static void add_fault(struct batch_faults *faults, unsigned number, const char *object,
		      const char *cause, const char *next)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_USAGE, object, "%s", cause);
	if (next)
		err_next(&err, "%s", next);
	batch_fault(faults, number, &err);
}

/* Cut a comment and white space at the end off; quotes and backslashes protect. */
static void strip(char *line)
{
	char quote = '\0';
	char *p = line, *end = line;

	for (; *p; p++) {
		if (*p == '\\' && quote != '\'' && p[1]) {
			p++;
		} else if (quote) {
			quote = *p == quote ? '\0' : quote;
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
			break;
		} else if (isspace((unsigned char)*p)) {
			continue;
		}
		end = p + 1;
	}
	*end = '\0';
}

/* Is it this word, alone or with something behind it?  Then what is behind it, else NULL. */
static char *behind_word(char *line, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(line, word, length) || (line[length] && !isspace((unsigned char)line[length])))
		return NULL;
	line += length;
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

static void take_limits(struct batch_text *plan, unsigned number, char *text,
			struct batch_faults *faults)
{
	char *rest = NULL;

	if (!*text)
		add_fault(faults, number, "limit", "names no limit", "write limit KEY=N ...");
	for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		struct err err = ERR_INIT;

		if (limits_add(&plan->limits, word, &err) < 0)
			batch_fault(faults, number, &err);
	}
}

static void take_line(struct batch_text *plan, unsigned number, char *line,
		      struct batch_faults *faults)
{
	bool limit;
	char *rest;

	strip(line);
	while (isspace((unsigned char)*line))
		line++;
	if (!*line)
		return;
	rest = behind_word(line, "limit");
	limit = rest != NULL;
	if (!rest)
		rest = behind_word(line, "defaults");
	if (!rest) {
		batch_text_add(plan, number, text_copy(line));
	} else if (plan->count) {
		add_fault(faults, number, limit ? "limit" : "defaults", "stands behind the first move",
			  "put it on top; a volume of that name is written as ./NAME");
	} else if (limit) {
		take_limits(plan, number, rest, faults);
	} else {
		char *both = text_format("%s%s%s", plan->defaults, *plan->defaults ? " " : "", rest);

		free(plan->defaults);
		plan->defaults = both;
	}
}

void batch_text_parse(const char *text, size_t length, struct batch_text *ret,
		      struct batch_faults *faults)
{
	char *line = NULL;
	size_t used = 0, at = 0;
	unsigned number = 0, first = 0;

	*ret = (struct batch_text){ .defaults = text_copy("") };
	while (at < length) {
		const char *newline = memchr(text + at, '\n', length - at);
		size_t end = newline ? (size_t)(newline - text) : length;
		size_t count = end - at;
		bool more;

		number++;
		if (!used)
			first = number;
		if (count && text[end - 1] == '\r')
			count--;
		more = count && text[at + count - 1] == '\\';
		if (memchr(text + at, '\0', count)) {
			add_fault(faults, number, NULL, "there is a NUL byte in it", "a plan file is text");
			more = false;
			count = used = 0;
		}
		line = text_grow(line, used + count + 1, 1);
		memcpy(line + used, text + at, count);
		used += count;
		line[used] = '\0';
		if (more && newline) {
			line[used - 1] = ' ';
		} else {
			take_line(ret, first, line, faults);
			used = 0;
		}
		at = end + 1;
	}
	if (used)
		take_line(ret, first, line, faults);
	free(line);
}
