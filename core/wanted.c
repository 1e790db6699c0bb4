/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one host asks another for, as JSON and back. */
#include "wanted.h"

#include <limits.h>
#include <pwd.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/attributes.h"
#include "volumes/lv.h"
#include "volumes/lv_change.h"

#define OWNER_MAX 64
#define TAGS_MAX 1024

static const char *wipe_name(enum wipe_mode wipe)
{
	return wipe == WIPE_ZERO ? "zero" : wipe == WIPE_DISCARD ? "discard" : "none";
}

/* ---- making ---- */

/* What a new logical volume there shall have of this one's. */
static json_t *lv_to_json(const struct lv_facts *lv)
{
	json_t *tags = json_array();

	for (size_t i = 0; i < lv->tags.count; i++)
		json_array_append_new(tags, json_text(lv->tags.items[i]));
	return json_pack("{s:o, s:o, s:b, s:b}", "tags", tags, "read_ahead", json_text(lv->read_ahead),
			 "read_only", (int)lv->read_only, "activation_skip", (int)lv->activation_skip);
}

static json_t *peer_to_json(const struct facts *facts)
{
	json_t *json = json_object();
	char *path, *attributes;

	json_put(json, "kind", facts->kind ? json_string(facts->kind) : json_null());
	/* Of a place its own name says nothing, and the root has none. */
	path = facts->kind || strcmp(facts->path, "/") ? text_copy(facts->path) : text_copy("/root");
	json_put(json, "path", json_name(path));
	free(path);
	json_put(json, "bytes", json_u64(facts->bytes));
	json_put(json, "allocated", json_u64(facts->allocated));
	if (facts->kind && !strcmp(facts->kind, file_volume_ops.kind)) {
		const struct passwd *user = getpwuid(facts->uid);
		const struct group *group = getgrgid(facts->gid);

		json_put(json, "mtime_ns", json_integer(facts->mtime_ns));
		/* Where the list is not kept. */
		json_put(json, "mode", json_integer(facts->mode & (attributes_have_acl(facts->path) ? 0700 : 0777)));
		json_put(json, "owner", json_name(user ? user->pw_name : NULL));
		json_put(json, "group", json_name(group ? group->gr_name : NULL));
		attributes = attributes_read(facts->path);
		json_put(json, "attributes", json_name(attributes));
		free(attributes);
	}
	if (facts->kind && facts->lv)
		json_put(json, "lv", lv_to_json(facts->lv));
	return json;
}

json_t *wanted_to_json(const struct request *request, bool is_source, const char *name,
		       const struct facts *here)
{
	json_t *json = json_object();
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	json_put(json, "command", json_string(command_name(request->command)));
	json_put(json, "role", json_string(is_source ? "source" : "destination"));
	json_put(json, "name", json_name(name));
	json_put(json, "from", json_text(*host ? host : "unknown"));
	json_put(json, "create", json_boolean(request->create));
	json_put(json, "into_existing", json_boolean(request->into_existing));
	json_put(json, "raw", json_boolean(request->raw));
	json_put(json, "keep_source", json_boolean(request->keep_source));
	json_put(json, "thick", json_boolean(request->thick));
	json_put(json, "sparse", json_boolean(request->sparse));
	json_put(json, "verify", json_boolean(request->verify == VERIFY_FULL));
	json_put(json, "thin_pool", json_name(request->thin_pool));
	json_put(json, "wipe", json_string(wipe_name(request->wipe)));
	json_put(json, "peer", peer_to_json(here));
	return json;
}

/* ---- reading ---- */

static int bad(struct err *err, const char *key)
{
	return err_set(err, ERR_REFUSED, NULL, "what is asked for has no usable \"%s\"", key);
}

static int get_bool(const json_t *json, const char *key, bool *ret, struct err *err)
{
	const json_t *value = json_object_get(json, key);

	if (!json_is_boolean(value))
		return bad(err, key);
	*ret = json_is_true(value);
	return 0;
}

