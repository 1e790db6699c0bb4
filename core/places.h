/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a volume shall go: what the places on a command line mean for this source. */
#ifndef PLACES_H
#define PLACES_H

struct err;
struct facts;
struct request;

/*
 * Look at the place or places of request.  A directory with a file of the
 * source's name in it is that file; a group with a volume of that name that
 * volume; a thin pool, and physical volumes of the source's own group, stay
 * places.
 */
int places_look(const struct request *request, const struct facts *source, unsigned flags,
		struct facts *ret_destination, struct err *err);

#endif
