/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Right checksums for made-up journals: no fuzzer guesses them. */
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/hash.h"

char *seal(const uint8_t *data, size_t size, size_t *ret_length, size_t *ret_last)
{
	struct hash sum = { { 0 } };
	char hex[HASH_HEX];
	char *text;
	FILE *out = open_memstream(&text, ret_length);

	if (!out)
		abort();
	while (size > 0) {
		const uint8_t *newline = memchr(data, '\n', size);
		size_t line = newline ? (size_t)(newline - data) : size;
		size_t body = line > 0 && data[line - 1] == '}' ? line - 1 : line;
		struct hash_stream *stream = hash_stream_new();

		hash_stream_add(stream, sum.bytes, HASH_BYTES);
		hash_stream_add(stream, data, body);
		sum = hash_stream_end(stream);
		fflush(out);
		*ret_last = *ret_length;
		fwrite(data, 1, body, out);
		fprintf(out, ",\"sum\":\"%s\"}\n", hash_hex(&sum, hex));
		data += newline ? line + 1 : line;
		size -= newline ? line + 1 : line;
	}
	if (fclose(out))
		abort();
	return text;
}
