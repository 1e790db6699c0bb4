/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a journal; and since no fuzzer guesses a checksum, any lines
 * with right checksums as a journal, which is then cut and damaged.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "journal.h"
#include "seal.h"
#include "support/err.h"

struct heard {
	size_t records;
};

static int hear(const json_t *record, void *data, struct err *err)
{
	struct heard *heard = data;

	(void)err;
	assert(json_is_object(record));
	heard->records++;
	return 0;
}

/* Why parse() said no. */
static struct err refusal;

static int parse(const char *text, size_t length, size_t *ret_end, size_t *ret_records)
{
	struct err err = ERR_INIT;
	struct heard heard = { 0 };
	int ret = journal_parse(text, length, "fuzz", hear, &heard, ret_end, NULL, &err);

	if (ret == 0) {
		assert(err.class == ERR_NONE);
		assert(*ret_end <= length);
		assert(*ret_end == 0 || text[*ret_end - 1] == '\n');
		*ret_records = heard.records;
	} else {
		assert(ret == -1);
		assert(err.class == ERR_REFUSED);
		assert(err.cause[0]);
		refusal = err;
	}
	return ret;
}

/* A copy of exactly this length, so that the sanitizer sees a read beyond its end. */
static char *copy(const char *text, size_t length)
{
	char *p = malloc(length ? length : 1);

	if (!p)
		abort();
	memcpy(p, text, length);
	return p;
}

static void check_raw(const char *text, size_t length)
{
	size_t end = 0, records = 0, again_end = 0, again_records = 0;

	if (parse(text, length, &end, &records) < 0)
		return;
	/* What is left after cutting the torn tail reads the same. */
	assert(parse(text, end, &again_end, &again_records) == 0);
	assert(again_end == end && again_records == records);
}

static void check_sealed(const uint8_t *data, size_t size)
{
	size_t length = 0, last = 0, end = 0, records = 0, less = 0;
	uint32_t where = 0;
	char *text = seal(data, size, &length, &last);
	char *part;

	/* A NUL in the last line makes it a torn one, and nowhere is it JSON. */
	if (size == 0 || memchr(data, '\0', size))
		goto out;
	if (parse(text, length, &end, &records) < 0) {
		/* It is no JSON, or the like; the checksums are right. */
		assert(!strstr(refusal.cause, "does not match"));
		goto out;
	}
	assert(end == length && records > 0);

	for (size_t i = 0; i < size; i++)
		where = where * 31 + data[i];

	/* Torn anywhere, the last line is as if it had never been, and the others stand. */
	part = copy(text, last + where % (length - last));
	assert(parse(part, last + where % (length - last), &end, &less) == 0);
	assert(end == last && less == records - 1);
	free(part);

	/* One bit changed anywhere is damage, but for the last newline, without which it is torn. */
	part = copy(text, length);
	part[where % length] ^= (char)(1 << where % 7);
	if (where % length == length - 1)
		assert(parse(part, length, &end, &less) == 0 && less == records - 1);
	else
		assert(parse(part, length, &end, &less) < 0);
	free(part);

	/* So is a line that is missing, if it is not the last. */
	if (records > 1) {
		size_t first = (size_t)((char *)memchr(text, '\n', length) + 1 - text);

		assert(parse(text + first, length - first, &end, &less) < 0);
	}
out:
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = copy(data ? (const char *)data : "", size);

	check_raw(text, size);
	free(text);
	check_sealed(data, size);
	return 0;
}