/* A name: bytes without a NUL, not empty, not longer than max.  May be null if optional. */
static int get_name(const json_t *json, const char *key, size_t max, bool optional, char **ret,
		    struct err *err)
{
	const json_t *value = json_object_get(json, key);
	char *name;

	if (optional && (!value || json_is_null(value)))
		return 0;
	name = json_name_get(value);
	if (!name || !*name || strlen(name) > max) {
		free(name);
		return bad(err, key);
	}
	*ret = name;
	return 0;
}

static int get_number(const json_t *json, const char *key, json_int_t min, json_int_t max,
		      json_int_t *ret, struct err *err)
{
	const json_t *value = json_object_get(json, key);

	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return bad(err, key);
	*ret = json_integer_value(value);
	return 0;
}

/* The last part of its path may become a name here; the rest is for people. */
static int get_path(const json_t *json, char **ret, struct err *err)
{
	char *path = NULL, *name;

	if (get_name(json, "path", PATH_MAX, false, &path, err) < 0)
		return -1;
	name = strrchr(path, '/');
	if (!name || !name[1] || !strcmp(name, "/.") || !strcmp(name, "/..") || strlen(name) > 256) {
		free(path);
		return bad(err, "path");
	}
	*ret = path;
	return 0;
}

static int lv_from_json(struct lv_facts **ret, const json_t *json, struct err *err)
{
	struct lv_facts *lv = text_alloc(1, sizeof(*lv));
	const json_t *tags = json_object_get(json, "tags"), *tag;
	size_t i;

	/* Its group is none of this host's. */
	*lv = (struct lv_facts){ .vg_name = text_copy(""), .vg_uuid = text_copy("") };
	*ret = lv;
	if (!json_is_array(tags) || json_array_size(tags) > TAGS_MAX)
		return bad(err, "tags");
	json_array_foreach(tags, i, tag) {
		if (!lv_is_tag(json_string_value(tag)))
			return bad(err, "tags");
		text_list_add(&lv->tags, text_copy(json_string_value(tag)));
	}
	if (get_name(json, "read_ahead", 20, true, &lv->read_ahead, err) < 0 ||
	    get_bool(json, "read_only", &lv->read_only, err) < 0 ||
	    get_bool(json, "activation_skip", &lv->activation_skip, err) < 0)
		return -1;
	return 0;
}

static int peer_from_json(struct facts *peer, const char *from, const json_t *json, struct err *err)
{
	json_int_t bytes, allocated, mtime_ns = 0, mode = 0;
	const json_t *kind = json_object_get(json, "kind");
	struct facts *far = text_alloc(1, sizeof(*far));

	peer->far = far;
	peer->host = text_copy(from);
	peer->kind = peer_volume_ops.kind;
	/* A place has none. */
	if (json_is_string(kind)) {
		const struct volume_ops *ops = volume_ops_by_kind(json_string_value(kind));

		if (!ops || ops == &peer_volume_ops)
			return bad(err, "kind");
		/* What else there is to be known of other kinds does not matter here. */
		far->kind = ops == &file_volume_ops ? ops->kind : block_volume_ops.kind;
	} else if (!json_is_null(kind)) {
		return bad(err, "kind");
	}
	if (get_path(json, &far->path, err) < 0)
		return -1;
	peer->path = text_format("%s:%s", from, far->path);
	peer->spec = text_copy(peer->path);
	if (get_number(json, "bytes", 0, INT64_MAX / 2, &bytes, err) < 0 ||
	    get_number(json, "allocated", 0, INT64_MAX, &allocated, err) < 0)
		return -1;
	if (far->kind == file_volume_ops.kind) {
		if (get_number(json, "mtime_ns", INT64_MIN, INT64_MAX, &mtime_ns, err) < 0 ||
		    get_number(json, "mode", 0, 0777, &mode, err) < 0 ||
		    get_name(json, "owner", OWNER_MAX, true, &far->owner, err) < 0 ||
		    get_name(json, "group", OWNER_MAX, true, &far->group, err) < 0 ||
		    get_name(json, "attributes", ATTRIBUTES_MAX, true, &far->attributes, err) < 0)
			return -1;
	}
	if (far->kind == block_volume_ops.kind && json_object_get(json, "lv") &&
	    lv_from_json(&far->lv, json_object_get(json, "lv"), err) < 0)
		return -1;
	far->bytes = peer->bytes = (uint64_t)bytes;
	far->allocated = peer->allocated = (uint64_t)allocated;
	far->mtime_ns = peer->mtime_ns = mtime_ns;
	far->mode = peer->mode = (uint32_t)mode;
	return 0;
}

