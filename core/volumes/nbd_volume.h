/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Volumes behind an NBD connection: exports that a URI names, and, for other
 * kinds, whatever a private server at the other end of a socket serves.
 */
#ifndef VOLUMES_NBD_VOLUME_H
#define VOLUMES_NBD_VOLUME_H

#include <stdint.h>

#include "volumes/volume.h"

struct err;
struct nbd;
struct spec;

/*
 * What an open export tells of a volume: size, block sizes, what is allocated,
 * and (not with INSPECT_OUTSIDE) what lies in it.  facts->spec and path are
 * filled in already.  ERR_REFUSED: nothing was touched.
 */
int nbd_volume_look(struct nbd *nbd, unsigned flags, struct facts *facts, struct err *err);

/*
 * Finish opening a volume that is reached by nbd, which is taken over, on
 * failure too: vol->bytes and all that the engine wants to know.
 */
int nbd_volume_setup(struct volume *vol, struct nbd *nbd, unsigned flags, uint64_t patience_ms,
		     struct err *err);

/* For the tables of such kinds. */
int nbd_volume_next_data(struct volume *vol, uint64_t offset, uint64_t *ret_start,
			 uint64_t *ret_end, struct err *err);
int nbd_volume_zero(struct volume *vol, uint64_t offset, uint64_t length, enum zero_how how,
		    struct err *err);

#endif
