/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the name of a volume or a place: refused with a reason, or read as promised. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "support/err.h"
#include "volumes/spec.h"

static bool names_directory(const char *path)
{
	const char *last = strrchr(path, '/') + 1;

	return !*last || !strcmp(last, ".") || !strcmp(last, "..");
}

static void check_parsed(const struct spec *spec, const char *text, enum spec_role role)
{
	struct spec again = { 0 };
	struct err err = ERR_INIT;

	assert(!strcmp(spec->text, text));
	assert(spec->place == (spec->kind == SPEC_SSH && role == SPEC_PLACE));
	if (spec->kind == SPEC_LV) {
		assert(!spec->path && spec->vg && *spec->vg && !strchr(spec->vg, '/'));
		assert(spec->lv ? *spec->lv && !strchr(spec->lv, '/') : role == SPEC_PLACE);
		return;
	}
	if (spec->kind > SPEC_LV) {
		assert(!spec->path && strlen(spec->remote) < PATH_MAX);
		assert(spec_parse(&again, spec->remote, role, "/elsewhere", &err) == 0);
		assert(again.kind == spec->kind && !strcmp(again.remote, spec->remote));
		spec_free(&again);
		return;
	}
	assert(spec->path[0] == '/');
	assert(strlen(spec->path) < PATH_MAX);
	assert((spec->kind == SPEC_FILE) == !strncmp(text, "file:", 5));
	assert(spec->directory == names_directory(spec->path));

	if (spec->kind == SPEC_QEMU)
		return;
	/* What was made absolute is a name of its own, for the same thing. */
	assert(spec_parse(&again, spec->path, role, "/elsewhere", &err) == 0);
	assert(again.kind == SPEC_PATH);
	assert(!strcmp(again.path, spec->path));
	assert(again.directory == spec->directory);
	spec_free(&again);
}

static void check(const char *text, enum spec_role role, const char *cwd)
{
	struct spec spec = { 0 };
	struct err err = ERR_INIT;

	if (spec_parse(&spec, text, role, cwd, &err) == 0) {
		assert(err.class == ERR_NONE);
		check_parsed(&spec, text, role);
		spec_free(&spec);
	} else {
		assert(err.class == ERR_USAGE);
		assert(err.cause[0]);
		assert(!spec.text && !spec.path && !spec.remote);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check(text, SPEC_VOLUME, "/srv/a");
	check(text, SPEC_PLACE, "/srv/a");
	check(text, SPEC_PLACE, "/");
	free(text);
	return 0;
}