static int get_word(const json_t *json, const char *key, const char *const *words, int *ret,
		    struct err *err)
{
	const char *word = json_string_value(json_object_get(json, key));

	for (int i = 0; word && words[i]; i++) {
		if (!strcmp(word, words[i])) {
			*ret = i;
			return 0;
		}
	}
	return bad(err, key);
}

static int read_all(struct wanted *wanted, const json_t *json, struct err *err)
{
	static const char *const commands[] = { "migrate", "copy", NULL };
	static const char *const roles[] = { "destination", "source", NULL };
	static const char *const wipes[] = { "none", "zero", "discard", NULL };
	int command, role, wipe;

	if (!json_is_object(json))
		return bad(err, "wanted");
	if (get_word(json, "command", commands, &command, err) < 0 ||
	    get_word(json, "role", roles, &role, err) < 0 ||
	    get_word(json, "wipe", wipes, &wipe, err) < 0 ||
	    get_name(json, "name", PATH_MAX, false, &wanted->name, err) < 0 ||
	    get_name(json, "from", 256, false, &wanted->from, err) < 0 ||
	    get_name(json, "thin_pool", 256, true, &wanted->thin_pool, err) < 0 ||
	    get_bool(json, "create", &wanted->create, err) < 0 ||
	    get_bool(json, "into_existing", &wanted->into_existing, err) < 0 ||
	    get_bool(json, "raw", &wanted->raw, err) < 0 ||
	    get_bool(json, "keep_source", &wanted->keep_source, err) < 0 ||
	    get_bool(json, "thick", &wanted->thick, err) < 0 ||
	    get_bool(json, "sparse", &wanted->sparse, err) < 0 ||
	    get_bool(json, "verify", &wanted->verify, err) < 0 ||
	    peer_from_json(&wanted->peer, wanted->from, json_object_get(json, "peer"), err) < 0)
		return -1;
	wanted->command = command ? COMMAND_COPY : COMMAND_MIGRATE;
	wanted->is_source = role;
	wanted->wipe = wipe == 1 ? WIPE_ZERO : wipe == 2 ? WIPE_DISCARD : WIPE_NONE;
	return wanted->peer.far->kind || wanted->is_source ? 0 : bad(err, "kind");
}

int wanted_from_json(struct wanted *ret, const json_t *json, struct err *err)
{
	struct wanted wanted = { 0 };

	if (read_all(&wanted, json, err) < 0) {
		wanted_free(&wanted);
		return -1;
	}
	*ret = wanted;
	return 0;
}

void wanted_free(struct wanted *wanted)
{
	free(wanted->name);
	free(wanted->from);
	free(wanted->thin_pool);
	facts_free(&wanted->peer);
	*wanted = (struct wanted){ 0 };
}

struct request wanted_request(const struct wanted *wanted)
{
	struct request request = REQUEST_DEFAULTS;

	request.command = wanted->command;
	request.method = "copy";
	request.source = wanted->is_source ? wanted->name : wanted->peer.spec;
	request.destination = wanted->is_source ? wanted->peer.spec : wanted->name;
	request.create = wanted->create;
	request.into_existing = wanted->into_existing;
	request.raw = wanted->raw;
	request.keep_source = wanted->keep_source;
	request.thick = wanted->thick;
	request.thin_pool = wanted->thin_pool;
	request.sparse = wanted->sparse;
	request.verify = wanted->verify ? VERIFY_FULL : VERIFY_NONE;
	request.wipe = wanted->wipe;
	return request;
}
