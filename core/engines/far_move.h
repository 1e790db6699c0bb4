/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is journalled of a move whose other end is on another host. */
#ifndef ENGINES_FAR_MOVE_H
#define ENGINES_FAR_MOVE_H

#include <jansson.h>
#include <stdbool.h>

struct far_move {
	char *host;		/* [user@]host[:port]; NULL: both ends are here */
	bool is_source;		/* the source is there, and the destination here; else the other way round */
	char *makes;		/* the kind of what is made there, "file" or "lv"; NULL: it exists */
	bool compress;		/* the bytes on their way, which that host can as well */
	json_t *wanted;		/* what that host is asked for; see wanted.h */
};

void far_move_free(struct far_move *far);
json_t *far_move_to_json(const struct far_move *far);
void far_move_from_json(struct far_move *far, const json_t *json);

#endif
