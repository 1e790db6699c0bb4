/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thin volumes and their pools, as the kernel has them: what is used, what is
 * free, what a new chunk reads as.  By device-mapper alone, so it is true at
 * this moment and costs next to nothing; a pool that is not active has none.
 */
#ifndef VOLUMES_THIN_H
#define VOLUMES_THIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define THIN_NAME_MAX 130

struct thin_pool {
	char name[THIN_NAME_MAX];	/* device-mapper's: "vg-pool-tpool" */
	char uuid[THIN_NAME_MAX];
	dev_t metadata;			/* the device that holds its metadata, */
	char metadata_name[THIN_NAME_MAX];	/* ... and its name */
	uint64_t chunk;			/* bytes */
	bool zeroes;			/* a new chunk reads as zero where it was not written */
	bool discards;			/* a discarded chunk is given back, and reads as zero */
	bool fails;			/* it does not say anything else any more */
	uint64_t data_total, data_used;	/* bytes */
	uint64_t meta_total, meta_used;
	uint64_t root;			/* where its metadata snapshot begins; 0: there is none */
	bool writable;			/* "rw", and no check is needed */
	char mode[48];			/* "rw", "ro", "out_of_data_space", "Fail", ... */
};

struct thin_volume {
	char name[THIN_NAME_MAX];
	uint64_t id;
	uint64_t mapped;		/* bytes */
	bool origin_outside;		/* what it does not map is another volume's */
	struct thin_pool pool;
};

/* 1: the device is a thin volume, and this is what it is; 0: it is none; -1: error. */
int thin_look(dev_t dev, struct thin_volume *ret, struct err *err);

/* The pool of that name now; ERR_FAILED with ENXIO when it is not active. */
int thin_pool_look(const char *name, struct thin_pool *ret, struct err *err);

/* What changes of a pool that was looked at: what is used of it, its mode, its metadata snapshot.  As above. */
int thin_pool_look_again(struct thin_pool *pool, struct err *err);

/*
 * What of a pool is left alone, since others live in it: 2 % of its data, at
 * least 32 MiB and at most 1 GiB, and 5 % of its metadata, at least 256 KiB and
 * at most 16 MiB.
 */
uint64_t thin_pool_data_reserve(uint64_t data_total);
uint64_t thin_pool_meta_reserve(uint64_t meta_total);

/* What so many bytes of data take of a pool's metadata, at most. */
uint64_t thin_meta_needed(uint64_t data, uint64_t chunk);

/* May more be written to it?  ERR_STOPPED says what is short of what. */
int thin_pool_has_room(const struct thin_pool *pool, struct err *err);

/* ---- what the kernel says, read; pure ---- */

bool thin_parse_table(const char *text, unsigned *ret_major, unsigned *ret_minor, uint64_t *ret_id,
		      bool *ret_origin_outside);
bool thin_parse_status(const char *text, uint64_t *ret_mapped);
bool thin_parse_pool_table(const char *text, struct thin_pool *pool);
/* The table must have been read. */
bool thin_parse_pool_status(const char *text, struct thin_pool *pool);

#endif
