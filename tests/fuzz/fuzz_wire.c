/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a line from another host: refused with a reason, or a request that
 * holds what it promises; and as frames of a compressed channel: refused, or just
 * as many bytes as was said.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "support/err.h"
#include "sys/squeeze.h"
#include "sys/wire.h"
#include "sys/zstd.h"
#include "volumes/attributes.h"
#include "volumes/far_name.h"
#include "volumes/lv.h"
#include "volumes/lv_change.h"
#include "wanted.h"

static void check_wanted(const struct wanted *wanted)
{
	struct request request = wanted_request(wanted);
	const struct facts *peer = &wanted->peer;
	const char *name = strrchr(peer->path, '/');

	assert(request.command == COMMAND_MIGRATE || request.command == COMMAND_COPY);
	assert(*wanted->name && *wanted->from);
	/* It can become the name of a file in a directory, and of nothing else. */
	assert(name && name[1] && strcmp(name, "/.") && strcmp(name, "/.."));
	assert(!strcmp(peer->kind, "peer") && facts_is_far(peer) && peer->far);
	assert(peer->far->kind || wanted->is_source);
	assert(peer->bytes < (uint64_t)1 << 62 && peer->mode <= 0777);
	assert(!peer->lv && !peer->far->far);
	/* What a new volume may get of it, and no volume. */
	if (peer->far->lv) {
		assert(!peer->far->lv->name && !*peer->far->lv->vg_name && !peer->far->lv->uuid);
		for (size_t i = 0; i < peer->far->lv->tags.count; i++)
			assert(lv_is_tag(peer->far->lv->tags.items[i]));
	}
}

static void check_line(const char *text, size_t size)
{
	struct err err = ERR_INIT;
	struct wanted wanted = { 0 };
	json_t *json = wire_parse(text, size, &err);

	if (!json) {
		assert(err.class == ERR_REFUSED && *err.cause);
		return;
	}
	if (wanted_from_json(&wanted, json, &err) == 0) {
		check_wanted(&wanted);
		wanted_free(&wanted);
	} else {
		assert(err.class == ERR_REFUSED && *err.cause);
	}
	json_decref(json);
}

/* What a file is to have beside its bytes; there is none here that could get it. */
static void check_attributes(const char *text)
{
	struct text_list notes = { 0 };
	mode_t mode = 0600;

	assert(!attributes_give(text, -1, true, &mode, &notes) && mode == 0600);
	text_list_free(&notes);
}

static void check_name(const char *text)
{
	struct far_host host = { 0 };
	struct err err = ERR_INIT;
	char *name = NULL, *again;

	if (far_name_parse(text, true, &host, &name, &err) < 0) {
		assert(err.class == ERR_USAGE && *err.cause && !host.host && !name);
		return;
	}
	/* ssh must not take it for an option. */
	assert(*host.host && *host.host != '-' && (!host.user || (*host.user && *host.user != '-')));
	assert(*name && host.port <= 65535);
	again = far_host_text(&host);
	assert(*again);
	free(again);
	free(name);
	far_host_free(&host);
}

static void check_frames(const uint8_t *data, size_t size)
{
	static unsigned char frame[SQUEEZE_HEADER + SQUEEZE_MAX];
	struct zstd *zstd = zstd_new();
	struct squeeze_frame what;
	size_t at = 0;

	while (size - at >= SQUEEZE_HEADER && squeeze_parse(data + at, &what) &&
	       size - at - SQUEEZE_HEADER >= what.length) {
		/* Just so large that one more byte would be seen. */
		unsigned char *raw = malloc(what.raw), *payload = malloc(what.length);

		if (!raw || !payload)
			abort();
		assert(what.length && what.length <= what.raw && what.raw <= SQUEEZE_MAX);
		memcpy(payload, data + at + SQUEEZE_HEADER, what.length);
		if (squeeze_unpack(zstd, &what, payload, raw) == 0) {
			struct squeeze_frame again;
			size_t length = squeeze_pack(zstd, true, raw, what.raw, frame);

			assert(squeeze_parse(frame, &again) && again.raw == what.raw &&
			       again.length == length - SQUEEZE_HEADER);
		}
		at += SQUEEZE_HEADER + what.length;
		free(payload);
		free(raw);
	}
	zstd_free(zstd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_line(text, size);
	check_name(text);
	check_attributes(text);
	check_frames(data, size);
	free(text);
	return 0;
}
