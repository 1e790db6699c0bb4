/* SPDX-License-Identifier: GPL-2.0-or-later */
/* By libzstd; or, in a build without it, not at all. */
#include "sys/zstd.h"

#include <stdlib.h>

#include "support/inject.h"

#ifndef VOLMIG_WITHOUT_ZSTD

#include <zstd.h>

#define LEVEL 1

struct zstd {
	ZSTD_CCtx *packing;
	ZSTD_DCtx *unpacking;
};

const char *zstd_missing(void)
{
	uint64_t number;

	return inject_number("without-zstd", &number) ? "this volmig is to do without libzstd" : NULL;
}

struct zstd *zstd_new(void)
{
	struct zstd *zstd = malloc(sizeof(*zstd));

	if (!zstd)
		abort();
	zstd->packing = ZSTD_createCCtx();
	zstd->unpacking = ZSTD_createDCtx();
	if (!zstd->packing || !zstd->unpacking)
		abort();
	return zstd;
}

void zstd_free(struct zstd *zstd)
{
	if (!zstd)
		return;
	ZSTD_freeCCtx(zstd->packing);
	ZSTD_freeDCtx(zstd->unpacking);
	free(zstd);
}

size_t zstd_pack(struct zstd *zstd, void *packed, size_t room, const void *raw, size_t length)
{
	size_t n = ZSTD_compressCCtx(zstd->packing, packed, room, raw, length, LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

int zstd_unpack(struct zstd *zstd, void *raw, size_t length, const void *packed, size_t packed_length)
{
	size_t n = ZSTD_decompressDCtx(zstd->unpacking, raw, length, packed, packed_length);

	return ZSTD_isError(n) || n != length ? -1 : 0;
}

#else

const char *zstd_missing(void)
{
	return "this volmig was built without libzstd";
}

struct zstd *zstd_new(void)
{
	return NULL;
}

void zstd_free(struct zstd *zstd)
{
	(void)zstd;
}

size_t zstd_pack(struct zstd *zstd, void *packed, size_t room, const void *raw, size_t length)
{
	(void)zstd;
	(void)packed;
	(void)room;
	(void)raw;
	(void)length;
	return 0;
}

int zstd_unpack(struct zstd *zstd, void *raw, size_t length, const void *packed, size_t packed_length)
{
	(void)zstd;
	(void)raw;
	(void)length;
	(void)packed;
	(void)packed_length;
	return -1;
}

#endif
