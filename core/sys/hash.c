/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XXH3-128 by libxxhash. */
#include "sys/hash.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char digits[] = "0123456789abcdef";

static struct hash canonical(XXH128_hash_t value)
{
	XXH128_canonical_t big_endian;
	struct hash hash;

	_Static_assert(sizeof(big_endian.digest) == HASH_BYTES, "XXH3-128 has 16 bytes");
	XXH128_canonicalFromHash(&big_endian, value);
	for (size_t i = 0; i < HASH_BYTES; i++)
		hash.bytes[i] = big_endian.digest[i];
	return hash;
}

struct hash hash_of(const void *data, size_t length)
{
	return canonical(XXH3_128bits(data, length));
}

struct hash_stream *hash_stream_new(void)
{
	XXH3_state_t *state = XXH3_createState();

	if (!state || XXH3_128bits_reset(state) != XXH_OK)
		abort();
	return (struct hash_stream *)state;
}

void hash_stream_add(struct hash_stream *stream, const void *data, size_t length)
{
	if (XXH3_128bits_update((XXH3_state_t *)stream, data, length) != XXH_OK)
		abort();
}

struct hash hash_stream_end(struct hash_stream *stream)
{
	XXH3_state_t *state = (XXH3_state_t *)stream;
	struct hash hash = canonical(XXH3_128bits_digest(state));

	XXH3_freeState(state);
	return hash;
}

const char *hash_hex(const struct hash *hash, char buf[static HASH_HEX])
{
	for (size_t i = 0; i < HASH_BYTES; i++) {
		buf[2 * i] = digits[hash->bytes[i] >> 4];
		buf[2 * i + 1] = digits[hash->bytes[i] & 15];
	}
	buf[2 * HASH_BYTES] = '\0';
	return buf;
}

bool hash_from_hex(const char *hex, struct hash *ret)
{
	struct hash hash = { { 0 } };

	if (!hex || strspn(hex, digits) != 2 * HASH_BYTES || hex[2 * HASH_BYTES])
		return false;
	for (size_t i = 0; i < 2 * HASH_BYTES; i++) {
		size_t digit = (size_t)(strchr(digits, hex[i]) - digits);

		hash.bytes[i / 2] |= (uint8_t)(i % 2 ? digit : digit << 4);
	}
	*ret = hash;
	return true;
}
