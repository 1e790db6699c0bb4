/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domain that is shut off while its disk is moved, and whose definition follows. */
#ifndef ENGINES_COLD_MOVE_H
#define ENGINES_COLD_MOVE_H

#include <jansson.h>
#include <stdbool.h>

struct err;
struct guest_use;
struct move;
struct step_context;

/* All strings are owned; uuid NULL: no domain is concerned. */
struct cold_move {
	char *uri;		/* of the libvirt that knows the domain; NULL: the default */
	char *uuid, *domain;
	char *target;		/* the disk: "vda" */
	/*
	 * Its element in the definition when it was planned, and as it shall
	 * become.  Not the whole of it: there may be passwords in that.
	 */
	char *old_disk;
	char *new_disk;
};

/* Take the domain over that uses the source so. */
void cold_move_begin(struct cold_move *cold, const char *uri, const struct guest_use *use);

/* Both ends are planned: make new_disk. */
int cold_move_finish(struct move *move, struct err *err);

void cold_move_free(struct cold_move *cold);
json_t *cold_move_to_json(const struct cold_move *cold);
int cold_move_from_json(struct cold_move *cold, const json_t *json, struct err *err);

/* Which volumes a domain has once the step that changes its definition was begun. */
enum cold_names {
	COLD_NAMES_OLD,		/* its definition names the old ones, and it does not run on others */
	COLD_TORN,		/* it runs on the old ones, and its definition names the new ones */
	COLD_NAMES_OTHER,
};

int cold_move_names(const struct step_context *ctx, enum cold_names *ret_names, struct err *err);

#endif
